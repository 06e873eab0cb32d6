//! Signals, at moments that are not the usual ones.

use std::time::Duration;

use keyward::twin::generic::{Generic, Scheme};
use tokio::time::Instant;

use crate::support::{Ask, Device, Line, Process, Running};

async fn start(process: &Process) -> Running {
    let server = process.start(&["run"]);
    server.address().await;
    server
}

#[tokio::test]
async fn the_first_signal_among_reloads_ends_it_well_and_the_second_at_once() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", ""));
    for signal in ["TERM", "INT"] {
        let server = start(&process).await;
        for signal in ["HUP", "HUP", signal, "HUP"] {
            server.signal(signal).await;
        }
        assert_eq!(server.ends().await.code, Some(0), "{signal}");
        let server = start(&process).await;
        let mut slow = Line::to(server.address().await).await;
        let arrived = device.twin.journal().total();
        slow.begin(&Ask::get("/meter/twin/slow?ms=3600000")).await;
        device.twin.journal().reaches(arrived + 1).await;
        let begun = Instant::now();
        server.signal(signal).await;
        server.logs("stopping").await;
        server.signal("HUP").await;
        server.signal(signal).await;
        assert_eq!(server.ends().await.code, Some(1), "{signal}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
}
