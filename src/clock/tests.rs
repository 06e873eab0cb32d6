use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use time::format_description::well_known::Rfc3339;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_while_it_runs_changes_nothing() {
    static WALL: AtomicI64 = AtomicI64::new(1_800_000_000_000);
    let clock = Clock::of(|| Timestamp::from_millis(WALL.load(Ordering::Relaxed)), || Duration::ZERO);
    let started = clock.now();
    tokio::time::advance(DAY).await;
    for set_to in [0, 1_900_000_000_000] {
        WALL.store(set_to, Ordering::Relaxed);
        assert_eq!(clock.now().since(started), DAY);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_not_set_at_the_start_is_right_as_soon_as_it_is_set() {
    static WALL: AtomicI64 = AtomicI64::new(30_000);
    let clock = Clock::of(|| Timestamp::from_millis(WALL.load(Ordering::Relaxed)), || Duration::ZERO);
    let instant = clock.instant();
    tokio::time::advance(DAY).await;
    assert_eq!(clock.now(), Timestamp::from_millis(30_000).plus(DAY));
    WALL.store(1_800_000_000_000, Ordering::Relaxed);
    assert_eq!(clock.now(), Timestamp::from_millis(1_800_000_000_000));
    assert_eq!(clock.instant().duration_since(instant), DAY, "lifetimes and rests go on as they were");
}

#[tokio::test(start_paused = true)]
async fn the_time_that_the_machine_was_asleep_counts() {
    static ASLEEP: AtomicU64 = AtomicU64::new(5 * 3600);
    let asleep = || Duration::from_secs(ASLEEP.load(Ordering::Relaxed));
    let clock = Clock::of(|| Timestamp::from_seconds(1_800_000_000), asleep);
    let (now, instant) = (clock.now(), clock.instant());
    assert_eq!(now, Timestamp::from_seconds(1_800_000_000), "what was slept before the start is over");
    ASLEEP.fetch_add(8 * 3600, Ordering::Relaxed);
    assert_eq!((clock.now().since(now), clock.instant().duration_since(instant)), (DAY / 3, DAY / 3));
}

#[test]
fn the_systems_clocks_agree_with_themselves() {
    let clock = Clock::system();
    let (first, second) = (clock.now(), clock.now());
    assert!(first <= second && second.since(first) < DAY);
    assert!(first > EARLIEST, "a machine that runs tests knows what day it is");
    let (instant, tokios) = (clock.instant(), Instant::now());
    assert!(
        tokios.saturating_duration_since(instant) < DAY && instant.saturating_duration_since(tokios) < DAY
    );
}

#[test]
fn every_moment_is_told_as_rfc_3339_those_that_it_cannot_tell_too() {
    for (milliseconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (1_767_225_600_999, "2026-01-01T00:00:00Z"),
        (-62_167_219_200_000, "0000-01-01T00:00:00Z"),
        (-62_167_219_200_001, "0000-01-01T00:00:00Z"),
        (i64::MIN, "0000-01-01T00:00:00Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59Z"),
        (i64::MAX, "9999-12-31T23:59:59Z"),
    ] {
        let moment = Timestamp::from_millis(milliseconds);
        assert_eq!(moment.to_string(), text, "{milliseconds}");
        assert_eq!(serde_json::to_value(moment).unwrap(), text);
        assert!(OffsetDateTime::parse(text, &Rfc3339).is_ok(), "{text}");
    }
}
