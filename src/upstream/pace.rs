//! The least time between two requests to a device, and between two for the same path.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex as StdMutex;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep, sleep_until};

use super::gate::Full;

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
    /// How many wait for a path.
    waiting: AtomicUsize,
}

impl Pace {
    /// The next request is as far from the last one of `former` as from any.
    pub(super) fn new(interval: Duration, path_interval: Duration, former: Option<&Self>) -> Self {
        let last = former.map(|former| Arc::clone(&former.last)).unwrap_or_default();
        let paths = former.map(|former| former.paths.lock().clone()).unwrap_or_default();
        let (paths, waiting) = (StdMutex::new(paths), AtomicUsize::new(0));
        Self { interval, path_interval, last, paths, waiting }
    }

    /// Waits until a request may go out. Nobody else's may until what this returns is dropped.
    pub(super) async fn turn(&self) -> Option<Turn> {
        if self.interval.is_zero() {
            return None;
        }
        Some(Turn::come(Arc::clone(&self.last), self.interval).await)
    }

    /// Waits until a request for this path may go out, beside so many others at the most.
    pub(super) async fn path_turn(&self, path: &str, most: usize) -> Result<Option<Turn>, Full> {
        if self.path_interval.is_zero() {
            return Ok(None);
        }
        let _waiting = Waiting::among(&self.waiting, most).ok_or(Full)?;
        Ok(Some(Turn::come(self.path(path), self.path_interval).await))
    }

    /// Lets as much time go by as is to be between two requests for a path. Who has a connection must not wait for those
    /// who wait for one.
    pub(super) async fn pass_path_interval(&self) {
        if !self.path_interval.is_zero() {
            sleep(self.path_interval).await;
        }
    }

    fn path(&self, path: &str) -> Last {
        let mut paths = self.paths.lock();
        if paths.len() >= MAX_PATHS {
            paths.retain(|_, last| Arc::strong_count(last) > 1 || self.is_recent(last));
        }
        Arc::clone(paths.entry(path.to_owned()).or_default())
    }

    fn is_recent(&self, last: &Last) -> bool {
        last.try_lock().is_ok_and(|last| last.is_some_and(|last| last.elapsed() < self.path_interval))
    }
}

/// One of those who wait for a path.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let this = Self(waiting);
        // The one whose turn it is does not wait.
        (this.0.fetch_add(1, Ordering::Relaxed) <= most).then_some(this)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
