//! `cache = "rfc9111"`: as the device says.

use std::time::Duration;

use super::ok;
use crate::support::{Act, Ask, Lab, Scripted, pass};

const TOLD: &str = "acts_on_get = []\ncache = \"rfc9111\"\n";

async fn lab(script: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static, more: &str) -> (Scripted, Lab) {
    let device = Scripted::new(move |nth| Act::Answer(script(nth))).await;
    let lab = Lab::new(&device.table("meter", &format!("{TOLD}{more}"))).await;
    (device, lab)
}

#[tokio::test]
async fn the_device_says_what_is_kept_and_for_how_long() {
    for (told, is_kept) in [
        ("Cache-Control: max-age=60\r\n", true),
        ("Cache-Control: public, s-maxage=60\r\n", true),
        ("Cache-Control: private, max-age=60\r\n", false),
        ("Cache-Control: no-cache\r\n", false),
        ("Cache-Control: max-age=0\r\n", false),
        ("", false),
        // No number is too large to be counted with.
        ("Cache-Control: max-age=18446744073709551615\r\nETag: \"a\"\r\n", true),
        ("Cache-Control: max-age=60\r\nAge: 18446744073709551615\r\nETag: \"a\"\r\n", false),
    ] {
        let (device, lab) = lab(move |_| ok(told, "{}"), "stale_if_error = \"1h\"\n").await;
        for _ in 0..2 {
            assert_eq!(lab.get("/meter/x").await.status, 200, "{told}");
            pass(Duration::from_secs(1)).await;
        }
        assert_eq!(device.heard().len(), if is_kept { 1 } else { 2 }, "{told}");
    }
}

#[tokio::test]
async fn what_is_too_old_is_confirmed_by_the_device() {
    let not_modified = |more: &str| format!("HTTP/1.1 304 Not Modified\r\n{more}\r\n").into_bytes();
    for (what, confirmation) in [
        ("by its tag", not_modified("ETag: \"a\"\r\nCache-Control: max-age=60\r\nX-New: b\r\n")),
        ("without a word", not_modified("Cache-Control: max-age=60\r\nX-New: b\r\n")),
    ] {
        let (device, lab) = lab(
            move |nth| match nth {
                0 => ok("ETag: \"a\"\r\nCache-Control: max-age=60\r\nX-Old: a\r\n", "{\"nth\":0}"),
                1 => confirmation.clone(),
                _ => ok("", "{}"),
            },
            "",
        )
        .await;
        lab.get("/meter/x").await;
        pass(Duration::from_secs(61)).await;
        let confirmed = lab.get("/meter/x").await;
        assert_eq!((confirmed.status.as_u16(), confirmed.text()), (200, "{\"nth\":0}"), "{what}");
        assert_eq!((confirmed.header("x-old"), confirmed.header("x-new")), ("a", "b"), "{what}");
        assert_eq!(device.heard()[1].values("if-none-match"), ["\"a\""], "{what}");
        assert!(lab.get("/meter/x").await.header("cache-status").starts_with("keyward; hit"), "{what}");
        assert_eq!(device.heard().len(), 2, "{what}");
    }
}

#[tokio::test]
async fn a_cookie_that_comes_with_a_confirmation_is_for_one_alone() {
    let script = |nth| match nth {
        0 => ok("ETag: \"a\"\r\nCache-Control: max-age=60\r\n", "{\"nth\":0}"),
        1 => b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nSet-Cookie: sid=a\r\n\r\n".to_vec(),
        nth => ok("", &format!("{{\"nth\":{nth}}}")),
    };
    let (device, lab) = lab(script, "hosts = [\"meter.localhost\"]\n").await;
    let ask = Ask::get("/x").with("Host", "meter.localhost");
    lab.send(&ask).await;
    pass(Duration::from_secs(61)).await;
    let reply = lab.send(&ask).await;
    assert_eq!(reply.json()["nth"], 2);
    assert!(!reply.headers.contains_key("set-cookie"), "{:?}", reply.headers);
    assert_eq!(device.heard().len(), 3);
}
