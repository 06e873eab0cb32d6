//! Ages, confirmations and directives as devices write them.

use super::*;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).fold(
        HeaderMap::new(),
        |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        },
    )
}

#[test]
fn an_age_that_can_not_be_read_is_any_age() {
    let now = Timestamp::from_millis(0);
    let age = |lines: &[_]| initial_age(&headers(lines), now).as_secs();
    assert_eq!((age(&[]), age(&[("age", "0")]), age(&[("age", "7200")])), (0, 0, 7200));
    for illegible in ["", "abc", "-7200", "7200.0", "7200;a=b", "0, 0", "7200, 0", "99999999999999999999"] {
        assert_eq!(age(&[("age", illegible)]), 1 << 31, "{illegible}");
    }
    assert_eq!(age(&[("age", "0"), ("age", "0")]), 1 << 31);
}

#[test]
fn not_modified_is_about_the_answer_with_its_validator() {
    let stored = headers(&[("etag", "\"a\""), ("last-modified", "Wed, 01 Jan 2020 00:00:00 GMT")]);
    for (lines, is_so) in [
        (vec![], true),
        (vec![("etag", "\"a\"")], true),
        (vec![("etag", "W/\"a\"")], true),
        (vec![("etag", "\"b\"")], false),
        (vec![("last-modified", "Wed, 01 Jan 2020 00:00:00 GMT")], true),
        (vec![("last-modified", "Thu, 02 Jan 2020 00:00:00 GMT")], false),
    ] {
        assert_eq!(is_about(&headers(&lines), &stored), is_so, "{lines:?}");
    }
}

#[test]
fn a_directive_is_the_same_in_any_case() {
    let mut told = headers(&[("cache-control", "MAX-AGE=5, No-Cache"), ("cache-control", "Private")]);
    plain_directives(&mut told);
    assert_eq!(
        told.get_all(header::CACHE_CONTROL).iter().collect::<Vec<_>>(),
        ["max-age=5, no-cache", "private"]
    );
}
