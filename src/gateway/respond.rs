//! The device's response as the caller gets it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, request, response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::authorise::without_trailers;
use super::connection::nominated;
use super::fault::{Fault, Kind};
use super::location;
use super::outgoing::{Answer, Outgoing, ours};
use super::problem::RIGHTS;
use super::recall::{Source, Status};
use super::route::Hop;
use super::{Device, sandbox};
use crate::fields;
use crate::upstream::{Inbound, Trouble, is_event_stream};
use crate::vendor::cookie_name;

/// Of a device's refusal, so much is passed on or read to keep the connection.
const MAX_REFUSAL: usize = 64 * 1024;

/// A device's response, read and let go of.
pub(super) struct Refused {
    head: response::Parts,
    body: Option<Bytes>,
    /// Why there is no end of it.
    broken: Option<Trouble>,
}

impl Refused {
    /// The same, if it can be told whole or at least by its head.
    ///
    /// # Errors
    /// It broke off.
    pub(super) fn whole(mut self) -> Result<Self, Fault> {
        match self.broken.take() {
            Some(trouble) => Err(trouble.into()),
            None => Ok(self),
        }
    }
}

/// Passes a response on.
pub(super) fn pass(
    hop: &Hop,
    asked: &request::Parts,
    (status, told): (StatusCode, HeaderMap),
    body: Source,
    closing: &CancellationToken,
) -> Answer {
    let nominated = nominated(&told);
    let is_of_unknown_length = asked.method == Method::HEAD && !fields::has(&told, header::CONTENT_LENGTH);
    let is_endless = is_event_stream(&told);
    let told = headers(hop, asked, status, (told, body.size_hint().exact()), &nominated);
    let mut passed = Answer::new(Outgoing::Device(Passing {
        // hyper would say that it is of no bytes, which is not what a GET would get.
        is_of_unknown_length: is_of_unknown_length && !matches!(body, Source::Whole(_)),
        body,
        closing: is_endless.then(|| Box::pin(closing.clone().cancelled_owned())),
        device: Arc::clone(&hop.device),
        nominated,
    }));
    *passed.status_mut() = status;
    *passed.headers_mut() = told;
    passed
}

/// Tells the caller how its answer came about.
pub(super) fn tell(status: &Status, headers: &mut HeaderMap) {
    if let Some(value) = status.header() {
        headers.append("cache-status", value);
    }
    if let Some(age) = status.age() {
        headers.insert(header::AGE, HeaderValue::from(age));
    }
}

/// Tells the caller that its connection is another protocol's from now on.
pub(super) fn switch(hop: &Hop, asked: &request::Parts, (status, told): (StatusCode, HeaderMap)) -> Answer {
    let mut passed = ours(Response::new(Body::empty()));
    *passed.status_mut() = status;
    let nominated = nominated(&told);
    *passed.headers_mut() = headers(hop, asked, status, (told, None), &nominated);
    passed
}

/// Reads a response that is not passed on as it is, so that its connection is free for what comes next.
pub(super) async fn take_in((head, body): (response::Parts, Inbound), deadline: Instant) -> Refused {
    // Of an endless or slow refusal the head has to do.
    let refused = Refused { head, body: None, broken: None };
    match timeout_at(deadline, Limited::new(body, MAX_REFUSAL).collect()).await {
        Ok(Ok(body)) => Refused { body: Some(body.to_bytes()), ..refused },
        Ok(Err(error)) => Refused { broken: error.downcast().ok().map(|trouble| *trouble), ..refused },
        Err(_) => refused,
    }
}

/// The session is good and has no right to this: 403 in the device's own words.
pub(super) fn rights(hop: &Hop, asked: &request::Parts, refused: Refused) -> Answer {
    let mut response = ours(Response::new(Body::empty()));
    let nominated = nominated(&refused.head.headers);
    *response.headers_mut() =
        headers(hop, asked, refused.head.status, (refused.head.headers, None), &nominated);
    response.headers_mut().remove(header::WWW_AUTHENTICATE);
    match refused.body {
        Some(body) => *response.body_mut() = Outgoing::Ours(Body::from(body)),
        None => {
            response.headers_mut().remove(header::CONTENT_ENCODING);
            response.headers_mut().remove(header::ETAG);
        }
    }
    *response.status_mut() = StatusCode::FORBIDDEN;
    response.headers_mut().insert("proxy-status", RIGHTS);
    response
}

/// What a device told, as far as the caller may have it, with a body of `length` bytes where that is known: what stays is
/// not copied.
fn headers(
    hop: &Hop,
    asked: &request::Parts,
    status: StatusCode,
    (mut told, length): (HeaderMap, Option<u64>),
    nominated: &[HeaderName],
) -> HeaderMap {
    let protocol = fields::first(&told, header::UPGRADE).cloned();
    if !is_length(&told, length) {
        let length = told.remove(header::CONTENT_LENGTH);
        let tells_of_get = asked.method == Method::HEAD && status != StatusCode::NO_CONTENT;
        if tells_of_get || status == StatusCode::NOT_MODIFIED {
            // It tells of a body that does not follow; else hyper frames what does, and a 204 has none.
            told.extend(length.map(|length| (header::CONTENT_LENGTH, length)));
        }
    }
    let is_going = |name: &&HeaderName| nominated.contains(name) || !is_for_caller(hop, name);
    let going: Vec<_> = told.keys().filter(is_going).cloned().collect();
    for name in going.into_iter().chain(location::quoting(hop, &told)) {
        told.remove(name);
    }
    for (name, value) in &mut told {
        if location::REWRITTEN.contains(name) {
            *value = location::rewrite(hop, asked, value);
        }
    }
    if fields::has(&told, header::SET_COOKIE) {
        let cookies: Vec<_> =
            told.get_all(header::SET_COOKIE).iter().map(|line| own_cookie(hop, line)).collect();
        told.remove(header::SET_COOKIE);
        told.extend(cookies.into_iter().flatten().map(|cookie| (header::SET_COOKIE, cookie)));
    }
    if status == StatusCode::SWITCHING_PROTOCOLS
        && let Some(protocol) = protocol
    {
        told.insert(header::UPGRADE, protocol);
        told.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    // What is left of it counts: a type that the device nominated as its own does not arrive.
    if !hop.is_own_site() {
        sandbox::confine(&mut told);
    }
    told
}

/// Whether `Content-Length` says so, as hyper would.
fn is_length(told: &HeaderMap, length: Option<u64>) -> bool {
    let mut lines = fields::all(told, header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let says: Option<u64> = str::from_utf8(line).ok().and_then(|line| line.parse().ok());
    says.is_some()
        && says == length
        && line.first().is_some_and(u8::is_ascii_digit)
        && !line.starts_with(b"0")
}

/// Whether a field concerns one connection, carries the device's credentials, or is what a device would have browsers do with
/// an address that is not its own.
fn stays(name: &str) -> bool {
    let is_one = matches!(
        name,
        "access-control-allow-credentials"
            | "alt-svc"
            | "authentication-info"
            | "clear-site-data"
            | "close"
            | "connection"
            | "keep-alive"
            | "nel"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-connection"
            | "report-to"
            | "reporting-endpoints"
            | "service-worker-allowed"
            | "set-cookie"
            | "set-cookie2"
            | "strict-transport-security"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "www-authenticate"
    );
    is_one || name.starts_with("access-control-")
}

fn is_for_caller(hop: &Hop, name: &HeaderName) -> bool {
    let name = name.as_str();
    let is_challenge = name == header::WWW_AUTHENTICATE.as_str() && hop.device.make.challenges;
    let is_cookie = name == header::SET_COOKIE.as_str() && hop.is_own_site();
    is_challenge || is_cookie || !stays(name)
}

/// Whether a field may stand behind a body: what is looked at before it passes may not.
fn is_for_trailers(name: &HeaderName) -> bool {
    let is_of_head = location::REWRITTEN.contains(name) || name == header::CONTENT_LENGTH;
    !is_of_head && !stays(name.as_str())
}

/// A cookie that a device sets where it is a site of its own: for the host that the browser knows it by, and unless
/// it carries the device's session.
fn own_cookie(hop: &Hop, value: &HeaderValue) -> Option<HeaderValue> {
    let line = value.to_str().ok()?;
    if hop.device.vendor.carriers().cookies.has(cookie_name(line)) {
        return None;
    }
    let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
    let kept = attributes.split(';').filter(|part| !cookie_name(part).eq_ignore_ascii_case("domain"));
    let parts: Vec<_> = std::iter::once(pair).chain(kept.filter(|part| !part.is_empty())).collect();
    let mut value = HeaderValue::from_str(&parts.join(";")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A body on its way to the caller.
pub struct Passing {
    body: Source,
    is_of_unknown_length: bool,
    /// An endless one ends when keyward does.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    device: Arc<Device>,
    nominated: Vec<HeaderName>,
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = Trouble;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        let this = &mut *self;
        if let Some(closing) = &mut this.closing
            && closing.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(Err(trouble))) = &polled {
            // The head is gone: all that is left is to break off towards the caller too, and to say so here.
            tracing::warn!(device = this.device.name, fault = Kind::DeviceBrokeOff.name(), "{trouble}");
            this.device.figures.fault(Kind::DeviceBrokeOff.name(), &trouble.to_string(), true);
        }
        let stays = |name: &HeaderName| this.nominated.contains(name) || !is_for_trailers(name);
        polled.map_ok(|frame| without_trailers(frame, stays))
    }

    fn is_end_stream(&self) -> bool {
        !self.is_of_unknown_length && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_of_unknown_length { SizeHint::default() } else { self.body.size_hint() }
    }
}
