//! The body of a device's response, with the connection it comes on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::connection::Connection;
use super::gate::Slot;
use super::idle::Idle;
use super::replay::Sent;
use super::trouble::Trouble;

/// A body on its way. When it is complete its connection goes back to the pool; when it is dropped before, the
/// connection is closed.
pub struct Inbound {
    body: Incoming,
    held: Option<Held>,
    idle_timeout: Duration,
    /// When the device has been silent for too long, once that was asked since it last was not.
    due: Option<Instant>,
}

/// What a response occupies until its body is complete.
pub(super) struct Held {
    pub(super) connection: Box<Connection>,
    pub(super) slot: Slot,
    /// Whether the device has got the whole request: an early answer leaves the connection busy with the rest.
    pub(super) sent: Sent,
    pub(super) idle: Arc<Idle>,
}

impl Inbound {
    pub(super) fn new(body: Incoming, held: Held, idle_timeout: Duration) -> Self {
        let mut this = Self { body, held: Some(held), idle_timeout, due: None };
        if this.body.is_end_stream() {
            this.finish();
        }
        this
    }

    /// The empty body of a 101: what follows on the connection is no HTTP, so it is held until this is dropped.
    pub(super) fn tunnel(body: Incoming, held: Held, idle_timeout: Duration) -> Self {
        Self { body, held: Some(held), idle_timeout, due: None }
    }

    fn finish(&mut self) {
        if let Some(Held { connection, slot, sent, idle }) = self.held.take() {
            if sent.is_set() {
                idle.keep(connection);
            }
            drop(slot);
        }
    }

    /// Whether the device has been silent for too long.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<Trouble> {
        let idle_timeout = self.idle_timeout;
        let due = *self.due.get_or_insert_with(|| Instant::now() + idle_timeout);
        let Some(held) = &mut self.held else { return Poll::Pending };
        ready!(held.connection.poll_alarm(due, context));
        Poll::Ready(Trouble::BrokeOff(format!(
            "the device sent nothing for {idle_timeout:?} (`idle_timeout`) in the middle of its answer"
        )))
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = Trouble;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        let this = &mut *self;
        let polled = match &mut this.held {
            Some(held) => held.connection.poll_body(&mut this.body, context),
            None => Pin::new(&mut this.body).poll_frame(context),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.due = None;
                // Nothing follows trailers, and who has read them may ask for no more.
                if frame.is_trailers() || this.body.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.held = None;
                tracing::debug!(?error, "an answer broke off");
                let detail =
                    "the device broke off its answer: ask again; if it always does, see the device's own log";
                Poll::Ready(Some(Err(Trouble::BrokeOff(detail.to_owned()))))
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let trouble = ready!(this.poll_alarm(context));
                this.held = None;
                Poll::Ready(Some(Err(trouble)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
