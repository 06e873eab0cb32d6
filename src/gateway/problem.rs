//! How a fault is told: problem details for programs, a small page for people.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, request};
use serde_json::json;

use super::admit::Arrival;
use super::fault::{Fault, Kind};
use super::outgoing::Answer;

/// So many letters of what is said fit into a header that nobody stumbles over; the answer has all of it.
const LONGEST_DETAILS: usize = 1000;

/// Refuses a request, and says so once in the log.
pub fn refuse(fault: &Fault, asked: &request::Parts, arrival: &Arrival) -> Response {
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                request = %arrival.id,
                caller = %arrival.peer.remote.ip().to_canonical(),
                device = fault.device.as_deref(),
                fault = fault.kind.name(),
                "{}",
                fault.detail
            )
        };
    }
    // Browsers ask for it by themselves, for a device's page too, which is of no origin.
    let is_icon = fault.kind == Kind::OriginNotAllowed && asked.uri.path() == "/favicon.ico";
    if is_icon {
        log!(debug);
    } else {
        log!(warn);
    }
    fault.answer(asked, &arrival.id.to_string())
}

/// What a request is called in the log and in an answer of ours.
#[derive(Clone, Copy, Debug)]
pub struct RequestId(u64);

impl RequestId {
    /// A new one.
    pub fn new() -> Self {
        Self(rand::random())
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Fault {
    /// The answer: problem details (RFC 9457), or a small page for a browser.
    pub fn answer(&self, asked: &request::Parts, id: &str) -> Response {
        let (name, status, _) = self.kind.row();
        if matches!(self.kind, Kind::CallerLeft | Kind::Malformed) {
            // The request never became whole, so there is nobody to tell more.
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
        let title = status.canonical_reason().unwrap_or("Error");
        let mut response = if wants_page(asked) {
            with_type("text/html; charset=utf-8", self.page(title, name, id))
        } else {
            let problem = json!({
                "title": title,
                "status": status.as_u16(),
                "detail": self.detail,
                "device": self.device,
                "fault": name,
                "instance": id,
            });
            with_type("application/problem+json", problem.to_string())
        };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        if let Ok(value) = HeaderValue::from_str(&self.proxy_status()) {
            headers.insert("proxy-status", value);
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if self.kind == Kind::KeyRequired {
            for challenge in ["Basic realm=\"keyward\", charset=\"UTF-8\"", "Bearer"] {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }

    fn page(&self, title: &str, name: &str, id: &str) -> String {
        let (title, detail) = (escape(title), escape(&self.detail));
        let back = self.back.map(|to| format!("<p><a href=\"{to}\">Back to keyward's page</a></p>"));
        let back = back.unwrap_or_default();
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
             <title>{title} · keyward</title>\
             <style>body{{font:1rem/1.5 system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}}</style>\
             <h1>{title}</h1><p>{detail}</p>{back}<p><small>{name} · {id}</small></p></html>\n"
        )
    }

    /// RFC 9209: a token, and a string of printable ASCII.
    fn proxy_status(&self) -> String {
        let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let mut details: String = self.detail.chars().take(LONGEST_DETAILS).map(printable).collect();
        if self.detail.chars().nth(LONGEST_DETAILS).is_some() {
            details.push_str("...");
        }
        let details = details.replace('\\', "\\\\").replace('"', "\\\"");
        format!("keyward; error={}; details=\"{details}\"", self.error)
    }
}

/// Rounded up, so that who comes back then does not come too early.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// `Proxy-Status` of a refusal that is the device's own word.
pub(super) const RIGHTS: HeaderValue = HeaderValue::from_static("keyward; received-status=401");

/// Whether HTML is what the caller would rather have: the first of its `Accept`.
fn wants_page(asked: &request::Parts) -> bool {
    asked.method != Method::HEAD
        && first_accepted(&asked.headers).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
}

fn first_accepted(headers: &HeaderMap) -> Option<&str> {
    let accept = headers.get(header::ACCEPT)?.to_str().ok()?;
    accept.split([',', ';']).next().map(str::trim)
}

/// Text as it may stand in HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What no page of ours is to be shown inside of, and what it may be below Home Assistant's ingress.
const NOT_FRAMED: &str = "frame-ancestors 'none'";
const FRAMED_BY_OWN: &str = "frame-ancestors 'self'";

/// Marks a response as our own and no device's.
#[derive(Clone, Copy)]
struct Own;

/// Lets pages of this very origin show a response of ours in a frame: what a device has to say of that stays as it is.
pub(super) fn allow_own_frame(response: &mut Answer) {
    if response.extensions().get::<Own>().is_none() {
        return;
    }
    if let Some(policy) = response.headers_mut().get_mut(header::CONTENT_SECURITY_POLICY)
        && let Some(framed) = policy.to_str().ok().map(|policy| policy.replace(NOT_FRAMED, FRAMED_BY_OWN))
        && let Ok(framed) = HeaderValue::try_from(framed)
    {
        *policy = framed;
    }
}

/// A response of our own.
pub(super) fn with_type(kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.extensions_mut().insert(Own);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    );
    response
}
