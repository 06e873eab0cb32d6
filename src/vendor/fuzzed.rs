//! What devices and clouds send that this module reads, for the fuzz targets.

use http::header::{self, HeaderMap, HeaderValue};

use super::digest::{Challenge, Credentials, octets};
use super::egauge;
use super::enphase::Token;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// A `WWW-Authenticate`, and an `Authentication-Info` after it: what is made of them can be sent, and is read again as
/// it was when a session is saved.
pub(crate) fn challenge(asks: &[u8], announces: &[u8]) {
    let value = |bytes| HeaderValue::from_bytes(bytes).ok();
    let headers: HeaderMap = [
        value(asks).map(|value| (header::WWW_AUTHENTICATE, value)),
        value(announces).map(|value| (header::HeaderName::from_static("authentication-info"), value)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let Some(first) = Challenge::of(&headers) else { return };
    let next = first.followed_by(&headers);
    for mut challenge in std::iter::once(first).chain(next) {
        let password = Secret::new("Circle of Life");
        let who = Credentials { username: "Mufasa", password: &password, cnonce: "0a4f113b" };
        let answer = challenge.answer(&who, "GET", "/dir/index.html", 1);
        assert!(HeaderValue::from_bytes(&octets(&answer)).is_ok(), "{answer:?} can't be sent");
        // That it was stale is over when it is saved.
        challenge.stale = false;
        assert_eq!(Challenge::read(&challenge.to_string()), Some(challenge));
    }
}

/// A token, of either make that has some.
pub(crate) fn claims(text: &str, serial: &str, now: Timestamp) {
    if let Ok(token) = Token::read(text, serial) {
        assert!(token.text.header_value().is_ok());
    }
    let session = egauge::session(&Secret::new(text), now);
    assert!(session.expires_at.is_some_and(|end| end >= now));
}
