//! What is answered to a caller, and that their connection is busy with it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::doorman::{Phase, Seat};
use crate::gateway::Outgoing;
use crate::gateway::admit::Peer;
use crate::gateway::front::Front;

/// What all requests of a connection have.
pub(super) struct Stay {
    pub(super) seat: Arc<Seat>,
    pub(super) peer: Arc<Peer>,
    pub(super) front: Front,
}

/// The connection is busy until this is dropped.
pub(super) struct Occupied {
    pub(super) stay: Arc<Stay>,
    /// It speaks another protocol from now on: no request will follow.
    pub(super) for_good: bool,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        if !self.for_good {
            self.stay.seat.enter(Phase::Waiting);
        }
    }
}

/// A request's body, which says when it is let go of before it has come to its end.
pub(super) struct Arriving {
    body: Incoming,
    seat: Arc<Seat>,
    has_ended: bool,
}

impl Arriving {
    pub(super) fn new(body: Incoming, seat: Arc<Seat>) -> Self {
        Self { body, seat, has_ended: false }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.has_ended {
            self.seat.is_left.store(true, Ordering::Relaxed);
        }
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let is_last = frame.as_ref().is_none_or(|frame| frame.as_ref().is_ok_and(Frame::is_trailers));
        self.has_ended |= is_last || self.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body, for as long as which its connection is busy.
pub(super) struct Guarded {
    body: Outgoing,
    occupied: Occupied,
    /// Whether the caller can tell the end of a body of unknown length from the end of the connection.
    knows_chunks: bool,
    /// Why there is no more of it.
    broken: Option<BoxError>,
}

impl Guarded {
    pub(super) fn new(body: Outgoing, occupied: Occupied, knows_chunks: bool) -> Self {
        Self { body, occupied, knows_chunks, broken: None }
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Err(error)) => {
                if !self.knows_chunks {
                    self.occupied.stay.seat.torn.store(true, Ordering::Relaxed);
                }
                // hyper drops what it has not sent yet of an answer that breaks, its head too: first it gets to send that.
                self.broken = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
