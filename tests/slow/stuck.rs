//! How long good callers wait while others hold every connection that there is.

use std::time::Duration;

use keyward::twin::generic::{Generic, Scheme};
use tokio::time::Instant;

use crate::it::support::{Ask, Device, Line, Process};

/// Of a hundred requests one may take longer.
const P99: Duration = Duration::from_millis(250);

#[tokio::test]
async fn behind_three_hundred_stuck_callers_and_two_hundred_descriptors_nobody_waits_long() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", "")).after("ulimit -n 200");
    let server = process.start(&["run"]);
    let address = server.address().await;
    let mut stuck = Vec::new();
    for _ in 0..300 {
        let mut line = Line::to(address).await;
        drop(line.try_write("GET /meter/twin/sam").await);
        stuck.push(line);
    }
    let mut times = Vec::new();
    for nth in 0..1000 {
        // Those who had to give way come back.
        let mut again = Line::to(address).await;
        drop(again.try_write("GET /meter/twin/sam").await);
        let place = nth % stuck.len();
        stuck[place] = again;
        let begun = Instant::now();
        let reply = Line::to(address).await.ask(&Ask::get("/meter/twin/sample")).await.unwrap();
        assert_eq!(reply.status, 200);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    println!("p50 {:?}, p99 {:?}, longest {:?}", times[499], times[989], times[999]);
    assert!(times[989] < P99, "{:?}", times[989]);
}
