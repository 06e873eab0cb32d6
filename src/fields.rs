//! Header fields by their names.
//!
//! A [`HeaderMap`] hashes the name that is asked for. A message has a handful of fields, a request is asked for some thirty
//! names, most of which it has not, and to compare a name with a few costs less than to hash it.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The lines of a field, in their order.
pub fn all(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &HeaderValue> {
    headers.iter().filter(move |(other, _)| **other == name).map(|(_, value)| value)
}

/// The first line of a field.
pub fn first(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    all(headers, name).next()
}

/// Whether a field is there.
pub fn has(headers: &HeaderMap, name: HeaderName) -> bool {
    first(headers, name).is_some()
}

/// The media type that a `Content-Type` names, without its parameters (RFC 9110 section 8.3.1).
pub fn media_type(kind: &HeaderValue) -> &[u8] {
    kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// The same value in memory of its own: what was read is a slice of all that came with it, and keeps that.
pub fn apart(value: &HeaderValue) -> HeaderValue {
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
    copy.set_sensitive(value.is_sensitive());
    copy
}

/// The same fields in memory of their own.
pub fn all_apart(headers: &HeaderMap) -> HeaderMap {
    headers.iter().map(|(name, value)| (name.clone(), apart(value))).collect()
}

/// Whether two names are one to many a server, to which an underscore is a dash.
pub fn are_alike(name: &str, other: &str) -> bool {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    name.len() == other.len() && name.bytes().map(dashed).eq(other.bytes().map(dashed))
}
