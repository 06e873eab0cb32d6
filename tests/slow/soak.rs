//! Many callers, every make, every kind of trouble at once, and reloads all along: nothing is lost and nothing stays
//! behind. `just soak 60` does it for an hour; what is said at the end can be had again with the seed it prints.

mod callers;
mod dice;
mod errands;
mod ledger;
mod plant;
mod troubles;
pub(crate) mod vitals;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use crate::it::support::{Ask, Line, Process, until};
use callers::Callers;
use dice::Dice;
use ledger::Ledger;
use plant::Park;
use vitals::Vitals;

/// Without a word about it: enough to see every trouble a few times.
const SLICE: Duration = Duration::from_secs(24);
/// Callers that ask at the same time.
const CALLERS: u64 = 32;
/// A rest of a keeper lasts up to a minute; so does what a kept connection or a thread of the runtime leaves behind.
const SETTLED: Duration = Duration::from_secs(100);
/// What the allocator keeps of the busiest moment depends on how requests fell together, by up to so much.
const MEMORY_MARGIN: u64 = 12 << 20;
/// The connections of the device that is worse than any twin, and those to the cloud, are counted by nobody.
const DESCRIPTOR_MARGIN: u64 = 10;
/// Nobody may be left in the queue of a device after its caller has gone, however many went.
const LEAVERS: (usize, usize) = (1_000, 10_000);

/// Fewer requests than this in a second show nothing, on the slowest machine.
const LEAST: u64 = 50;
/// From so many minutes on there are as many as are promised.
const LONG: u64 = 10;
const PROMISED: u64 = 100_000;
/// Of a hundred requests so many at least meet a fault.
const FAULTS: usize = 5;

#[expect(clippy::disallowed_methods, reason = "it is whoever runs the test that says so")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn soak() {
    let seed = setting("KEYWARD_SOAK_SEED").unwrap_or_else(rand::random);
    let minutes = setting("KEYWARD_SOAK_MINUTES");
    let duration = minutes.map_or(SLICE, |minutes| Duration::from_secs(minutes * 60));
    println!("KEYWARD_SOAK_SEED={seed}, {} s", duration.as_secs());
    let park = Arc::new(Park::new(seed).await);
    let process = Process::new(&park.configuration(false));
    let server = process.start(&["run"]);
    let address = server.address().await;
    // It says where it listens before every thread of it runs; whoever reloads has them all.
    server.signal("HUP").await;
    server.logs("taken over").await;
    let threads = vitals::threads(server.id());
    let ledger = Arc::new(Ledger::new());

    let (mut befores, mut requests) = (Vec::new(), Vec::new());
    // The first third warms up: what is in use after it may be in use at the end.
    for (part, share) in [(0, duration / 3), (1, duration * 2 / 3)] {
        let callers = Callers::start(CALLERS, address, seed + part, &park, &ledger);
        troubles::make(&park, &process, &server, Dice::new(seed, 1000 + part), share).await;
        callers.stop().await;
        settle(&park, address).await;
        befores.push(Vitals::of(&server, address, &park).await);
        requests.push(ledger.counts().0);
    }
    let leavers = if minutes.is_some() { LEAVERS.1 } else { LEAVERS.0 };
    let slowest = leave(&park, address, leavers).await;
    println!("{leavers} callers left midway; a device was let go of after {slowest:?} at the most");
    let mut broken = gates(&park, address).await;

    let before = &befores[0];
    let is_small = |now: &Vitals| {
        now.descriptors <= before.descriptors + DESCRIPTOR_MARGIN
            && now.memory <= before.memory + MEMORY_MARGIN
            && vitals::threads(server.id()) <= threads
    };
    let after = Vitals::settled(&server, address, &park, SETTLED, is_small).await;
    let grown = befores[1].memory.saturating_sub(before.memory);
    println!("memory grew by {} bytes per request", grown / (requests[1] - requests[0]).max(1) as u64);
    println!("{}\n{before}\n{after}\nthreads {threads} -> {}", ledger.table(), vitals::threads(server.id()));
    if !is_small(&after) {
        broken.push("something stays behind".to_owned());
    }
    if slowest > Duration::from_secs(1) {
        broken.push(format!("a device was held for {slowest:?} after its caller had left"));
    }
    for name in ["keyward_panics_total", "keyward_log_lines_dropped_total"] {
        let count = vitals::figure(address, name).await;
        if count != 0 {
            broken.push(format!("{name} is {count}"));
        }
    }
    broken.extend(ledger.wrong());
    let (all, faults) = ledger.counts();
    let least =
        (duration.as_secs() * LEAST).max(minutes.filter(|minutes| *minutes >= LONG).map_or(0, |_| PROMISED));
    println!("{all} requests, of {least} at least; {faults} met a fault");
    if (all as u64) < least {
        broken.push(format!("only {all} requests of {least}"));
    }
    if faults * 100 < all * FAULTS {
        broken.push(format!("only {faults} faults in {all} requests"));
    }
    for (name, made, allowed) in park.logins(duration) {
        println!("{name}: {made} logins, of {allowed} at the most");
        if made > allowed {
            broken.push(format!("{name}: {made} logins instead of {allowed}"));
        }
    }
    if park.seats() != 1 {
        broken.push(format!("{} sessions of the changing device are left", park.seats()));
    }
    server.signal("TERM").await;
    let ended = server.ends().await;
    if ended.code != Some(0) {
        broken.push(format!("it ends with {:?}", ended.code));
    }
    let log: Vec<_> = ended.err.lines().rev().take(30).collect();
    assert!(broken.is_empty(), "KEYWARD_SOAK_SEED={seed}\n{}\n\n{}", broken.join("\n"), log.join("\n"));
}

/// All trouble is over: every device answers again.
async fn settle(park: &Park, address: std::net::SocketAddr) {
    for plant in &park.plants {
        let mut last = "no answer".to_owned();
        let well = async {
            let mut looks = tokio::time::interval(Duration::from_millis(100));
            loop {
                looks.tick().await;
                let ask = Ask::get(plant.at(plant.twin.sample()));
                match Line::to(address).await.ask(&ask).await {
                    Ok(reply) if reply.status == 200 => break,
                    Ok(reply) => last = format!("{} {:?}", reply.status, reply.body),
                    Err(error) => last = error.to_string(),
                }
            }
        };
        let is_well = timeout(SETTLED, well).await.is_ok();
        assert!(is_well, "{} never answers again: {last}", plant.name);
    }
}

/// Callers who leave at every point of a request to a device with one connection. How long it took the device to be
/// let go of.
async fn leave(park: &Park, address: std::net::SocketAddr, count: usize) -> Duration {
    let plant = park.narrowest();
    let mut slowest = Duration::ZERO;
    for nth in 0..count {
        let mut line = Line::to(address).await;
        let arrived = plant.twin.journal().total();
        line.begin(&Ask::get(plant.at("/twin/slow?ms=3600000"))).await;
        if nth % 10 == 0 {
            plant.twin.journal().reaches(arrived + 1).await;
            drop(line);
            let left = Instant::now();
            plant.connections_settle(0).await;
            slowest = slowest.max(left.elapsed());
        }
    }
    slowest
}

/// Each device takes as many requests at once as it may, and those who leave leave their places.
async fn gates(park: &Park, address: std::net::SocketAddr) -> Vec<String> {
    let mut broken = Vec::new();
    for plant in &park.plants {
        for turn in 0..2 {
            let target = format!("/twin/slow?ms=3600000&turn={turn}");
            let target = &target;
            let asking = join_all((0..plant.max_connections()).map(async |nth| {
                let mut line = Line::to(address).await;
                line.begin(&Ask::get(plant.at(&format!("{target}&nth={nth}")))).await;
                line
            }));
            let lines = asking.await;
            let all = plant.max_connections();
            if timeout(SETTLED, until(|| plant.unanswered(target) >= all)).await.is_err() {
                broken.push(format!("{}: a place is lost", plant.name));
            }
            drop(lines);
        }
    }
    broken
}
