//! Where whoever asks finds what is being asked for right now.

use std::mem::replace;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::flights::{Course, Shared};
use super::question::are_same;
use super::recording::Recording;
use crate::gateway::{Call, Trip};

/// Where it is told whether a fetch waits for its turn, where that makes a difference.
pub(super) type Waits = Option<Arc<AtomicBool>>;

/// Whoever waits for a fetch that another drives.
pub(super) type Followers = Arc<watch::Sender<Option<Shared>>>;

/// The fetches that may still be joined: the head of their answer is not there yet, or its body is on its way into memory.
#[derive(Default)]
pub(super) struct Flights(Mutex<Board>);

/// They are as few as the requests that a device is asked at once, so that looking through them costs less than a hash.
#[derive(Default)]
struct Board {
    aloft: Vec<Aloft>,
    count: u64,
}

struct Aloft {
    number: u64,
    trip: Arc<Trip>,
    begun: Instant,
    epoch: u64,
    waits: Waits,
    followers: Option<Followers>,
    /// Its answer, while that is on its way into memory.
    recording: Option<Weak<Recording>>,
    is_seen_through: bool,
}

/// What whoever asks finds on the board.
pub(super) enum Place {
    /// A fetch under way.
    Joined { number: u64, begun: Instant, waits: Waits, course: Course },
    /// None: theirs is the first, by this number.
    First(u64),
}

impl Aloft {
    /// What whoever joins waits for. Nothing: its answer was given up, and it is as good as over.
    fn join(&mut self) -> Option<Course> {
        match &self.recording {
            Some(recording) => recording.upgrade().map(|it| Course::Known(Shared::Recorded(it))),
            None => {
                let followers = self.followers.get_or_insert_with(|| Arc::new(watch::Sender::new(None)));
                Some(Course::Awaited(followers.subscribe()))
            }
        }
    }
}

impl Board {
    fn get(&mut self, number: u64) -> Option<&mut Aloft> {
        self.aloft.iter_mut().find(|aloft| aloft.number == number)
    }

    fn strike(&mut self, number: u64) -> Option<Aloft> {
        let at = self.aloft.iter().position(|aloft| aloft.number == number)?;
        Some(self.aloft.swap_remove(at))
    }
}

impl Flights {
    /// Joins the fetch under way, or lists one that is about to begin.
    pub(super) fn join(&self, call: &Call, epoch: u64, waits: &Waits) -> Place {
        let mut board = self.0.lock();
        let is_it = |aloft: &&mut Aloft| aloft.epoch == epoch && are_same(&aloft.trip, &call.trip);
        if let Some(aloft) = board.aloft.iter_mut().find(is_it)
            && let Some(course) = aloft.join()
        {
            let (number, begun, waits) = (aloft.number, aloft.begun, aloft.waits.clone());
            return Place::Joined { number, begun, waits, course };
        }
        board.count += 1;
        let (number, trip, begun) = (board.count, Arc::clone(&call.trip), call.begun);
        let (followers, recording, is_seen_through) = (None, None, false);
        let waits = waits.clone();
        board.aloft.push(Aloft { number, trip, begun, epoch, waits, followers, recording, is_seen_through });
        Place::First(number)
    }

    /// Takes a fetch off, and gives who waits for it.
    pub(super) fn strike(&self, number: u64) -> Option<Followers> {
        self.0.lock().strike(number)?.followers
    }

    /// Takes it off if nobody waits for it; else gives who does.
    pub(super) fn wanted(&self, number: u64) -> Option<Followers> {
        let waiting = |followers: &&Followers| followers.receiver_count() > 0;
        let mut board = self.0.lock();
        let followers = board.get(number)?.followers.as_ref().filter(waiting).cloned();
        if followers.is_none() {
            board.strike(number);
        }
        followers
    }

    /// Undertakes to have it go on without a caller. `false`: somebody has already, or it is over.
    pub(super) fn claim(&self, number: u64) -> bool {
        let mut board = self.0.lock();
        board.get(number).is_some_and(|aloft| !replace(&mut aloft.is_seen_through, true))
    }

    /// Lists its answer, which is there and will be in memory: who asks the same waits for that. Gives who has waited so far.
    pub(super) fn record(&self, number: u64, recording: &Arc<Recording>) -> Option<Followers> {
        let mut board = self.0.lock();
        let aloft = board.get(number)?;
        aloft.recording = Some(Arc::downgrade(recording));
        aloft.followers.take()
    }
}
