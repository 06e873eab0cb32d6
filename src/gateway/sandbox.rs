//! What a device's answers may do in a browser. All prefixes share one origin, and are not to act as one another or as a page
//! of ours.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::fields;
use crate::upstream::is_of_type;

/// Types of content that run nothing.
const INERT: [&str; 13] = [
    "application/json",
    "application/msgpack",
    "application/octet-stream",
    "application/x-msgpack",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/css",
    "text/csv",
    "text/event-stream",
    "text/javascript",
    "text/plain",
];

/// Confines what may act in a browser: a document, and whatever else has fields that a browser acts by, since also an image
/// that is opened in a tab of its own has an origin, and by `Refresh`, `Link` or a policy's reports would ask as a page of ours.
pub(super) fn confine(headers: &mut HeaderMap) {
    let is_document = is_document(headers);
    if is_document || !headers.keys().all(is_harmless) {
        headers.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox allow-scripts"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    if is_document {
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    }
    if is_document || is_of_type(headers, b"text/css") {
        // What a stylesheet asks for is asked for by its own address, whatever the page that it is for.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
}

/// Whether a browser asks for nothing and trusts nobody by this field.
fn is_harmless(name: &HeaderName) -> bool {
    let name = name.as_str();
    let is_known = matches!(
        name,
        "accept-ranges"
            | "age"
            | "allow"
            | "cache-control"
            | "content-disposition"
            | "content-encoding"
            | "content-language"
            | "content-length"
            | "content-location"
            | "content-range"
            | "content-type"
            | "date"
            | "etag"
            | "expires"
            | "last-modified"
            | "location"
            | "pragma"
            | "retry-after"
            | "server"
            | "vary"
            | "via"
            | "warning"
            | "www-authenticate"
    );
    is_known || name.starts_with("x-")
}

/// Whether a browser might make a page of it: everything but one plain word for what it never takes for one.
fn is_document(headers: &HeaderMap) -> bool {
    let mut kinds = fields::all(headers, header::CONTENT_TYPE);
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return true };
    let (kind, bare) = (kind.as_bytes(), fields::media_type(kind));
    let is_inert = INERT.iter().any(|inert| bare.eq_ignore_ascii_case(inert.as_bytes()))
        || bare.len().checked_sub(5).is_some_and(|at| bare.split_at(at).1.eq_ignore_ascii_case(b"+json"));
    !kind.is_ascii() || kind.contains(&b',') || !is_inert
}
