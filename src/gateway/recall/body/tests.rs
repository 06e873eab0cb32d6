//! Errors as devices write them.

use super::*;

fn is_error(kind: &'static str, body: &[u8]) -> bool {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
    tells_of_error(&headers, body, false)
}

#[test]
fn an_error_is_one_whatever_it_is_said_to_be_and_whatever_stands_beside_it() {
    for kind in ["text/html", "image/png", "text/plain", "application/json"] {
        for body in [
            &b"{\"error\":1}"[..],
            b" \r\n{ \"a\": {\"b\": [1]}, \"error\" : null }",
            b"\xEF\xBB\xBF{\"error\":1}",
            b"{\"a\":\"\xFC\",\"error\":1}",
            b"{\"a\":NaN,\"error\":1}",
            b"{\"a\":\"\\\\\",\"error\":1}",
        ] {
            assert!(is_error(kind, body), "{kind}: {}", String::from_utf8_lossy(body));
        }
    }
}

#[test]
fn the_word_elsewhere_is_no_error() {
    for body in [
        &b"<p>{\"error\":1}"[..],
        b"[\"error\"]",
        b"{\"a\":\"error\"}",
        b"{\"a\":{\"error\":1}}",
        b"{\"a\":\"\\\"error\\\":1\"}",
        b"{\"a\":\"\xFC\"}",
        b"",
    ] {
        assert!(!is_error("text/html", body), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn what_is_said_to_be_json_is_whole_or_none() {
    assert!(!is_error("application/json", b"{\"a\":1}"));
    assert!(!is_error("application/json", b"\xEF\xBB\xBF{\"a\":\"\xFC\"}"));
    assert!(is_error("application/json", b"{\"a\":1"));
}
