//! Answers from memory where the device says for how long.

use std::time::Duration;

use http::Method;

use super::ok;
use crate::support::{Act, Ask, Lab, Scripted, pass};

const SECOND: Duration = Duration::from_secs(1);

/// A device behind a server that does as it says.
async fn lab(answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> (Scripted, Lab) {
    let device = Scripted::new(move |nth| Act::Answer(answer(nth))).await;
    let lab = Lab::new(&device.table("meter", "acts_on_get = []\ncache = \"rfc9111\"\n")).await;
    (device, lab)
}

#[tokio::test]
async fn a_device_that_says_for_how_long_is_taken_at_its_word() {
    let status =
        |line: &str| format!("HTTP/1.1 {line}\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n");
    for (what, answer, is_kept) in [
        ("a while", ok("Cache-Control: max-age=60\r\n", "{}"), true),
        ("in capitals", ok("Cache-Control: MAX-AGE=60\r\n", "{}"), true),
        ("not in capitals", ok("Cache-Control: max-age=60, No-Cache\r\n", "{}"), false),
        ("not beside a letter", ok("Cache-Control: max-age=60, private, a=\"ü\"\r\n", "{}"), false),
        (
            "not on the other line",
            ok("Cache-Control: private, a=\"ü\"\r\nCache-Control: max-age=60\r\n", "{}"),
            false,
        ),
        ("nothing", ok("", "{}"), false),
        ("what is older already", ok("Cache-Control: max-age=60\r\nAge: 61\r\n", "{}"), false),
        ("what may be of any age", ok("Cache-Control: max-age=60\r\nAge: 0, 0\r\n", "{}"), false),
        (
            "what is packed as it likes",
            ok("Cache-Control: max-age=60\r\nContent-Encoding: br\r\n", "{}"),
            true,
        ),
        ("an error in a good answer", ok("Cache-Control: max-age=60\r\n", "{\"error\":1}"), false),
        ("a redirect", status("302 Found\r\nLocation: /y").into_bytes(), true),
        ("a page that is not there", status("404 Not Found").into_bytes(), false),
        ("an error", status("500 Internal Server Error").into_bytes(), false),
        ("a part", status("206 Partial Content").into_bytes(), false),
    ] {
        let (device, lab) = lab(move |_| answer.clone()).await;
        lab.get("/meter/x").await;
        let again = lab.get("/meter/x").await;
        let is_hit = again.header("cache-status").starts_with("keyward; hit");
        assert_eq!((is_hit, device.heard().len()), (is_kept, if is_kept { 1 } else { 2 }), "{what}");
    }
}

#[tokio::test]
async fn a_key_of_ours_is_no_reason_to_keep_nothing() {
    let (device, lab) = lab(|_| ok("Cache-Control: max-age=60\r\n", "{}")).await;
    let ask = Ask::get("/meter/x").with("Authorization", "Bearer theirs");
    lab.send(&ask).await;
    assert!(lab.send(&ask).await.header("cache-status").starts_with("keyward; hit"));
    assert!(lab.get("/meter/x").await.header("cache-status").starts_with("keyward; hit"));
    assert_eq!(device.heard().len(), 1);
}

#[tokio::test]
async fn what_has_no_body_tells_of_no_length() {
    for said in ["max-age=60", "no-store"] {
        let answer = format!("HTTP/1.1 204 No Content\r\nCache-Control: {said}\r\nContent-Length: 5\r\n\r\n");
        let (_device, lab) = lab(move |_| answer.clone().into_bytes()).await;
        let mut line = lab.connect().await;
        for method in [Method::GET, Method::GET, Method::HEAD] {
            let reply = line.ask(&Ask::new(method.clone(), "/meter/x")).await.unwrap();
            let has_length = reply.headers.contains_key("content-length");
            assert_eq!((reply.status.as_u16(), has_length), (204, false), "{said}, {method}");
        }
    }
}

#[tokio::test]
async fn what_the_device_confirms_is_good_again_though_it_names_no_validator() {
    let (device, lab) = lab(|nth| match nth {
        0 => ok("Cache-Control: max-age=10\r\nAge: 5\r\nETag: \"a\"\r\nX-Nth: 0\r\n", "{\"a\":1}"),
        _ => b"HTTP/1.1 304 Not Modified\r\nX-Nth: 1\r\n\r\n".to_vec(),
    })
    .await;
    let first = lab.get("/meter/x").await;
    pass(6 * SECOND).await;
    let confirmed = lab.get("/meter/x").await;
    assert_eq!(
        (confirmed.status, &confirmed.body, confirmed.header("x-nth")),
        (first.status, &first.body, "1")
    );
    assert_eq!(device.heard()[1].values("if-none-match"), ["\"a\""]);
    pass(6 * SECOND).await;
    let third = lab.get("/meter/x").await;
    assert!(third.header("cache-status").starts_with("keyward; hit"), "it is as old as its confirmation");
    assert_eq!(device.heard().len(), 2);
}

#[tokio::test]
async fn a_confirmation_of_something_else_is_none() {
    let (device, lab) = lab(|nth| match nth {
        0 => ok("Cache-Control: no-cache\r\nETag: \"a\"\r\n", "{\"a\":1}"),
        1 => b"HTTP/1.1 304 Not Modified\r\nETag: \"b\"\r\n\r\n".to_vec(),
        _ => ok("ETag: \"b\"\r\n", "{\"b\":1}"),
    })
    .await;
    lab.get("/meter/x").await;
    assert_eq!(lab.send(&Ask::get("/meter/x")).await.json()["b"], 1);
    let heard = device.heard();
    assert_eq!((heard.len(), heard[2].values("if-none-match").len()), (3, 0));
}

#[tokio::test]
async fn no_number_is_too_large_to_be_counted_with() {
    for (told, is_kept) in [
        ("Cache-Control: max-age=18446744073709551615\r\nETag: \"a\"\r\n", true),
        ("Cache-Control: max-age=60\r\nAge: 18446744073709551615\r\nETag: \"a\"\r\n", false),
    ] {
        let (device, lab) = lab(move |_| ok(told, "{}")).await;
        for _ in 0..3 {
            assert_eq!(lab.get("/meter/x").await.status, 200, "{told}");
            pass(SECOND).await;
        }
        assert_eq!(device.heard().len(), if is_kept { 1 } else { 3 }, "{told}");
    }
}

#[tokio::test]
async fn a_cookie_that_comes_with_a_confirmation_is_for_one_alone() {
    let device = Scripted::new(|nth| {
        Act::Answer(match nth {
            0 => ok("ETag: \"a\"\r\nCache-Control: max-age=60\r\n", "{\"nth\":0}"),
            1 => b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nSet-Cookie: sid=a\r\n\r\n".to_vec(),
            nth => ok("", &format!("{{\"nth\":{nth}}}")),
        })
    })
    .await;
    let more = "acts_on_get = []\ncache = \"rfc9111\"\nhosts = [\"meter.localhost\"]\n";
    let lab = Lab::new(&device.table("meter", more)).await;
    let ask = Ask::get("/x").with("Host", "meter.localhost");
    lab.send(&ask).await;
    pass(61 * SECOND).await;
    let reply = lab.send(&ask).await;
    assert_eq!(reply.json()["nth"], 2);
    assert!(!reply.headers.contains_key("set-cookie"), "{:?}", reply.headers);
    assert_eq!(device.heard().len(), 3);
}

#[tokio::test]
async fn no_caller_may_have_stale_what_is_never_to_be_given_so() {
    let (device, lab) =
        lab(|nth| ok("Cache-Control: no-cache\r\nETag: \"a\"\r\n", &format!("{{\"nth\":{nth}}}"))).await;
    let ask = Ask::get("/meter/x").with("Cache-Control", "max-stale");
    for nth in 0..2 {
        assert_eq!(lab.send(&ask).await.json()["nth"], nth);
    }
    assert_eq!(device.heard().len(), 2);
}
