//! The one type that holds a password, key, token or cookie.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{HeaderValue, InvalidHeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;

/// A password, key, token or cookie.
///
/// Its memory is wiped when the last copy goes, and neither `Debug` nor any serialiser shows it: whoever needs
/// the text says so with [`Secret::expose`].
#[derive(Clone, Default)]
pub struct Secret {
    text: SecretString,
    /// It as a header value, once one was wanted: all of a session's requests carry the same.
    value: OnceLock<HeaderValue>,
}

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: SecretString::from(text.into()), value: OnceLock::new() }
    }

    /// The text itself. What is made of it is to be a [`Secret`] or a sensitive header again.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// A header value of this text, marked sensitive.
    ///
    /// # Errors
    /// When the text holds a byte that no header field may carry (RFC 9110 section 5.5).
    pub fn header_value(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        if let Some(value) = self.value.get() {
            return Ok(value.clone());
        }
        // Refused here is what the next line would let pass: bytes that are not ASCII.
        HeaderValue::from_str(self.expose()).map(drop)?;
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Wiped(self.text.clone())))?;
        value.set_sensitive(true);
        Ok(self.value.get_or_init(|| value).clone())
    }
}

/// The bytes of a header value, wiped with the last copy of it.
struct Wiped(SecretString);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Compared in constant time, so that an answer's delay tells nothing about the text.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl Eq for Secret {}

/// From a text, so that what a device hands out is a secret from the first moment.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
