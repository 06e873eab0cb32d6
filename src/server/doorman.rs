//! How many callers may be connected, and who goes when there are too many.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::config::Limits;
use crate::metrics::Metrics;

/// Counts callers' connections.
pub(super) struct Doorman {
    pub(super) limits: Limits,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// Somebody has left, or waits for a request, while there is no room.
    left: Notify,
    /// Whether there has ever been no place: then whoever begins to rest says so. It stays, since several doors may wait.
    was_full: AtomicBool,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Whether nobody is waited for any longer: then all have to leave.
    is_closed: bool,
    /// Those who are connected.
    seats: BTreeMap<u64, Weak<Seat>>,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing has come of the next request.
    Waiting,
    /// A part of its head has.
    Head,
    /// It is being answered.
    Serving,
}

const WAITING: u8 = Phase::Waiting as u8;
const HEAD: u8 = Phase::Head as u8;

/// A phase, and since when it lasts; while a request is served, since when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    pub(super) phase: Phase,
    /// Since when the next request is waited for; it is no news that a part of it has come.
    waiting_since: Instant,
    pub(super) since: Instant,
}

/// One connection's place.
pub(super) struct Seat {
    doorman: Arc<Doorman>,
    number: u64,
    /// When it was taken, from which the times of its stage are told.
    taken: Instant,
    /// Its [`Stage`], bit by bit: its own connection alone writes it, and reads it several times for each request. The times
    /// are written before the phase and read after it, so that whoever else looks never finds a phase with times older than
    /// it: by those, who has just been served for long would be the one that has waited longest.
    phase: AtomicU8,
    waiting_since: AtomicU64,
    since: AtomicU64,
    leaving: Mutex<Leaving>,
    /// Set when an answer broke off that only the end of the connection would end.
    pub(super) torn: AtomicBool,
    /// Whether the end of its connection may be the end of an answer too, as for callers of HTTP/1.0.
    pub(super) ends_by_end: AtomicBool,
    /// Whether nothing of the last request can still be on its way: it had no body.
    pub(super) is_read: AtomicBool,
    /// Whether it speaks another protocol by now.
    pub(super) is_tunnel: AtomicBool,
    /// Whether nobody will read the rest of its body.
    pub(super) is_left: AtomicBool,
    /// Whether something of an answer may not have been sent yet. The phase does not say: hyper lets go of an answer once it
    /// has all of it, before it writes the last of it.
    is_sending: AtomicBool,
}

/// How a connection is told to leave. A token would have to be looked at whenever the connection is.
struct Leaving {
    /// Whether it has to give way, or all have.
    is_told: bool,
    /// What serves it, once something does.
    task: Option<AbortHandle>,
}

impl Doorman {
    pub(super) fn new(limits: Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            metrics,
            state: Mutex::default(),
            left: Notify::new(),
            was_full: AtomicBool::new(false),
        })
    }

    /// A place for one more connection: the one that has waited longest for its head gives way if need be.
    pub(super) async fn seat(self: &Arc<Self>) -> Arc<Seat> {
        loop {
            let mut left = pin!(self.left.notified());
            // Whoever leaves from now on is not missed.
            left.as_mut().enable();
            if let Some(seat) = self.free_seat() {
                return seat;
            }
            // Before it is looked who rests: whoever begins to from now on says so.
            self.was_full.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            self.give_way();
            left.await;
        }
    }

    fn free_seat(self: &Arc<Self>) -> Option<Arc<Seat>> {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.seats.len() >= self.limits.connections {
            return None;
        }
        state.next += 1;
        let seat = Arc::new(Seat {
            doorman: Arc::clone(self),
            number: state.next,
            taken: now,
            phase: AtomicU8::new(WAITING),
            waiting_since: AtomicU64::new(0),
            since: AtomicU64::new(0),
            leaving: Mutex::new(Leaving { is_told: state.is_closed, task: None }),
            torn: AtomicBool::new(false),
            ends_by_end: AtomicBool::new(false),
            is_read: AtomicBool::new(false),
            is_tunnel: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            is_sending: AtomicBool::new(false),
        });
        state.seats.insert(seat.number, Arc::downgrade(&seat));
        drop(state);
        self.metrics.connection(1);
        Some(seat)
    }

    /// The connection that has waited longest for its head gives way. Waits until a connection has left.
    pub(super) async fn make_room(&self) {
        let mut left = pin!(self.left.notified());
        left.as_mut().enable();
        self.give_way();
        left.await;
    }

    /// All have to leave, and whoever comes later too.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.seats().iter().for_each(|seat| seat.leave());
    }

    /// Those who are connected; none of them is let go of here, which takes the lock.
    fn seats(&self) -> Vec<Arc<Seat>> {
        self.state.lock().seats.values().filter_map(Weak::upgrade).collect()
    }

    fn give_way(&self) {
        let seats = self.seats();
        // One at a time: who has been asked to is about to leave.
        if seats.iter().any(|seat| seat.leaving.lock().is_told) {
            return;
        }
        // Of whoever is served what is left of their answer would be lost, and over HTTP/1.0 nobody could tell. That is asked
        // first: with an earlier time of theirs they would be the ones that have waited longest.
        let waiting = seats.iter().filter(|seat| !seat.is_served());
        if let Some(slowest) = waiting.min_by_key(|seat| seat.stage().waiting_since) {
            slowest.leave();
        }
    }
}

impl Seat {
    /// This is what serves the connection: to leave is to end it.
    pub(super) fn is_run_by(&self, task: AbortHandle) {
        let mut leaving = self.leaving.lock();
        if leaving.is_told {
            task.abort();
        }
        leaving.task = Some(task).filter(|task| !task.is_finished());
    }

    /// Nothing serves it any longer. A tunnel has its seat for longer than that, and would keep the room of what did.
    pub(super) fn is_run_no_longer(&self) {
        self.leaving.lock().task = None;
    }

    fn leave(&self) {
        let mut leaving = self.leaving.lock();
        leaving.is_told = true;
        leaving.task.iter().for_each(AbortHandle::abort);
    }

    /// The connection goes on to another phase.
    pub(super) fn enter(&self, phase: Phase) {
        // How long somebody is served is nothing to look at a clock for.
        if phase == Phase::Serving {
            self.sends();
        } else {
            let now = u64::try_from(self.taken.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.since.store(now, Ordering::Relaxed);
            if phase == Phase::Waiting {
                self.waiting_since.store(now, Ordering::Relaxed);
            }
        }
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// What its caller is waited for begins only now.
    pub(super) fn begin_anew(&self) {
        if self.phase() != Phase::Serving {
            self.enter(self.phase());
        }
    }

    /// Whether an answer would look whole that is not, if the connection came to an ordinary end.
    pub(super) fn is_torn(&self) -> bool {
        let is_cut = self.is_served() && !self.is_tunnel.load(Ordering::Relaxed);
        self.torn.load(Ordering::Relaxed) || is_cut && self.ends_by_end.load(Ordering::Relaxed)
    }

    /// Something of an answer is about to be written.
    pub(super) fn sends(&self) {
        self.is_sending.store(true, Ordering::Relaxed);
    }

    /// All that was written has been sent: whose answer has come to its end is at rest from now on.
    pub(super) fn has_sent(&self) {
        if self.phase() != Phase::Serving && self.is_sending.load(Ordering::Relaxed) {
            self.is_sending.store(false, Ordering::Relaxed);
            self.tell_of_rest();
        }
    }

    fn tell_of_rest(&self) {
        // Whoever looks for a place sees that this one rests, or this sees that somebody looks.
        fence(Ordering::SeqCst);
        if self.doorman.was_full.load(Ordering::Relaxed) {
            self.doorman.left.notify_waiters();
        }
    }

    /// What the connection is doing.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            WAITING => Phase::Waiting,
            HEAD => Phase::Head,
            _ => Phase::Serving,
        }
    }

    /// The same, and since when.
    pub(super) fn stage(&self) -> Stage {
        let phase = self.phase();
        let time = |nanos: &AtomicU64| self.taken + Duration::from_nanos(nanos.load(Ordering::Relaxed));
        Stage { phase, waiting_since: time(&self.waiting_since), since: time(&self.since) }
    }

    /// Since when there is nothing to do before the caller asks anew.
    pub(super) fn at_rest_since(&self) -> Option<Instant> {
        let is_over = self.is_read.load(Ordering::Relaxed) && !self.is_sending.load(Ordering::Relaxed);
        (self.phase() == Phase::Waiting && is_over).then(|| self.stage().since)
    }

    /// Whether a request is being answered, and nothing else by another protocol.
    pub(super) fn is_answering(&self) -> bool {
        self.phase() == Phase::Serving && !self.is_tunnel.load(Ordering::Relaxed)
    }

    /// Whether a request is being answered, or its answer is still on its way.
    pub(super) fn is_served(&self) -> bool {
        self.phase() == Phase::Serving || self.is_sending.load(Ordering::Relaxed)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.doorman.limits
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.doorman.state.lock().seats.remove(&self.number);
        self.doorman.metrics.connection(-1);
        self.doorman.left.notify_waiters();
    }
}
