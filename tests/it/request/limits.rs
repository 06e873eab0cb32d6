//! How large, how long and how many.

use std::time::Duration;

use http::Method;
use keyward::twin::noise;
use tokio::time::timeout;

use crate::support::{Ask, Door};

#[tokio::test]
async fn a_body_larger_than_allowed_is_413_whether_it_says_so_or_not() {
    let door = Door::with("max_body = 1000\n").await;
    let told = Ask::post("/meter/twin/upload", noise(0, 1001));
    let problem = door.stops(&told).await.problem();
    assert_eq!((problem.fault.as_str(), problem.device.as_deref()), ("body_too_large", Some("meter")));
    for words in ["1000 bytes", "raise `max_body` under [devices.meter]"] {
        assert!(problem.detail.contains(words), "{}", problem.detail);
    }
    assert_eq!(door.lab.send(&Ask::post("/meter/twin/upload", noise(0, 1000))).await.json()["length"], 1000);
    for (length, fits) in [(1000, true), (1001, false), (100_000, false)] {
        let mut line = door.lab.connect().await;
        line.write(
            "POST /meter/twin/upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await;
        // The server may answer and hang up in the middle.
        drop(line.try_write(chunked(&noise(0, length))).await);
        let reply = line.reply(&Method::POST).await.unwrap();
        if fits {
            assert_eq!(reply.json()["length"], length);
        } else {
            assert_eq!(reply.fault(), "body_too_large", "{length}");
        }
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_is_408_and_idle_connections_end_in_silence() {
    let door = Door::with("[limits]\nhead_timeout = \"700ms\"\nkeep_alive = \"700ms\"\n").await;
    let mut halfway = door.lab.connect().await;
    halfway.write("GET /meter/twin/echo HT").await;
    assert_eq!(halfway.reply(&Method::GET).await.unwrap().status, 408);
    let mut silent = door.lab.connect().await;
    assert!(silent.rest().await.unwrap().is_empty());
    let mut served = door.lab.connect().await;
    assert_eq!(served.ask(&Ask::get("/healthz")).await.unwrap().status, 200);
    assert!(served.rest().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_has_no_longer_for_it() {
    let door = Door::with("[limits]\nhead_timeout = \"500ms\"\n").await;
    let mut line = door.lab.connect().await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    line.write("GET /meter/twin/echo HTTP/1.1\r\nHost: localhost\r\na: ").await;
    // Nobody sends so long a line, and who is given up can't go on with it.
    while line.try_write("a").await.is_ok() {
        ticks.tick().await;
    }
    assert_eq!(door.arrived(), 0);
}

#[tokio::test]
async fn a_body_that_keeps_coming_may_take_its_time() {
    let door =
        Door::with("timeout = \"1h\"\n[limits]\nhead_timeout = \"600ms\"\nidle_timeout = \"600ms\"\n").await;
    let mut line = door.lab.connect().await;
    line.write("POST /meter/twin/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n").await;
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..20 {
        ticks.tick().await;
        line.write("a").await;
    }
    assert_eq!(line.reply(&Method::POST).await.unwrap().json()["length"], 20);
}

#[tokio::test]
async fn a_reader_that_stops_is_given_up_and_frees_the_device() {
    let door = Door::with("max_connections = 1\n[limits]\nidle_timeout = \"300ms\"\n").await;
    let mut line = door.lab.connect().await;
    line.begin(&Ask::get("/meter/twin/bytes?n=1000000000")).await;
    assert_eq!(line.head(&Method::GET).await.unwrap().status, 200);
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_the_end_of_the_connection_ends_does_not_end_so_where_it_is_given_up() {
    let door = Door::with("max_connections = 1\n[limits]\nidle_timeout = \"300ms\"\n").await;
    let mut line = door.lab.connect().await;
    let path = "/meter/twin/chunked?n=100000000&by=100000";
    line.write(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")).await;
    assert_eq!(line.head(&Method::GET).await.unwrap().status, 200);
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
    assert!(line.rest().await.is_err(), "it would look whole");
}

#[tokio::test]
async fn where_every_connection_is_taken_the_one_without_a_request_gives_way() {
    let door = Door::with("[limits]\nconnections = 2\n").await;
    let mut oldest = door.lab.connect().await;
    oldest.write("GET /heal").await;
    let mut busy = door.lab.connect().await;
    busy.begin(&Ask::get("/meter/twin/slow?ms=500")).await;
    door.device.twin.journal().reaches(1).await;
    assert_eq!(door.lab.get("/healthz").await.status, 200);
    // It has heard nothing and is cut off, while the one that is served stays.
    assert!(oldest.rest().await.is_ok_and(|rest| rest.is_empty()));
    assert_eq!(busy.reply(&Method::GET).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up_and_frees_the_device() {
    let door = Door::with("max_connections = 1\n[limits]\nidle_timeout = \"300ms\"\n").await;
    let mut line = door.lab.connect().await;
    line.write("POST /meter/twin/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").await;
    door.device.twin.journal().reaches(1).await;
    let reply = line.reply(&Method::POST).await.unwrap();
    assert_eq!(reply.status, 408);
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
}

#[tokio::test]
async fn what_a_caller_says_is_repeated_up_to_a_length_only() {
    let door = Door::with(
        "access = \"read\"\nacts_on_get = []\n[access.keys.reader]\nkey = \"reader-0123456789abcdef\"\nmethods = [\"GET\", \"BREW\"]\n",
    )
    .await;
    let long = "x".repeat(30_000);
    let method = |begins: &str| Method::from_bytes(format!("{begins}{long}").as_bytes()).unwrap();
    for (ask, fault) in [
        (Ask::get("/meter/").with("Host", &long), "host_not_allowed"),
        (Ask::get("/meter/").with("Host", &format!("{long}.example")), "host_not_allowed"),
        (Ask::get("/meter/").with("Origin", &long), "origin_not_allowed"),
        (Ask::get("/meter/").with("Origin", &format!("http://{long}")), "origin_not_allowed"),
        (Ask::new(method(""), "/meter/"), "key_not_allowed"),
        (Ask::get(format!("/{}/", &long[..8000])), "unknown_device"),
    ] {
        let reply = door.stops(&ask.with("X-API-Key", "reader-0123456789abcdef")).await;
        assert_eq!(reply.fault(), fault);
        let headers: usize = reply.headers.values().map(http::HeaderValue::len).sum();
        assert!(headers < 1500 && reply.body.len() < 1500, "{reply:?}");
    }
    let open = Door::with("access = \"read\"\nacts_on_get = []\n").await;
    let reply = open.stops(&Ask::new(method("BREW"), "/meter/")).await;
    assert_eq!(reply.fault(), "read_only");
    assert!(reply.text().contains("BREWxxx") && reply.body.len() < 1500, "{reply:?}");
    // The longest name there may be is told whole, since the line that would allow it has to be right.
    let name = format!("{}.example", "y".repeat(245));
    let told = open.stops(&Ask::get("/meter/").with("Host", &name)).await.problem().detail;
    assert!(told.contains(&format!("hosts = [\"{name}\"]")), "{told}");
}

/// A body in one chunk.
fn chunked(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

#[tokio::test]
async fn a_body_that_is_none_is_bad_syntax_and_no_matter_of_time() {
    let door = Door::new().await;
    for chunk in ["zz\r\n", "0x3\r\n", "ffffffffffffffff1\r\n", "3\r\nabcX"] {
        let mut line = door.lab.connect().await;
        let head =
            "POST /meter/twin/upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        line.write(format!("{head}{chunk}")).await;
        assert_eq!(line.reply(&Method::POST).await.unwrap().status, 400, "{chunk:?}");
    }
    assert_eq!(door.lab.listed("meter").await["state"], "unknown");
}

#[tokio::test]
async fn a_caller_who_sends_too_slowly_does_not_make_the_device_a_failing_one() {
    let door = Door::with("timeout = \"500ms\"\n").await;
    assert_eq!(door.lab.get("/meter/twin/echo").await.status, 200);
    let mut line = door.lab.connect().await;
    line.write("POST /meter/twin/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc").await;
    let problem = line.reply(&Method::POST).await.unwrap().problem();
    assert_eq!(problem.fault, "device_timeout");
    assert!(problem.detail.contains("body came too slowly"), "{}", problem.detail);
    assert_eq!(door.lab.listed("meter").await["state"], "ok");
}

#[tokio::test]
async fn who_comes_while_all_are_served_is_let_in_as_soon_as_one_only_rests() {
    let door = Door::with("[limits]\nconnections = 1\nkeep_alive = \"1h\"\n").await;
    let mut served = door.lab.connect().await;
    served.begin(&Ask::get("/meter/twin/slow?ms=300")).await;
    door.device.twin.journal().reaches(1).await;
    let newcomer = timeout(Duration::from_secs(20), door.lab.get("/healthz"));
    let (answered, newcomer) = futures_util::future::join(served.reply(&Method::GET), newcomer).await;
    assert_eq!(answered.unwrap().status, 200);
    assert_eq!(newcomer.expect("a place").status, 200);
}

#[tokio::test]
async fn who_comes_while_an_answer_waits_for_its_reader_is_let_in_once_all_of_it_is_read() {
    const LENGTH: usize = 20_000_000;
    let door = Door::with("[limits]\nconnections = 1\nkeep_alive = \"1h\"\n").await;
    let mut slow = door.lab.connect().await;
    slow.begin(&Ask::get(format!("/meter/twin/bytes?n={LENGTH}"))).await;
    assert_eq!(slow.head(&Method::GET).await.unwrap().status, 200);
    let newcomer = timeout(Duration::from_secs(20), door.lab.get("/healthz"));
    let (read, newcomer) = futures_util::future::join(slow.rest(), newcomer).await;
    assert_eq!(read.unwrap().len(), LENGTH);
    assert_eq!(newcomer.expect("a place").status, 200);
}
