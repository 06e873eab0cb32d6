//! Yombo gateways (github.com/yombo/yombo-gateway).
//!
//! ```text
//! x-auth-key: <auth_key>        before any other place in which the gateway looks for a key
//! Accept: application/json      below /api/ this decides between data, a page and 415
//!
//! 401, 302 to /user/login       the key is not known
//! 503 JSON, or a page for data  the gateway has not finished starting
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, request, response};

use super::key::{Key, secret, text};
use super::{
    Account, Asked, Carriers, Cookies, Moment, Refusal, Session, Stamp, Vendor, Verdict, Visit, fixed,
};
use crate::config::{SecretSource, Section};

/// Commands go by GET, as does putting a notification away.
pub(super) const ACTS_ON_GET: &[&str] = &[
    "/api/v1/device/*/command",
    "/api/v1/devices/*/command",
    "/api/v1/lib/device/*/command",
    "/api/v1/lib/devices/*/command",
    "/api/v1/notification/*/ack",
];

/// A backup holds every password of the gateway.
pub(super) const PRIVATE: &[&str] = &["/api/v1/system/backup"];

/// What nobody is to reach with our key.
pub(super) const NEVER: &[(&str, &str)] = &[(
    "/api/v1/lib/auth_keys",
    "a GET there can replace the gateway's keys, the one that keyward uses among them: do it in the gateway's own pages",
)];

pub(super) const KEYS: &[Key] =
    &[secret("auth_key", "Auth key of the gateway"), text("header", "Header that carries the key").seldom()];

const WRONG: &str = "the gateway refuses the auth key: set one that it knows as `auth_key`";
const STARTING: &str = "the gateway has not finished starting: ask again in a minute";

struct Yombo {
    auth_key: SecretSource,
    header: HeaderName,
}

pub(super) fn build(section: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    let auth_key = section.required_header_secret("auth_key");
    let header = section.text("header").unwrap_or_else(|| "x-auth-key".to_owned());
    let header = fixed::carrier(section, "header", &header);
    Some(Arc::new(Yombo { auth_key: auth_key?, header: header? }))
}

#[async_trait]
impl Vendor for Yombo {
    fn account(&self) -> Account<'_> {
        Account { who: vec![self.header.as_str()], proofs: vec![&self.auth_key], ..Account::default() }
    }

    /// The gateway takes the first key it finds, which would be the caller's, and logs those in a query.
    fn carriers(&self) -> Carriers<'_> {
        Carriers {
            headers: vec!["x-auth-key", "x-api-auth", self.header.as_str()],
            query: vec!["_auth_key", "_api_auth"],
            // Without a key it looks for the session of its web interface, whose cookie its owner names.
            cookies: Cookies::Every,
        }
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        let key = visit.secret(&self.auth_key).await?;
        Ok(Session::fixed(vec![Stamp::Header(self.header.clone(), key)]))
    }

    fn sign(&self, held: &Session, _: Moment<'_>, head: &mut request::Parts) -> Result<(), Refusal> {
        held.stamp(head)?;
        // The URI has the base path in front of the gateway's own.
        if head.uri.path().contains("/api/") && takes_anything(&head.headers) {
            head.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        }
        Ok(())
    }

    fn judge(&self, _: &Session, asked: &Asked<'_>, answered: &response::Parts) -> Verdict {
        if fixed::redirected_to(answered).is_some_and(|path| path.starts_with("/user/login")) {
            return Verdict::Refused(WRONG.to_owned());
        }
        let kind = kind(answered);
        let is_starting = match answered.status {
            StatusCode::SERVICE_UNAVAILABLE => kind.contains("json"),
            StatusCode::OK => {
                kind.starts_with("text/html") && asked.path.starts_with("/api/") && wants_data(asked.headers)
            }
            _ => false,
        };
        if is_starting { Verdict::Starting(STARTING.to_owned()) } else { fixed::judge(answered, WRONG) }
    }

    /// A page is there for everybody while the gateway starts, and that of its login always.
    fn proves(&self, _: &Session, asked: &Asked<'_>, answered: &response::Parts) -> bool {
        let is_data = asked.path.starts_with("/api/") && !kind(answered).starts_with("text/html");
        answered.status.is_success() && is_data
    }

    fn probe(&self) -> &'static str {
        "/api/v1/lib/devices"
    }
}

/// What the answer is of, in lower case.
fn kind(answered: &response::Parts) -> String {
    let kind = answered.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.unwrap_or_default().to_ascii_lowercase()
}

/// Whether the caller leaves the form of the answer to the gateway.
fn takes_anything(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .all(|accept| matches!(accept.as_bytes().trim_ascii(), b"" | b"*/*"))
}

/// Whether the gateway was asked for data and not for a page.
fn wants_data(headers: &HeaderMap) -> bool {
    let accepts: Vec<_> =
        headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).collect();
    let accepts = accepts.join(",").to_ascii_lowercase();
    let names_data = accepts.contains("json") || accepts.contains("msgpack");
    takes_anything(headers) || (names_data && !accepts.contains("text/html"))
}
