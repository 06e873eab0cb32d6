//! How often what devices count was used.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Keeper;
use crate::vendor::{Count, Session};

/// So many counts are remembered beside those in use. A device that asks for something new each time never comes back to
/// what was before; one that asks for the same for long has few.
const REMEMBERED: usize = 64;

/// The counts of one device, each under its name. They outlive the session that began them: what asks for the same again
/// is counted on, whoever was asked.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<VecDeque<(String, Arc<AtomicU64>)>>);

impl Counts {
    /// The count of this name: the one there is, or a new one.
    fn of(&self, name: &str) -> Arc<AtomicU64> {
        let mut counts = self.0.lock();
        if let Some((_, count)) = counts.iter().find(|(known, _)| known == name) {
            return Arc::clone(count);
        }
        if counts.len() >= REMEMBERED
            && let Some(unused) = counts.iter().position(|(_, count)| Arc::strong_count(count) == 1)
        {
            counts.remove(unused);
        }
        let count = Arc::<AtomicU64>::default();
        counts.push_back((name.to_owned(), Arc::clone(&count)));
        count
    }
}

impl Count for Counts {
    fn next(&self, name: &str) -> u64 {
        next(&self.of(name))
    }
}

impl Keeper {
    /// The count that requests with this session go on with.
    pub(super) fn uses(&self, session: &Session) -> Arc<AtomicU64> {
        let name = self.parts.vendor.counted_by(session);
        name.map_or_else(Arc::default, |name| self.counts.of(&name))
    }
}

/// The next number, which nobody else gets.
pub(super) fn next(count: &AtomicU64) -> u64 {
    count.fetch_add(1, Ordering::Relaxed) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_goes_on_as_long_as_it_is_in_use_and_a_while_after() {
        let counts = Counts::default();
        let held = counts.of("held");
        assert_eq!([next(&held), counts.next("held"), counts.next("other")], [1, 2, 1]);
        (0..10 * REMEMBERED).for_each(|nth| assert_eq!(counts.next(&format!("{nth}")), 1));
        assert_eq!(counts.next("held"), 3);
        assert_eq!(counts.next(&format!("{}", 10 * REMEMBERED - 1)), 2, "it was the last one");
        assert_eq!(counts.0.lock().len(), REMEMBERED, "what devices ask for fills no memory");
    }
}
