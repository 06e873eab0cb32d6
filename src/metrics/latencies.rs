//! How long a device took, the last times: for a line on the page, and cheap enough for every answer.

use std::array;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// So many are remembered.
const REMEMBERED: usize = 60;

/// The last latencies, in microseconds; the oldest makes room for the next. Two that come at once may come in either
/// order.
#[derive(Debug)]
pub(super) struct Latencies {
    taken: [AtomicU32; REMEMBERED],
    count: AtomicUsize,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { taken: array::from_fn(|_| AtomicU32::new(0)), count: AtomicUsize::new(0) }
    }
}

impl Latencies {
    /// Notes one.
    pub(super) fn note(&self, took: Duration) {
        let micros = took.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(took.subsec_micros()));
        let nth = self.count.fetch_add(1, Ordering::Relaxed) % REMEMBERED;
        if let Some(place) = self.taken.get(nth) {
            place.store(u32::try_from(micros).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
    }

    /// Those that are remembered, the oldest first.
    pub(super) fn all(&self) -> Vec<Duration> {
        let count = self.count.load(Ordering::Relaxed);
        let read = |nth: usize| {
            let micros = self.taken.get(nth % REMEMBERED).map(|place| place.load(Ordering::Relaxed));
            Duration::from_micros(u64::from(micros.unwrap_or_default()))
        };
        (count.saturating_sub(REMEMBERED)..count).map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_in_their_order() {
        let latencies = Latencies::default();
        assert!(latencies.all().is_empty());
        for nth in 1..=100 {
            latencies.note(Duration::from_millis(nth));
        }
        let expected: Vec<_> = (41..=100).map(Duration::from_millis).collect();
        assert_eq!(latencies.all(), expected);
        latencies.note(Duration::MAX);
        assert_eq!(latencies.all().last(), Some(&Duration::from_micros(u64::from(u32::MAX))));
    }
}
