//! What was asked and what came of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::errands::{Ending, Errand};
use super::plant::Plant;

/// So many are told in full.
const TOLD: usize = 20;

#[derive(Default)]
struct Pages {
    endings: BTreeMap<(Errand, String), usize>,
    times: BTreeMap<Errand, Vec<Duration>>,
    wrong: Vec<String>,
}

pub(super) struct Ledger {
    begun: Instant,
    pages: Mutex<Pages>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), pages: Mutex::default() }
    }

    /// How one request ended; whether something explains that is told at once.
    pub(super) fn note(&self, plant: &Plant, errand: Errand, ending: Ending, begun: Instant) {
        let now = Instant::now();
        let (name, wrong) = match ending {
            Ending::Right => ("right".to_owned(), None),
            Ending::Left => ("left".to_owned(), None),
            Ending::Fault(fault) if errand.explains(&fault) || plant.explains(&fault, begun, now) => {
                (fault, None)
            }
            Ending::Fault(fault) => {
                let why = format!("{fault}, which nothing explains");
                (fault, Some(why))
            }
            Ending::Wrong(why) => ("WRONG".to_owned(), Some(why)),
        };
        let mut pages = self.pages.lock().unwrap();
        if name == "right" {
            pages.times.entry(errand).or_default().push(now - begun);
        }
        if let Some(why) = wrong {
            let at = begun - self.begun;
            pages.wrong.push(format!("{at:?} (+{:?}) {} {errand:?}: {why}", now - begun, plant.name));
        }
        *pages.endings.entry((errand, name)).or_default() += 1;
    }

    /// Every answer that is not the right one and that nothing explains.
    pub(super) fn wrong(&self) -> Vec<String> {
        let pages = self.pages.lock().unwrap();
        let mut told: Vec<_> = pages.wrong.iter().take(TOLD).cloned().collect();
        if pages.wrong.len() > TOLD {
            told.push(format!("and {} more", pages.wrong.len() - TOLD));
        }
        told
    }

    /// How many requests there were, and how many of them met a fault of any kind: one that they were to meet, too.
    pub(super) fn counts(&self) -> (usize, usize) {
        let (mut all, mut faults) = (0, 0);
        for ((errand, ending), count) in &self.pages.lock().unwrap().endings {
            all += count;
            let is_fine = ["right", "left"].contains(&ending.as_str());
            if !is_fine || [Errand::BrokenBody, Errand::Garbage].contains(errand) {
                faults += count;
            }
        }
        (all, faults)
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut pages = self.pages.lock().unwrap();
        let mut table = String::new();
        for ((errand, ending), count) in &pages.endings {
            writeln!(table, "{:<14}{ending:<20}{count:>9}", format!("{errand:?}")).unwrap();
        }
        for (errand, times) in &mut pages.times {
            times.sort_unstable();
            let at = |share: usize| times[(times.len() - 1) * share / 100];
            writeln!(table, "{:<14}p50 {:>10.2?}  p99 {:>10.2?}", format!("{errand:?}"), at(50), at(99))
                .unwrap();
        }
        table
    }
}
