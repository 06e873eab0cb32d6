//! Readings that look like a house and a lit floor, and differ from poll to poll.

use std::f64::consts::PI;

use crate::clock::Timestamp;

/// What a house takes and its roof gives, at a moment.
pub(crate) struct Readings {
    /// The moment, in seconds since 1970.
    pub(crate) seconds: i64,
    /// Watts from the roof.
    pub(crate) solar: f64,
    /// Watts that the house takes.
    pub(crate) house: f64,
    /// Volts between a phase and neutral.
    pub(crate) volts: f64,
    /// Watt-hours that the roof gave, ever.
    pub(crate) yielded: i64,
    /// Watt-hours that the house took, ever.
    pub(crate) taken: i64,
}

impl Readings {
    /// The readings of now. Noon is at 12 UTC, wherever the twin stands.
    pub(crate) fn at(now: Timestamp) -> Self {
        let seconds = now.as_seconds();
        let hour = seconds.rem_euclid(86_400) as f64 / 3600.0;
        let sun = ((hour - 6.0) / 12.0 * PI).sin().max(0.0);
        let evening = (-(hour - 19.5).powi(2) / 6.0).exp();
        Self {
            seconds,
            solar: noisy(7_200.0 * sun, 0.03),
            house: noisy(420.0 + 1_900.0 * evening, 0.05),
            volts: noisy(230.0, 0.004),
            // A long average keeps the counters rising whatever the weather of the moment.
            yielded: seconds.saturating_mul(2_292) / 3600,
            taken: seconds.saturating_mul(763) / 3600,
        }
    }

    /// Watts from the grid; below nothing when the roof feeds it.
    pub(crate) fn grid(&self) -> f64 {
        thousandths(self.house - self.solar)
    }

    /// Watt-hours that came from the grid, ever; what the roof fed it is not taken off.
    pub(crate) fn bought(&self) -> i64 {
        self.taken / 2
    }
}

/// To the nearest whole number.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and no reading is near the limits")]
pub(crate) fn whole(value: f64) -> i64 {
    value.round() as i64
}

/// As finely as devices tell.
fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn noisy(value: f64, share: f64) -> f64 {
    let value = value * (1.0 + share * (rand::random::<f64>() - 0.5)) + rand::random::<f64>();
    thousandths(value)
}
