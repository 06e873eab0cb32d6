//! Bodies that are long, slow or endless, and what they leave to others.

mod upgrade;

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use keyward::twin::noise;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::{Ask, Door, Lab, Reply, Scripted, until};

/// More than all buffers on the way hold.
const LARGE: usize = 32 << 20;
/// An event an hour: what comes has not waited for the next.
const HOURLY: &str = "ms=3600000";

#[tokio::test]
async fn large_bodies_arrive_whole_both_ways() {
    let door = Door::new().await;
    let sha256 = hex::encode(Sha256::digest(noise(0, LARGE)));
    for path in ["bytes", "chunked", "until-close"] {
        let reply = door.lab.get(&format!("/meter/twin/{path}?n={LARGE}")).await;
        assert_eq!(hex::encode(Sha256::digest(&reply.body)), sha256, "{path}");
    }
    let upload = door.lab.send(&Ask::post("/meter/twin/upload", noise(0, LARGE))).await;
    assert_eq!(upload.json(), json!({ "length": LARGE, "sha256": sha256 }));
}

#[tokio::test]
async fn a_caller_who_does_not_read_stops_the_device_from_sending() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let table =
        format!("[devices.meter]\nvendor = \"open\"\nurl = \"http://{}\"\n", listener.local_addr().unwrap());
    let lab = Lab::new(&table).await;
    let mut line = lab.connect().await;
    line.begin(&Ask::get("/meter/x")).await;
    let (mut device, _) = listener.accept().await.unwrap();
    let total = 16 * LARGE;
    device.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n").as_bytes()).await.unwrap();
    let mut sent = 0;
    let block = noise(0, 1 << 20);
    // It is stuck when it stays so: how long it tries changes nothing but how sure we are.
    while timeout(Duration::from_millis(500), device.write_all(&block)).await.is_ok() {
        sent += block.len();
        assert!(sent < 2 * LARGE, "keyward took {sent} bytes that nobody reads");
    }
    assert_eq!(line.head(&Method::GET).await.unwrap().header("content-length"), total.to_string());
    let mut read = 0;
    while read <= sent {
        read += line.piece().await.unwrap().unwrap().len();
        if read > LARGE {
            break;
        }
    }
}

#[tokio::test]
async fn a_device_that_does_not_read_stops_the_caller_from_sending() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let table =
        format!("[devices.meter]\nvendor = \"open\"\nurl = \"http://{}\"\n", listener.local_addr().unwrap());
    let lab = Lab::new(&table).await;
    let mut line = lab.connect().await;
    let total = 16 * LARGE;
    line.write(format!("POST /meter/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {total}\r\n\r\n")).await;
    let (mut device, _) = listener.accept().await.unwrap();
    let mut sent = 0;
    let block = noise(0, 1 << 20);
    while timeout(Duration::from_millis(500), line.write(&block)).await.is_ok() {
        sent += block.len();
        assert!(sent < 2 * LARGE, "keyward took {sent} bytes that nobody reads");
    }
    let mut head = [0; 64];
    device.read_exact(&mut head).await.unwrap();
    assert!(head.starts_with(b"POST /x HTTP/1.1\r\n"));
}

#[tokio::test]
async fn events_arrive_one_by_one_and_leave_the_only_connection_to_others() {
    let door = Door::with("max_connections = 1\nmax_streams = 2\n").await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut line = door.lab.connect().await;
        line.begin(&Ask::get(format!("/meter/twin/events?{HOURLY}"))).await;
        assert_eq!(line.head(&Method::GET).await.unwrap().header("content-type"), "text/event-stream");
        assert_eq!(line.piece().await.unwrap().unwrap(), "id: 0\ndata: {\"count\":0}\n\n");
        streams.push(line);
    }
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
    let problem = door.lab.get("/meter/twin/events").await.problem();
    assert_eq!(problem.fault, "device_busy");
    assert!(problem.detail.contains("2 are open"), "{}", problem.detail);
    assert!(problem.detail.contains("[devices.meter] in proxy.toml: max_streams = 3"), "{}", problem.detail);
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
    // Who leaves makes room.
    let open = door.device.served().connections();
    streams.pop();
    until(|| door.device.served().connections() < open).await;
    let mut line = door.lab.connect().await;
    line.begin(&Ask::get(format!("/meter/twin/events?{HOURLY}"))).await;
    assert_eq!(line.head(&Method::GET).await.unwrap().status, 200);
}

#[tokio::test]
async fn what_is_of_the_kind_of_a_stream_and_has_an_end_is_none() {
    let kind = "Content-Type: text/event-stream\r\n";
    for (method, answer, is_endless) in [
        (Method::HEAD, format!("HTTP/1.1 200 OK\r\n{kind}\r\n"), false),
        (Method::GET, format!("HTTP/1.1 204 No Content\r\n{kind}\r\n"), false),
        (Method::GET, format!("HTTP/1.1 200 OK\r\n{kind}Content-Length: 4\r\n\r\n\n\n\n\n"), false),
        (
            Method::GET,
            format!("HTTP/1.1 404 Not Found\r\n{kind}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            false,
        ),
        (Method::GET, format!("HTTP/1.1 200 OK\r\n{kind}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), true),
    ] {
        let device = Scripted::saying(answer.clone()).await;
        let lab = Lab::new(&device.table("meter", "max_streams = 0\n")).await;
        let reply = lab.send(&Ask::new(method, "/meter/x")).await;
        assert_eq!(reply.status == 503, is_endless, "{answer}");
    }
}

#[tokio::test]
async fn events_that_keep_coming_keep_coming() {
    let door = Door::with("timeout = \"2s\"\n").await;
    let mut line = door.lab.connect().await;
    line.begin(&Ask::get("/meter/twin/events?ms=120")).await;
    line.head(&Method::GET).await.unwrap();
    for count in 0..20 {
        assert_eq!(
            line.piece().await.unwrap().unwrap(),
            format!("id: {count}\ndata: {{\"count\":{count}}}\n\n")
        );
    }
}

#[tokio::test]
async fn a_part_of_an_answer_is_passed_on_before_the_next_is_there() {
    let door = Door::new().await;
    for path in ["chunked", "bytes", "until-close"] {
        let mut line = door.lab.connect().await;
        line.begin(&Ask::get(format!("/meter/twin/{path}?n=30&by=10&{HOURLY}"))).await;
        line.head(&Method::GET).await.unwrap();
        assert_eq!(line.piece().await.unwrap().unwrap(), noise(0, 10), "{path}");
    }
}

#[tokio::test]
async fn a_part_of_an_upload_is_passed_on_before_the_next_is_there() {
    let door = Door::new().await;
    let mut line = door.lab.connect().await;
    line.write("POST /meter/twin/upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    until(|| door.device.twin.arrivals().iter().any(|arrival| arrival.body_length == 4)).await;
    line.write("4\r\nrest\r\n0\r\n\r\n").await;
    assert_eq!(line.reply(&Method::POST).await.unwrap().json()["length"], 8);
}

#[tokio::test]
async fn heads_ranges_tags_and_empty_answers_are_as_the_device_has_them() {
    let door = Door::new().await;
    let head = door.lab.send(&Ask::new(Method::HEAD, "/meter/twin/bytes?n=1000")).await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "1000", 0));
    // Where the device does not say how long it would be, nobody says that it would be nothing.
    let head = door.lab.send(&Ask::new(Method::HEAD, "/meter/twin/chunked?n=1000")).await;
    assert!(head.status == 200 && !head.headers.contains_key("content-length"), "{:?}", head.headers);
    for (range, status, told) in [
        ("bytes=10-19", 206, "bytes 10-19/1000"),
        ("bytes=-5", 206, "bytes 995-999/1000"),
        ("bytes=2000-", 416, "bytes */1000"),
    ] {
        let part = door.lab.send(&Ask::get("/meter/twin/range").with("Range", range)).await;
        assert_eq!((part.status.as_u16(), part.header("content-range")), (status, told));
    }
    assert_eq!(
        door.lab.send(&Ask::get("/meter/twin/range").with("Range", "bytes=10-19")).await.body,
        noise(10, 10)
    );
    let fresh = door.lab.send(&Ask::get("/meter/twin/etag").with("If-None-Match", "\"twin-1\"")).await;
    assert_eq!((fresh.status.as_u16(), fresh.header("etag"), fresh.body.len()), (304, "\"twin-1\"", 0));
    let changed = door.lab.send(&Ask::get("/meter/twin/etag").with("If-None-Match", "\"other\"")).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, "\"twin-1\""));
    // Each on one connection with what follows it: an empty answer is framed as one.
    let mut line = door.lab.connect().await;
    for code in [204, 304, 205, 404, 500, 503] {
        let reply = line.ask(&Ask::get(format!("/meter/twin/status?code={code}"))).await.unwrap();
        assert_eq!(reply.status, code);
        assert_eq!(line.ask(&Ask::get("/meter/twin/sample")).await.unwrap().status, 200, "after {code}");
    }
}

#[tokio::test]
async fn trailers_reach_who_wants_them() {
    let door = Door::new().await;
    let ask = Ask::get("/meter/twin/trailers").with_all(&[("TE", "trailers"), ("Connection", "TE")]);
    let reply = door.lab.send(&ask).await;
    assert_eq!(reply.text(), "before the trailer\n");
    assert_eq!(reply.trailers["x-twin-trailer"], "the end");
}

#[tokio::test]
async fn who_asks_before_sending_is_told_to_go_on_or_not() {
    let door = Door::with("max_body = 10\n").await;
    let ask = |length: usize| {
        format!(
            "POST /meter/twin/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut line = door.lab.connect().await;
    line.write(ask(4)).await;
    assert_eq!(line.head(&Method::POST).await.unwrap().status, 100);
    line.write("body").await;
    assert_eq!(line.reply(&Method::POST).await.unwrap().json()["length"], 4);
    let mut line = door.lab.connect().await;
    line.write(ask(11)).await;
    assert_eq!(line.head(&Method::POST).await.unwrap().status, 413);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_break_off() {
    let door = Door::new().await;
    let mut line = door.lab.connect().await;
    line.begin(&Ask::get("/meter/twin/break?n=1000&after=500")).await;
    let head = line.head(&Method::GET).await.unwrap();
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "1000"));
    let mut read = 0;
    let broken = loop {
        match line.piece().await {
            Ok(Some(piece)) => read += piece.len(),
            ended => break ended,
        }
    };
    assert!(broken.is_err() && read <= 500, "{broken:?} after {read}");
    let metrics = door.lab.get("/metrics").await;
    assert!(metrics.text().contains("keyward_faults_total{device=\"meter\",fault=\"device_broke_off\"} 1"));
    assert_eq!(door.lab.listed("meter").await["fault"], "device_broke_off");
}

#[tokio::test]
async fn an_answer_that_stalls_breaks_off_after_the_idle_timeout() {
    let door = Door::with("idle_timeout = \"200ms\"\nmax_connections = 1\n").await;
    for path in ["bytes", "chunked"] {
        let mut line = door.lab.connect().await;
        line.begin(&Ask::get(format!("/meter/twin/{path}?n=30&by=10&{HOURLY}"))).await;
        line.head(&Method::GET).await.unwrap();
        assert_eq!(line.piece().await.unwrap().unwrap().len(), 10);
        assert!(line.piece().await.is_err(), "{path} goes on or ends well");
        assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
    }
}

#[tokio::test]
async fn callers_who_leave_leave_nothing_behind() {
    let door = Door::with("max_connections = 2\nmax_waiting = 4\nmax_streams = 1\n").await;
    let paths = ["slow?ms=3600000", "bytes?n=1000000000", "events?ms=3600000"];
    for (nth, path) in paths.iter().cycle().take(240).enumerate() {
        let mut line = door.lab.connect().await;
        line.begin(&Ask::get(format!("/meter/twin/{path}"))).await;
        door.device.twin.journal().reaches(nth + 1).await;
        if nth % 2 == 0 && !path.starts_with("slow") {
            line.head(&Method::GET).await.unwrap();
        }
        drop(line);
        door.device.served().settles(0).await;
    }
    let replies = join_all((0..6).map(|_| door.lab.get("/meter/twin/sample"))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
}

/// Some send an empty line behind a request, or the next, or a part of that.
#[tokio::test]
async fn callers_who_have_said_more_are_seen_to_leave_too() {
    let door = Door::with("max_connections = 1\n").await;
    let next = "GET /meter/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (nth, more) in ["\r\n", "GET", &next[..30], next, &next.repeat(2)].into_iter().enumerate() {
        for (turn, apart) in [false, true].into_iter().enumerate() {
            let mut line = door.lab.connect().await;
            let head = "GET /meter/twin/slow?ms=3600000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
            line.write(if apart { head.to_owned() } else { format!("{head}{more}") }).await;
            door.device.twin.journal().reaches(2 * nth + turn + 1).await;
            if apart {
                line.write(more).await;
            }
            drop(line);
            let seen = timeout(Duration::from_secs(5), door.device.served().settles(0)).await;
            seen.unwrap_or_else(|_| panic!("{more:?}"));
        }
    }
}

/// The rest of a head, and a short body.
const BODIES: [&str; 2] =
    ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"];

#[tokio::test]
async fn callers_who_have_sent_a_body_are_seen_to_leave_too() {
    let door = Door::with("max_connections = 1\n").await;
    for (nth, body) in BODIES.into_iter().enumerate() {
        let mut line = door.lab.connect().await;
        line.write(format!("POST /meter/twin/slow?ms=3600000 HTTP/1.1\r\nHost: localhost\r\n{body}")).await;
        door.device.twin.journal().reaches(nth + 1).await;
        drop(line);
        let seen = timeout(Duration::from_secs(5), door.device.served().settles(0)).await;
        seen.unwrap_or_else(|_| panic!("{body:?}"));
    }
}

#[tokio::test]
async fn callers_who_leave_the_queue_leave_their_place() {
    let door = Door::with("max_connections = 1\nmax_waiting = 1\n").await;
    let mut holding = door.lab.connect().await;
    holding.begin(&Ask::get("/meter/twin/chunked?n=20&by=10&ms=3600000")).await;
    holding.head(&Method::GET).await.unwrap();
    for turn in 0..50 {
        let mut waiting = door.lab.connect().await;
        match BODIES.get(turn % 3) {
            Some(body) => {
                waiting.write(format!("POST /meter/twin/upload HTTP/1.1\r\nHost: localhost\r\n{body}")).await;
            }
            None => waiting.begin(&Ask::get("/meter/twin/sample")).await,
        }
        drop(waiting);
    }
    // That they have left may still be news to keyward; who then is not refused stands in the queue.
    let mut last = loop {
        let mut line = door.lab.connect().await;
        line.begin(&Ask::get("/meter/twin/sample")).await;
        match timeout(Duration::from_millis(100), line.head(&Method::GET)).await {
            Ok(refused) => assert_eq!(refused.unwrap().status, 503),
            Err(_) => break line,
        }
    };
    drop(holding);
    assert_eq!(last.reply(&Method::GET).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_queue_that_is_full_is_said_at_once() {
    let door = Door::with("max_connections = 1\nmax_waiting = 2\n").await;
    let mut holding = door.lab.connect().await;
    holding.begin(&Ask::get("/meter/twin/slow?ms=500")).await;
    door.device.twin.journal().reaches(1).await;
    let replies = join_all((0..5).map(|_| door.lab.get("/meter/twin/sample"))).await;
    let busy: Vec<_> = replies.iter().filter(|reply| reply.status != 200).map(Reply::problem).collect();
    assert_eq!(busy.len(), 3);
    assert!(
        busy.iter().all(|problem| problem.fault == "device_busy" && problem.detail.contains("max_waiting")),
        "{busy:?}"
    );
}

#[tokio::test]
async fn who_is_still_queued_at_the_timeout_is_told_that_the_device_is_busy() {
    let door = Door::with("max_connections = 1\ntimeout = \"1s\"\n").await;
    let mut holding = door.lab.connect().await;
    holding.begin(&Ask::get("/meter/twin/chunked?n=20&by=10&ms=3600000")).await;
    holding.head(&Method::GET).await.unwrap();
    let problem = door.lab.get("/meter/twin/sample").await.problem();
    assert_eq!(problem.fault, "device_busy");
    assert!(problem.detail.contains("max_connections"), "{}", problem.detail);
    assert_eq!(door.arrived(), 1);
}
