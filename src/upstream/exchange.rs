//! One exchange with a device: a place in the queue, a connection, a request and the head of its response.

use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode, header};
use tokio::time::{Instant, timeout_at};

use super::Upstream;
use super::connect::Connection;
use super::gate::{Full, Slot, Urgency};
use super::inbound::{Held, Inbound};
use super::replay::{Outbound, Sent};
use super::trouble::Trouble;

/// How one request is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Until when the head of the response has to be there.
    pub deadline: Instant,
    /// Whose turn comes first.
    pub urgency: Urgency,
    /// Whether it may be sent again when a kept connection died before a byte of the response came.
    pub repeatable: bool,
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

impl Upstream {
    /// Sends the request that `make` builds and waits for the head of the response. `make` is called again
    /// when the request goes out a second time, as [`Order::repeatable`] permits.
    ///
    /// # Errors
    /// A [`Trouble`] as the [`From`] conversion of `E`, or what `make` says.
    pub async fn send<E: From<Trouble>>(
        self: &Arc<Self>,
        order: Order,
        mut make: impl FnMut() -> Result<Request<Outbound>, E>,
    ) -> Result<Response<Inbound>, E> {
        let slot = self.slot(order).await?;
        let mut repeatable = order.repeatable;
        loop {
            let epoch = self.idle.epoch();
            let kept = timeout_at(order.deadline, self.idle.take()).await.map_err(|_| self.late())?;
            let is_kept = kept.is_some();
            let connection = match kept {
                Some(connection) => connection,
                None => timeout_at(order.deadline, self.connector.open(epoch))
                    .await
                    .unwrap_or_else(|_| Err(self.late()))?,
            };
            let request = match make() {
                Ok(request) => request,
                Err(error) => {
                    self.idle.keep(connection);
                    return Err(error);
                }
            };
            let sent = request.body().sent();
            match self.exchange(connection, request, order.deadline).await {
                Ok((response, connection)) => return Ok(self.receive(response, connection, slot, sent)?),
                Err(Failed { reached: Reached::Nobody, .. }) if is_kept => self.idle.clear().await,
                Err(Failed { reached: Reached::Silence, .. }) if is_kept && repeatable => {
                    repeatable = false;
                    self.idle.clear().await;
                }
                Err(Failed { trouble, .. }) => return Err(trouble.into()),
            }
        }
    }

    pub(super) fn late(&self) -> Trouble {
        Trouble::ResponseTimeout(format!(
            "{} has not begun to answer in time (`timeout`, {:?}): if it is only slow, raise it",
            self.label(),
            self.settings.timeout
        ))
    }

    async fn slot(&self, order: Order) -> Result<Slot, Trouble> {
        match timeout_at(order.deadline, self.gate.enter(order.urgency)).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(Full)) => Err(Trouble::Busy(format!(
                "as many requests as may ({}, `max_waiting`) already wait for a connection to {}: ask less often, or \
                 raise it",
                self.settings.max_waiting,
                self.label()
            ))),
            Err(_) => Err(Trouble::Busy(format!(
                "every connection to {} (`max_connections`, {}) was in use until `timeout`: ask less often, or raise one of \
                 them",
                self.label(),
                self.settings.max_connections
            ))),
        }
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        request: Request<Outbound>,
        deadline: Instant,
    ) -> Result<(Response<hyper::body::Incoming>, Connection), Failed> {
        let wants_upgrade = request.headers().contains_key(header::UPGRADE);
        let received = connection.received();
        let answered = timeout_at(deadline, connection.sender.try_send_request(request)).await;
        let response = match answered {
            Err(_) => return Err(Failed { trouble: self.late(), reached: Reached::Device }),
            Ok(Ok(response)) => response,
            Ok(Err(failed)) => {
                let trouble = self.connector.http_trouble(failed.error());
                let broke_off = matches!(trouble, Trouble::BrokeOff(_));
                let reached = match failed.message() {
                    Some(_) => Reached::Nobody,
                    None if broke_off && connection.received() == received => Reached::Silence,
                    None => Reached::Device,
                };
                return Err(Failed { trouble, reached });
            }
        };
        if let Some(why) = ambiguity(response.status(), response.headers(), wants_upgrade) {
            let trouble =
                Trouble::Garbled(format!("what {} answers can be read in two ways: {why}", self.label()));
            return Err(Failed { trouble, reached: Reached::Device });
        }
        Ok((response, connection))
    }

    /// An endless answer gives its slot back: ordinary requests go on beside it.
    fn receive(
        self: &Arc<Self>,
        response: Response<hyper::body::Incoming>,
        connection: Connection,
        slot: Slot,
        sent: Sent,
    ) -> Result<Response<Inbound>, Trouble> {
        let tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let endless = tunnel || is_event_stream(response.headers());
        self.idle.learn(response.headers());
        let slot = if endless { self.streams.try_enter().ok_or_else(|| self.no_stream())? } else { slot };
        let held = Held { connection, slot, sent, idle: Arc::clone(&self.idle) };
        let idle_timeout = self.settings.idle_timeout;
        let receive = if tunnel { Inbound::tunnel } else { Inbound::new };
        Ok(response.map(|body| receive(body, held, idle_timeout)))
    }

    fn no_stream(&self) -> Trouble {
        Trouble::Busy(format!(
            "{} event streams or upgraded connections to {} are open (`max_streams`)",
            self.settings.max_streams,
            self.label()
        ))
    }
}

/// Whether two readers could see two different messages (RFC 9112 section 6.3), or a protocol nobody asked for.
fn ambiguity(status: StatusCode, headers: &HeaderMap, wants_upgrade: bool) -> Option<&'static str> {
    if status == StatusCode::SWITCHING_PROTOCOLS && !wants_upgrade {
        return Some("101 without a request to switch protocols");
    }
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    if headers.contains_key(header::TRANSFER_ENCODING) && lengths > 0 {
        return Some("both Content-Length and Transfer-Encoding");
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (Some(coding), None) if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Some("a Transfer-Encoding other than chunked")
        }
        (Some(_), Some(_)) => Some("two Transfer-Encodings"),
        _ => None,
    }
}

pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
    })
}
