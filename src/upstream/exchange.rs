//! One exchange with a device: a place in the queue, a connection, a request and the head of its response.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, timeout_at};

use super::Upstream;
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

/// What a request waits for.
enum Stage {
    /// Its turn among others.
    Queue,
    Connection,
    /// The time after the request before it.
    Pace,
    /// That the device takes it, as far as it has not yet, and answers.
    Answer(Sent),
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
    protocol: Option<HeaderValue>,
    /// How many bytes had come on the connection when it was sent.
    before: u64,
}

impl Expected {
    /// The answer to this, which is about to be sent: the connection expects it from now on.
    fn of(request: &Request<Outbound>, upgrades: bool, received: &Received) -> Self {
        let protocol = upgrades.then(|| fields::first(request.headers(), header::UPGRADE).cloned()).flatten();
        received.expect_answer();
        Self { protocol, before: received.bytes() }
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
        mut make: impl FnMut() -> Result<Request<Outbound>, E>,
    ) -> Result<Response<Inbound>, E> {
        let mut stage = Stage::Queue;
        let outcome = {
            // Where it is made: it is large, and would be moved twice.
            let exchange = pin!(self.carry_out(order, &mut make, &mut stage));
            timeout_at(order.deadline, exchange).await
        };
        outcome.unwrap_or_else(|_| Err(self.overdue(&stage, order.within).into()))
    }

    async fn carry_out<E: From<Trouble>>(
        self: &Arc<Self>,
        order: &Order<'_>,
        make: &mut impl FnMut() -> Result<Request<Outbound>, E>,
        stage: &mut Stage,
    ) -> Result<Response<Inbound>, E> {
        // Nobody's connection is held by who waits for a path.
        order.note(stage, Stage::Pace);
        let path_turn = self.pace.path_turn(order.path, order.urgency).await;
        let mut path_turn = Some(path_turn.map_err(|Full| self.full_path())?);
        order.note(stage, Stage::Queue);
        let slot = self.gate.enter(order.urgency).await.map_err(|Full| self.full())?;
        let mut repeatable = order.repeatable;
        loop {
            order.note(stage, Stage::Pace);
            let path_turn = match path_turn.take() {
                Some(first) => first,
                None => {
                    self.pace.pass_path_interval().await;
                    None
                }
            };
            // Before there is a connection: a device may close one that waits.
            let turn = self.pace.turn().await;
            order.note(stage, Stage::Connection);
            let kept = self.idle.take().await;
            let is_kept = kept.is_ok();
            let mut connection = match kept {
                Ok(connection) => connection,
                // On the heap, since it is rare and takes more room than all the rest.
                Err(epoch) => Box::pin(self.connector.open(epoch)).await?,
            };
            let (sent, expected);
            // What is sent is let go of here: what is still there while it waits makes each request that waits larger.
            let answered = match make() {
                Ok(request) => {
                    [path_turn, turn].into_iter().flatten().for_each(Turn::take);
                    sent = request.body().sent();
                    order.note(stage, Stage::Answer(sent.clone()));
                    expected = Expected::of(&request, order.upgrades, &connection.received);
                    connection.send(request)
                }
                Err(error) => {
                    self.idle.keep(connection);
                    return Err(error);
                }
            };
            match self.examine(answered.await, expected, &connection.received) {
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

    /// What a request is told that had come so far at its deadline.
    fn overdue(&self, stage: &Stage, within: Duration) -> Trouble {
        match stage {
            Stage::Queue => Trouble::Busy(format!(
                "every connection to {} (`max_connections`, {}) was in use until `timeout`: ask less often, or raise one of \
                 them",
                self.label(),
                self.settings.max_connections
            )),
            Stage::Pace => Trouble::Busy(format!(
                "requests to {} are {:?} apart, and this one's turn did not come until `timeout`: ask less often, or raise \
                 `timeout` (or lower `min_interval`, if it is set)",
                self.label(),
                self.settings.min_interval.max(self.settings.path_interval)
            )),
            Stage::Answer(sent) if !sent.is_set() => Trouble::RequestTimeout(format!(
                "the request was not sent to {} in time (`timeout`, {:?}): its body came too slowly, or the device \
                 does not take it",
                self.label(),
                self.settings.timeout
            )),
            Stage::Connection | Stage::Answer(_) => self.late(within),
        }
    }

    pub(super) fn late(&self, within: Duration) -> Trouble {
        let timeout = self.settings.timeout;
        let advice = match within <= timeout {
            true => format!("(`timeout`, {timeout:?}): if it is only slow, raise it"),
            false => format!("({within:?}, for a login): if it is only slow, raise `timeout` above that"),
        };
        Trouble::ResponseTimeout(format!("{} has not begun to answer in time {advice}", self.label()))
    }

    fn full_path(&self) -> Trouble {
        Trouble::Busy(format!(
            "as many requests as may ({}, `max_waiting`) already wait for this path of {}, which takes one in {:?}: ask \
             less often, or raise it",
            self.settings.max_waiting,
            self.label(),
            self.settings.path_interval
        ))
    }

    fn full(&self) -> Trouble {
        Trouble::Busy(format!(
            "as many requests as may ({}, `max_waiting`) already wait for a connection to {}: ask less often, or \
             raise it",
            self.settings.max_waiting,
            self.label()
        ))
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
        match flaw(response.status(), response.headers(), expected.protocol.as_ref()) {
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

    fn no_stream(&self) -> Trouble {
        let (most, device) = (self.settings.max_streams, &self.settings.device);
        let open = match most {
            0 => "none may be open".to_owned(),
            1 => "one is open".to_owned(),
            most => format!("{most} are open"),
        };
        Trouble::Busy(format!(
            "of event streams and upgraded connections to {device} {open}, and no more may be: end one, or raise it \
             under [devices.{device}] in proxy.toml: max_streams = {}",
            most + 1
        ))
    }
}
