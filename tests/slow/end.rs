//! The end, when everything that could hold it up does.

use std::io::Write as _;
use std::time::Duration;

use http::Method;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::generic::{Generic, Scheme};
use tokio::time::{Instant, timeout};

use crate::it::support::{Act, Ask, Device, Line, Port, Process, Scripted, until};

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
/// What is promised to service managers, which kill after ten.
const END: Duration = Duration::from_secs(8);

#[tokio::test]
async fn whatever_hangs_the_end_comes_within_eight_seconds() {
    let hour = Duration::from_secs(3600);
    let mut meter = Device::new(Egauge::new(EgaugeSettings::default()));
    let logging_in =
        Device::new(Egauge::new(EgaugeSettings { login_delay: hour, ..EgaugeSettings::default() }));
    let other = Device::new(Generic::new(Scheme::Open));
    let hanging = Scripted::new(|_| Act::Hang).await;
    let port = Port::new();
    let process = Process::new(
        &(meter.table("meter", "")
            + &logging_in.table("login", "")
            + &other.table("other", "")
            + &hanging.table("hanging", "")),
    )
    .with("KEYWARD_LISTEN", port.address().to_string());
    // Nobody reads the log, and there is no room for another line of it.
    let (_unread, mut log) = std::io::pipe().unwrap();
    fill(&mut log);
    let mut server = process.spawn(&["run"], log);
    until(|| std::net::TcpStream::connect(port.address()).is_ok()).await;
    let address = port.address();
    let get = |target: &str| Ask::get(target);

    let mut idle = Line::to(address).await;
    assert_eq!(idle.ask(&get("/meter/twin/sample")).await.unwrap().status, 200);
    // Its farewell comes to a device that takes connections and says nothing.
    meter.leave().await;
    let _silent = std::net::TcpListener::bind(meter.authority()).unwrap();
    let mut events = Line::to(address).await;
    events.begin(&get("/other/twin/events?ms=3600000")).await;
    events.head(&Method::GET).await.unwrap();
    let mut tunnel = Line::to(address).await;
    tunnel.begin(&get("/other/twin/websocket").with_all(&UPGRADE)).await;
    assert_eq!(tunnel.head(&Method::GET).await.unwrap().status, 101);
    let mut stuck = Vec::new();
    // A reader who does not read, a device that hangs, and a login.
    for target in ["/other/twin/bytes?n=1000000000", "/hanging/", "/login/twin/sample"] {
        let mut line = Line::to(address).await;
        line.begin(&get(target)).await;
        stuck.push(line);
    }
    let is_there = |device: &Device, end: &str| {
        device.twin.arrivals().iter().any(|arrival| arrival.target.ends_with(end))
    };
    until(|| {
        is_there(&other, "n=1000000000")
            && is_there(&logging_in, "/api/auth/login")
            && !hanging.heard().is_empty()
    })
    .await;

    let begun = Instant::now();
    let id = server.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    // What does not end by itself ends first.
    drop(events.piece().await);
    assert!(events.piece().await.map_or(true, |piece| piece.is_none()));
    drop(tunnel.rest().await);
    assert!(idle.rest().await.unwrap().is_empty());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(Line::to(address).await.ask(&get("/readyz")).await.unwrap().status, 503);
    let code = timeout(END, server.wait()).await.expect("an end").unwrap().code();
    println!("the end came after {:?}", begun.elapsed());
    assert_eq!(code, Some(0));
    assert!(begun.elapsed() < END, "{:?}", begun.elapsed());
}

/// Writes until there is no room.
fn fill(pipe: &mut std::io::PipeWriter) {
    use std::os::fd::AsFd as _;
    let flags = rustix::fs::fcntl_getfl(pipe.as_fd()).unwrap();
    rustix::fs::fcntl_setfl(pipe.as_fd(), flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while pipe.write(&[b' '; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(pipe.as_fd(), flags).unwrap();
}
