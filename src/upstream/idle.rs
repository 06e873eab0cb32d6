//! Connections that nobody uses now, until the device would close them.

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use crate::clock::Clock;
use crate::fields;

/// How long an unused connection is kept where the device does not say.
const KEPT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// A device closes when its time is over; we do so a little earlier.
const MARGIN: Duration = Duration::from_secs(1);

/// Unused connections to one device.
pub(super) struct Idle {
    state: Mutex<State>,
    keeps: bool,
    /// After the machine was asleep the device has long forgotten them.
    clock: Clock,
    /// Woken when something happens to one of them, such as that the device closes it.
    resting: Waker,
    stirred: Arc<Stirred>,
}

/// Tells who looks after the connections.
#[derive(Default)]
struct Stirred(Notify);

impl Wake for Stirred {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

#[derive(Default)]
struct State {
    /// The one used last at the end.
    connections: Vec<(Instant, Box<Connection>)>,
    /// How long the device keeps them, as far as it has said.
    kept: Option<Duration>,
    /// Whether somebody looks after them.
    reaped: bool,
    /// Counts the times that they were all given up.
    epoch: u64,
}

impl Idle {
    /// `keeps`: whether there is anything to keep at all.
    pub(super) fn new(keeps: bool, clock: Clock) -> Self {
        let stirred = Arc::<Stirred>::default();
        let resting = Waker::from(Arc::clone(&stirred));
        Self { state: Mutex::default(), keeps, clock, resting, stirred }
    }

    /// A connection that is still good, as far as can be told without using it; where there is none, the time that one
    /// belongs to which is opened now.
    pub(super) async fn take(&self) -> Result<Box<Connection>, u64> {
        loop {
            let (since, mut connection, kept) = {
                let mut state = self.state.lock();
                let (since, connection) = state.connections.pop().ok_or(state.epoch)?;
                (since, connection, state.kept())
            };
            if self.clock.instant().saturating_duration_since(since) < kept && connection.is_free().await {
                return Ok(connection);
            }
        }
    }

    /// Puts one back, unless those of its time were given up while it was in use.
    pub(super) fn keep(self: &Arc<Self>, mut connection: Box<Connection>) {
        if !self.keeps || !connection.is_good(&self.resting) {
            return;
        }
        let mut state = self.state.lock();
        if connection.epoch != state.epoch {
            return;
        }
        state.connections.push((self.clock.instant(), connection));
        if !std::mem::replace(&mut state.reaped, true) {
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    /// Takes the device's word on how long it keeps a connection: `Keep-Alive: timeout=5`.
    pub(super) fn learn(&self, headers: &HeaderMap) {
        let Some(value) = fields::first(headers, KEEP_ALIVE).and_then(|value| value.to_str().ok()) else {
            return;
        };
        let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="));
        if let Some(seconds) = seconds.and_then(|seconds| seconds.trim().parse().ok()) {
            self.state.lock().kept = Some(Duration::from_secs(seconds));
        }
    }

    /// Closes them all, and those in use as soon as they are not.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        state.epoch += 1;
        state.connections.clear();
    }
}

impl State {
    fn kept(&self) -> Duration {
        self.kept.map_or(KEPT, |said| said.saturating_sub(MARGIN).min(KEPT))
    }
}

/// Closes connections before the device does, and those that it has closed; ends with the last of them.
async fn reap(idle: Weak<Idle>) {
    let Some(stirred) = idle.upgrade().map(|idle| Arc::clone(&idle.stirred)) else { return };
    loop {
        let Some(wait) = idle.upgrade().map(|idle| idle.state.lock().kept()) else { return };
        tokio::select! {
            () = sleep(wait.max(MARGIN)) => {}
            () = stirred.0.notified() => {}
        }
        let Some(idle) = idle.upgrade() else { return };
        let mut state = idle.state.lock();
        let (kept, now) = (state.kept(), idle.clock.instant());
        state.connections.retain_mut(|(since, connection)| {
            now.saturating_duration_since(*since) < kept && connection.is_good(&idle.resting)
        });
        if state.connections.is_empty() {
            state.reaped = false;
            return;
        }
    }
}
