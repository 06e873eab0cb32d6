//! A caller's body that may neither stall nor grow without bound.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// A caller's body with its limits.
pub(super) struct Patient {
    body: Body,
    idle: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
    left: Option<u64>,
    excess: Excess,
}

/// Whether a body turned out larger than it may be.
#[derive(Clone, Default)]
pub(super) struct Excess(Arc<AtomicBool>);

impl Excess {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, thiserror::Error)]
enum Impatience {
    #[error("the request's body stalled")]
    Stalled,
    #[error("the request's body is too large")]
    TooLarge,
}

impl Patient {
    pub(super) fn new(body: Body, idle: Duration, most: Option<u64>) -> Self {
        Self { body, idle, alarm: None, left: most, excess: Excess::default() }
    }

    pub(super) fn excess(&self) -> Excess {
        self.excess.clone()
    }
}

impl http_body::Body for Patient {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Poll::Ready(polled) = Pin::new(&mut this.body).poll_frame(context) else {
            let idle = this.idle;
            let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
            ready!(alarm.as_mut().poll(context));
            return Poll::Ready(Some(Err(axum::Error::new(Impatience::Stalled))));
        };
        this.alarm = None;
        if let (Some(left), Some(Ok(frame))) = (&mut this.left, &polled)
            && let Some(bytes) = frame.data_ref()
        {
            match left.checked_sub(bytes.len() as u64) {
                Some(rest) => *left = rest,
                None => {
                    this.excess.0.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(axum::Error::new(Impatience::TooLarge))));
                }
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
