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

    /// Asks the device as the caller did, but for these headers more.
    pub(super) fn ask(
        &self,
        conditions: HeaderMap,
    ) -> impl Future<Output = Result<Reply, Fault>> + Send + use<> {
        let (gateway, hop, mut head) =
            (Arc::clone(&self.gateway), Arc::clone(&self.hop), Arc::clone(&self.head));
        if !conditions.is_empty() {
            Arc::make_mut(&mut head).headers.extend(conditions);
        }
        let call = Call { head, body: Replay::empty(), deadline: self.deadline, caller: self.caller };
        async move { gateway.carry(&hop, &call).await }
    }
}
