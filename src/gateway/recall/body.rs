//! What the body of an answer says of it.

#[cfg(test)]
mod tests;

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use http::header::{self, HeaderMap, HeaderValue};
use serde::de::IgnoredAny;

use super::MOST;

/// Some begin a text with this (RFC 8259 section 8.1 forbids it for JSON).
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Whether a body says that the answer is none, though its status does not: devices answer 200 to what failed, of any
/// type. What can't be looked into does where the device does not decide what is kept.
pub(super) fn tells_of_error(headers: &HeaderMap, body: &[u8], is_as_told: bool) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut plain = Vec::new();
    let body = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => body,
        Some(b"gzip" | b"x-gzip") => {
            let limit = 16 * MOST as u64;
            match MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain) {
                Ok(_) => plain.as_slice(),
                Err(_) => return true,
            }
        }
        Some(_) => return !is_as_told && !kind.starts_with("image/") && !kind.starts_with("text/html"),
    };
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii_start();
    // What says that it is JSON and is none is not whole.
    let is_broken = || serde_json::from_str::<IgnoredAny>(&String::from_utf8_lossy(body)).is_err();
    body.starts_with(b"{") && has_member(body, b"error") || kind.contains("json") && is_broken()
}

/// Whether an object has a member of this name. What stands beside it need not be JSON to the letter: devices write `NaN`,
/// and letters of any code.
fn has_member(object: &[u8], name: &[u8]) -> bool {
    let (mut depth, mut rest) = (0_usize, object);
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let (text, after) = string(rest);
                rest = after;
                if depth == 1 && text == name && rest.trim_ascii_start().starts_with(b":") {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// The text of a string that has begun, and what follows it.
fn string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut is_escaped = false;
    let is_end = |byte: &u8| {
        let is_end = !is_escaped && *byte == b'"';
        is_escaped = !is_escaped && *byte == b'\\';
        is_end
    };
    let end = bytes.iter().position(is_end).unwrap_or(bytes.len());
    let (text, rest) = bytes.split_at(end);
    (text, rest.get(1..).unwrap_or_default())
}
