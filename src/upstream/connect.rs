//! Opening a connection to a device: name, TCP, TLS, and whether it is the right device.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::bell::News;
use super::certificate::Certificate;
use super::connection::Connection;
use super::counted::{Counted, Received};
use super::pin::{Pin, Pinned};
use super::replay::Outbound;
use super::resolve::Place;
use super::socket::Socket;
use super::trouble::{Beginning, Trouble};
use super::{Answer, MAX_ANSWER};

/// Most bytes of a response head; a device that sends more is broken or hostile.
const MAX_HEAD: usize = 64 * 1024;
/// So many peers are remembered; a device has one key, or a few one after the other.
const MOST_MET: usize = 16;
/// After so long a silence the kernel asks whether the peer is still there.
const PROBED_AFTER: Duration = Duration::from_secs(60);

/// What a connection goes over, TLS or not. It is one type, so that what is above it is compiled once.
type Wire = Either<Socket, TlsStream<Socket>>;

/// What is asked of a peer that was not met before, ahead of any credential.
pub struct Introduction {
    /// Path and query, below the base path.
    pub path: &'static str,
    /// Whether the answer is that of the device which is configured; [`Trouble::WrongDevice`] if not.
    #[expect(clippy::type_complexity, reason = "a name for it would hide what is asked")]
    pub check: Box<dyn Fn(&Answer) -> Result<(), Trouble> + Send + Sync>,
}

/// Opens connections to one device.
pub(super) struct Connector {
    pub(super) place: Place,
    /// `host:port` as a person would write it, for messages.
    pub(super) label: String,
    /// What the `Host` header says.
    pub(super) authority: String,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(super) pin: Option<Arc<Pin>>,
    /// Whether a re-issued certificate may take over from the pinned one.
    pub(super) follow: bool,
    pub(super) introduction: Option<Introduction>,
    pub(super) met: Met,
    pub(super) seen: Mutex<Option<Certificate>>,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) base_path: String,
}

impl Connector {
    /// A connection on which requests with credentials may go.
    pub(super) async fn open(&self, epoch: u64) -> Result<Box<Connection>, Trouble> {
        let opened = timeout(self.connect_timeout, self.handshake(epoch)).await;
        let (mut connection, peer) = match opened {
            Ok(opened) => opened?,
            Err(_) => {
                self.place.doubt();
                return Err(Trouble::ConnectTimeout(format!(
                    "no connection to {} within {:?} (`connect_timeout`): is the device on?",
                    self.label, self.connect_timeout
                )));
            }
        };
        self.meet(&mut connection, peer).await?;
        Ok(connection)
    }

    async fn handshake(&self, epoch: u64) -> Result<(Box<Connection>, Option<Certificate>), Trouble> {
        // Before anybody is met: where the pin can't be read, nobody is to be.
        self.pinned().await?;
        let news = Arc::<News>::default();
        let stream = Socket::new(self.tcp().await?, Arc::clone(&news));
        let Some((client, name)) = &self.tls else {
            return Ok((self.http(Either::Left(stream), news, epoch).await?, None));
        };
        let stream = TlsConnector::from(Arc::clone(client))
            .connect(name.clone(), stream)
            .await
            .map_err(|error| Trouble::of_tls(&self.label, &error))?;
        let shown = match stream.get_ref().1.peer_certificates().and_then(<[_]>::first) {
            Some(der) => Certificate::read(der).map_err(Trouble::TlsProtocol)?,
            None => return Err(Trouble::TlsProtocol(format!("{} shows no certificate", self.label))),
        };
        Ok((self.http(Either::Right(stream), news, epoch).await?, Some(shown)))
    }

    /// Makes sure that this peer is the device that is configured, and remembers it.
    ///
    /// Its key is proven by now. A first certificate is pinned, and one that may follow the pinned one takes over,
    /// only after the device has said who it is, where the make has a way to ask.
    async fn meet(&self, connection: &mut Connection, shown: Option<Certificate>) -> Result<(), Trouble> {
        let Some(shown) = shown else {
            // Behind the same address may be another device tomorrow, and without TLS only it can tell.
            return self.introduce(connection).await;
        };
        let is_other = self.pinned().await?.is_some_and(|pinned| pinned.certificate.spki != shown.spki);
        let has_to_say = is_other || !self.met.has(&shown);
        if has_to_say {
            self.introduce(connection).await?;
        }
        if let Some(pin) = &self.pin {
            let (certificate, follow) = (shown.clone(), self.follow && has_to_say);
            let met = pin.apart(move |pin| pin.meet(&certificate, follow)).await;
            let pinned = met.flatten().map_err(Trouble::Certificate)?;
            if pinned.certificate.spki != shown.spki {
                return Err(Trouble::Certificate(format!(
                    "{} shows two certificates at once ({} and {}): are there two devices at this address?",
                    self.label,
                    pinned.certificate.fingerprint(),
                    shown.fingerprint()
                )));
            }
        }
        self.met.note(&shown);
        *self.seen.lock() = Some(shown);
        Ok(())
    }

    /// What is pinned now; nothing where trust is no matter of a pin.
    async fn pinned(&self) -> Result<Option<Pinned>, Trouble> {
        match &self.pin {
            Some(pin) => pin.apart(Pin::current).await.flatten().map_err(Trouble::Certificate),
            None => Ok(None),
        }
    }

    async fn tcp(&self) -> Result<TcpStream, Trouble> {
        let addresses = self.place.addresses(self.connect_timeout).await?;
        // A dead address of several must not use up the time of the others.
        let share = self.connect_timeout / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut last = None;
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY not set");
                    }
                    keep_alive(&stream);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(Trouble::connecting(&error, &self.label)),
                Err(_) => last = Some(Trouble::connecting(&io::ErrorKind::TimedOut.into(), &self.label)),
            }
        }
        self.place.doubt();
        Err(last.unwrap_or_else(|| Trouble::NameNotFound(format!("{} has no address", self.label))))
    }

    async fn introduce(&self, connection: &mut Connection) -> Result<(), Trouble> {
        let Some(introduction) = &self.introduction else { return Ok(()) };
        let answer = self.first_words(connection, introduction.path).await?;
        (introduction.check)(&answer)
    }

    async fn first_words(&self, connection: &mut Connection, path: &str) -> Result<Answer, Trouble> {
        let request = Request::get(format!("{}{path}", self.base_path))
            .header(header::HOST, &self.authority)
            .body(Outbound::from(Bytes::new()))
            .map_err(|_| Trouble::Garbled(format!("{path} can't be asked for below this `url`")))?;
        let deadline = Instant::now() + self.response_timeout;
        let late = || {
            Trouble::ResponseTimeout(format!(
                "{} has not said who it is in time (`timeout`): if it is only slow, raise it",
                self.label
            ))
        };
        let answered = connection.send(request, deadline).await.ok_or_else(late)?;
        let answered =
            answered.map_err(|failed| self.http_trouble(connection.received.beginning(), failed.error()))?;
        let (head, body) = answered.into_parts();
        let rest = async {
            let body = Limited::new(connection.body(body), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| Trouble::incomplete(&self.label, &*error))?;
            // Whoever sends the next finds out if not.
            connection.is_free().await;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout_at(deadline, rest).await.unwrap_or_else(|_| Err(late()))
    }

    async fn http(&self, stream: Wire, news: Arc<News>, epoch: u64) -> Result<Box<Connection>, Trouble> {
        let received = Arc::<Received>::default();
        let stream = TokioIo::new(Counted::new(stream, Arc::clone(&received), Arc::clone(&news)));
        let mut builder = http1::Builder::new();
        // Of header lines it takes a hundred: to be told a number costs it an allocation for each head.
        builder.max_header_size(MAX_HEAD);
        // What is read ahead for one who does not take it; hyper's own bound is a multiple of it.
        builder.max_buf_size(MAX_HEAD);
        // TLS copies what is sent anyway, and to make a list of pieces costs more than to put a short request in one.
        builder.writev(self.tls.is_none());
        let (sender, connection) =
            builder.handshake(stream).await.map_err(|error| self.http_trouble(Beginning::Silence, &error))?;
        // Its errors reach whoever waits for a response; there is nobody else to tell.
        let line = async move { drop(connection.with_upgrades().await) };
        // It goes from the pool to a request, into its answer and back: boxed, so that it stays where it is.
        Ok(Box::new(Connection::new(sender, line, (received, news), epoch)))
    }

    /// What an error of hyper's means, on a connection whose answers began so.
    pub(super) fn http_trouble(&self, began: Beginning, error: &hyper::Error) -> Trouble {
        Trouble::of_http(&self.label, self.tls.is_some(), began, error)
    }
}

/// Public keys of peers that were met.
#[derive(Default)]
pub(super) struct Met(Mutex<HashSet<Vec<u8>>>);

impl Met {
    fn has(&self, shown: &Certificate) -> bool {
        self.0.lock().contains(&shown.spki)
    }

    fn note(&self, shown: &Certificate) {
        let mut met = self.0.lock();
        // Where any certificate will do, somebody may show another each time: those of before are asked who they are
        // once more.
        if met.len() >= MOST_MET && !met.contains(&shown.spki) {
            met.clear();
        }
        met.insert(shown.spki.clone());
    }
}

/// A peer that vanished without a word is noticed on a connection that is silent by nature.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let often = TcpKeepalive::new().with_time(PROBED_AFTER).with_interval(PROBED_AFTER / 3);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&often) {
        tracing::debug!(%error, "TCP keep-alive not set");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_shows_another_key_each_time_is_not_remembered_for_ever() {
        let met = Met::default();
        let pem = rcgen::generate_simple_self_signed(["meter".to_owned()]).unwrap();
        let mut shown = Certificate::read(pem.cert.der()).unwrap();
        for nth in 0..1000_u32 {
            shown.spki = nth.to_be_bytes().to_vec();
            assert!(!met.has(&shown));
            met.note(&shown);
            met.note(&shown);
            assert!(met.has(&shown));
            assert!(met.0.lock().len() <= MOST_MET);
        }
    }
}
