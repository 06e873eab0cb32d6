//! The way to a device: its connections, whose certificate they may show, and how many there are at once.
//!
//! Knows nothing of sessions. A cloud is reached through [`cloud`], by a client of its own that trusts public
//! roots only, so that tolerance for a device's self-signed certificate can't reach it.

mod bell;
pub mod browse;
mod busy;
mod certificate;
mod chain;
pub mod cloud;
mod connect;
mod connection;
mod counted;
mod exchange;
mod framing;
mod gate;
mod idle;
mod inbound;
mod pace;
mod pin;
mod replay;
mod resolve;
mod socket;
pub(crate) mod tls;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};

pub use certificate::Certificate;
pub use connect::Introduction;
pub(crate) use connect::keep_alive;
use connect::{Connector, Met};
pub use exchange::Order;
pub(crate) use framing::{is_coded_oddly, is_event_stream, is_of_type};
use gate::Gate;
pub use gate::{Caller, Urgency};
use idle::Idle;
pub use inbound::Inbound;
use pace::Pace;
pub use pin::{Pin, Pinned};
pub use replay::{Outbound, Replay};
use resolve::Place;
use tls::Policy;
pub use trouble::Trouble;

use crate::clock::Clock;
use crate::config::{BaseUrl, CaName, Trust};
use crate::disk::Folder;

/// A whole answer, as logins and probes get it.
pub type Answer = Response<Bytes>;

/// Largest body of an [`Answer`].
const MAX_ANSWER: usize = 1024 * 1024;

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
    /// For the head of a response.
    pub timeout: Duration,
    /// Between two bytes of a body.
    pub idle_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Whether a connection serves more than one request.
    pub keeps_connections: bool,
    /// What time it is.
    pub clock: Clock,
    /// Requests that may wait for one.
    pub max_waiting: usize,
    /// Event streams and upgraded connections, beside those.
    pub max_streams: usize,
    /// Least time between two requests.
    pub min_interval: Duration,
    /// Least time between two requests for the same path.
    pub path_interval: Duration,
}

/// The pool of connections to one device.
pub struct Upstream {
    settings: Settings,
    connector: Connector,
    gate: Arc<Gate>,
    streams: Arc<Gate>,
    idle: Arc<Idle>,
    pace: Pace,
}

impl Upstream {
    /// A pool without connections; nothing is asked of the device yet, or since `former` was.
    ///
    /// # Errors
    /// When what `trust` names can't be read, or the host is no name that TLS knows.
    pub fn new(
        settings: Settings,
        pin: Arc<Pin>,
        introduction: Option<Introduction>,
        former: Option<&Self>,
    ) -> Result<Arc<Self>, String> {
        let url = &settings.url;
        let name = match &settings.trust {
            Trust::Ca { name: CaName::Other(other), .. } => other,
            _ => url.host(),
        };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("{name} is no host name that TLS knows"))?;
        // Only a make that can tell one device from another can tell that it is the same behind a new certificate.
        let follow = introduction.is_some() && matches!(settings.trust, Trust::Pin);
        let policy = Policy::of(&settings.trust, &pin, follow)?;
        let tls = match url.is_tls() {
            true => Some((Arc::new(tls::client(policy).map_err(|error| error.to_string())?), name)),
            false => None,
        };
        // For whoever wants to know before the first connection; that one looks again, and says what is wrong.
        drop(pin.current());
        let is_pinned = tls.is_some() && matches!(settings.trust, Trust::Pin | Trust::PinStrict);
        let connector = Connector {
            place: Place::new(url.host(), url.port()),
            label: format!("{}:{}", url.host(), url.port()),
            authority: url.authority(),
            tls,
            pin: is_pinned.then_some(pin),
            follow,
            introduction,
            met: Met::default(),
            seen: Mutex::default(),
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.timeout,
            base_path: url.path().to_owned(),
        };
        Ok(Arc::new(Self {
            connector,
            gate: Gate::new(settings.max_connections, settings.max_waiting),
            streams: Gate::new(settings.max_streams, 0),
            idle: Arc::new(Idle::new(settings.keeps_connections, settings.clock)),
            pace: Pace::new(&settings, former.map(|former| &former.pace)),
            settings,
        }))
    }

    /// What it is made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The certificate that the device showed last.
    pub fn certificate(&self) -> Option<Certificate> {
        self.connector.seen.lock().clone()
    }

    /// Where it is pinned, if that is how this device is trusted.
    pub fn pin(&self) -> Option<Arc<Pin>> {
        self.connector.pin.clone()
    }

    /// What is pinned, where pinning is how this device is trusted, as of the last look at its file.
    pub fn pinned(&self) -> Option<Pinned> {
        self.connector.pin.as_ref()?.remembered()
    }

    /// The certificate that the device showed last, if it was refused and a person's word would pin it.
    pub fn refused(&self) -> Option<Certificate> {
        self.connector.pin.as_ref()?.refused()
    }

    /// The device has been seen to show this, which is not what is pinned.
    pub fn note_refused(&self, shown: &Certificate) {
        if let Some(pin) = &self.connector.pin {
            pin.note_refused(Some(shown));
        }
    }

    /// Whether a restart forgets what is pinned.
    pub fn is_unsaved(&self) -> bool {
        self.connector.pin.as_ref().is_some_and(|pin| pin.is_unsaved())
    }

    /// Saves the pin if it could not be saved before.
    pub async fn save_again(&self) {
        if let Some(pin) = self.connector.pin.as_ref().filter(|pin| pin.is_unsaved()) {
            // What goes wrong is noted where it is to be written.
            drop(pin.apart(Pin::save_again).await);
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

    /// Asks one question of ours, at a place that [`locate`](Self::locate) has found, and reads the whole answer, which
    /// may take so long.
    ///
    /// # Errors
    /// Whatever kept the answer away.
    pub async fn ask(
        self: &Arc<Self>,
        question: Request<Bytes>,
        within: Duration,
    ) -> Result<Answer, Trouble> {
        let deadline = Instant::now() + within;
        let (mut head, body) = question.into_parts();
        let target = head.uri.clone();
        let repeatable = head.method.is_safe();
        let order = Order {
            deadline,
            within,
            urgency: Urgency::Visit,
            repeatable,
            upgrades: false,
            path: target.path(),
            waits: None,
        };
        if !head.headers.contains_key(header::HOST)
            && let Ok(host) = self.settings.url.authority().parse()
        {
            head.headers.insert(header::HOST, host);
        }
        let mut make = || Ok::<_, Trouble>(Request::from_parts(head.clone(), Outbound::from(body.clone())));
        let (head, body) = self.send(&order, &mut make).await?.into_parts();
        let body = timeout_at(deadline, Limited::new(body, MAX_ANSWER).collect())
            .await
            .map_err(|_| self.late(within))?
            .map_err(|error| Trouble::incomplete(self.label(), &*error))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// The certificate that the device shows now, whatever is pinned.
    ///
    /// # Errors
    /// When no handshake can be made with it.
    pub async fn presented(&self) -> Result<Certificate, Trouble> {
        let settings = Settings { trust: Trust::Any, ..self.settings.clone() };
        let pin = Arc::new(Pin::new(Arc::new(Folder::new("", "")), "", Clock::system()));
        let other = Self::new(settings, pin, None, None).map_err(Trouble::TlsProtocol)?;
        drop(other.connector.open(0).await?);
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
        let certificate = certificate.clone();
        pin.apart(move |pin| pin.set(&certificate)).await?;
        self.idle.clear();
        Ok(())
    }

    fn label(&self) -> &str {
        &self.connector.label
    }
}
