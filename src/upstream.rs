//! The way to a device: its connections, whose certificate they may show, and how many there are at once.
//!
//! Knows nothing of sessions. A cloud is reached through [`cloud`], by a client of its own that trusts public
//! roots only, so that tolerance for a device's self-signed certificate can't reach it.

mod certificate;
pub mod cloud;
mod connect;
mod counted;
mod gate;
mod inbound;
mod pin;
mod replay;
mod resolve;
pub(crate) mod tls;
mod trouble;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};

pub use certificate::Certificate;
pub use connect::Introduction;
use connect::{Connection, Connector};
pub use gate::Urgency;
use gate::{Gate, Slot};
use inbound::Held;
pub use inbound::Inbound;
pub use pin::{Pin, Pinned};
pub use replay::{Outbound, Replay};
use resolve::Place;
use tls::Policy;
pub use trouble::Trouble;

use crate::clock::Clock;
use crate::config::{BaseUrl, CaName, Trust};

/// A whole answer, as logins and probes get it.
pub type Answer = Response<Bytes>;

/// Largest body of an [`Answer`].
const MAX_ANSWER: usize = 1024 * 1024;
/// How long an unused connection is kept where the device does not say.
const KEPT: Duration = Duration::from_secs(30);
/// A device closes when its time is over; we do so a little earlier.
const MARGIN: Duration = Duration::from_secs(1);

/// What an [`Upstream`] is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the device, for messages.
    pub device: String,
    /// Where it is.
    pub url: BaseUrl,
    /// Whose certificate it may show.
    pub trust: Trust,
    /// For name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// For the head of a response to one of our own questions.
    pub timeout: Duration,
    /// Between two bytes of a body.
    pub idle_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Requests that may wait for one.
    pub max_waiting: usize,
    /// Event streams and upgraded connections, beside those.
    pub max_streams: usize,
}

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

/// The pool of connections to one device.
pub struct Upstream {
    settings: Settings,
    connector: Connector,
    gate: Arc<Gate>,
    streams: Arc<Gate>,
    idle: Mutex<Idle>,
}

/// Connections that nobody uses now, the one used last at the end.
#[derive(Default)]
struct Idle {
    connections: Vec<(Instant, Connection)>,
    /// How long the device keeps them, as far as it has said.
    kept: Option<Duration>,
    reaped: bool,
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
    /// A pool without connections; nothing is asked of the device yet.
    ///
    /// # Errors
    /// When what `trust` names can't be read, or the host is no name that TLS knows.
    pub fn new(
        settings: Settings,
        pin: Arc<Pin>,
        introduction: Option<Introduction>,
    ) -> Result<Arc<Self>, String> {
        let url = &settings.url;
        let mut held_pin = None;
        let mut name = server_name(url.host())?;
        let tls = if url.is_tls() {
            let policy = match &settings.trust {
                Trust::Pin | Trust::PinStrict => {
                    held_pin = Some(Arc::clone(&pin));
                    let follow = settings.trust == Trust::Pin && introduction.is_some();
                    Policy::Pin { pin, follow }
                }
                Trust::Sha256(expected) => Policy::Sha256(*expected),
                Trust::Any => Policy::Any,
                Trust::Public => Policy::public()?,
                Trust::Ca { file, name: check } => {
                    if let CaName::Other(other) = check {
                        name = server_name(other)?;
                    }
                    Policy::chain_to(file, *check != CaName::Unchecked)?
                }
            };
            let client = tls::client(policy).map_err(|error| error.to_string())?;
            Some((Arc::new(client), name))
        } else {
            None
        };
        let connector = Connector {
            place: Place::new(url.host(), url.port()),
            label: format!("{}:{}", url.host(), url.port()),
            authority: url.authority(),
            tls,
            pin: held_pin,
            introduction,
            met: Mutex::default(),
            seen: Mutex::default(),
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.timeout,
            base_path: url.path().to_owned(),
        };
        Ok(Arc::new(Self {
            connector,
            gate: Gate::new(settings.max_connections, settings.max_waiting),
            streams: Gate::new(settings.max_streams, 0),
            idle: Mutex::default(),
            settings,
        }))
    }

    /// What it is made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The certificate that the device showed last.
    pub fn certificate(&self) -> Option<Certificate> {
        self.connector.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is pinned, where pinning is how this device is trusted.
    pub fn pinned(&self) -> Option<Pinned> {
        self.connector.pin.as_ref()?.current().ok().flatten()
    }

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
            let kept = self.take().await;
            let is_kept = kept.is_some();
            let connection = match kept {
                Some(connection) => connection,
                None => timeout_at(order.deadline, self.connector.open())
                    .await
                    .unwrap_or_else(|_| Err(self.late()))?,
            };
            let request = match make() {
                Ok(request) => request,
                Err(error) => {
                    self.keep(connection);
                    return Err(error);
                }
            };
            match self.exchange(connection, request, order.deadline).await {
                Ok((response, connection)) => return Ok(self.receive(response, connection, slot)?),
                Err(Failed { reached: Reached::Nobody, .. }) if is_kept => self.forget_idle().await,
                Err(Failed { reached: Reached::Silence, .. }) if is_kept && repeatable => {
                    repeatable = false;
                    self.forget_idle().await;
                }
                Err(Failed { trouble, .. }) => return Err(trouble.into()),
            }
        }
    }

    /// Where a path and query of the device's API is, base path included.
    ///
    /// # Errors
    /// [`Trouble::Garbled`] when no request can ask for it.
    pub fn locate(&self, path: &str) -> Result<Uri, Trouble> {
        let target = format!("{}{path}", self.settings.url.path());
        target.parse().map_err(|_| Trouble::Garbled(format!("{target} can't be asked for")))
    }

    /// Asks one question of ours, at a place that [`locate`](Self::locate) has found, and reads the whole answer.
    ///
    /// # Errors
    /// Whatever kept the answer away.
    pub async fn ask(self: &Arc<Self>, question: Request<Bytes>) -> Result<Answer, Trouble> {
        let deadline = Instant::now() + self.settings.timeout;
        let order = Order { deadline, urgency: Urgency::Visit, repeatable: question.method().is_safe() };
        let (mut head, body) = question.into_parts();
        if !head.headers.contains_key(header::HOST)
            && let Ok(host) = self.settings.url.authority().parse()
        {
            head.headers.insert(header::HOST, host);
        }
        let make = || Ok::<_, Trouble>(Request::from_parts(head.clone(), Outbound::from(body.clone())));
        let (head, body) = self.send(order, make).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            Trouble::BrokeOff(format!("the answer of {} is not complete: {error}", self.label()))
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// The certificate that the device shows now, whatever is pinned.
    ///
    /// # Errors
    /// When no handshake can be made with it.
    pub async fn presented(&self) -> Result<Certificate, Trouble> {
        let settings = Settings { trust: Trust::Any, ..self.settings.clone() };
        let pin = Arc::new(Pin::new(Path::new(""), "", Clock::system()));
        let other = Self::new(settings, pin, None).map_err(Trouble::TlsProtocol)?;
        other.connector.open().await?.close().await;
        other.certificate().ok_or_else(|| Trouble::TlsProtocol(format!("{} does not use TLS", self.label())))
    }

    /// Pins this certificate instead of the former one, by a person's word.
    ///
    /// # Errors
    /// When this device is not trusted by a pin.
    pub async fn repin(&self, certificate: &Certificate) -> Result<(), String> {
        let Some(pin) = &self.connector.pin else {
            return Err(format!(
                "{} is not trusted by a pin: see `trust` under [devices.{}]",
                self.label(),
                self.settings.device
            ));
        };
        pin.set(certificate);
        self.forget_idle().await;
        Ok(())
    }

    /// Closes every connection that is not in use: what they were opened with no longer holds.
    pub async fn forget_idle(&self) {
        let connections = std::mem::take(&mut self.idle().connections);
        for (_, connection) in connections {
            connection.close().await;
        }
    }

    fn label(&self) -> &str {
        &self.connector.label
    }

    fn late(&self) -> Trouble {
        Trouble::ResponseTimeout(format!(
            "{} has not begun to answer in time (`timeout`, {:?})",
            self.label(),
            self.settings.timeout
        ))
    }

    async fn slot(&self, order: Order) -> Result<Slot, Trouble> {
        match timeout_at(order.deadline, self.gate.enter(order.urgency)).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(gate::Full)) => Err(Trouble::Busy(format!(
                "{} requests already wait for a connection to {} (`max_waiting`)",
                self.settings.max_waiting,
                self.label()
            ))),
            Err(_) => Err(Trouble::Busy(format!(
                "every connection to {} (`max_connections`, {}) was in use for too long",
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
    ) -> Result<Response<Inbound>, Trouble> {
        let tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let endless = tunnel || is_event_stream(response.headers());
        if let Some(kept) = keep_alive(response.headers()) {
            self.idle().kept = Some(kept);
        }
        let slot = if endless { self.streams.try_enter().ok_or_else(|| self.no_stream())? } else { slot };
        let held = Held { connection, slot, upstream: Arc::clone(self) };
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

    /// A kept connection that still is one.
    async fn take(&self) -> Option<Connection> {
        loop {
            let (since, mut connection) = {
                let mut idle = self.idle();
                idle.connections.pop()?
            };
            let fresh = since.elapsed() < self.kept() && !connection.sender.is_closed();
            if fresh && connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
            connection.close().await;
        }
    }

    fn keep(self: &Arc<Self>, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle();
        idle.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut idle.reaped, true) {
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    fn kept(&self) -> Duration {
        self.idle().kept.map_or(KEPT, |said| said.saturating_sub(MARGIN).min(KEPT))
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections before the device does, and ends with the last of them.
async fn reap(upstream: std::sync::Weak<Upstream>) {
    loop {
        let Some(wait) = upstream.upgrade().map(|upstream| upstream.kept()) else { return };
        tokio::time::sleep(wait.max(MARGIN)).await;
        let Some(upstream) = upstream.upgrade() else { return };
        let kept = upstream.kept();
        let mut idle = upstream.idle();
        idle.connections
            .retain(|(since, connection)| since.elapsed() < kept && !connection.sender.is_closed());
        if idle.connections.is_empty() {
            idle.reaped = false;
            return;
        }
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no host name that TLS knows"))
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

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
    })
}

/// The device's word on how long it keeps a connection: `Keep-Alive: timeout=5`.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    Some(Duration::from_secs(seconds.trim().parse().ok()?))
}
