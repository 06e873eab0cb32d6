//! One caller's connection: TLS where the door speaks it, then HTTP, request by request.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, request};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::accept::Entrance;
use super::doorman::{Phase, Seat};
use super::ending::cancelled;
use super::guarded::{Arriving, Guarded, Occupied, Stay};
use super::watched::{Watched, Wire};
use crate::alarm::Alarm;
use crate::gateway::admit::{Arrival, Peer};
use crate::gateway::front::Front;
use crate::gateway::{Outgoing, RequestId};
use crate::upstream::{is_coded_oddly, keep_alive};

/// Largest head of a request.
const MAX_HEAD: usize = 32 * 1024;
/// So much is held for a caller who does not read: hyper's own bound is a multiple of it. With half of it an answer of
/// 50 KB takes two writes.
const MAX_BUFFER: usize = 64 * 1024;
/// After so long without a next request a caller rests, and much that served the last one may go.
const REST: Duration = Duration::from_millis(20);
/// So long the end of a door waits for the rest of a head: what has not become a request by then holds up nobody.
const LAST_HEAD: Duration = Duration::from_secs(1);
/// Longest request target.
const MAX_TARGET: usize = 8 * 1024;
/// How a TLS record begins that begins a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\
    content-length: 29\r\n\r\nThis door speaks https alone\n";

/// One connection, from its handshake to its end.
pub(super) fn connection(
    stream: TcpStream,
    seat: Arc<Seat>,
    front: Front,
    entrance: &Entrance,
) -> impl Future<Output = ()> + use<> {
    let (door, tls, ending) = (Arc::clone(&entrance.id), entrance.tls.load_full(), entrance.ending.clone());
    async move {
        let (Ok(remote), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
        keep_alive(&stream);
        let peer = Peer { remote, local, door, secure: tls.is_some(), ending: ending.clone() };
        // There is a future of this kind for each caller who stays: what few callers need is on the heap.
        let stream = match tls {
            None => Some(Either::Left(stream)),
            Some(tls) => tokio::select! {
                stream = Box::pin(secure(stream, tls, &seat, remote)) => stream.map(Either::Right),
                () = Box::pin(after_the_end(&ending)) => None,
            },
        };
        if let Some(stream) = stream {
            speak(stream, peer, Arc::clone(&seat), front, ending).await;
        }
        seat.is_run_no_longer();
    }
}

/// When whoever has not asked for anything yet has to leave.
async fn after_the_end(ending: &CancellationToken) {
    ending.cancelled().await;
    sleep(LAST_HEAD).await;
}

/// TLS, if there is a handshake in time.
async fn secure(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    seat: &Seat,
    remote: SocketAddr,
) -> Option<Box<TlsStream<TcpStream>>> {
    match timeout(seat.limits().head_timeout, handshake(stream, tls)).await {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => tracing::debug!(%error, %remote, "no TLS"),
        Err(_) => tracing::debug!(%remote, "no TLS in time"),
    }
    None
}

/// Who speaks plain HTTP where TLS is spoken is told so.
async fn handshake(mut stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first != [HANDSHAKE] {
        stream.write_all(SPEAK_TLS).await?;
        stream.shutdown().await?;
        // What is left unread would have the system take the answer back.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the caller speaks plain HTTP"));
    }
    TlsAcceptor::from(tls).accept(stream).await
}

/// HTTP on one connection.
async fn speak(stream: Wire, peer: Peer, seat: Arc<Seat>, front: Front, ending: CancellationToken) {
    let remote = peer.remote;
    // Who comes so late still gets one answer: /readyz has to say that this is the end.
    let is_late = ending.is_cancelled();
    let mut end = pin!(cancelled(&ending));
    let mut stream = Watched::new(stream, Arc::clone(&seat));
    let stay = Arc::new(Stay { seat: Arc::clone(&seat), peer: Arc::new(peer), front });
    let mut service = service_fn(move |request| answer(request, Arc::clone(&stay)));
    loop {
        let mut rest = Alarm::default();
        let mut connection = http(is_late).serve_connection(TokioIo::new(stream), service).with_upgrades();
        let ended = tokio::select! {
            biased;
            ended = poll_fn(|context| until_rest(&mut connection, (&seat, &mut rest), context)), if !is_late => ended,
            () = &mut end => {
                if !is_late {
                    Pin::new(&mut connection).graceful_shutdown();
                }
                match timeout(LAST_HEAD, &mut connection).await {
                    Ok(ended) => Some(ended),
                    Err(_) if !seat.is_served() => return,
                    Err(_) => Some((&mut connection).await),
                }
            }
        };
        if let Some(Err(error)) = &ended {
            tracing::debug!(%error, %remote, "connection ended");
        }
        // While a caller rests hyper and its buffers go, which are most of what a connection takes.
        let (None, Some(parts)) = (ended, connection.into_parts()) else { return };
        (stream, service) = (parts.io.into_inner(), parts.service);
        stream.put_back(parts.read_buf);
        let mut first = [0];
        let begins = tokio::select! {
            read = stream.read(&mut first) => matches!(read, Ok(1..)),
            () = &mut end => false,
        };
        if !begins {
            if let Err(error) = stream.shutdown().await {
                tracing::debug!(%error, %remote, "connection ended");
            }
            return;
        }
        stream.put_back(Bytes::copy_from_slice(&first));
    }
}

fn http(is_late: bool) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The deadlines are those of `Watched`, which tells a head that does not come from a rest between requests.
        .header_read_timeout(None)
        // Of header lines it takes a hundred: to be told a number costs it an allocation for each head.
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER)
        // Whether the caller is still there is for `Watched` to see.
        .half_close(true)
        .keep_alive(!is_late);
    builder
}

/// How a connection ended; nothing: its caller rests.
fn until_rest<C: Future + Unpin>(
    connection: &mut C,
    (seat, rest): (&Seat, &mut Alarm),
    context: &mut Context<'_>,
) -> Poll<Option<C::Output>> {
    if let Poll::Ready(ended) = Pin::new(connection).poll(context) {
        return Poll::Ready(Some(ended));
    }
    // Whoever is served is looked at again when they are not.
    let Some(since) = seat.at_rest_since() else { return Poll::Pending };
    rest.poll(Some(since + REST), Instant::now, context).map(|()| None)
}

async fn answer(
    request: Request<Incoming>,
    stay: Arc<Stay>,
) -> Result<Response<Guarded>, std::convert::Infallible> {
    stay.seat.enter(Phase::Serving);
    let (mut head, body) = request.into_parts();
    let is_read = body.is_end_stream();
    stay.seat.is_read.store(is_read, Ordering::Relaxed);
    stay.seat.is_left.store(false, Ordering::Relaxed);
    let knows_chunks = head.version != Version::HTTP_10;
    stay.seat.ends_by_end.store(!knows_chunks, Ordering::Relaxed);
    let mut occupied = Occupied { stay, for_good: false };
    let Stay { seat, peer, front } = &*occupied.stay;
    if let Some(status) = malformed(&head) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return Ok(response.map(|body| Guarded::new(Outgoing::Ours(body), occupied, knows_chunks)));
    }
    // Of an empty body nothing is kept.
    let body = match is_read {
        true => Body::empty(),
        false => Body::new(Arriving::new(body, Arc::clone(seat))),
    };
    let arrival = Arrival { peer: Arc::clone(peer), id: RequestId::new() };
    let mut response = front.answer(&mut head, body, &arrival).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        occupied.for_good = true;
        seat.is_tunnel.store(true, Ordering::Relaxed);
    }
    // hyper ends a connection on which the rest of a request is still to come, but does not say so (RFC 9112 section 9.6).
    if !occupied.for_good && seat.is_left.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Guarded::new(body, occupied, knows_chunks)))
}

/// What never becomes a request gets a bare status and the end of its connection.
fn malformed(head: &request::Parts) -> Option<StatusCode> {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        return Some(StatusCode::URI_TOO_LONG);
    }
    // An authority alone is for CONNECT (RFC 9112 section 3.2.3), and has no path that could lead anywhere.
    let is_pathless = head.uri.path().is_empty() && head.method != Method::CONNECT;
    (is_pathless || is_coded_oddly(&head.headers)).then_some(StatusCode::BAD_REQUEST)
}
