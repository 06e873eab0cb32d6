//! Whether this request may go to this device.

use std::borrow::Cow;

use http::{HeaderName, Method, header, request};

use super::admit::Shown;
use super::call::Trip;
use super::fault::{Fault, Kind, cut};
use super::route::Hop;
use super::{Device, admit};
use crate::config::{PathPattern, Rights};
use crate::fields::{self, are_alike};

/// What a device may be asked for where `access` is `"read"`.
const READING: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

/// Headers by which many a web framework takes a request for one of another method than its own.
const OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// The methods that headers name in the place of a request's own.
fn overriding(asked: &request::Parts) -> impl Iterator<Item = Method> {
    let is_one = |name: &HeaderName| OVERRIDES.iter().any(|other| are_alike(name.as_str(), other));
    let named = asked.headers.iter().filter(move |(name, _)| is_one(name)).map(|(_, value)| value.as_bytes());
    // What is no method is none that a device may be asked by.
    named.map(|name| Method::from_bytes(&name.trim_ascii().to_ascii_uppercase()).unwrap_or(Method::CONNECT))
}

/// The method that a device may take a request for: another than its own where a header names one that writes.
fn meant(asked: &request::Parts) -> Cow<'_, Method> {
    let writing = overriding(asked).find(|method| !READING.contains(method));
    writing.map_or(Cow::Borrowed(&asked.method), Cow::Owned)
}

/// Whether the key that was shown opens this device to this method: what it opens, it opens in no other name.
pub(super) fn by_key(shown: &Shown, device: &str, asked: &request::Parts) -> Result<(), Fault> {
    shown.permit(device, &asked.method)?;
    match shown {
        Shown::Key(_) => overriding(asked).try_for_each(|method| shown.permit(device, &method)),
        _ => Ok(()),
    }
}

/// Lets a request through to its device.
pub(super) fn permit(trip: &Trip) -> Result<(), Fault> {
    let Trip { head: asked, hop, .. } = trip;
    let device = &hop.device;
    if let Some((_, why)) = device.never.iter().find(|(pattern, _)| hop.falls_under(pattern)) {
        return Err(Fault::new(Kind::ReadOnly, *why));
    }
    if device.rights == Rights::Read {
        permit_reading(trip)?;
    }
    if is_acting_get(hop, asked) {
        let is_known = device.make.acts_on_get.is_some();
        admit::admit_acting_get(asked, hop.site, hop.is_own_site(), &device.name, is_known)?;
    }
    let length = fields::first(&asked.headers, header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    match (length, device.max_body) {
        (Some(length), Some(most)) if most < length => Err(too_large(&device.name, most)),
        _ => Ok(()),
    }
}

/// Whether this is a GET that changes something, or a HEAD, which many devices take for one.
pub(super) fn is_acting_get(hop: &Hop, asked: &request::Parts) -> bool {
    matches!(asked.method, Method::GET | Method::HEAD)
        && hop.device.acts_on_get.iter().any(|pattern| hop.falls_under(pattern))
}

/// Whether a browser that follows a link to the device's prefix may be answered.
pub(super) fn opens_by_link(device: &Device) -> bool {
    let is_first = |pattern: &PathPattern| ["/", device.url.path()].iter().any(|path| pattern.matches(path));
    let never = device.never.iter().map(|(pattern, _)| pattern);
    !device.acts_on_get.iter().chain(never).chain(&device.private).any(is_first)
}

/// Whether this may change something at the device.
pub(super) fn may_act(hop: &Hop, asked: &request::Parts) -> bool {
    !meant(asked).is_safe() || is_acting_get(hop, asked)
}

pub(super) fn too_large(device: &str, most: u64) -> Fault {
    let detail = format!(
        "the body is larger than the {most} bytes that {device} may get: send less at once, or raise `max_body` under \
         [devices.{device}] in proxy.toml"
    );
    Fault::new(Kind::BodyTooLarge, detail)
}

fn permit_reading(Trip { head: asked, hop, is_websocket, .. }: &Trip) -> Result<(), Fault> {
    let name = &hop.device.name;
    let allow = format!("to allow it, set access = \"full\" under [devices.{name}] in proxy.toml");
    let method = meant(asked);
    if !READING.contains(&method) {
        return Err(Fault::new(
            Kind::ReadOnly,
            format!("{name} may only be read, and {} writes: {allow}", cut(method.as_str())),
        ));
    }
    if *is_websocket {
        let why = format!("{name} may only be read, and a WebSocket can write: {allow}");
        return Err(Fault::new(Kind::ReadOnly, why));
    }
    if is_acting_get(hop, asked) {
        return Err(Fault::new(
            Kind::ReadOnly,
            format!(
                "{name} may only be read, and a GET of this path changes something (`acts_on_get`): {allow}"
            ),
        ));
    }
    if hop.device.private.iter().any(|pattern| hop.falls_under(pattern)) {
        return Err(Fault::new(
            Kind::ReadOnly,
            format!("{name} may only be read, and this path tells its secrets: {allow}"),
        ));
    }
    Ok(())
}
