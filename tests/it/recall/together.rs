//! One fetch for all who ask the same at the same time.

use std::sync::Arc;

use futures_util::future::join_all;
use http::Method;
use keyward::twin::noise;
use tokio::sync::watch;

use super::{ok, waits_for};
use crate::support::{Act, Ask, Door, Lab, Line, Scripted};

/// A device that answers nobody until it is told to.
struct Held {
    device: Scripted,
    lab: Lab,
    release: watch::Sender<bool>,
}

impl Held {
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let (release, said) = watch::channel(false);
        let answer = answer.into();
        let device = Scripted::new(move |_| Act::Held(said.clone(), answer.clone())).await;
        let more = "acts_on_get = [\"/act\"]\nmax_connections = 200\n";
        let lab = Lab::new(&device.table("meter", more)).await;
        Self { device, lab, release }
    }

    /// All of them ask and wait.
    async fn asked(&self, asks: &[Ask]) -> Vec<Line> {
        let mut lines = Vec::new();
        for ask in asks {
            let mut line = self.lab.connect().await;
            line.begin(ask).await;
            lines.push(line);
        }
        waits_for(&self.lab, asks.len()).await;
        lines
    }

    /// How many requests reach the device when these are asked at the same time, all of which are answered alike.
    async fn fetches(&self, asks: &[Ask], body: &str) -> usize {
        let before = self.device.heard().len();
        self.release.send_replace(false);
        let lines = self.asked(asks).await;
        self.release.send_replace(true);
        let replies =
            join_all(lines.into_iter().map(async |mut line| line.reply(&Method::GET).await.unwrap())).await;
        assert!(replies.iter().all(|reply| reply.text() == body), "{replies:?}");
        self.device.heard().len() - before
    }
}

fn many(count: usize, ask: &Ask) -> Vec<Ask> {
    vec![ask.clone(); count]
}

#[tokio::test]
async fn a_hundred_callers_of_one_path_are_one_fetch() {
    let held = Held::answering(ok("", "fine")).await;
    assert_eq!(held.fetches(&many(100, &Ask::get("/meter/x?a,{b}")), "fine").await, 1);
    // Nothing is kept that nobody asked to keep.
    assert_eq!(held.fetches(&many(100, &Ask::get("/meter/x?a,{b}")), "fine").await, 1);
}

#[tokio::test]
async fn an_answer_of_unknown_length_is_shared_too() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n";
    let held = Held::answering(chunked).await;
    assert_eq!(held.fetches(&many(20, &Ask::get("/meter/x")), "fine").await, 1);
}

#[tokio::test]
async fn the_first_one_who_leaves_ends_nothing_for_the_others() {
    let held = Held::answering(ok("", "fine")).await;
    let mut lines = held.asked(&many(10, &Ask::get("/meter/x"))).await;
    drop(lines.remove(0));
    waits_for(&held.lab, 9).await;
    held.release.send_replace(true);
    for mut line in lines {
        assert_eq!(line.reply(&Method::GET).await.unwrap().text(), "fine");
    }
    assert_eq!(held.device.heard().len(), 1);
}

#[tokio::test]
async fn the_last_one_who_leaves_ends_the_fetch() {
    let door = Door::with("acts_on_get = []\n").await;
    let ask = Ask::get("/meter/twin/slow?ms=3600000");
    let mut lines = Vec::new();
    for _ in 0..5 {
        let mut line = door.lab.connect().await;
        line.begin(&ask).await;
        lines.push(line);
    }
    waits_for(&door.lab, 5).await;
    door.device.twin.journal().reaches(1).await;
    drop(lines);
    door.device.served().settles(0).await;
    assert_eq!(door.arrived(), 1);
}

#[tokio::test]
async fn a_fault_is_shared_once_and_nobody_asks_again() {
    let device = Scripted::new(|_| Act::Hang).await;
    let lab = Lab::new(&device.table("meter", "acts_on_get = []\ntimeout = \"300ms\"\n")).await;
    let replies = join_all((0..50).map(|_| lab.get("/meter/x"))).await;
    assert!(replies.iter().all(|reply| reply.fault() == "device_timeout"));
    assert_eq!(device.heard().len(), 1);
}

#[tokio::test]
async fn what_is_not_for_all_is_fetched_by_each() {
    let long = "a".repeat((1 << 20) + 1);
    let chunk = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    for (what, answer, body) in [
        ("no success", b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nfine".to_vec(), "fine"),
        ("a long one", ok("", &long), long.as_str()),
        (
            "one that turns out long",
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}").into_bytes(),
            long.as_str(),
        ),
        ("a cookie for one", ok("Set-Cookie: a=b\r\n", "fine"), "fine"),
        ("one that depends on everything", ok("Vary: *\r\n", "fine"), "fine"),
    ] {
        let held = Held::answering(answer).await;
        assert_eq!(held.fetches(&many(3, &Ask::get("/meter/x")), body).await, 3, "{what}");
    }
}

#[tokio::test]
async fn who_asks_for_something_else_asks_alone() {
    let held = Held::answering(ok("Vary: X-Kind\r\n", "fine")).await;
    let plain = Ask::get("/meter/x");
    for (what, one, other) in [
        ("another query", plain.clone(), Ask::get("/meter/x?")),
        ("another form", plain.clone(), plain.clone().with("Accept", "text/html")),
        ("another language", plain.clone(), plain.clone().with("Accept-Language", "de")),
        ("another coding", plain.clone(), plain.clone().with("Accept-Encoding", "gzip")),
        ("what the answer depends on", plain.clone(), plain.clone().with("X-Kind", "b")),
        ("nothing from memory", plain.clone(), plain.clone().with("Cache-Control", "no-cache")),
        ("nothing older than now", plain.clone(), plain.clone().with("Cache-Control", "max-age=0")),
        ("nothing, in old words", plain.clone(), plain.clone().with("Pragma", "no-cache")),
        ("a part", plain.clone(), plain.clone().with("Range", "bytes=0-1")),
        ("on a condition", plain.clone(), plain.clone().with("If-None-Match", "\"a\"")),
        ("under a name of its own", plain.clone(), plain.clone().with("X-Auth-Token", "theirs")),
        ("with a body", plain.clone(), Ask::post("/meter/x", "a").by(Method::GET)),
        ("two of them in particular", plain.clone().with("Range", "a=1"), plain.clone().with("Range", "a=1")),
        ("what changes something", Ask::get("/meter/act"), Ask::get("/meter/act")),
    ] {
        assert_eq!(held.fetches(&[one, other], "fine").await, 2, "{what}");
    }
    // What does not matter does not part them.
    let named =
        plain.clone().with("User-Agent", "a").with("X-Other", "b").with("Authorization", "Bearer theirs");
    assert_eq!(held.fetches(&[plain, named], "fine").await, 1);
}

#[tokio::test]
async fn what_was_asked_before_a_write_answers_nobody_who_asks_after_it() {
    let held = Held::answering(ok("", "fine")).await;
    let before = held.asked(&[Ask::get("/meter/x")]).await;
    let mut write = held.lab.connect().await;
    write.begin(&Ask::post("/meter/set", "a")).await;
    waits_for(&held.lab, 2).await;
    let mut during = held.lab.connect().await;
    during.begin(&Ask::get("/meter/x")).await;
    waits_for(&held.lab, 3).await;
    held.release.send_replace(true);
    for mut line in before.into_iter().chain([write, during]) {
        assert_eq!(line.reply(&Method::GET).await.unwrap().text(), "fine");
    }
    assert_eq!(held.device.heard().len(), 3);
}

#[tokio::test]
async fn who_reads_slowly_holds_nobody_up() {
    let length = 1 << 20;
    let door = Arc::new(Door::with("acts_on_get = []\n").await);
    let ask = Ask::get(format!("/meter/twin/bytes?n={length}&ms=1&by=65536"));
    let mut slow = door.lab.connect().await;
    slow.begin(&ask).await;
    waits_for(&door.lab, 1).await;
    let reply = door.lab.send(&ask).await;
    assert_eq!(reply.body, noise(0, length));
    assert_eq!(slow.reply(&Method::GET).await.unwrap().body, noise(0, length));
}

#[tokio::test]
async fn who_leaves_a_long_answer_leaves_its_connection_to_the_others() {
    let length = 3 << 20;
    let door = Door::with("acts_on_get = []\nmax_connections = 1\n").await;
    let ask = Ask::get(format!("/meter/twin/chunked?n={length}&ms=1&by=65536"));
    let mut first = door.lab.connect().await;
    first.begin(&ask).await;
    waits_for(&door.lab, 1).await;
    let mut second = door.lab.connect().await;
    second.begin(&ask).await;
    waits_for(&door.lab, 2).await;
    assert_eq!(first.head(&Method::GET).await.unwrap().status, 200);
    drop(first);
    assert_eq!(second.reply(&Method::GET).await.unwrap().body, noise(0, length));
}

#[tokio::test]
async fn an_answer_for_one_goes_to_who_asked_for_it() {
    let (release, said) = watch::channel(false);
    let device = Scripted::new(move |nth| {
        let body = nth.to_string();
        let answer = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Act::Held(said.clone(), answer.into_bytes())
    })
    .await;
    let lab = Lab::new(&device.table("meter", "acts_on_get = []\n")).await;
    let mut lines = Vec::new();
    for count in 1..=5 {
        let mut line = lab.connect().await;
        line.begin(&Ask::get("/meter/x")).await;
        waits_for(&lab, count).await;
        lines.push(line);
    }
    release.send_replace(true);
    let first = lines.remove(0).reply(&Method::GET).await.unwrap();
    assert_eq!(first.text(), "0");
}
