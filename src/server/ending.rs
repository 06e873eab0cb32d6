//! The end of a door, as a connection waits for it.

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio_util::sync::CancellationToken;

/// What a token rings: it notes that, and wakes who waits.
struct Bell {
    has_rung: AtomicBool,
    waiting: Waker,
}

impl Bell {
    fn new(waiting: &Waker) -> Arc<Self> {
        Arc::new(Self { has_rung: AtomicBool::new(false), waiting: waiting.clone() })
    }

    /// Whether it has not rung, and would wake this one if it did.
    fn is_silent(&self, waiting: &Waker) -> bool {
        !self.has_rung.load(Ordering::Acquire) && self.waiting.will_wake(waiting)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before anybody is woken, who would not look at the token otherwise.
        self.has_rung.store(true, Ordering::Release);
        self.waiting.wake_by_ref();
    }
}

/// Waits until `token` is cancelled. It is asked once, and again when it rings: a look at it takes two locks, and a
/// connection looks at what it waits for several times for each request.
pub(super) async fn cancelled(token: &CancellationToken) {
    let mut cancelled = pin!(token.cancelled());
    let mut bell = None;
    poll_fn(|context| {
        if bell.as_ref().is_some_and(|bell: &Arc<Bell>| bell.is_silent(context.waker())) {
            return Poll::Pending;
        }
        let bell = bell.insert(Bell::new(context.waker()));
        cancelled.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell))))
    })
    .await;
}
