//! The gateway's sessions: few, and forgotten when nobody uses them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::twin::token;

pub(super) struct Seats {
    room: usize,
    lifetime: Duration,
    rotate_every: usize,
    taken: HashMap<String, Seat>,
}

struct Seat {
    used_at: Instant,
    uses: usize,
}

impl Seats {
    pub(super) fn new(room: usize, lifetime: Duration, rotate_every: usize) -> Self {
        Self { room, lifetime, rotate_every, taken: HashMap::new() }
    }

    /// A new session, where there is room.
    pub(super) fn open(&mut self) -> Option<String> {
        self.sweep();
        if self.taken.len() >= self.room {
            return None;
        }
        let session = token::random::<16>();
        self.taken.insert(session.clone(), Seat { used_at: Instant::now(), uses: 0 });
        Some(session)
    }

    /// A use of a session: `None` when there is no such session, and the new name of one that was used enough.
    pub(super) fn touch(&mut self, session: &str) -> Option<Option<String>> {
        self.sweep();
        let seat = self.taken.get_mut(session)?;
        seat.used_at = Instant::now();
        seat.uses += 1;
        if self.rotate_every == 0 || seat.uses < self.rotate_every {
            return Some(None);
        }
        self.taken.remove(session);
        self.open().map(Some)
    }

    pub(super) fn taken(&mut self) -> usize {
        self.sweep();
        self.taken.len()
    }

    pub(super) fn clear(&mut self) {
        self.taken.clear();
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        self.taken.retain(|_, seat| now.duration_since(seat.used_at) < self.lifetime);
    }
}
