//! How many requests may be with one device at once, and who is next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Whose turn comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// The keeper's own visits: requests wait for their outcome, so they can't wait behind requests.
    Visit,
    /// A caller's request.
    Request,
}

/// A bounded number of slots and a bounded queue before them.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    max_waiting: usize,
}

#[derive(Debug)]
struct State {
    free: usize,
    visits: VecDeque<oneshot::Sender<Slot>>,
    requests: VecDeque<oneshot::Sender<Slot>>,
}

/// The right to use one connection; dropping it hands it to the next in the queue.
#[derive(Debug)]
pub(super) struct Slot(Arc<Gate>);

/// The queue is full.
#[derive(Debug)]
pub(super) struct Full;

impl Gate {
    pub(super) fn new(slots: usize, max_waiting: usize) -> Arc<Self> {
        let state = State { free: slots, visits: VecDeque::new(), requests: VecDeque::new() };
        Arc::new(Self { state: Mutex::new(state), max_waiting })
    }

    /// Waits for a slot. Leaving the wait (dropping the future) leaves the queue.
    pub(super) async fn enter(self: &Arc<Self>, urgency: Urgency) -> Result<Slot, Full> {
        let turn = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Slot(Arc::clone(self)));
            }
            let (sender, receiver) = oneshot::channel();
            match urgency {
                Urgency::Visit => state.visits.push_back(sender),
                Urgency::Request => {
                    // Those who left are still in the queue until their turn comes: they take nobody's place.
                    state.requests.retain(|waiting| !waiting.is_closed());
                    if state.requests.len() >= self.max_waiting {
                        return Err(Full);
                    }
                    state.requests.push_back(sender);
                }
            }
            receiver
        };
        turn.await.map_err(|_| Full)
    }

    /// A slot if one is free now.
    pub(super) fn try_enter(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.lock();
        state.free = state.free.checked_sub(1)?;
        Some(Slot(Arc::clone(self)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.lock();
            let next = state.visits.pop_front().or_else(|| state.requests.pop_front());
            if next.is_none() {
                state.free += 1;
            }
            next
        };
        if let Some(next) = next {
            // Whoever left in the meantime gets a slot all the same, and its drop comes back here.
            drop(next.send(Slot(Arc::clone(&self.0))));
        }
    }
}
