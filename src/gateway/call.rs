//! One request on its way, and how the same is asked for without its caller.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::{HeaderMap, request};
use tokio::time::Instant;

use super::connection::becomes_websocket;
use super::fault::Fault;
use super::reply::Reply;
use super::route::Hop;
use super::{Gateway, permit};
use crate::upstream::{Caller, Replay};

/// What a caller asks for, and where that is.
#[derive(Clone)]
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
    pub(super) body: Replay,
    pub(super) begun: Instant,
    pub(super) deadline: Instant,
    pub(super) caller: Caller,
    /// Whether it waits for its turn, where that makes a difference.
    pub(super) waits: Option<Arc<AtomicBool>>,
}

/// Asks for what a call asks for, as often as need be and whether its caller waits or not.
pub(super) struct Fetch<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) call: &'a Call,
}

impl Fetch<'_> {
    /// To ask the device as the caller did, but for these headers more, and to tell whether it waits for its turn.
    pub(super) fn with(&self, conditions: Option<&HeaderMap>, waits: Option<Arc<AtomicBool>>) -> Errand {
        let mut trip = Arc::clone(&self.call.trip);
        if let Some(conditions) = conditions {
            Arc::make_mut(&mut trip).head.headers.extend(conditions.clone());
        }
        let Call { begun, deadline, caller, .. } = *self.call;
        let call = Call { trip, body: Replay::empty(), begun, deadline, caller, waits };
        Errand { gateway: Arc::clone(self.gateway), call }
    }
}

/// One such request, which nobody need wait for.
pub(super) struct Errand {
    gateway: Arc<Gateway>,
    call: Call,
}

impl Errand {
    pub(super) async fn run(&self) -> Result<Reply, Fault> {
        self.gateway.carry(&self.call).await
    }
}
