//! How large, how long and how many.

use http::Method;
use keyward::twin::noise;

use crate::support::{Ask, Door};

#[tokio::test]
async fn a_body_larger_than_allowed_is_413_whether_it_says_so_or_not() {
    let door = Door::with("max_body = 1000\n").await;
    let told = Ask::post("/meter/twin/upload", noise(0, 1001));
    let problem = door.stops(&told).await.problem();
    assert_eq!((problem.fault.as_str(), problem.device.as_deref()), ("body_too_large", Some("meter")));
    assert!(problem.detail.contains("max_body"), "{}", problem.detail);
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
async fn what_never_becomes_a_request_gets_a_bare_status_and_the_end() {
    let filler = "x".repeat(9 * 1024);
    let many = "a: b\r\n".repeat(101);
    let huge = format!("a: {}\r\n", "x".repeat(33 * 1024));
    let cases = [
        (format!("GET /meter/{filler} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 414),
        (format!("GET /meter/twin/echo HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431),
        (format!("GET /meter/twin/echo HTTP/1.1\r\nHost: localhost\r\n{huge}\r\n"), 431),
        ("GET /meter/ twin HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("GET /meter/twin/echo HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n".to_owned(), 400),
        ("GET /meter/twin/echo HTTP/1.1\r\nHost: localhost\r\na: b\r\n folded\r\n\r\n".to_owned(), 400),
        ("POST /meter/twin/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx".to_owned(), 400),
        ("POST /meter/twin/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\nx".to_owned(), 400),
        ("POST /meter/twin/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ];
    let door = Door::new().await;
    for (bytes, status) in cases {
        let mut line = door.lab.connect().await;
        drop(line.try_write(&bytes).await);
        let shown: String = bytes.chars().take(150).collect();
        let reply = line.reply(&Method::GET).await.unwrap_or_else(|error| panic!("{error}: {shown}"));
        assert_eq!((reply.status.as_u16(), reply.body.len()), (status, 0), "{shown}");
        assert!(line.rest().await.is_ok_and(|rest| rest.is_empty()), "the connection goes on after {shown}");
    }
    assert_eq!(door.arrived(), 0);
}

#[tokio::test]
async fn a_request_with_both_lengths_is_one_request_or_none() {
    let door = Door::new().await;
    let mut line = door.lab.connect().await;
    line.write(
        "POST /meter/twin/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /meter/twin/echo HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    line.reply(&Method::POST).await.unwrap();
    line.rest().await.unwrap();
    assert!(door.device.twin.arrivals().iter().all(|arrival| arrival.target == "/twin/upload"), "smuggled");
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

/// A body in one chunk.
fn chunked(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}
