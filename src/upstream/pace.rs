//! The least time between two requests to a device, and between two for the same path.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex as StdMutex;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep, sleep_until};

use super::Settings;
use super::gate::{Full, Gate, Slot, Urgency};

/// Paths whose last request is remembered; more than are asked for within any interval.
const MAX_PATHS: usize = 1024;

/// When something was asked last. Who holds it is next.
type Last = Arc<Mutex<Option<Instant>>>;

/// How fast a device is asked.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    path_interval: Duration,
    last: Last,
    paths: StdMutex<HashMap<String, Path>>,
    /// How many may wait for a path.
    max_waiting: usize,
}

/// One path: who is to ask for it next, and when it was asked for last.
#[derive(Clone, Debug)]
struct Path {
    gate: Arc<Gate>,
    last: Last,
}

impl Pace {
    /// The next request is as far from the last one of `former` as from any.
    pub(super) fn new(settings: &Settings, former: Option<&Self>) -> Self {
        let &Settings { min_interval: interval, path_interval, max_waiting, .. } = settings;
        let last = former.map(|former| Arc::clone(&former.last)).unwrap_or_default();
        let paths = former.map(|former| former.paths.lock().clone()).unwrap_or_default();
        let anew = |(path, Path { last, .. })| (path, Path::new(max_waiting, last));
        let paths = StdMutex::new(paths.into_iter().map(anew).collect());
        Self { interval, path_interval, last, paths, max_waiting }
    }

    /// Waits until a request may go out. Nobody else's may until what this returns is dropped.
    pub(super) async fn turn(&self) -> Option<Turn> {
        if self.interval.is_zero() {
            return None;
        }
        Some(Box::pin(Turn::come(Arc::clone(&self.last), self.interval, None)).await)
    }

    /// Waits until a request for this path may go out, in turns with those of other callers.
    pub(super) async fn path_turn(&self, path: &str, urgency: Urgency) -> Result<Option<Turn>, Full> {
        if self.path_interval.is_zero() {
            return Ok(None);
        }
        let Path { gate, last } = self.path(path);
        let slot = gate.enter(urgency).await?;
        Ok(Some(Box::pin(Turn::come(last, self.path_interval, Some(slot))).await))
    }

    /// Lets as much time go by as is to be between two requests for a path. Who has a connection must not wait for those
    /// who wait for one.
    pub(super) async fn pass_path_interval(&self) {
        if !self.path_interval.is_zero() {
            Box::pin(sleep(self.path_interval)).await;
        }
    }

    fn path(&self, path: &str) -> Path {
        let mut paths = self.paths.lock();
        if paths.len() >= MAX_PATHS {
            paths.retain(|_, Path { last, .. }| Arc::strong_count(last) > 1 || self.is_recent(last));
        }
        let anew = || Path::new(self.max_waiting, Last::default());
        paths.entry(path.to_owned()).or_insert_with(anew).clone()
    }

    fn is_recent(&self, last: &Last) -> bool {
        last.try_lock().is_ok_and(|last| last.is_some_and(|last| last.elapsed() < self.path_interval))
    }
}

impl Path {
    fn new(max_waiting: usize, last: Last) -> Self {
        Self { gate: Gate::new(1, max_waiting), last }
    }
}

/// The right to ask now.
pub(super) struct Turn {
    last: OwnedMutexGuard<Option<Instant>>,
    /// Where there is a line, who is next in it waits for this.
    _slot: Option<Slot>,
}

impl Turn {
    async fn come(last: Last, interval: Duration, slot: Option<Slot>) -> Self {
        let last = last.lock_owned().await;
        if let Some(last) = *last {
            sleep_until(last + interval).await;
        }
        Self { last, _slot: slot }
    }

    /// It is used: the next one's comes so much later.
    pub(super) fn take(mut self) {
        *self.last = Some(Instant::now());
    }
}
