//! What is being asked for right now, so that whoever asks the same waits for the same answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared, ready};
use http::StatusCode;
use tokio::time::Instant;

use super::question::Key;
use super::recording::Recording;
use super::stored::Stored;
use crate::gateway::Reply;
use crate::gateway::fault::Fault;

/// How a fetch ended, for all who waited for it.
#[derive(Clone)]
pub(super) enum Landed {
    /// In a fault, which is everybody's.
    Failed(Fault),
    /// In an answer for whoever began.
    One(Arc<One>),
    /// In an answer for all.
    Recorded(Arc<Recording>),
    /// In the device's word that what was remembered is still so, and whether it is remembered now.
    Confirmed(Arc<Stored>, bool),
}

/// An answer that is not for several; nothing, where one has to ask again.
pub(super) struct One {
    pub(super) status: StatusCode,
    reply: Mutex<Option<Reply>>,
}

impl One {
    pub(super) fn new(status: StatusCode, reply: Option<Reply>) -> Arc<Self> {
        Arc::new(Self { status, reply: Mutex::new(reply) })
    }

    pub(super) fn take(&self) -> Option<Reply> {
        self.reply.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A fetch under way. It is everybody's who waits for it, so it goes on whoever leaves, and ends with the last.
pub(super) struct Flight {
    pub(super) begun: Instant,
    /// Whether this is who began it.
    pub(super) is_first: bool,
    pub(super) landing: Landing,
    is_seen_through: Arc<AtomicBool>,
}

type Landing = Shared<BoxFuture<'static, Landed>>;

/// A fetch that is under way as long as somebody waits for it.
pub(super) struct Going {
    landing: Option<WeakShared<BoxFuture<'static, Landed>>>,
    is_seen_through: Arc<AtomicBool>,
}

impl Going {
    /// For the first who asks, if it is still under way.
    pub(super) fn take(self) -> Option<Landing> {
        let landing = self.landing?.upgrade()?;
        (!self.is_seen_through.swap(true, Ordering::Relaxed)).then_some(landing)
    }
}

/// The fetches that may still be joined: the head of their answer is not there yet, or its body is on its way into memory.
#[derive(Default)]
pub(super) struct Flights(Arc<Mutex<Board>>);

#[derive(Default)]
struct Board {
    aloft: HashMap<Key, Aloft>,
    count: u64,
}

struct Aloft {
    number: u64,
    begun: Instant,
    epoch: u64,
    joined: usize,
    landing: WeakShared<BoxFuture<'static, Landed>>,
    is_seen_through: Arc<AtomicBool>,
    /// Its answer, while that is on its way into memory.
    recording: Option<Weak<Recording>>,
}

impl Aloft {
    /// What whoever joins waits for, if somebody still wants it.
    fn landing(&self) -> Option<Landing> {
        let recorded = self.recording.as_ref().and_then(Weak::upgrade).map(Landed::Recorded);
        recorded.map(|landed| ready(landed).boxed().shared()).or_else(|| self.landing.upgrade())
    }
}

/// One fetch on the board. It is taken off when it lands or is given up.
pub(super) struct Departure {
    board: Arc<Mutex<Board>>,
    key: Key,
    number: u64,
}

impl Flights {
    /// Joins the fetch under way, or begins one that others may join until the departure that `fly` gets is over.
    pub(super) fn board(
        &self,
        key: &Key,
        epoch: u64,
        fly: impl FnOnce(Departure) -> BoxFuture<'static, Landed>,
    ) -> Flight {
        let mut board = lock(&self.0);
        if let Some(aloft) = board.aloft.get_mut(key).filter(|aloft| aloft.epoch == epoch)
            && let Some(landing) = aloft.landing()
        {
            aloft.joined += 1;
            let is_seen_through = Arc::clone(&aloft.is_seen_through);
            return Flight { begun: aloft.begun, is_first: false, landing, is_seen_through };
        }
        board.count += 1;
        let number = board.count;
        let flight = Flight::alone(fly(Departure { board: Arc::clone(&self.0), key: key.clone(), number }));
        // It has not landed: nobody has asked it to fly yet.
        if let Some(landing) = flight.landing.downgrade() {
            let (begun, is_seen_through) = (flight.begun, Arc::clone(&flight.is_seen_through));
            board.aloft.insert(
                key.clone(),
                Aloft { number, begun, epoch, joined: 0, landing, is_seen_through, recording: None },
            );
        }
        flight
    }
}

impl Flight {
    /// A fetch that nobody may join.
    pub(super) fn alone(flying: BoxFuture<'static, Landed>) -> Self {
        let is_seen_through = Arc::default();
        Self { begun: Instant::now(), is_first: true, landing: flying.shared(), is_seen_through }
    }

    /// A way to go on with it that does not hold it.
    pub(super) fn going(&self) -> Going {
        Going { landing: self.landing.downgrade(), is_seen_through: Arc::clone(&self.is_seen_through) }
    }
}

impl Departure {
    /// Its answer is there and will be in memory. Until this is dropped, who asks the same waits for that.
    pub(super) fn is_recorded(&self, recording: &Arc<Recording>) {
        if let Some(aloft) = lock(&self.board).aloft.get_mut(&self.key)
            && aloft.number == self.number
        {
            aloft.recording = Some(Arc::downgrade(recording));
        }
    }

    /// From now on nobody joins. How many have.
    pub(super) fn land(self) -> usize {
        self.strike()
    }

    fn strike(&self) -> usize {
        let mut board = lock(&self.board);
        match board.aloft.get(&self.key) {
            Some(aloft) if aloft.number == self.number => {
                board.aloft.remove(&self.key).map_or(0, |aloft| aloft.joined)
            }
            // Another has taken its place, since this one is of an earlier time.
            _ => usize::MAX,
        }
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.strike();
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
