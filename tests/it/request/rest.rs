//! Callers who stay and do not ask for a while.

use std::time::Duration;

use http::Method;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Act, Ask, Door, Lab, Line, Scripted};
use crate::wire::FINE;

/// Longer than it takes until a caller rests.
const A_WHILE: Duration = Duration::from_millis(300);

/// Whoever is connected hears nothing for a while, and is connected still.
async fn rests(line: &mut Line, what: &str) {
    let heard = timeout(A_WHILE, line.some()).await;
    assert!(heard.is_err(), "{what}: {heard:?}");
}

#[tokio::test]
async fn who_rests_is_served_again_whatever_came_before_and_however_it_comes() {
    let door = Door::new().await;
    let mut line = door.lab.connect().await;
    let head = "GET /meter/twin/echo HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (what, ahead, later) in [
        ("a request", "", head),
        ("a begun one", &head[..20], &head[20..]),
        ("two, and one begun", &format!("{head}{head}{}", &head[..1]), &head[1..]),
        ("an empty line", "\r\n", head),
    ] {
        let before = door.arrived();
        line.write(format!("{head}{ahead}")).await;
        for _ in 0..1 + ahead.matches(head).count() {
            assert_eq!(line.reply(&Method::GET).await.unwrap().status, 200, "{what}");
        }
        rests(&mut line, what).await;
        for byte in later.as_bytes() {
            line.write([*byte]).await;
        }
        assert_eq!(line.reply(&Method::GET).await.unwrap().status, 200, "{what}");
        let asked = 2 + ahead.matches(head).count();
        assert_eq!(door.arrived() - before, asked, "{what}");
        rests(&mut line, what).await;
    }
    let posted = line.ask(&Ask::post("/meter/twin/upload", vec![b'a'; 100_000])).await.unwrap();
    assert_eq!(posted.json()["length"], 100_000);
    rests(&mut line, "a body").await;
    assert_eq!(line.ask(&Ask::get("/meter/twin/echo")).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_rest_of_a_body_that_was_answered_early_is_no_request() {
    let device = Scripted::new(|_| Act::Early(FINE.to_vec())).await;
    let lab = Lab::new(&device.table("meter", "acts_on_get = []")).await;
    let inner = "GET /meter/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut line = lab.connect().await;
    let length = inner.len();
    line.write(format!("POST /meter/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"))
        .await;
    assert_eq!(line.reply(&Method::POST).await.unwrap().status, 200);
    drop(timeout(A_WHILE, line.some()).await);
    drop(line.try_write(inner).await);
    drop(timeout(A_WHILE, line.some()).await);
    assert_eq!(lab.get("/meter/last").await.status, 200);
    let heard = device.heard();
    assert!(heard.iter().all(|request| request.target() != "/smuggled"), "{heard:?}");
}

#[tokio::test]
async fn who_rests_holds_up_no_end() {
    let mut door = Door::new().await;
    let mut line = door.lab.connect().await;
    assert_eq!(line.ask(&Ask::get("/healthz")).await.unwrap().status, 200);
    rests(&mut line, "served").await;
    timeout(Duration::from_secs(3), door.lab.stop()).await.unwrap();
    assert!(line.rest().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_never_becomes_a_request_holds_up_no_end() {
    let mut door = Door::new().await;
    let mut line = door.lab.connect().await;
    line.write("GET /meter/x HTTP/1.1\r\nHost: local").await;
    // Whoever comes later is served later, so that the half of a head has been read.
    assert_eq!(door.lab.get("/healthz").await.status, 200);
    timeout(Duration::from_secs(5), door.lab.stop()).await.unwrap();
    assert!(line.rest().await.unwrap().is_empty());
}

#[tokio::test]
async fn who_has_said_nothing_behind_tls_holds_up_no_end() {
    let device = Scripted::new(|_| Act::Answer(FINE.to_vec())).await;
    let table = device.table("meter", "");
    let mut lab =
        Lab::new(&format!("{table}[[listeners]]\nlisten = \"127.0.0.1:0\"\ntls = \"self-signed\"\n")).await;
    let mut silent = TcpStream::connect(lab.doors()[1]).await.unwrap();
    // Whoever comes later is served later, so that this one has been let in.
    assert_eq!(lab.get("/healthz").await.status, 200);
    timeout(Duration::from_secs(5), lab.stop()).await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn who_rests_behind_tls_is_served_again() {
    let device = Scripted::new(|_| Act::Answer(FINE.to_vec())).await;
    let table = device.table("meter", "acts_on_get = []");
    let lab =
        Lab::new(&format!("{table}[[listeners]]\nlisten = \"127.0.0.1:0\"\ntls = \"self-signed\"\n")).await;
    let pem = std::fs::read(lab.path("certs/own/cert.pem")).unwrap();
    let mut line = Line::by_tls(lab.doors()[1], &pem).await.unwrap();
    for _ in 0..3 {
        let reply = line.ask(&Ask::get("/meter/x").with("Host", "localhost:8443")).await.unwrap();
        assert_eq!(reply.text(), "ok");
        rests(&mut line, "by TLS").await;
    }
}
