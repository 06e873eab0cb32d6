//! What a message says of the connection that it came by.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Version, request};

use crate::fields;

/// What `Connection` says that names no header.
const WORDS: [&[u8]; 2] = [b"close", b"keep-alive"];

/// Header names that `Connection` nominates as the sender's own.
pub(super) fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = fields::all(headers, header::CONNECTION).map(HeaderValue::as_bytes);
    let names = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let names = names.filter(|name| !WORDS.iter().any(|word| name.eq_ignore_ascii_case(word)));
    names.filter_map(|name| HeaderName::from_bytes(name).ok()).collect()
}

/// Whether a request asks for a WebSocket (RFC 6455) in a way that is passed on. Other protocols are not: they would
/// carry requests past everything that stands before this one.
pub(super) fn becomes_websocket(asked: &request::Parts) -> bool {
    let protocol = fields::first(&asked.headers, header::UPGRADE);
    // HTTP/1.0 knows no upgrade (RFC 9110 section 7.8).
    asked.version == Version::HTTP_11
        && protocol.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && nominated(&asked.headers).contains(&header::UPGRADE)
}
