//! What a process has at a time.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, interval};

use super::plant::Park;
use crate::it::support::{Ask, Line, Running};

/// What is in use.
pub(super) struct Vitals {
    /// Open descriptors but for the connections to devices, which come and go with the requests.
    pub(super) descriptors: u64,
    /// Bytes of memory that are no file's.
    pub(super) memory: u64,
}

impl Vitals {
    pub(super) async fn of(server: &Running, address: SocketAddr, park: &Park) -> Self {
        let mut kept = 0;
        for plant in &park.plants {
            kept += plant.device.lock().await.served().connections();
        }
        let open = figure(address, "process_open_fds").await;
        Self { descriptors: open.saturating_sub(kept as u64), memory: memory(server.id()) }
    }

    /// Waits until they are as they should be, and gives up with what they are.
    pub(super) async fn settled(
        server: &Running,
        address: SocketAddr,
        park: &Park,
        patience: Duration,
        are_fine: impl Fn(&Self) -> bool,
    ) -> Self {
        let ends = Instant::now() + patience;
        let mut looks = interval(Duration::from_millis(500));
        loop {
            looks.tick().await;
            let now = Self::of(server, address, park).await;
            if are_fine(&now) || Instant::now() > ends {
                return now;
            }
        }
    }
}

impl fmt::Display for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4} descriptors, {:>6} KiB", self.descriptors, self.memory >> 10)
    }
}

/// Bytes of memory that are no file's.
pub(crate) fn memory(process: u32) -> u64 {
    status(process, "RssAnon:") << 10
}

/// How many threads the process has.
pub(super) fn threads(process: u32) -> u64 {
    status(process, "Threads:")
}

fn status(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A figure of `/metrics` without labels.
pub(super) async fn figure(address: SocketAddr, name: &str) -> u64 {
    let reply = Line::to(address).await.ask(&Ask::get("/metrics")).await.unwrap();
    let line = reply.text().lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
    line.trim().parse().unwrap()
}
