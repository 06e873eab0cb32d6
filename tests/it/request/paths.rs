//! Which device, and nothing outside of it.

use crate::support::{Ask, Device, Door, Lab};
use keyward::twin::yombo::{Yombo, YomboSettings};

#[tokio::test]
async fn a_dot_segment_in_any_reading_is_refused_and_nothing_arrives() {
    const SPELLINGS: [&str; 31] = [
        "/meter/../x",
        "/meter/./x",
        "/meter/..",
        "/meter/.",
        "/meter/a/../../x",
        "/../meter/x",
        "/meter/%2e%2e/x",
        "/meter/%2E./x",
        "/meter/.%2e/x",
        "/meter/%2e",
        "/%2e%2e/meter/x",
        "/meter/..%2fx",
        "/meter/%2e%2e%2fx",
        "/meter%2f..%2fx",
        "/meter/..%5cx",
        "/meter/..\\x",
        "/meter\\..\\x",
        "/meter/x\\..\\y",
        "/meter/..;/x",
        "/meter/..;a=b/x",
        "/meter/.;x",
        "/meter/..%3b/x",
        "/meter/%252e%252e/x",
        "/meter/%25252e%25252e/x",
        "/meter/..%252fx",
        "/meter/%00",
        "/meter/x%00y",
        "/meter/x%2500y",
        "/meter/%c0%ae%c0%ae/x",
        "/meter/..%c0%afx",
        "/meter/../meter/twin/echo",
    ];
    let door = Door::new().await;
    for spelling in SPELLINGS {
        let reply = door.stops(&Ask::get(spelling)).await;
        assert_eq!(reply.fault(), "bad_path", "{spelling}");
    }
    assert_eq!(door.device.served().accepted(), 0);
}

#[tokio::test]
async fn dots_that_are_no_dot_segments_pass() {
    let door = Door::new().await;
    for path in
        ["/twin/echo/...", "/twin/echo/.hidden", "/twin/echo/a..b", "/twin/echo/x.;y", "/twin/echo/%2e%2e%2e"]
    {
        assert_eq!(door.passes(&Ask::get(format!("/meter{path}"))).await.target, path);
    }
}

#[tokio::test]
async fn the_first_segment_is_the_device_byte_for_byte() {
    let door = Door::new().await;
    for path in [
        "/meter10/x",
        "/mete/x",
        "/Meter/x",
        "/%6deter/x",
        "//meter/x",
        "/meter%2fx",
        "/meter;v=1/x",
        "/nothing",
    ] {
        let problem = door.stops(&Ask::get(path)).await.problem();
        assert_eq!((problem.fault.as_str(), problem.device), ("unknown_device", None), "{path}");
        assert!(problem.detail.contains("/meter/"), "{} does not say what there is", problem.detail);
    }
}

#[tokio::test]
async fn a_device_without_its_slash_is_redirected_with_its_query() {
    let door = Door::new().await;
    for (asked, location) in
        [("/meter", "/meter/"), ("/meter?inst&tot=a+b", "/meter/?inst&tot=a+b"), ("/meter?", "/meter/?")]
    {
        let reply = door.stops(&Ask::get(asked)).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (308, location));
    }
}

#[tokio::test]
async fn empty_segments_arrive() {
    let door = Door::new().await;
    for path in ["/twin/echo//x", "/twin/echo/x//", "/twin/echo///"] {
        assert_eq!(door.passes(&Ask::get(format!("/meter{path}"))).await.target, path);
    }
    door.lab.get("/meter//").await;
    assert_eq!(door.device.twin.arrivals().pop().unwrap().target, "//");
}

#[tokio::test]
async fn what_is_never_forwarded_is_not_forwarded_in_any_spelling() {
    const SPELLINGS: [&str; 6] = [
        "/api/v1/lib/auth_keys",
        "/api/v1/lib/auth_keys/",
        "/api/v1/lib/auth_keys/main/rotate",
        "/api//v1/lib/auth_keys/main/rotate",
        "/api/v1/lib/auth%5Fkeys",
        "/api/v1/lib/auth%255fkeys/main/rotate",
    ];
    let device = Device::new(Yombo::new(YomboSettings::default()));
    let lab = Lab::new(&device.table("house", "")).await;
    for spelling in SPELLINGS {
        let problem = lab.get(&format!("/house{spelling}")).await.problem();
        assert_eq!(problem.fault, "read_only", "{spelling}");
        assert!(problem.detail.contains("keys"), "{}", problem.detail);
    }
    assert_eq!(device.twin.journal().total(), 0);
}

/// To a device that takes a path apart before it decodes it, an encoded slash is a letter.
#[tokio::test]
async fn one_segment_is_one_however_its_slashes_are_encoded() {
    let more = "access = \"read\"\nacts_on_get = [\"/twin/echo/*/set\"]\n";
    let door = Door::with(more).await;
    for segment in ["a", "a%2Fb", "a%5Cb", "a%252Fb", "a\\b", "a%252fb%2fc"] {
        let reply = door.lab.get(&format!("/meter/twin/echo/{segment}/set")).await;
        assert_eq!(reply.fault(), "read_only", "{segment}");
    }
    assert_eq!(door.passes(&Ask::get("/meter/twin/echo/a%2Fb/get")).await.target, "/twin/echo/a%2Fb/get");
}
