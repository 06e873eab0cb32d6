//! Answers from memory.

use std::io::Write as _;
use std::time::Duration;

use http::Method;
use keyward::twin::egauge::{Egauge, EgaugeSettings};

use super::ok;
use crate::support::{Act, Ask, Device, Door, Lab, Reply, Scripted, pass, until};

const SECOND: Duration = Duration::from_secs(1);

/// A device that counts its answers, behind a server that remembers them.
struct Memory {
    device: Scripted,
    lab: Lab,
}

impl Memory {
    async fn new(more: &str, answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let device = Scripted::new(move |nth| Act::Answer(answer(nth))).await;
        let lab = Lab::new(&device.table("meter", &format!("acts_on_get = [\"/act\"]\n{more}"))).await;
        Self { device, lab }
    }

    async fn get(&self, target: &str) -> Reply {
        self.lab.get(target).await
    }

    fn asked(&self) -> usize {
        self.device.heard().len()
    }
}

fn counted(nth: usize) -> Vec<u8> {
    ok("", &format!("{{\"nth\":{nth}}}"))
}

#[tokio::test]
async fn an_answer_serves_for_as_long_as_it_is_fresh_and_says_how_old_it_is() {
    let memory = Memory::new("cache = \"5s\"\n", counted).await;
    let first = memory.get("/meter/x").await;
    assert_eq!(first.header("cache-status"), "keyward; fwd=uri-miss; stored");
    assert!(!first.headers.contains_key("age"));
    pass(2 * SECOND).await;
    let second = memory.get("/meter/x").await;
    assert_eq!((second.body, second.headers["age"].to_str().unwrap()), (first.body, "2"));
    let status = second.headers["cache-status"].to_str().unwrap().to_owned();
    assert!(["keyward; hit; ttl=2", "keyward; hit; ttl=3"].contains(&status.as_str()), "{status}");
    pass(4 * SECOND).await;
    let third = memory.get("/meter/x").await;
    assert_eq!(third.json()["nth"], 1);
    assert!(third.header("cache-status").starts_with("keyward; fwd="));
    assert_eq!(memory.asked(), 2);
    let listed = memory.lab.listed("meter").await;
    assert_eq!((&listed["cache"]["hits"], &listed["cache"]["misses"]), (&1.into(), &2.into()));
    let figures = memory.get("/metrics").await;
    assert!(figures.text().contains("keyward_cache_requests_total{device=\"meter\",result=\"hit\"} 1"));
}

#[tokio::test]
async fn without_a_cache_nothing_is_said_of_one() {
    let memory = Memory::new("", counted).await;
    let reply = memory.get("/meter/x").await;
    assert!(!reply.headers.contains_key("cache-status") && !reply.headers.contains_key("age"));
    assert_eq!(memory.get("/meter/x").await.json()["nth"], 1);
}

#[tokio::test]
async fn what_the_configuration_says_counts_more_than_what_devices_say_by_habit() {
    for said in [
        "Cache-Control: no-cache\r\n",
        "Cache-Control: private, max-age=0\r\nPragma: no-cache\r\n",
        "Expires: 0\r\n",
        "Vary: Accept\r\n",
    ] {
        let memory = Memory::new("cache = \"5s\"\n", move |_| ok(said, "{}")).await;
        memory.get("/meter/x").await;
        assert!(memory.get("/meter/x").await.header("cache-status").starts_with("keyward; hit"), "{said}");
    }
}

#[tokio::test]
async fn what_must_not_be_kept_is_not() {
    let gzip = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
        [head.into_bytes(), packed].concat()
    };
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\n{{}}").into_bytes();
    for (what, answer, is_kept) in [
        ("no-store", ok("Cache-Control: no-store\r\n", "{}"), false),
        ("no-store among others", ok("Cache-Control: max-age=9, No-Store\r\n", "{}"), false),
        ("no-store beside a letter", ok("Cache-Control: no-store, a=\"ü\"\r\n", "{}"), false),
        ("a page that is not there", status("404 Not Found"), false),
        ("an error", status("500 Internal Server Error"), false),
        ("a part", status("206 Partial Content"), false),
        ("a redirect", status("302 Found"), false),
        ("a cookie", ok("Set-Cookie: a=b\r\n", "{}"), false),
        ("what depends on everything", ok("Vary: *\r\n", "{}"), false),
        ("what depends on everything and a letter", ok("Vary: ü, *\r\n", "{}"), false),
        ("an error in a good answer", ok("Content-Type: application/json\r\n", "{\"error\":\"no\"}"), false),
        ("one without a type", ok("", " {\"a\":1,\"error\":null}"), false),
        ("one that is said to be a page", ok("Content-Type: text/html\r\n", "{\"error\":1}"), false),
        ("one that is packed", gzip("{\"error\":\"no\"}"), false),
        ("what is packed otherwise", ok("Content-Encoding: br\r\n", "{}"), false),
        ("a word further in", ok("", "{\"a\":{\"error\":1}}"), true),
        ("a packed answer", gzip("{\"fine\":1}"), true),
        ("a list", ok("", "[\"error\"]"), true),
    ] {
        let memory = Memory::new("cache = \"5s\"\n", move |_| answer.clone()).await;
        let first = memory.get("/meter/x").await;
        let is_told = first.headers["cache-status"].to_str().unwrap().contains("stored");
        memory.get("/meter/x").await;
        assert_eq!((is_told, memory.asked()), (is_kept, if is_kept { 1 } else { 2 }), "{what}");
    }
}

#[tokio::test]
async fn a_write_empties_memory_and_so_does_a_get_that_acts() {
    let memory = Memory::new("cache = \"1h\"\n", counted).await;
    for (nth, write) in [Ask::post("/meter/set", "a"), Ask::get("/meter/act")].iter().enumerate() {
        memory.get("/meter/x").await;
        assert_eq!(memory.get("/meter/x").await.json()["nth"], 2 * nth, "it is remembered");
        let written = memory.lab.send(write).await;
        assert_eq!(
            written.header("cache-status"),
            if nth == 0 { "keyward; fwd=method" } else { "keyward; fwd=bypass" }
        );
    }
    assert_eq!(memory.get("/meter/x").await.json()["nth"], 4);
}

/// Who leaves does not take back what they have asked for.
#[tokio::test]
async fn while_a_device_may_be_about_a_write_that_nobody_waits_for_nothing_is_remembered() {
    let door = Door::with("acts_on_get = []\ncache = \"1h\"\ntimeout = \"5s\"\n").await;
    let status = async || door.lab.get("/meter/twin/sample").await.header("cache-status").to_owned();
    let mut line = door.lab.connect().await;
    line.begin(&Ask::post("/meter/twin/slow?ms=3600000", "x")).await;
    door.device.twin.journal().reaches(1).await;
    drop(line);
    door.device.served().settles(0).await;
    for _ in 0..2 {
        assert_eq!(status().await, "keyward; fwd=uri-miss");
    }
    pass(SECOND * 6).await;
    assert!(status().await.ends_with("; stored"));
    assert!(status().await.starts_with("keyward; hit"));
}

#[tokio::test]
async fn each_path_has_its_own_time_and_the_most_precise_rule_counts() {
    let cache = "cache = { default = \"0s\", \"/a\" = \"10s\", \"/a/b*\" = \"0s\", \"/a/*/c\" = \"60s\" }\n";
    let memory = Memory::new(cache, counted).await;
    for (path, seconds) in [("/x", 0), ("/a", 10), ("/a/x", 10), ("/a/bb", 0), ("/a/bb/c", 60), ("/ab", 0)] {
        let target = format!("/meter{path}");
        memory.get(&target).await;
        let status = memory.get(&target).await.header("cache-status").to_owned();
        let is_hit = status.starts_with("keyward; hit");
        assert_eq!(is_hit, seconds > 0, "{path}: {status}");
        pass(SECOND * 11).await;
        let is_hit = memory.get(&target).await.header("cache-status").starts_with("keyward; hit");
        assert_eq!(is_hit, seconds > 11, "{path}");
    }
}

#[tokio::test]
async fn a_caller_may_want_it_fresh_and_others_have_the_good_of_it() {
    let memory = Memory::new("cache = \"1h\"\n", counted).await;
    memory.get("/meter/x").await;
    let ask = |value: &str| Ask::get("/meter/x").with("Cache-Control", value);
    let fresh = memory.lab.send(&ask("no-cache")).await;
    assert_eq!(
        (fresh.json()["nth"].clone(), fresh.header("cache-status")),
        (1.into(), "keyward; fwd=request; stored")
    );
    assert_eq!(memory.get("/meter/x").await.json()["nth"], 1);
    pass(10 * SECOND).await;
    assert_eq!(memory.lab.send(&ask("max-age=20")).await.json()["nth"], 1);
    assert_eq!(memory.lab.send(&ask("max-age=5")).await.json()["nth"], 2);
    let secret = memory.lab.send(&Ask::get("/meter/y").with("Cache-Control", "no-store")).await;
    assert!(!secret.header("cache-status").contains("stored"));
}

#[tokio::test]
async fn what_is_particular_goes_past_memory() {
    let memory = Memory::new("cache = \"1h\"\n", counted).await;
    memory.get("/meter/x").await;
    for (name, value) in
        [("Range", "bytes=0-1"), ("If-None-Match", "\"a\""), ("If-Modified-Since", "x"), ("TE", "trailers")]
    {
        let reply = memory.lab.send(&Ask::get("/meter/x").with(name, value)).await;
        assert_eq!(reply.header("cache-status"), "keyward; fwd=bypass", "{name}");
    }
    let head = memory.lab.send(&Ask::new(Method::HEAD, "/meter/x")).await;
    assert_eq!(head.header("cache-status"), "keyward; fwd=method");
    assert_eq!(memory.asked(), 6);
}

#[tokio::test]
async fn what_is_remembered_needs_no_session_and_is_told_to_nobody_who_may_not_ask() {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    let key = "0123456789abcdefghij";
    let keys = format!(
        "[access.keys.all]\nkey = \"{key}\"\n[access.keys.other]\nkey = \"other-{key}\"\ndevices = [\"other\"]\n"
    );
    let table = device.table("meter", "cache = \"1h\"\n");
    let lab = Lab::new(&format!("{table}{}{keys}", device.table("other", ""))).await;
    let sample = Ask::get(format!("/meter{}", device.twin.sample()));
    let with = |key: &str| sample.clone().with("X-API-Key", key);
    assert_eq!(lab.send(&with(key)).await.status, 200);
    device.twin.lapse();
    device.twin.lock_out();
    assert!(lab.send(&with(key)).await.header("cache-status").starts_with("keyward; hit"));
    assert_eq!(lab.send(&with(&format!("other-{key}"))).await.fault(), "key_not_allowed");
    assert_eq!(lab.send(&sample).await.fault(), "key_required");
}

#[tokio::test]
async fn memory_has_a_bound() {
    let body = format!("{{\"a\":\"{}\"}}", "a".repeat(1 << 19));
    let memory = Memory::new("cache = \"1h\"\n", move |_| ok("", &body)).await;
    for nth in 0..100 {
        memory.get(&format!("/meter/x?{nth}")).await;
    }
    let asked = memory.asked();
    for nth in 0..100 {
        memory.get(&format!("/meter/x?{nth}")).await;
    }
    // 16 MiB hold 32 of them at the most.
    assert!(memory.asked() - asked >= 68, "{}", memory.asked() - asked);
}

#[tokio::test]
async fn an_answer_on_its_way_into_memory_is_everybodys() {
    let door = Door::with("acts_on_get = []\ncache = \"1h\"\n").await;
    let ask = Ask::get("/meter/twin/bytes?n=100000&ms=20&by=10000");
    let mut first = door.lab.connect().await;
    first.begin(&ask).await;
    // The device has begun to answer, and takes a fifth of a second for it.
    until(|| door.device.twin.arrivals().iter().any(|arrival| arrival.status == 200)).await;
    let second = door.lab.send(&ask).await;
    assert_eq!(second.body, first.reply(&Method::GET).await.unwrap().body);
    assert!(second.header("cache-status").contains("collapsed"), "{:?}", second.headers);
    assert_eq!(door.arrived(), 1);
}
