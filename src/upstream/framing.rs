//! What the head of a message says of what follows it.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::fields;

/// Whether two readers could see two different messages (RFC 9112 section 6.3), or a protocol nobody asked for.
pub(super) fn flaw(
    status: StatusCode,
    headers: &HeaderMap,
    wanted: Option<&HeaderValue>,
) -> Option<&'static str> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let switched = headers.get(header::UPGRADE).map(HeaderValue::as_bytes);
        let is_wanted = wanted
            .is_some_and(|it| switched.is_some_and(|switched| switched.eq_ignore_ascii_case(it.as_bytes())));
        return (!is_wanted).then_some("switches to another protocol than it was asked for (101)");
    }
    if status.as_u16() >= 600 {
        return Some("answers with a status that no class of HTTP has (600 or more)");
    }
    if is_coded_oddly(headers) {
        return Some(
            "answers in a way that can be read in two ways (a Transfer-Encoding other than one `chunked`)",
        );
    }
    // hyper looks at it only where it frames a body, and a caller may look elsewhere too.
    let mut lengths = fields::all(headers, header::CONTENT_LENGTH);
    let length = lengths.next().map(HeaderValue::as_bytes);
    if length.is_some() && fields::has(headers, header::TRANSFER_ENCODING) {
        return Some(
            "answers in a way that can be read in two ways (both Content-Length and Transfer-Encoding)",
        );
    }
    let is_number = |text: &[u8]| {
        str::from_utf8(text).is_ok_and(|text| !text.starts_with('+') && text.parse::<u64>().is_ok())
    };
    if length.is_some_and(|length| !is_number(length))
        || lengths.any(|other| Some(other.as_bytes()) != length)
    {
        return Some(
            "answers in a way that can be read in two ways (a Content-Length that is not one number)",
        );
    }
    None
}

/// Whether a message is framed otherwise than as it is or in chunks. hyper looks at the last coding alone, so what
/// stands before it would be lost.
pub(crate) fn is_coded_oddly(headers: &HeaderMap) -> bool {
    let mut codings = fields::all(headers, header::TRANSFER_ENCODING);
    let first = codings.next();
    first.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
}

pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    is_of_type(headers, b"text/event-stream")
}

/// Whether it is of this type, in lower case.
pub(crate) fn is_of_type(headers: &HeaderMap, wanted: &[u8]) -> bool {
    let kind = fields::first(headers, header::CONTENT_TYPE).map(fields::media_type);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
}
