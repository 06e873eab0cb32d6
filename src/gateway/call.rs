//! One request on its way, and how the same is asked for without its caller.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::{HeaderMap, request};
use tokio::time::Instant;

use super::connection::becomes_websocket;
use super::route::Hop;
use super::{Gateway, permit};
use crate::upstream::{Caller, Replay};

/// What a caller asks for, and where that is.
pub(super) struct Trip {
    pub(super) head: request::Parts,
    pub(super) hop: Hop,
    /// Whether it may change something at the device.
    pub(super) acts: bool,
    /// Whether it [asks for a WebSocket](becomes_websocket).
    pub(super) is_websocket: bool,
}

impl Trip {
    /// What is asked at every stage is found out once.
    pub(super) fn new(head: request::Parts, hop: Hop) -> Arc<Self> {
        let (acts, is_websocket) = (permit::may_act(&hop, &head), becomes_websocket(&head));
        Arc::new(Self { head, hop, acts, is_websocket })
    }
}

/// One request on its way.
pub(super) struct Call {
    pub(super) trip: Arc<Trip>,
    /// On which conditions it is asked for, beside what the caller says; on the heap, since few have any.
    pub(super) conditions: Option<Box<HeaderMap>>,
    pub(super) body: Replay,
    pub(super) begun: Instant,
    pub(super) deadline: Instant,
    pub(super) caller: Caller,
    /// Whether it waits for its turn, where that makes a difference.
    pub(super) waits: Option<Arc<AtomicBool>>,
}

impl Call {
    /// To ask for the same, which has no body, whether the caller waits or not; and to tell whether it waits for its turn.
    pub(super) fn again(&self, waits: Option<Arc<AtomicBool>>) -> Self {
        let Self { begun, deadline, caller, .. } = *self;
        let trip = Arc::clone(&self.trip);
        Self { trip, conditions: None, body: Replay::empty(), begun, deadline, caller, waits }
    }
}

/// Asks for what a call asks for, as often as need be.
pub(super) struct Fetch<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) call: &'a Call,
}
