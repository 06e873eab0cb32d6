//! Time: a wall clock that is read once and then runs on the monotonic one.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

/// A moment, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `milliseconds` after the Unix epoch.
    pub const fn from_millis(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// The moment `seconds` after the Unix epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and a while.
    #[must_use]
    pub fn plus(self, while_: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(while_.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment a while before.
    #[must_use]
    pub fn minus(self, while_: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(while_.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; nothing if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(0).plus(after),
            Err(before) => Self(-Self(0).plus(before.duration()).0),
        }
    }
}

/// The first and the last second of the years that RFC 3339 has digits for, 0000 and 9999.
const TOLD: [i64; 2] = [-62_167_219_200, 253_402_300_799];

/// RFC 3339 in UTC, to the second. What is beyond the years that it can tell is told as the nearest moment within: a device
/// may say of a session that it lasts for ever.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, last] = TOLD;
        let seconds = self.as_seconds().clamp(first, last);
        let text = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|it| it.format(&Rfc3339).ok());
        f.write_str(&text.unwrap_or_default())
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// No machine that runs this has an earlier date: its clock has not been set yet. 2026-01-01.
pub const EARLIEST: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// Where the time comes from.
///
/// The wall clock is read at the start only; from then on time is that moment, what the monotonic clock has counted
/// since, and how long the machine was asleep meanwhile, which that clock leaves out. A clock set a year forward by hand
/// or by NTP neither ends sessions nor prolongs rests: those are measured by [`Clock::instant`]. A machine that learns the
/// time from the network has none at the start: there [`Clock::now`] follows the wall clock once that has been set.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started_at: Timestamp,
    started: Instant,
    wall: fn() -> Timestamp,
    count: Count,
}

/// What counts the time since the start, whether the machine is awake or asleep.
#[derive(Clone, Copy, Debug)]
enum Count {
    /// A clock of the machine's, which showed so much at the start. Every request asks several times what time it is, so
    /// it is one clock and not the sum of two.
    Machine { before: Duration },
    /// tokio's clock, which tests turn forward, and whoever says how long the machine was asleep besides.
    Told { asleep: fn() -> Duration, before: Duration },
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self { count: Count::Machine { before: since_switched_on() }, ..Self::of_runtime() }
    }

    /// The machine's wall clock, and tokio's: a test turns it forward, and simulated devices with it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn of_runtime() -> Self {
        Self::of(|| SystemTime::now().into(), || Duration::ZERO)
    }

    /// A clock that shows `moment` now, on a machine that never sleeps.
    pub fn starting_at(moment: Timestamp) -> Self {
        Self { started_at: moment, ..Self::of(|| Timestamp::from_millis(0), || Duration::ZERO) }
    }

    /// A clock after this wall clock, on a machine that was asleep for so long since it was switched on.
    pub fn of(wall: fn() -> Timestamp, asleep: fn() -> Duration) -> Self {
        let count = Count::Told { asleep, before: asleep() };
        Self { started_at: wall(), started: Instant::now(), wall, count }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        let wall = if self.started_at < EARLIEST { (self.wall)() } else { self.started_at };
        if wall > self.started_at && wall >= EARLIEST {
            return wall;
        }
        self.started_at.plus(self.instant().duration_since(self.started))
    }

    /// The monotonic clock, and with it the time that the machine was asleep.
    pub fn instant(&self) -> Instant {
        match self.count {
            Count::Machine { before } => self.started + since_switched_on().saturating_sub(before),
            Count::Told { asleep, before } => Instant::now() + asleep().saturating_sub(before),
        }
    }
}

/// How long ago the machine was switched on, the time that it was asleep included.
fn since_switched_on() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let whole = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    whole + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}
