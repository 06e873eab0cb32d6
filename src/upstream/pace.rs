//! The least time between two requests to a device, and between two for the same path.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep_until};

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
    paths: StdMutex<HashMap<String, Last>>,
}

impl Pace {
    pub(super) fn new(interval: Duration, path_interval: Duration) -> Self {
        Self { interval, path_interval, last: Last::default(), paths: StdMutex::default() }
    }

    /// Waits until a request may go out. Nobody else's may until what this returns is dropped.
    pub(super) async fn turn(&self) -> Option<Turn> {
        if self.interval.is_zero() {
            return None;
        }
        Some(Turn::come(Arc::clone(&self.last), self.interval).await)
    }

    /// Waits until a request for this path may go out.
    pub(super) async fn path_turn(&self, path: &str) -> Option<Turn> {
        if self.path_interval.is_zero() {
            return None;
        }
        Some(Turn::come(self.path(path), self.path_interval).await)
    }

    fn path(&self, path: &str) -> Last {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if paths.len() >= MAX_PATHS {
            paths.retain(|_, last| Arc::strong_count(last) > 1 || self.is_recent(last));
        }
        Arc::clone(paths.entry(path.to_owned()).or_default())
    }

    fn is_recent(&self, last: &Last) -> bool {
        last.try_lock().is_ok_and(|last| last.is_some_and(|last| last.elapsed() < self.path_interval))
    }
}

/// The right to ask now.
pub(super) struct Turn(OwnedMutexGuard<Option<Instant>>);

impl Turn {
    async fn come(last: Last, interval: Duration) -> Self {
        let last = last.lock_owned().await;
        if let Some(last) = *last {
            sleep_until(last + interval).await;
        }
        Self(last)
    }

    /// It is used: the next one's comes so much later.
    pub(super) fn take(mut self) {
        *self.0 = Some(Instant::now());
    }
}
