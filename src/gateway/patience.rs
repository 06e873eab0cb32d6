//! A caller's body that may neither stall nor grow without bound, and of whose trailers some stay here.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// A caller's body with its limits. It is as long as the caller's: `http_body_util`'s `map_frame` would not say so.
pub(super) struct Patient<F> {
    body: Body,
    bare: F,
    idle: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
    left: Option<u64>,
    verdict: Verdict,
}

/// What became of a body.
#[derive(Clone, Default)]
pub(super) struct Verdict(Arc<AtomicU8>);

/// Why a body did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Blemish {
    /// It is larger than it may be.
    TooLarge = 1,
    /// It is no body: its chunks are none.
    Malformed = 2,
}

impl Verdict {
    /// Why it did not come to its end, as far as that is the caller's mistake.
    pub(super) fn blemish(&self) -> Option<Blemish> {
        [Blemish::TooLarge, Blemish::Malformed]
            .into_iter()
            .find(|it| *it as u8 == self.0.load(Ordering::Relaxed))
    }

    fn set(&self, blemish: Blemish) {
        self.0.store(blemish as u8, Ordering::Relaxed);
    }
}

#[derive(Debug, thiserror::Error)]
enum Impatience {
    #[error("the request's body stalled")]
    Stalled,
    #[error("the request's body is too large")]
    TooLarge,
}

impl<F> Patient<F> {
    /// `bare` takes from a frame what is not for the device.
    pub(super) fn new(body: Body, bare: F, idle: Duration, most: Option<u64>) -> Self {
        Self { body, bare, idle, alarm: None, left: most, verdict: Verdict::default() }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }
}

impl<F: FnMut(Frame<Bytes>) -> Frame<Bytes> + Unpin> http_body::Body for Patient<F> {
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
                    this.verdict.set(Blemish::TooLarge);
                    return Poll::Ready(Some(Err(axum::Error::new(Impatience::TooLarge))));
                }
            }
        }
        if let Some(Err(error)) = &polled
            && is_malformed(error)
        {
            this.verdict.set(Blemish::Malformed);
        }
        Poll::Ready(polled.map(|frame| frame.map(&mut this.bare)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether the caller's chunks are none. hyper hands such an error on as one of reading.
fn is_malformed(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)) {
            return true;
        }
        cause = error.source();
    }
    false
}
