//! What is known of a device while its settings change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use tokio::sync::watch;

use super::ok;
use crate::support::{Act, Ask, Lab, Scripted, pass, until};

const SECOND: Duration = Duration::from_secs(1);
const KEPT: &str = "acts_on_get = []\ncache = \"5s\"\nstale_if_error = \"1h\"\n";

#[tokio::test]
async fn what_was_asked_during_a_write_is_not_remembered_though_the_settings_have_changed_meanwhile() {
    for (rules, more) in
        [(KEPT, ""), (KEPT, "timeout = \"30s\"\n"), ("cache = \"1h\"\nacts_on_get = []\n", "")]
    {
        let (release, said) = watch::channel(false);
        let device = Scripted::new(move |nth| match nth {
            0 => Act::Held(said.clone(), ok("", "{}")),
            nth => Act::Answer(ok("", &format!("{{\"nth\":{nth}}}"))),
        })
        .await;
        let mut lab = Lab::new(&device.table("meter", KEPT)).await;
        let mut write = lab.connect().await;
        write.begin(&Ask::post("/meter/set", "a")).await;
        until(|| device.heard().len() == 1).await;
        lab.reconfigure(&device.table("meter", &format!("{rules}{more}"))).await;
        let during = lab.get("/meter/x").await.json();
        release.send_replace(true);
        assert_eq!(write.reply(&Method::GET).await.unwrap().status, 200);
        assert_ne!(lab.get("/meter/x").await.json(), during, "{rules}{more}");
    }
}

#[tokio::test]
async fn a_device_that_asked_for_peace_has_it_though_its_settings_change() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n";
    let device = Scripted::saying(busy).await;
    let mut lab = Lab::new(&device.table("meter", "acts_on_get = []\n")).await;
    assert_eq!(lab.get("/meter/x").await.status, 429);
    lab.reconfigure(&device.table("meter", "acts_on_get = []\ntimeout = \"30s\"\n")).await;
    assert_eq!(lab.get("/meter/x").await.fault(), "device_busy");
    assert_eq!(device.heard().len(), 1);
}

#[tokio::test]
async fn a_device_is_asked_no_faster_while_its_settings_change() {
    let device = Scripted::new(|_| Act::Answer(ok("", "fine"))).await;
    let table =
        |timeout: &str| device.table("meter", &format!("min_interval = \"1h\"\ntimeout = \"{timeout}\"\n"));
    let mut lab = Lab::new(&table("300ms")).await;
    assert_eq!(lab.get("/meter/a").await.status, 200);
    lab.reconfigure(&table("301ms")).await;
    assert_eq!(lab.get("/meter/b").await.fault(), "device_busy");
    assert_eq!(device.heard().len(), 1);
}

#[tokio::test]
async fn what_may_stand_in_still_may_after_another_setting_changed_and_no_longer_than_the_rules_say() {
    let is_off = Arc::new(AtomicBool::new(false));
    let off = Arc::clone(&is_off);
    let device = Scripted::new(move |_| match off.load(Ordering::Relaxed) {
        true => Act::Last(Vec::new()),
        false => Act::Answer(ok("", "{}")),
    })
    .await;
    let mut lab = Lab::new(&device.table("meter", KEPT)).await;
    lab.get("/meter/x").await;
    is_off.store(true, Ordering::Relaxed);
    lab.reconfigure(&device.table("meter", &format!("{KEPT}timeout = \"30s\"\n"))).await;
    assert!(lab.get("/meter/x").await.header("cache-status").starts_with("keyward; hit; ttl="));
    pass(6 * SECOND).await;
    let stale = lab.get("/meter/x").await;
    assert!(stale.header("cache-status").contains("stale: device_broke_off"), "{:?}", stale.headers);
    assert_eq!(lab.listed("meter").await["state"], "degraded");
    lab.reconfigure(&device.table("meter", &KEPT.replace("1h", "1s"))).await;
    assert_eq!(lab.get("/meter/x").await.fault(), "device_broke_off");
}

#[tokio::test]
async fn what_was_said_to_one_account_is_not_told_to_another() {
    let device = Scripted::new(|nth| Act::Answer(ok("", &format!("{{\"nth\":{nth}}}")))).await;
    let table = |token: &str| {
        let credential = format!("vendor = \"bearer\"\ntoken = \"{token}\"");
        device.table("meter", KEPT).replace("vendor = \"open\"", &credential)
    };
    let mut lab = Lab::new(&table("one")).await;
    assert_eq!(lab.get("/meter/x").await.json()["nth"], 0);
    lab.reconfigure(&table("another")).await;
    assert_eq!(lab.get("/meter/x").await.json()["nth"], 1);
}
