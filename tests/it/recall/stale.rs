//! What stands in while a device fails.

use std::time::Duration;

use keyward::twin::generic::{Generic, Scheme};
use tokio::sync::watch;

use super::ok;
use crate::support::{Act, Ask, Device, Door, Lab, Scripted, pass, until};

const SECOND: Duration = Duration::from_secs(1);
const KEPT: &str = "acts_on_get = []\ncache = \"5s\"\nstale_if_error = \"1h\"\n";

#[tokio::test]
async fn while_a_device_is_off_its_last_answer_stands_in_and_no_longer_than_it_may() {
    let mut device = Device::new(Generic::new(Scheme::Bearer));
    let lab = Lab::new(&device.table("meter", KEPT)).await;
    let sample = "/meter/twin/sample";
    let fresh = lab.get(sample).await;
    device.leave().await;
    pass(60 * SECOND).await;
    let stale = lab.get(sample).await;
    assert_eq!((stale.status.as_u16(), &stale.body), (200, &fresh.body));
    let age: u64 = stale.header("age").parse().unwrap();
    assert!((60..70).contains(&age), "{age}");
    let status = stale.header("cache-status");
    assert!(status.starts_with("keyward; hit; ttl=-5"), "{status}");
    assert!(status.ends_with("; detail=\"stale: device_unreachable\""), "{status}");
    let listed = lab.listed("meter").await;
    assert_eq!((&listed["state"], &listed["fault"]), (&"degraded".into(), &"device_unreachable".into()));
    // Of what was not asked before there is nothing, and a write is no matter of memory.
    assert_eq!(lab.get("/meter/twin/other").await.fault(), "device_unreachable");
    assert_eq!(lab.send(&Ask::post("/meter/twin/upload", "a")).await.fault(), "device_unreachable");
    device.come_back().await;
    let again = lab.get(sample).await;
    assert!(again.header("cache-status").starts_with("keyward; fwd="), "{:?}", again.headers);
    assert_eq!(lab.listed("meter").await["state"], "ok");
    device.leave().await;
    pass(3606 * SECOND).await;
    assert_eq!(lab.get(sample).await.fault(), "device_unreachable");
}

#[tokio::test]
async fn a_write_leaves_nothing_to_stand_in() {
    let mut device = Device::new(Generic::new(Scheme::Bearer));
    let lab = Lab::new(&device.table("meter", KEPT)).await;
    lab.get("/meter/twin/sample").await;
    device.leave().await;
    lab.send(&Ask::post("/meter/twin/upload", "a")).await;
    assert_eq!(lab.get("/meter/twin/sample").await.fault(), "device_unreachable");
}

#[tokio::test]
async fn it_stands_in_without_a_cache_too_and_for_a_device_that_says_it_fails_or_is_busy() {
    let kept = "acts_on_get = []\nstale_if_error = \"1h\"\n";
    let device = Scripted::new(|nth| match nth {
        0 => Act::Answer(ok("", "{\"nth\":0}")),
        1 => Act::Answer(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec()),
        2 => Act::Answer(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n".to_vec()),
        _ => Act::Answer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()),
    })
    .await;
    let lab = Lab::new(&device.table("meter", kept)).await;
    assert_eq!(lab.get("/meter/x").await.header("cache-status"), "keyward; fwd=uri-miss; stored");
    for _ in 0..2 {
        let stale = lab.get("/meter/x").await;
        assert_eq!(stale.json()["nth"], 0);
        assert!(stale.header("cache-status").contains("stale"), "{:?}", stale.headers);
    }
    // That it is not there any more is an answer.
    assert_eq!(lab.get("/meter/x").await.status, 404);
}

#[tokio::test]
async fn who_waits_for_a_slow_device_gets_what_it_said_before_and_the_rest_goes_on() {
    let (release, said) = watch::channel(false);
    let device = Scripted::new(move |nth| match nth {
        0 => Act::Answer(ok("", "{\"nth\":0}")),
        nth => Act::Held(said.clone(), ok("", &format!("{{\"nth\":{nth}}}"))),
    })
    .await;
    let more = KEPT.to_owned() + "stale_after = \"200ms\"\n";
    let lab = Lab::new(&device.table("meter", &more)).await;
    lab.get("/meter/x").await;
    pass(6 * SECOND).await;
    for _ in 0..20 {
        let stale = lab.get("/meter/x").await;
        assert_eq!(stale.json()["nth"], 0);
        assert!(stale.header("cache-status").contains("stale: device_timeout"), "{:?}", stale.headers);
    }
    release.send_replace(true);
    loop {
        let reply = lab.get("/meter/x").await;
        if reply.json()["nth"] == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(device.heard().len(), 2);
    assert_eq!(lab.listed("meter").await["state"], "ok");
}

#[tokio::test]
async fn an_answer_without_a_length_that_stalls_is_stood_in_for_before_it_is_passed_on() {
    let device = Scripted::new(|nth| match nth {
        0 => Act::Answer(ok("", "{\"nth\":0}")),
        _ => Act::Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"nth\r\n".to_vec()),
    })
    .await;
    let lab = Lab::new(&device.table("meter", &(KEPT.to_owned() + "stale_after = \"500ms\"\n"))).await;
    lab.get("/meter/x").await;
    pass(6 * SECOND).await;
    let stale = lab.get("/meter/x").await;
    assert_eq!(stale.json()["nth"], 0);
    assert!(stale.header("cache-status").contains("stale: device_timeout"), "{:?}", stale.headers);
    assert_eq!(device.heard().len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_slow_to_end_is_remembered_though_another_stood_in_for_it() {
    for path in ["bytes", "chunked"] {
        let door = Door::with(&(KEPT.to_owned() + "stale_after = \"100ms\"\n")).await;
        let target = format!("/meter/twin/{path}?n=60000&ms=100&by=10000");
        let whole = door.lab.get(&target).await;
        pass(6 * SECOND).await;
        let stale = door.lab.get(&target).await;
        assert!(stale.header("cache-status").contains("stale: device_timeout"), "{:?}", stale.headers);
        loop {
            let reply = door.lab.get(&target).await;
            assert_eq!(reply.body, whole.body, "{path}");
            if !reply.header("cache-status").contains("stale") {
                break;
            }
        }
        assert_eq!(door.arrived(), 2, "{path}");
    }
}

#[tokio::test]
async fn that_a_turn_has_not_come_is_no_fault_of_the_device() {
    let device = Scripted::new(|_| Act::Answer(ok("", "{}"))).await;
    let more = KEPT.to_owned() + "stale_after = \"100ms\"\nmin_interval = \"10m\"\n";
    let lab = Lab::new(&device.table("meter", &more)).await;
    lab.get("/meter/x").await;
    pass(600 * SECOND).await;
    lab.get("/meter/y").await;
    // One of them asks, and the other waits for that.
    for stale in [lab.get("/meter/x").await, lab.get("/meter/x").await] {
        assert!(stale.header("cache-status").contains("stale: device_busy"), "{:?}", stale.headers);
    }
    let listed = lab.listed("meter").await;
    assert_eq!((&listed["state"], &listed["fault"]), (&"ok".into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn that_every_connection_is_in_use_is_no_fault_of_the_device() {
    let (_never, said) = watch::channel(false);
    let device = Scripted::new(move |nth| match nth {
        0 => Act::Answer(ok("", "{}")),
        _ => Act::Held(said.clone(), ok("", "{}")),
    })
    .await;
    let more = KEPT.to_owned() + "stale_after = \"100ms\"\nmax_connections = 1\n";
    let lab = Lab::new(&device.table("meter", &more)).await;
    lab.get("/meter/x").await;
    pass(6 * SECOND).await;
    let mut other = lab.connect().await;
    other.begin(&Ask::get("/meter/y")).await;
    until(|| device.heard().len() == 2).await;
    let stale = lab.get("/meter/x").await;
    assert!(stale.header("cache-status").contains("stale: device_busy"), "{:?}", stale.headers);
    assert_eq!(lab.listed("meter").await["state"], "ok");
}
