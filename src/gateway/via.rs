//! By what a request is known that has been here before.

use http::header::{self, HeaderValue};
use http::{Version, request};

use crate::fields;

/// What we are called in `Via`.
pub(super) struct Via {
    name: String,
    /// What we add to a request of HTTP/1.0, and to others.
    lines: [HeaderValue; 2],
}

impl Via {
    /// Another name in every process.
    pub(super) fn new() -> Self {
        let name = format!("keyward-{}", hex::encode(rand::random::<[u8; 4]>()));
        let line = |version: &str| {
            // It stands for as long as the process, so that nobody counts who has it: every request does.
            HeaderValue::from_static(Box::leak(format!("{version} {name}").into_boxed_str()))
        };
        Self { lines: ["1.0", "1.1"].map(line), name }
    }

    /// What we add to a request of this version (RFC 9110 section 7.6.3).
    pub(super) fn line(&self, version: Version) -> HeaderValue {
        let [old, usual] = &self.lines;
        if version == Version::HTTP_10 { old.clone() } else { usual.clone() }
    }

    /// Whether this request has been here before.
    pub(super) fn is_in(&self, asked: &request::Parts) -> bool {
        fields::all(&asked.headers, header::VIA).any(|value| {
            value
                .as_bytes()
                .split(|byte| matches!(byte, b',' | b' '))
                .any(|word| word.eq_ignore_ascii_case(self.name.as_bytes()))
        })
    }
}
