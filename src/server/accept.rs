//! Our own accept loop: with deadlines, a bound on connections, and TCP_NODELAY, none of which `axum::serve` has.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::doorman::{Doorman, Phase, Seat};
use super::watched::Watched;
use crate::gateway::RequestId;
use crate::gateway::admit::Peer;
use crate::upstream::{is_coded_oddly, keep_alive};

/// Largest head of a request.
const MAX_HEAD: usize = 32 * 1024;
/// Most header lines of a request.
const MAX_HEADERS: usize = 100;
/// Longest request target.
const MAX_TARGET: usize = 8 * 1024;
/// After a failed accept (no descriptors left, say) to let others finish.
const BREATHER: Duration = Duration::from_millis(100);

/// Accepts connections until `gone`.
pub(super) async fn serve(
    listener: TcpListener,
    front: Router,
    doorman: Arc<Doorman>,
    closing: CancellationToken,
    gone: CancellationToken,
    connections: TaskTracker,
) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATHER).await;
                continue;
            }
        };
        let seat = doorman.seat().await;
        let connection = connection(stream, seat, front.clone(), closing.clone());
        let gone = gone.clone();
        connections.spawn(async move {
            gone.run_until_cancelled(connection).await;
        });
    }
}

async fn connection(stream: TcpStream, seat: Arc<Seat>, front: Router, closing: CancellationToken) {
    let (Ok(remote), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    keep_alive(&stream);
    let peer = Peer { remote, local };
    let leave = seat.leave.clone();
    let watched = Watched::new(stream, Arc::clone(&seat));
    let service = service_fn(move |request| answer(request, peer, Arc::clone(&seat), front.clone()));
    // Who comes so late still gets one answer: /readyz has to say that this is the end.
    let is_late = closing.is_cancelled();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The deadlines are those of `Watched`, which tells a head that does not come from a rest between requests.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .keep_alive(!is_late);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(watched), service).with_upgrades());
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = leave.cancelled() => return,
        () = closing.cancelled(), if !is_late => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %remote, "connection ended");
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: Peer,
    seat: Arc<Seat>,
    front: Router,
) -> Result<Response<Guarded>, std::convert::Infallible> {
    seat.enter(Phase::Serving);
    let mut seat = Occupied { seat, for_good: false };
    let knows_chunks = request.version() != Version::HTTP_10;
    if let Some(status) = malformed(&request) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return Ok(response.map(|body| Guarded { body, seat, knows_chunks }));
    }
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(RequestId::new());
    let response = front.oneshot(request).await?;
    seat.for_good = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    Ok(response.map(|body| Guarded { body, seat, knows_chunks }))
}

/// What never becomes a request gets a bare status and the end of its connection.
fn malformed(request: &Request<Incoming>) -> Option<StatusCode> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        return Some(StatusCode::URI_TOO_LONG);
    }
    if is_coded_oddly(request.headers()) {
        return Some(StatusCode::BAD_REQUEST);
    }
    // A container's health check need not know how it is called.
    if request.uri().path() == "/healthz" {
        return None;
    }
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let empty = request.headers().get(header::HOST).is_some_and(HeaderValue::is_empty);
    (hosts != 1 || empty).then_some(StatusCode::BAD_REQUEST)
}

/// The connection is busy until this is dropped.
struct Occupied {
    seat: Arc<Seat>,
    /// It speaks another protocol from now on: no request will follow.
    for_good: bool,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        if !self.for_good {
            self.seat.enter(Phase::Waiting);
        }
    }
}

/// A response's body, for as long as which its connection is busy.
struct Guarded {
    body: Body,
    seat: Occupied,
    /// Whether the caller can tell the end of a body of unknown length from the end of the connection.
    knows_chunks: bool,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if !self.knows_chunks && matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.seat.seat.torn.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
