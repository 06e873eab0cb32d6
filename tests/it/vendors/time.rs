//! Clocks that are wrong, and machines that were asleep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use keyward::clock::{Clock, Timestamp};
use keyward::twin;
use keyward::twin::egauge::{Egauge, EgaugeSettings};

use super::Bench;
use crate::support::{Ask, Device, End, Lab};

/// Milliseconds of a year.
const YEAR: i64 = 365 * 24 * 3600 * 1000;

#[tokio::test]
async fn a_wall_clock_that_is_wrong_is_a_hint_and_no_more() {
    let right = Clock::of_runtime().now().as_millis();
    for wrong in [right - YEAR, right + YEAR, 30_000] {
        for twin in twin::every().await.unwrap() {
            let mut bench = Bench::of(twin).await;
            bench.lab.set_clock(Clock::starting_at(Timestamp::from_millis(wrong)));
            bench.lab.restart(End::Stopped).await;
            bench.reads().await;
            bench.reads().await;
            bench.has_logged_in(1);
            if bench.twin.renewable() {
                bench.twin.lapse();
                bench.reads().await;
                bench.has_logged_in(2);
            }
            // The next start is on a day far from that of the last.
            let logins = bench.twin.logins();
            bench.lab.set_clock(Clock::of_runtime());
            bench.lab.restart(End::Killed).await;
            bench.reads().await;
            bench.reads().await;
            assert!(bench.twin.logins() <= logins + 1, "{} of {}", bench.twin.logins(), bench.make());
        }
    }
}

#[tokio::test]
async fn after_hours_asleep_the_first_request_renews_once_and_no_connection_is_taken_for_alive() {
    static ASLEEP: AtomicU64 = AtomicU64::new(0);
    let asleep = || Duration::from_secs(ASLEEP.load(Ordering::Relaxed));
    let meter = Egauge::new(EgaugeSettings::default());
    let device = Device::new(std::sync::Arc::<Egauge>::clone(&meter));
    let mut lab = Lab::new(&device.table("meter", "")).await;
    lab.set_clock(Clock::of(|| Timestamp::from_seconds(1_800_000_000), asleep));
    lab.restart(End::Stopped).await;
    assert_eq!(lab.send(&Ask::post("/meter/twin/echo", "x")).await.status, 200);
    let before = device.twin.arrivals();
    let latest = before.iter().map(|arrival| arrival.connection).max();

    ASLEEP.store(8 * 3600, Ordering::Relaxed);
    // Whatever acts could not be sent again if the connection turned out to be dead.
    let asks: Vec<_> = (0..20).map(|_| Ask::post("/meter/twin/echo", "x")).collect();
    for reply in join_all(asks.iter().map(|ask| lab.send(ask))).await {
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let since: Vec<_> = device.twin.arrivals().split_off(before.len());
    assert!(since.iter().all(|arrival| Some(arrival.connection) > latest), "{since:?}");
    assert!(since.iter().all(|arrival| arrival.target != "/twin/echo" || arrival.status == 200), "{since:?}");
    assert_eq!(device.twin.logins(), 2);
}
