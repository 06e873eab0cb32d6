//! A port with a twin's face on it.
//!
//! Its own accept loop, so that tests can count connections, end them all at once as a power cut does, and answer
//! with bytes that are no HTTP.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::{Buf as _, Bytes};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::Certificate;

/// How long the accept loop rests when the system has no descriptor for it.
const REST: Duration = Duration::from_millis(20);

/// A face on a port. It ends when this is dropped.
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    scheme: &'static str,
    house: House,
}

/// Puts a face on a port: https where there is a certificate, else plain http. Port 0 takes a free one.
///
/// # Errors
/// When the port is taken, or the certificate's key does not serve.
pub fn serve(face: Router, certificate: Option<Certificate>, address: SocketAddr) -> io::Result<Served> {
    let tls = certificate.map(|certificate| certificate.server_config()).transpose()?.map(TlsAcceptor::from);
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A device that comes back takes its old address, whatever still lingers there.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(1024)?;
    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let house = House::default();
    house.spawn(accept(listener, tls, face, house.clone()));
    Ok(Served { address, scheme, house })
}

impl Served {
    /// Its base URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        *self.house.count.open.borrow()
    }

    /// Waits until exactly so many connections are open.
    pub async fn settles(&self, connections: usize) {
        // The sender lives in `self`, so this can't fail.
        let _ = self.house.count.open.subscribe().wait_for(|open| *open == connections).await;
    }

    /// How many connections there ever were, failed handshakes too.
    pub fn accepted(&self) -> u64 {
        self.house.count.accepted.load(Ordering::Acquire)
    }

    /// The most connections that were open at once.
    pub fn peak(&self) -> usize {
        self.house.count.peak.load(Ordering::Acquire)
    }

    /// Closes the port and every connection at once, in the middle of whatever they carry.
    pub async fn stop(self) {
        self.house.closing.cancel();
        self.house.tasks.close();
        self.house.tasks.wait().await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.house.closing.cancel();
    }
}

/// The connection that a request came on: an extension of every request that was served.
#[derive(Clone)]
pub struct Connection {
    number: u64,
    raw: Arc<Mutex<Option<Bytes>>>,
    house: House,
}

impl Connection {
    /// Its number, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Instead of the answer to this request these bytes go out as they are, then the connection closes.
    pub fn answer_raw(&self, bytes: Bytes) {
        *self.raw.lock() = Some(bytes);
    }

    /// Runs a task that outlives the request, as an upgraded connection does, and ends with the port.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.house.spawn(task);
    }
}

/// What all connections of one port share.
#[derive(Clone, Default)]
struct House {
    closing: CancellationToken,
    tasks: TaskTracker,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    open: watch::Sender<usize>,
    peak: AtomicUsize,
    accepted: AtomicU64,
}

impl House {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            closing.run_until_cancelled(task).await;
        });
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, face: Router, house: House) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(REST).await;
            continue;
        };
        let number = house.count.accepted.fetch_add(1, Ordering::AcqRel) + 1;
        let connection = Connection { number, raw: Arc::default(), house: house.clone() };
        let seat = Seat::taken(&house.count);
        house.spawn(carry(stream, tls.clone(), face.clone(), connection, seat));
    }
}

async fn carry(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    face: Router,
    connection: Connection,
    seat: Seat,
) {
    // Without it a small answer may wait for the caller's delayed acknowledgement. Where it can't be had, it may.
    let _ = stream.set_nodelay(true);
    let stream = match tls {
        None => Either::Left(stream),
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => Either::Right(Box::new(stream)),
            Err(_) => return,
        },
    };
    let closing = Box::pin(connection.house.closing.clone().cancelled_owned());
    let line = Line { stream, closing, raw: Arc::clone(&connection.raw), _seat: seat };
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        face.clone().oneshot(request)
    });
    // How a connection ends is the caller's affair: broken ones are what many tests are about.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(line), service)
        .with_upgrades()
        .await;
}

/// Counts a connection while it lives.
struct Seat(Arc<Count>);

impl Seat {
    fn taken(count: &Arc<Count>) -> Self {
        count.open.send_modify(|open| {
            *open += 1;
            count.peak.fetch_max(*open, Ordering::AcqRel);
        });
        Self(Arc::clone(count))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}

/// The stream below HTTP: it breaks when the port closes, and lets raw bytes take an answer's place.
struct Line {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    raw: Arc<Mutex<Option<Bytes>>>,
    _seat: Seat,
}

impl Line {
    fn poll_closing(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.closing.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Sends the raw bytes, if there are any; what follows them finds the line broken.
    fn poll_raw(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut raw = self.raw.lock();
        let Some(raw) = raw.as_mut() else { return Poll::Ready(Ok(())) };
        while raw.has_remaining() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, raw))?;
            raw.advance(sent);
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_closing(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_closing(context)?;
        ready!(self.poll_raw(context))?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_closing(context)?;
        ready!(self.poll_raw(context))?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
