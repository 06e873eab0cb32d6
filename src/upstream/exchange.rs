//! One exchange with a device: a place in the queue, a connection, a request and the head of its response.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, timeout_at};

use super::Upstream;
use super::busy::Stage;
use super::connection::Connection;
use super::counted::Received;
use super::framing::{flaw, is_event_stream};
use super::gate::{Full, Slot, Urgency};
use super::inbound::{Held, Inbound};
use super::pace::Turn;
use super::replay::{Outbound, Sent};
use super::trouble::Trouble;
use crate::fields;

/// How one request is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Until when the head of the response has to be there.
    pub deadline: Instant,
    /// How long that was from the beginning, for whoever is told that it was too short.
    pub within: Duration,
    /// Whose turn comes first.
    pub urgency: Urgency,
    /// Whether it may be sent again when a kept connection died before a byte of the response came.
    pub repeatable: bool,
    /// Whether it asks to go on with another protocol, which its `Upgrade` names.
    pub upgrades: bool,
    /// What it is for, as the device gets it.
    pub path: &'a str,
    /// Set while it waits for its turn, for whoever wants to know.
    pub waits: Option<&'a AtomicBool>,
}

impl Order<'_> {
    /// Notes what it waits for from now on.
    fn note(&self, stage: &mut Stage, next: Stage) {
        if let Some(waits) = self.waits {
            waits.store(matches!(next, Stage::Queue | Stage::Pace), Ordering::Relaxed);
        }
        *stage = next;
    }
}

/// An exchange that failed, and how far it got.
struct Failed {
    trouble: Trouble,
    reached: Reached,
}

/// How far a failed request got.
enum Reached {
    /// The connection was dead before a byte was written: it is as if nothing had been asked.
    Nobody,
    /// It was sent, and not a byte came back.
    Silence,
    /// The device took part.
    Device,
}

/// What an answer is held against.
struct Expected {
    /// The protocol that the request would go on with.
    protocol: Option<Box<HeaderValue>>,
    /// How many bytes had come on the connection when it was sent.
    before: u64,
}

impl Expected {
    /// The answer to this, which is about to be sent: the connection expects it from now on.
    fn of(request: &Request<Outbound>, upgrades: bool, received: &Received) -> Self {
        let protocol = upgrades
            .then(|| fields::first(request.headers(), header::UPGRADE).cloned().map(Box::new))
            .flatten();
        received.expect_answer();
        Self { protocol, before: received.bytes() }
    }
}

/// What comes of this by the `deadline`; nothing: nothing has. Most is there at once, and needs no timer.
///
/// It is pinned where it is made: an async fn would hold twice what it is given.
async fn by<F: Future>(deadline: Instant, mut future: Pin<&mut F>) -> Option<F::Output> {
    match poll!(future.as_mut()) {
        Poll::Ready(output) => Some(output),
        // On the heap, as is all that few have to wait for: each request that waits has room for what it might.
        Poll::Pending => Box::pin(timeout_at(deadline, future)).await.ok(),
    }
}

impl Upstream {
    /// Sends the request that `make` builds and waits for the head of the response. `make` is called again
    /// when the request goes out a second time, as [`Order::repeatable`] permits.
    ///
    /// # Errors
    /// A [`Trouble`] as the [`From`] conversion of `E`, or what `make` says.
    pub async fn send<E: From<Trouble>>(
        self: &Arc<Self>,
        order: &Order<'_>,
        make: &mut impl FnMut() -> Result<Request<Outbound>, E>,
    ) -> Result<Response<Inbound>, E> {
        let mut stage = Stage::Pace;
        let entered = by(order.deadline, pin!(self.enter(order, &mut stage))).await;
        let (slot, path_turn) = entered.ok_or_else(|| self.overdue(&stage, order.within))??;
        let mut path_turn = Some(path_turn);
        let mut repeatable = order.repeatable;
        loop {
            let ready = by(order.deadline, pin!(self.ready(order, path_turn.take(), &mut stage))).await;
            let (mut connection, is_kept, turns) =
                ready.ok_or_else(|| self.overdue(&stage, order.within))??;
            let (sent, expected);
            // What is sent is let go of here: what is still there while it waits makes each request that waits larger.
            let answered = match make() {
                Ok(request) => {
                    turns.into_iter().flatten().for_each(Turn::take);
                    sent = request.body().sent();
                    order.note(&mut stage, Stage::Answer(sent.clone()));
                    expected = Expected::of(&request, order.upgrades, &connection.received);
                    connection.send(request, order.deadline)
                }
                Err(error) => {
                    self.idle.keep(connection);
                    return Err(error);
                }
            };
            let answered = answered.await.ok_or_else(|| self.overdue(&stage, order.within))?;
            match self.examine(answered, expected, &connection.received) {
                Ok(response) => return Ok(self.receive(response, connection, slot, sent)?),
                Err(Failed { reached: Reached::Nobody, .. }) if is_kept => self.idle.clear(),
                Err(Failed { reached: Reached::Silence, .. }) if is_kept && repeatable => {
                    repeatable = false;
                    self.idle.clear();
                }
                Err(Failed { trouble, .. }) => return Err(trouble.into()),
            }
        }
    }

    /// A place among those who ask this device, and where its paths are paced, the turn for this one.
    async fn enter(&self, order: &Order<'_>, stage: &mut Stage) -> Result<(Slot, Option<Turn>), Trouble> {
        // Nobody's connection is held by who waits for a path.
        order.note(stage, Stage::Pace);
        let path_turn = self.pace.path_turn(order.path, order.urgency).await;
        let path_turn = path_turn.map_err(|Full| self.full_path())?;
        order.note(stage, Stage::Queue);
        let slot = self.gate.enter(order.urgency).await.map_err(|Full| self.full())?;
        Ok((slot, path_turn))
    }

    /// A connection, whether it was kept, and the right to ask now. The second time there is no turn for the path.
    async fn ready(
        &self,
        order: &Order<'_>,
        path_turn: Option<Option<Turn>>,
        stage: &mut Stage,
    ) -> Result<(Box<Connection>, bool, [Option<Turn>; 2]), Trouble> {
        order.note(stage, Stage::Pace);
        let path_turn = match path_turn {
            Some(first) => first,
            None => {
                self.pace.pass_path_interval().await;
                None
            }
        };
        // Before there is a connection: a device may close one that waits.
        let turn = self.pace.turn().await;
        order.note(stage, Stage::Connection);
        let (connection, is_kept) = match self.idle.take().await {
            Ok(connection) => (connection, true),
            // On the heap, since it is rare and takes more room than all the rest.
            Err(epoch) => (Box::pin(self.connector.open(epoch)).await?, false),
        };
        Ok((connection, is_kept, [path_turn, turn]))
    }

    /// What became of a request that was sent.
    fn examine(
        &self,
        answered: Result<Response<Incoming>, TrySendError<Request<Outbound>>>,
        expected: Expected,
        received: &Received,
    ) -> Result<Response<Incoming>, Failed> {
        let garbled = |why: &str| {
            let trouble = Trouble::Garbled(format!("{} {why}", self.label()));
            Failed { trouble, reached: Reached::Device }
        };
        let response = match answered {
            Ok(response) => response,
            Err(_) if received.is_flood() => {
                return Err(garbled("sends one interim answer after the other and never the answer"));
            }
            Err(failed) => {
                let trouble = self.connector.http_trouble(received.beginning(), failed.error());
                let broke_off = matches!(trouble, Trouble::BrokeOff(_));
                let reached = match failed.message() {
                    Some(_) => Reached::Nobody,
                    None if broke_off && received.bytes() == expected.before => Reached::Silence,
                    None => Reached::Device,
                };
                return Err(Failed { trouble, reached });
            }
        };
        received.answered();
        match flaw(response.status(), response.headers(), expected.protocol.as_deref()) {
            Some(why) => Err(garbled(&format!("{why}: update its firmware, or ask for another path"))),
            None => Ok(response),
        }
    }

    /// An endless answer gives its slot back: ordinary requests go on beside it. A stream that has an end is none.
    fn receive(
        self: &Arc<Self>,
        response: Response<Incoming>,
        mut connection: Box<Connection>,
        slot: Slot,
        sent: Sent,
    ) -> Result<Response<Inbound>, Trouble> {
        let tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let is_framed = || fields::has(response.headers(), header::CONTENT_LENGTH);
        let has_end = || is_framed() || response.body().is_end_stream() || !response.status().is_success();
        let endless = tunnel || is_event_stream(response.headers()) && !has_end();
        self.idle.learn(response.headers());
        let slot = if endless { self.streams.try_enter().ok_or_else(|| self.no_stream())? } else { slot };
        // A protocol of its own, or the rest of the request, goes on whether the response is read or not.
        if tunnel || !sent.is_set() {
            connection.go_apart();
        }
        let held = Held { connection, slot, sent, idle: Arc::clone(&self.idle) };
        let receive = if tunnel { Inbound::tunnel } else { Inbound::new };
        Ok(response.map(|body| receive(body, held, self.settings.idle_timeout)))
    }
}
