//! Connections that become another protocol's.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use keyward::twin::noise;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::{Ask, Door, Lab, Line, until};

/// The handshake of RFC 6455 section 1.3, with its answer.
const HANDSHAKE: [(&str, &str); 4] = [
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
const ACCEPTED: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

async fn tunnel(door: &Door) -> Line {
    let mut line = door.lab.connect().await;
    line.begin(&Ask::get("/meter/twin/websocket").with_all(&HANDSHAKE)).await;
    let head = line.head(&Method::GET).await.unwrap();
    assert_eq!((head.status.as_u16(), head.header("sec-websocket-accept")), (101, ACCEPTED));
    assert!(head.header("upgrade").eq_ignore_ascii_case("websocket"));
    assert!(head.header("connection").to_lowercase().contains("upgrade"));
    line
}

#[tokio::test]
async fn bytes_go_both_ways_after_an_upgrade() {
    let door = Door::new().await;
    let mut line = tunnel(&door).await;
    for length in [1, 1000, 100_000] {
        line.write(noise(0, length)).await;
        assert_eq!(line.exactly(length).await.unwrap(), noise(0, length));
    }
}

#[tokio::test]
async fn a_tunnel_leaves_the_only_connection_to_others_and_counts_as_a_stream() {
    let door = Door::with("max_connections = 1\nmax_streams = 1\n").await;
    let line = tunnel(&door).await;
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
    let ask = Ask::get("/meter/twin/websocket").with_all(&HANDSHAKE);
    let problem = door.lab.send(&ask).await.problem();
    assert_eq!(problem.fault, "device_busy");
    assert!(problem.detail.contains("connections to meter one is open"), "{}", problem.detail);
    drop(line);
    until(|| door.device.served().connections() <= 1).await;
    tunnel(&door).await;
}

#[tokio::test]
async fn what_may_go_through_a_tunnel_makes_memory_forget() {
    let door = Door::with("acts_on_get = []\ncache = \"1h\"\n").await;
    let status = async || door.lab.get("/meter/twin/sample").await.header("cache-status").to_owned();
    assert!(status().await.ends_with("; stored"));
    assert!(status().await.starts_with("keyward; hit"));
    let line = tunnel(&door).await;
    assert!(status().await.ends_with("; stored"), "its beginning");
    let before = status().await;
    assert!(before.starts_with("keyward; hit"), "in the midst of it: {before}");
    drop(line);
    timeout(Duration::from_secs(5), async { while !status().await.ends_with("; stored") {} })
        .await
        .expect("its end");
}

#[tokio::test]
async fn a_tunnel_ends_on_both_sides_when_one_leaves() {
    let mut door = Door::new().await;
    let line = tunnel(&door).await;
    drop(line);
    door.device.served().settles(0).await;
    let mut line = tunnel(&door).await;
    door.device.leave().await;
    // How it ends is the device's doing; that it ends is ours.
    assert!(timeout(Duration::from_secs(5), line.rest()).await.is_ok());
}

/// A device that changes the protocol, and then neither says nor ends anything.
async fn mute() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            while stream.read_u8().await.is_ok_and(|byte| byte != b'\n') {}
            let head =
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn a_caller_who_leaves_a_tunnel_gives_its_place_back_whatever_the_device_does() {
    let device =
        format!("[devices.m]\nvendor = \"open\"\nurl = \"http://{}\"\nmax_streams = 1\n", mute().await);
    let lab = Lab::new(&device).await;
    for _ in 0..3 {
        let mut line = lab.connect().await;
        let opened = async {
            loop {
                line.begin(&Ask::get("/m/x").with_all(&HANDSHAKE)).await;
                match line.head(&Method::GET).await.unwrap().status.as_u16() {
                    101 => return,
                    // Whoever left is still being given a moment.
                    _ => line = lab.connect().await,
                }
            }
        };
        timeout(Duration::from_secs(5), opened).await.expect("a place");
    }
}

#[tokio::test]
async fn an_upgrade_that_the_device_declines_is_an_ordinary_answer() {
    let door = Door::new().await;
    let lines = [("Connection", "Upgrade"), ("Upgrade", "irc/6.9")];
    let mut line = door.lab.connect().await;
    let reply = line.ask(&Ask::get("/meter/twin/websocket").with_all(&lines)).await.unwrap();
    assert_eq!(reply.status, 426);
    assert_eq!(line.ask(&Ask::get("/meter/twin/sample")).await.unwrap().status, 200);
}

#[tokio::test]
async fn streams_and_tunnels_end_at_once_when_keyward_does() {
    let mut door = Door::new().await;
    let mut tunnel = tunnel(&door).await;
    let mut events = door.lab.connect().await;
    events.begin(&Ask::get("/meter/twin/events?ms=3600000")).await;
    events.head(&Method::GET).await.unwrap();
    events.piece().await.unwrap();
    // Seven seconds are for requests that will end by themselves.
    timeout(Duration::from_secs(2), door.lab.stop()).await.expect("an end at once");
    assert!(tunnel.rest().await.is_ok_and(|rest| rest.is_empty()));
    assert_eq!(events.piece().await.ok().flatten(), None);
}
