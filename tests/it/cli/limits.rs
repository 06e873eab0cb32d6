//! What the system lets a process have.

use std::net::SocketAddr;

use keyward::twin::generic::{Generic, Scheme};

use crate::support::{Ask, Device, Line, Process};

/// Callers that begin a request and never end it.
async fn stuck(address: SocketAddr, count: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for _ in 0..count {
        let mut line = Line::to(address).await;
        // Who has to give way has given way.
        drop(line.try_write("GET /meter/twin/sam").await);
        lines.push(line);
    }
    lines
}

#[tokio::test]
async fn callers_that_are_stuck_keep_nobody_out_however_few_descriptors_there_are() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", "")).after("ulimit -n 200");
    let server = process.start(&["run"]);
    let address = server.address().await;
    server.logs("the 200 file descriptors that this process may have suffice for 146 connections").await;
    let _stuck = stuck(address, 300).await;
    for _ in 0..50 {
        let reply = Line::to(address).await.ask(&Ask::get("/meter/twin/sample")).await.unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let page = Line::to(address).await.ask(&Ask::get("/")).await.unwrap();
    assert!(page.text().contains("[limits]"), "{}", page.text());
}

#[tokio::test]
async fn without_a_descriptor_left_it_rests_says_so_once_and_recovers() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", "")).after("ulimit -n 26");
    let server = process.start(&["run"]);
    let address = server.address().await;
    let stuck = stuck(address, 60).await;
    server.logs("connections can't be accepted").await;
    for _ in 0..5 {
        let reply = Line::to(address).await.ask(&Ask::get("/healthz")).await.unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    drop(stuck);
    let mut log = String::new();
    while !log.contains("connections are accepted again") {
        Line::to(address).await.ask(&Ask::get("/healthz")).await.unwrap();
        log = server.log();
    }
    assert_eq!(log.matches("connections can't be accepted").count(), 1, "{log}");
    let (_, failures) = log.split_once("failures=").unwrap();
    let failures: u64 = failures.lines().next().unwrap().parse().unwrap();
    assert!(failures < 500, "it spun: {failures}");
}

#[tokio::test]
async fn a_crash_of_a_process_with_credentials_leaves_no_memory_behind() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", "")).after("ulimit -Sn 100; ulimit -Hn 5000");
    let server = process.start(&["run"]);
    server.address().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    assert_eq!(limit("Max open files"), ["5000", "5000"]);
}
