//! Bodies that flow: long, slow, endless, broken off, or with something after their end.

use std::convert::Infallible;
use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use http_body::Frame;
use http_body_util::StreamBody;
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use super::super::answer::typed;
use super::super::face::Face;
use super::super::gate::Gate;

/// The noise repeats after so many bytes, and goes out in pieces of no more.
const BLOCK: usize = 64 << 10;

/// How long a body that breaks off stays open, so that what it sent is under way when the connection drops.
const PARTING: Duration = Duration::from_millis(20);

pub(super) fn routes(face: Face<dyn Gate>) -> Face<dyn Gate> {
    face.at("/twin/bytes", get, |_, Query(asked)| sized(&asked))
        .at("/twin/chunked", get, |_, Query(asked)| chunked(&asked))
        .at("/twin/until-close", get, |_, Query(asked)| until_close(&asked))
        .at("/twin/break", get, |_, Query(asked)| broken(&asked))
        .slow("/twin/slow", any, |_, Query(asked)| Box::pin(slow(asked)))
        .at("/twin/events", get, |_, Query(asked)| events(&asked))
        .at("/twin/trailers", get, |_, ()| trailers())
}

/// Bytes that look random and are the same on every twin: `length` of them from the `start`th on.
pub fn noise(start: u64, length: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let reached = start.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        bytes.extend(piece(reached, u64::try_from(length - bytes.len()).unwrap_or(u64::MAX)));
    }
    Bytes::from(bytes)
}

/// As much of the noise as lies in one block.
fn piece(start: u64, length: u64) -> Bytes {
    static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.take(BLOCK / size_of::<u64>()).flatten().collect()
    });
    let from = usize::try_from(start % BLOCK as u64).unwrap_or(0);
    let length = usize::try_from(length).unwrap_or(BLOCK).min(BLOCK - from);
    NOISE.slice(from..from + length)
}

#[derive(Deserialize)]
struct Asked {
    /// How many bytes.
    #[serde(default)]
    n: u64,
    /// Where a promised body breaks off.
    #[serde(default)]
    after: u64,
    /// Milliseconds between two pieces, or before the answer.
    #[serde(default)]
    ms: u64,
    /// The largest piece.
    by: Option<u64>,
}

impl Asked {
    fn pause(&self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// The body, piece by piece.
    fn flow(&self, total: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let (pause, most) = (self.pause(), self.by.unwrap_or(u64::MAX).max(1));
        stream::unfold(0, move |start| async move {
            if start >= total {
                return None;
            }
            if start > 0 && !pause.is_zero() {
                sleep(pause).await;
            }
            let piece = piece(start, (total - start).min(most));
            let reached = start + u64::try_from(piece.len()).unwrap_or(1);
            Some((Ok(piece), reached))
        })
    }
}

fn sized(asked: &Asked) -> Response {
    with_length(asked.n, Body::from_stream(asked.flow(asked.n)))
}

fn chunked(asked: &Asked) -> Response {
    Body::from_stream(asked.flow(asked.n)).into_response()
}

/// A body that ends where the connection does, as HTTP/1.0 has it.
fn until_close(asked: &Asked) -> Response {
    let mut response = Body::from_stream(asked.flow(asked.n)).into_response();
    *response.version_mut() = Version::HTTP_10;
    response
}

/// A body that promises `n` bytes, or more than it has, and breaks off `after` some.
fn broken(asked: &Asked) -> Response {
    let parting = stream::once(async {
        sleep(PARTING).await;
        Err(io::ErrorKind::BrokenPipe.into())
    });
    let promised = asked.n.max(asked.after.saturating_add(1));
    with_length(promised, Body::from_stream(asked.flow(asked.after).chain(parting)))
}

fn with_length(length: u64, body: Body) -> Response {
    let headers = [(CONTENT_LENGTH, HeaderValue::from(length))];
    (headers, [(CONTENT_TYPE, "application/octet-stream")], body).into_response()
}

async fn slow(asked: Asked) -> Response {
    sleep(asked.pause()).await;
    typed(StatusCode::OK, "application/json", json!({ "slept": asked.ms }).to_string())
}

/// Events without end, one every `ms`; the first comes at once.
fn events(asked: &Asked) -> Response {
    let pause = if asked.ms == 0 { Duration::from_millis(50) } else { asked.pause() };
    let events = stream::unfold(0_u64, move |count| async move {
        if count > 0 {
            sleep(pause).await;
        }
        let event = format!("id: {count}\ndata: {{\"count\":{count}}}\n\n");
        Some((Ok::<_, Infallible>(event), count + 1))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(events)).into_response()
}

/// A body in chunks with a trailer, which goes out only to who said `TE: trailers`.
fn trailers() -> Response {
    let name = HeaderName::from_static("x-twin-trailer");
    let trailer = HeaderMap::from_iter([(name, HeaderValue::from_static("the end"))]);
    let frames = [Frame::data(Bytes::from_static(b"before the trailer\n")), Frame::trailers(trailer)];
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
    ([(TRAILER, "x-twin-trailer")], Body::new(body)).into_response()
}
