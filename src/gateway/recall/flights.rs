//! What is being asked for right now, so that whoever asks the same waits for the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
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
    /// In an answer for one: whoever takes it.
    One(Arc<Mutex<Option<Reply>>>),
    /// In an answer for all.
    Recorded(Arc<Recording>),
    /// In the device's word that what is remembered is still so.
    Confirmed(Arc<Stored>),
}

/// A fetch under way. It is everybody's who waits for it, so it goes on whoever leaves, and ends with the last.
pub(super) struct Flight {
    pub(super) begun: Instant,
    /// Whether this is who began it.
    pub(super) is_first: bool,
    pub(super) landing: Shared<BoxFuture<'static, Landed>>,
}

/// The fetches that may still be joined: the head of their answer is not there yet.
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
}

/// One fetch on the board. It is taken off when it lands or is given up.
pub(super) struct Departure {
    board: Arc<Mutex<Board>>,
    key: Key,
    number: u64,
}

impl Flights {
    /// Joins the fetch under way, or begins one that others may join. `fly` is told how many did when it lands.
    pub(super) fn board(
        &self,
        key: &Key,
        epoch: u64,
        fly: impl FnOnce(Departure) -> BoxFuture<'static, Landed>,
    ) -> Flight {
        let mut board = lock(&self.0);
        if let Some(aloft) = board.aloft.get_mut(key).filter(|aloft| aloft.epoch == epoch)
            && let Some(landing) = aloft.landing.upgrade()
        {
            aloft.joined += 1;
            return Flight { begun: aloft.begun, is_first: false, landing };
        }
        board.count += 1;
        let number = board.count;
        let flight = Flight::alone(fly(Departure { board: Arc::clone(&self.0), key: key.clone(), number }));
        // It has not landed: nobody has asked it to fly yet.
        if let Some(landing) = flight.landing.downgrade() {
            board.aloft.insert(key.clone(), Aloft { number, begun: flight.begun, epoch, joined: 0, landing });
        }
        flight
    }
}

impl Flight {
    /// A fetch that nobody may join.
    pub(super) fn alone(flying: BoxFuture<'static, Landed>) -> Self {
        Self { begun: Instant::now(), is_first: true, landing: flying.shared() }
    }
}

impl Departure {
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
