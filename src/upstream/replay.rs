//! Request bodies that can be sent twice, as long as they are small.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

/// The caller's body as it comes in, whatever kind it is.
type Incoming = axum::body::Body;

/// A request body of which the first bytes are remembered, so that a request whose session turned out to be
/// void can be sent again.
///
/// Only one [`Copy`](Self::copy) is read at a time: the former one is gone, or is never polled again, when the
/// next is asked for.
#[derive(Debug)]
pub struct Replay(Option<Arc<Mutex<State>>>);

#[derive(Debug)]
struct State {
    rest: Incoming,
    /// What was read so far; `None` once it was more than `limit`.
    read: Option<VecDeque<Bytes>>,
    ended: bool,
    length: usize,
    limit: usize,
    /// Which copy may be read: the last one.
    turn: u64,
}

/// One reading of a [`Replay`], or a body of known bytes.
#[derive(Debug)]
pub struct Outbound {
    source: Source,
    sent: Sent,
}

/// Whether a body was read to its end.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    /// It has no bytes, so that it is never asked for them.
    Empty,
    /// Whether the last of it was.
    Whole(Arc<AtomicBool>),
}

impl Sent {
    pub(super) fn is_set(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(whole) => whole.load(Ordering::Relaxed),
        }
    }

    fn set(&self) {
        if let Self::Whole(whole) = self {
            whole.store(true, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
enum Source {
    Known(Bytes),
    Replay { state: Arc<Mutex<State>>, next: usize, turn: u64 },
}

impl Replay {
    /// Remembers up to `limit` bytes of `body`.
    pub fn hold(body: Incoming, limit: usize) -> Self {
        Self(Some(Arc::new(Mutex::new(State {
            rest: body,
            read: Some(VecDeque::new()),
            ended: false,
            length: 0,
            limit,
            turn: 0,
        }))))
    }

    /// A body of no bytes.
    pub fn empty() -> Self {
        Self(None)
    }

    /// The body from its first byte, or `None` when too much of it is gone by. Copies made before it come to an
    /// error when they are read: two readers would tear the body apart.
    pub fn copy(&self) -> Option<Outbound> {
        let Some(held) = &self.0 else { return Some(Outbound::from(Bytes::new())) };
        let mut state = held.lock();
        state.read.as_ref()?;
        state.turn += 1;
        if state.length == 0 && state.rest.is_end_stream() {
            return Some(Outbound::from(Bytes::new()));
        }
        let source = Source::Replay { state: Arc::clone(held), next: 0, turn: state.turn };
        Some(Outbound { source, sent: Sent::Whole(Arc::default()) })
    }
}

impl Outbound {
    /// Tells later whether all of it was sent.
    pub(super) fn sent(&self) -> Sent {
        self.sent.clone()
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.source {
            Source::Known(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Known(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::Replay { state, next, turn } => state.lock().poll_frame(next, *turn, context),
        }
    }
}

impl From<Bytes> for Outbound {
    fn from(bytes: Bytes) -> Self {
        let sent = if bytes.is_empty() { Sent::Empty } else { Sent::Whole(Arc::default()) };
        Self { source: Source::Known(bytes), sent }
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(self.poll_source(context));
        let is_last = |frame: &Result<Frame<Bytes>, _>| frame.as_ref().is_ok_and(Frame::is_trailers);
        if frame.as_ref().is_none_or(is_last) || self.is_end_stream() {
            self.sent.set();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Known(bytes) => bytes.is_empty(),
            Source::Replay { state, next, .. } => {
                let state = state.lock();
                state.rest.is_end_stream() && state.read.as_ref().is_none_or(|read| *next >= read.len())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Known(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Replay { state, next, .. } => {
                let state = state.lock();
                let known =
                    state.read.iter().flatten().skip(*next).map(|bytes| bytes.len() as u64).sum::<u64>();
                match state.rest.size_hint().exact() {
                    Some(rest) => SizeHint::with_exact(known + rest),
                    None => SizeHint::default(),
                }
            }
        }
    }
}

impl State {
    fn poll_frame(
        &mut self,
        next: &mut usize,
        turn: u64,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if turn != self.turn {
            return Poll::Ready(Some(Err(axum::Error::new(Superseded))));
        }
        if let Some(bytes) = self.read.as_ref().and_then(|read| read.get(*next)) {
            *next += 1;
            return Poll::Ready(Some(Ok(Frame::data(bytes.clone()))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.rest).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(bytes) => self.remember(bytes, next),
                // Trailers are not remembered, so a body that has some is sent once.
                None => self.read = None,
            },
            Some(Err(_)) => self.read = None,
            None => self.ended = true,
        }
        Poll::Ready(frame)
    }

    fn remember(&mut self, bytes: &Bytes, next: &mut usize) {
        self.length += bytes.len();
        if self.length > self.limit {
            self.read = None;
        } else if let Some(read) = &mut self.read {
            read.push_back(bytes.clone());
            *next += 1;
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the request goes out again on another connection")]
struct Superseded;
