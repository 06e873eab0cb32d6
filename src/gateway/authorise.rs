//! The request as the device gets it: the caller's, without what is not for the device, with our session on it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Version, request};
use http_body::{Body, Frame};

use super::admit;
use super::call::Trip;
use super::connection::nominated;
use super::fault::Fault;
use super::route::{self, Hop};
use super::via::Via;
use crate::fields::{self, are_alike};
use crate::keeper::Lease;
use crate::vendor::{Cookies, cookie_name};

/// Headers that concern one connection (RFC 9110 section 7.6.1), the framing of a message, or who asked whom. What some
/// of them say is said anew.
const NOT_FORWARDED: [&str; 17] = [
    "authorization",
    "close",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
];
const NOT_FORWARDED_FAMILIES: [&str; 2] = ["proxy-", "x-forwarded-"];

/// Dresses a caller's request with a session.
pub(super) fn dress(
    Trip { head: asked, hop, is_websocket, .. }: &Trip,
    lease: &Lease,
    via: &Via,
) -> Result<request::Parts, Fault> {
    let mut head = bare(asked);
    head.uri = hop.target.clone();
    let carriers = hop.device.vendor.carriers();
    let nominated = nominated(&asked.headers);
    for (name, value) in &asked.headers {
        if !nominated.contains(name) && is_for_device(name, &carriers.headers) {
            head.headers.append(name, value.clone());
        }
    }
    if hop.is_own_site() {
        keep_cookies(&carriers.cookies, &asked.headers, &mut head.headers);
    }
    relocate(hop, &asked.headers, &mut head.headers);
    keep_connection_wishes(asked, *is_websocket, &mut head.headers);
    head.headers.insert(header::HOST, hop.device.host.clone());
    append_via(asked, via, &mut head.headers);
    hop.device.keeper.sign(lease, &mut head)?;
    Ok(head)
}

/// How the body is framed where hyper would not say so: it takes a GET in chunks for one without a body, and is silent
/// about a body of no bytes, which some devices insist to be told.
pub(super) fn frame(asked: &request::Parts, body: &impl Body, headers: &mut HeaderMap) {
    match body.size_hint().exact() {
        None => drop(headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        Some(0) if fields::has(&asked.headers, header::CONTENT_LENGTH) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Some(_) => {}
    }
}

/// The caller's trailers as the device may see them: a header that is not forwarded is not forwarded behind the body.
pub(super) fn bare_trailers(
    hop: &Hop,
    asked: &request::Parts,
) -> impl FnMut(Frame<Bytes>) -> Frame<Bytes> + use<> {
    let (device, nominated) = (Arc::clone(&hop.device), nominated(&asked.headers));
    move |frame| {
        let carriers = device.vendor.carriers().headers;
        without_trailers(frame, |name| nominated.contains(name) || !is_for_device(name, &carriers))
    }
}

/// A frame of a body without those trailers that stay here.
pub(super) fn without_trailers(frame: Frame<Bytes>, stays: impl Fn(&HeaderName) -> bool) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            let staying: Vec<_> = trailers.keys().filter(|name| stays(name)).cloned().collect();
            for name in staying {
                trailers.remove(name);
            }
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}

/// The same method, nothing else yet.
fn bare(asked: &request::Parts) -> request::Parts {
    let mut head = http::Request::new(()).into_parts().0;
    head.method = asked.method.clone();
    head.version = Version::HTTP_11;
    head.headers = HeaderMap::with_capacity(asked.headers.len() + 4);
    head
}

/// Whether a caller's header goes to the device.
fn is_for_device(name: &HeaderName, carriers: &[&str]) -> bool {
    let name = name.as_str();
    let begins_like = |family: &&str| name.get(..family.len()).is_some_and(|begin| are_alike(begin, family));
    !(NOT_FORWARDED.iter().chain(carriers).any(|other| are_alike(name, other))
        || NOT_FORWARDED_FAMILIES.iter().any(begins_like))
}

/// Where a device is a site of its own, its pages have cookies of their own beside those of its scheme.
fn keep_cookies(scheme: &Cookies<'_>, asked: &HeaderMap, headers: &mut HeaderMap) {
    let pairs = fields::all(asked, header::COOKIE).filter_map(|line| line.to_str().ok());
    let pairs = pairs.flat_map(|line| line.split(';')).map(str::trim);
    let kept: Vec<_> = pairs.filter(|pair| !pair.is_empty() && !scheme.has(cookie_name(pair))).collect();
    if !kept.is_empty()
        && let Ok(mut value) = HeaderValue::from_str(&kept.join("; "))
    {
        value.set_sensitive(true);
        headers.insert(header::COOKIE, value);
    }
}

/// `Origin` and `Referer` of this door become the device's; others are nobody's business there.
fn relocate(hop: &Hop, asked: &HeaderMap, headers: &mut HeaderMap) {
    if !fields::has(asked, header::ORIGIN) && !fields::has(asked, header::REFERER) {
        return;
    }
    let device = hop.device.origin();
    let is_ours = |origin: &HeaderValue| admit::is_own_origin(asked, hop.site, origin.as_bytes());
    if fields::first(asked, header::ORIGIN).is_some_and(is_ours)
        && let Ok(origin) = HeaderValue::from_str(&device)
    {
        headers.insert(header::ORIGIN, origin);
    }
    let is_ours = |referer: &&HeaderValue| admit::is_own_referer(asked, hop.site, referer.as_bytes());
    let Some(referer) = fields::first(asked, header::REFERER).filter(is_ours) else { return };
    let after_scheme = referer.to_str().ok().and_then(|it| it.split_once("://")).map(|(_, rest)| rest);
    let path = after_scheme.and_then(|rest| rest.get(rest.find('/')?..)).unwrap_or_default();
    let path = path.strip_prefix(&hop.base).unwrap_or_default();
    let below = path.strip_prefix(hop.prefix()).filter(|rest| rest.starts_with('/')).unwrap_or("/");
    let (page, query) = below.split_once('?').unwrap_or((below, ""));
    // The caller's own credential is no more for the device here than where it asks.
    let query = route::without(query, &hop.device.vendor.carriers().query);
    let mark = if query.is_empty() { "" } else { "?" };
    if let Ok(referer) =
        HeaderValue::from_str(&format!("{device}{}{page}{mark}{query}", hop.device.url.path()))
    {
        headers.insert(header::REFERER, referer);
    }
}

/// Trailers and WebSocket (RFC 6455) are wishes for every connection on the way.
fn keep_connection_wishes(asked: &request::Parts, is_websocket: bool, headers: &mut HeaderMap) {
    let takes_trailers = fields::all(&asked.headers, header::TE).any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.split(',').any(|it| it.trim().eq_ignore_ascii_case("trailers")))
    });
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.append(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if is_websocket {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.append(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// RFC 9110 section 7.6.3, with a name by which we know our own.
fn append_via(asked: &request::Parts, via: &Via, headers: &mut HeaderMap) {
    for former in fields::all(&asked.headers, header::VIA) {
        headers.append(header::VIA, former.clone());
    }
    headers.append(header::VIA, via.line(asked.version));
}
