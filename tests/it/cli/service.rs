//! What a service manager is told.

use std::collections::HashMap;
use std::time::Duration;

use http::Method;
use keyward::twin::generic::{Generic, Scheme};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::support::{Ask, Device, Line, Process};

/// A service manager's end of sd_notify(3).
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { socket: UnixDatagram::bind(folder.path().join("notify")).unwrap(), folder }
    }

    fn address(&self) -> String {
        self.folder.path().join("notify").display().to_string()
    }

    /// What was told and not heard yet.
    fn rest(&self) -> String {
        let mut rest = String::new();
        let mut bytes = [0; 4096];
        while let Ok(length) = self.socket.try_recv(&mut bytes) {
            rest.push_str(str::from_utf8(&bytes[..length]).unwrap());
            rest.push('\n');
        }
        rest
    }

    /// The next message with this in it.
    async fn hears(&self, key: &str) -> HashMap<String, String> {
        let listening = async {
            loop {
                let mut bytes = [0; 4096];
                let length = self.socket.recv(&mut bytes).await.unwrap();
                let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
                let pairs = text.lines().map(|line| line.split_once('=').expect("KEY=value"));
                let told: HashMap<_, _> =
                    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                if told.contains_key(key) {
                    return told;
                }
            }
        };
        timeout(Duration::from_secs(20), listening).await.unwrap_or_else(|_| panic!("never told {key}"))
    }
}

#[tokio::test]
async fn a_service_manager_is_told_when_it_serves_reloads_lives_and_stops() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let manager = Manager::new();
    let process = Process::new(&device.table("meter", ""))
        .with("NOTIFY_SOCKET", manager.address())
        .with("WATCHDOG_USEC", "400000");
    let server = process.start(&["run"]);
    let told = manager.hears("READY").await;
    assert_eq!((told["READY"].as_str(), told["STATUS"].as_str()), ("1", "serves 1 device"));
    let mut line = Line::to(server.address().await).await;
    assert_eq!(line.ask(&Ask::get("/healthz")).await.unwrap().status, 200);
    for _ in 0..2 {
        assert_eq!(manager.hears("WATCHDOG").await["WATCHDOG"], "1");
    }
    process.write("[devices.meter]\nvendor = \"nobody\"\n");
    let told = manager.hears("RELOADING").await;
    assert!(told["MONOTONIC_USEC"].parse::<u64>().unwrap() > 0);
    assert!(manager.hears("READY").await["STATUS"].contains("can't be read: the former one stays"));
    process.write(&(device.table("meter", "") + &device.table("other", "")));
    manager.hears("RELOADING").await;
    assert_eq!(manager.hears("READY").await["STATUS"], "serves 2 devices");
    server.signal("TERM").await;
    assert_eq!(manager.hears("STOPPING").await["STOPPING"], "1");
}

#[tokio::test]
async fn who_stops_reads_no_configuration_any_more() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let manager = Manager::new();
    let process = Process::new(&device.table("meter", "")).with("NOTIFY_SOCKET", manager.address());
    let server = process.start(&["run"]);
    let mut slow = Line::to(server.address().await).await;
    slow.begin(&Ask::get("/meter/twin/slow?ms=2000")).await;
    device.twin.journal().reaches(1).await;
    server.signal("TERM").await;
    manager.hears("STOPPING").await;
    server.signal("HUP").await;
    process.write(&device.table("other", ""));
    assert_eq!(slow.reply(&Method::GET).await.unwrap().status, 200);
    assert_eq!(server.ends().await.code, Some(0));
    assert_eq!(manager.rest(), "");
}
