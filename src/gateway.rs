//! One request, from its head to its answer:
//!
//! ```text
//! admit -> route -> permit -> recall -> lease -> authorise -> forward -> judge -> respond
//! ```
//!
//! [`Gateway::pass`] calls the stages in order, and [`Gateway::carry`] those in the middle, which a request to a device
//! goes through once or twice and one that is answered from memory not at all. A stage never calls the next.

mod admin;
pub mod admit;
mod authorise;
mod call;
mod condition;
mod connection;
pub mod fault;
mod forward;
pub mod front;
mod house;
mod location;
pub mod operator;
mod outgoing;
mod page;
mod patience;
mod permit;
mod problem;
#[cfg(any(test, fuzzing))]
pub(crate) mod promise;
pub mod recall;
mod reply;
mod respite;
mod respond;
mod retry;
mod route;
mod sandbox;
#[cfg(test)]
mod tests;
mod via;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::response::Response;
use http::{Method, request};
use http_body::Body as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use admit::Admitted;
pub use admit::Arrival;
use call::{Call, Fetch, Trip};
use fault::{Fault, Kind};
pub use house::{Device, House, Welcome};
pub use outgoing::Outgoing;
use outgoing::{Answer, ours};
use patience::{Blemish, Patient};
pub use problem::{RequestId, refuse};
use recall::{Answered, Writing};
use reply::Reply;
pub use respite::Respite;
use retry::{Attempts, Judged};
use route::{Hop, Route};
use via::Via;

use crate::clock::Clock;
use crate::keeper::Lease;
use crate::metrics::Metrics;
use crate::upstream::{Caller, Inbound, Replay};
use crate::vendor::{Asked, Standing, Verdict};

/// Bodies up to this many bytes are kept for a second attempt.
const REPLAYED: usize = 64 * 1024;

/// The gateway: answers every request, one way or another.
pub struct Gateway {
    /// What a request may need; swapped whole on a reload.
    pub house: ArcSwap<House>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
    /// Cancelled when keyward is told to stop.
    pub closing: CancellationToken,
    /// Whether every door is open.
    pub is_open: AtomicBool,
    /// Our name in `Via`.
    via: Via,
}

impl Gateway {
    /// A gateway for this house.
    pub fn new(house: House, metrics: Arc<Metrics>, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            house: ArcSwap::from_pointee(house),
            metrics,
            clock,
            closing: CancellationToken::new(),
            is_open: AtomicBool::new(true),
            via: Via::new(),
        })
    }

    /// Where a request to a device goes; or its answer, if that is nowhere.
    fn set_out(
        &self,
        house: &House,
        head: request::Parts,
        arrival: &Arrival,
        admitted: &Admitted,
    ) -> ControlFlow<Response, Arc<Trip>> {
        match self.find(house, &head, admitted) {
            Ok(Route::Hop(hop)) => ControlFlow::Continue(Trip::new(head, hop)),
            Ok(Route::Slash { to, .. }) => ControlFlow::Break(reply::redirect(&to)),
            Err(fault) => ControlFlow::Break(refuse(&fault, &head, arrival)),
        }
    }

    /// Answers a request to a device, whose caller may be silent for so long in the middle of its body.
    async fn answer(
        self: &Arc<Self>,
        trip: Arc<Trip>,
        (body, patience): (Body, Duration),
        arrival: &Arrival,
        caller: Caller,
    ) -> Answer {
        let begun = Instant::now();
        let mut verdict = None;
        let body = if body.is_end_stream() {
            Replay::empty()
        } else {
            let bare = authorise::bare_trailers(&trip.hop, &trip.head);
            let patient = Patient::new(body, bare, patience, trip.hop.device.max_body);
            verdict = Some(patient.verdict());
            Replay::hold(Body::new(patient), REPLAYED)
        };
        let deadline = begun + trip.hop.device.timeout;
        let call = Call { trip, conditions: None, body, begun, deadline, caller, waits: None };
        let Trip { head, hop, .. } = &*call.trip;
        let device = &hop.device;
        let _waiting = device.figures.begun();
        let outcome = self.pass(&call, &arrival.peer.ending).await;
        let outcome = outcome.map_err(|fault| match (fault.kind, verdict.and_then(|it| it.blemish())) {
            (Kind::CallerLeft, Some(Blemish::TooLarge)) => {
                permit::too_large(&device.name, device.max_body.unwrap_or_default())
            }
            (Kind::CallerLeft, Some(Blemish::Malformed)) => Fault { kind: Kind::Malformed, ..fault },
            _ => fault,
        });
        let response = outcome.unwrap_or_else(|fault| {
            let fault = fault.at(&device.name);
            device.figures.fault(fault.kind.name(), &fault.detail, fault.kind.is_of_device());
            ours(refuse(&fault, head, arrival))
        });
        let took = begun.elapsed();
        device.figures.answered(&head.method, response.status().as_u16(), took);
        tracing::debug!(
            request = %arrival.id,
            device = device.name,
            method = %head.method,
            path = hop.path(),
            status = response.status().as_u16(),
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "answered"
        );
        response
    }

    fn find(&self, house: &House, asked: &request::Parts, admitted: &Admitted) -> Result<Route, Fault> {
        if self.via.is_in(asked) {
            return Err(Fault::new(
                Kind::Loop,
                "this request has already been through keyward: the `url` of a device leads back to it",
            ));
        }
        let route = route::find(house, asked, admitted)?;
        let (Route::Hop(Hop { device, .. }) | Route::Slash { device, .. }) = &route;
        permit::by_key(&admitted.shown, &device.name, asked).map_err(|fault| fault.at(&device.name))?;
        Ok(route)
    }

    /// One request on one screen.
    async fn pass(self: &Arc<Self>, call: &Call, ending: &CancellationToken) -> Result<Answer, Fault> {
        let Trip { head: asked, hop, acts, is_websocket } = &*call.trip;
        let device = &hop.device;
        for path in hop.paths() {
            let (method, headers) = (&asked.method, &asked.headers);
            let asked = Asked { method, path, headers, standing: Standing::default() };
            if let Some(answer) = device.vendor.answer(&asked, &|| self.clock.now()) {
                return Ok(ours(answer.map(Body::from)));
            }
        }
        permit::permit(&call.trip)?;
        let writing = (*acts || *is_websocket).then(|| device.recall.write(device.timeout));
        let answered = match recall::question(&call.trip) {
            Some(question) => device.recall.answer(question, &Fetch { gateway: self, call }).await?,
            None => {
                let reply = Box::pin(self.carry(call)).await?;
                Answered { reply, status: device.recall.bypassed(asked.method == Method::GET) }
            }
        };
        let writing = writing.map(Writing::answered);
        reply::respond(hop, asked, answered, (ending, writing))
    }

    /// Takes a request to its device, with a session that is good if there is any.
    async fn carry(&self, call: &Call) -> Result<Reply, Fault> {
        let Trip { hop, .. } = &*call.trip;
        let device = &hop.device;
        device.respite.respect(&call.trip, &self.clock)?;
        let mut attempts = Attempts::default();
        loop {
            let lease = match attempts.own.take() {
                Some(lease) => lease,
                None => forward::lease(hop, call.deadline).await?,
            };
            let sent = forward::send(call, &lease, &self.via, &self.clock).await;
            // What the device handed out for this request outlives it.
            let sent = sent.inspect_err(|_| device.keeper.share(&lease))?;
            let Some(response) = sent else { continue };
            let refused = match self.judge(call, &lease, response) {
                Judged::Passed(reply) => return Ok(reply),
                Judged::Refused(refused) => refused,
            };
            // On the heap, since it is rare and takes more room than the rest.
            if let Some(reply) = Box::pin(self.retry(call, &lease, refused, &mut attempts)).await? {
                return Ok(reply);
            }
        }
    }

    /// What a response says of the session that it was asked for with. Most say nothing, and go on to the caller.
    fn judge(&self, call: &Call, lease: &Lease, response: http::Response<Inbound>) -> Judged {
        let Trip { head: asked, hop, .. } = &*call.trip;
        let device = &hop.device;
        let asked = Asked {
            method: &asked.method,
            path: hop.path(),
            headers: &asked.headers,
            standing: Standing::default(),
        };
        let (head, body) = response.into_parts();
        match device.keeper.judge(lease, &asked, &head) {
            passed @ (Verdict::Pass | Verdict::Rotated(_)) => {
                device.figures.fine();
                device.keeper.accepted(lease, &asked, &head);
                match passed {
                    Verdict::Rotated(session) => device.keeper.rotate(lease, session),
                    _ => device.keeper.share(lease),
                }
                device.respite.learn(head.status, &head.headers, &self.clock);
                Judged::Passed(Reply::Passed(head, body))
            }
            verdict => Judged::Refused((verdict, head, body)),
        }
    }
}
