//! One request on its way, and how the same is asked for without its caller.

use std::sync::Arc;

use http::{HeaderMap, request};
use tokio::time::Instant;

use super::Gateway;
use super::fault::Fault;
use super::reply::Reply;
use super::route::Hop;
use crate::upstream::{Caller, Replay};

/// One request on its way.
pub(super) struct Call {
    pub(super) head: Arc<request::Parts>,
    pub(super) body: Replay,
    pub(super) deadline: Instant,
    pub(super) caller: Caller,
}

/// Asks for what a call asks for, as often as need be and whether its caller waits or not.
pub(super) struct Fetch {
    gateway: Arc<Gateway>,
    hop: Arc<Hop>,
    head: Arc<request::Parts>,
    deadline: Instant,
    caller: Caller,
}

impl Fetch {
    pub(super) fn new(gateway: &Arc<Gateway>, hop: &Arc<Hop>, call: &Call) -> Self {
        let (gateway, hop, head) = (Arc::clone(gateway), Arc::clone(hop), Arc::clone(&call.head));
        Self { gateway, hop, head, deadline: call.deadline, caller: call.caller }
    }

    /// To ask the device as the caller did, but for these headers more.
    pub(super) fn with(&self, conditions: HeaderMap) -> Errand {
        let mut head = Arc::clone(&self.head);
        if !conditions.is_empty() {
            Arc::make_mut(&mut head).headers.extend(conditions);
        }
        let call = Call { head, body: Replay::empty(), deadline: self.deadline, caller: self.caller };
        Errand { gateway: Arc::clone(&self.gateway), hop: Arc::clone(&self.hop), call }
    }
}

/// One such request, which nobody need wait for.
pub(super) struct Errand {
    gateway: Arc<Gateway>,
    hop: Arc<Hop>,
    call: Call,
}

impl Errand {
    pub(super) async fn run(&self) -> Result<Reply, Fault> {
        self.gateway.carry(&self.hop, &self.call).await
    }
}
