//! How many requests may be with one device at once, and who is next.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Whose turn comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// The keeper's own visits: requests wait for their outcome, so they can't wait behind requests.
    Visit,
    /// A request, in turns with those of other callers.
    Request(Caller),
}

/// Who asks: requests of one caller stand in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Where it is.
    pub address: IpAddr,
    /// By what its key is told from others, if it has shown one.
    pub key: Option<u64>,
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
    visits: Line,
    requests: Lines,
}

/// Who waits, the first one first.
type Line = VecDeque<oneshot::Sender<Slot>>;

/// A line for each caller, and whose turn is next: who asks for much waits for that, and nobody else does.
#[derive(Debug, Default)]
struct Lines(VecDeque<(Caller, Line)>);

/// The right to use one connection; dropping it hands it to the next in the queue.
#[derive(Debug)]
pub(super) struct Slot(Arc<Gate>);

/// The queue is full.
#[derive(Debug)]
pub(super) struct Full;

impl Gate {
    pub(super) fn new(slots: usize, max_waiting: usize) -> Arc<Self> {
        let state = State { free: slots, visits: Line::new(), requests: Lines::default() };
        Arc::new(Self { state: Mutex::new(state), max_waiting })
    }

    /// Waits for a slot. Leaving the wait (dropping the future) leaves the queue.
    pub(super) async fn enter(self: &Arc<Self>, urgency: Urgency) -> Result<Slot, Full> {
        let turn = {
            let mut state = self.state.lock();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Slot(Arc::clone(self)));
            }
            let (sender, receiver) = oneshot::channel();
            match urgency {
                Urgency::Visit => state.visits.push_back(sender),
                Urgency::Request(caller) => {
                    state.requests.tidy();
                    if state.requests.len() >= self.max_waiting && !state.requests.make_room(caller) {
                        return Err(Full);
                    }
                    state.requests.push(caller, sender);
                }
            }
            receiver
        };
        turn.await.map_err(|_| Full)
    }

    /// A slot if one is free now.
    pub(super) fn try_enter(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.state.lock();
        state.free = state.free.checked_sub(1)?;
        Some(Slot(Arc::clone(self)))
    }
}

impl Lines {
    fn len(&self) -> usize {
        self.0.iter().map(|(_, line)| line.len()).sum()
    }

    /// Those who left are still in line until their turn comes: they take nobody's place.
    fn tidy(&mut self) {
        self.0.iter_mut().for_each(|(_, line)| line.retain(|waiting| !waiting.is_closed()));
        self.0.retain(|(_, line)| !line.is_empty());
    }

    /// Whoever has most in line loses the last of it to one who would still have less.
    fn make_room(&mut self, caller: Caller) -> bool {
        let own = self.0.iter().find(|(known, _)| *known == caller).map_or(0, |(_, line)| line.len());
        let longest = self.0.iter_mut().max_by_key(|(_, line)| line.len());
        let Some((_, longest)) = longest.filter(|(_, line)| line.len() > own + 1) else { return false };
        longest.pop_back().is_some()
    }

    fn push(&mut self, caller: Caller, waiting: oneshot::Sender<Slot>) {
        match self.0.iter_mut().find(|(known, _)| *known == caller) {
            Some((_, line)) => line.push_back(waiting),
            None => self.0.push_back((caller, Line::from([waiting]))),
        }
    }

    fn pop(&mut self) -> Option<oneshot::Sender<Slot>> {
        let (caller, mut line) = self.0.pop_front()?;
        let next = line.pop_front();
        if !line.is_empty() {
            self.0.push_back((caller, line));
        }
        next
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.state.lock();
            let next = state.visits.pop_front().or_else(|| state.requests.pop());
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
