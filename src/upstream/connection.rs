//! An open connection to a device, driven by whoever waits for something on it.
//!
//! hyper leaves open who polls its end of a connection. A task for each is usual; but every request wakes that three times
//! and is woken by it as often, which costs more than the request itself. Here a request polls the connection that it
//! has, and is woken where the connection would be. While it rests, the pool is.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use pin_project_lite::pin_project;
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio_util::task::AbortOnDropHandle;

use super::counted::Received;
use super::replay::Outbound;

/// So often in a row it is polled at once; what still has more to do then lets others go first.
const MOST_POLLS: usize = 4;

/// An open connection. Dropping it closes the socket at once, unless it has [gone apart](Self::go_apart).
pub(super) struct Connection {
    sender: SendRequest<Outbound>,
    /// hyper's end of it: nothing is sent or received but while this is polled.
    line: BoxFuture<'static, ()>,
    /// Whether a task of its own polls it.
    is_apart: bool,
    is_over: bool,
    bell: Arc<Bell>,
    /// What `line` is polled with: it rings the bell.
    waker: Waker,
    /// See [`Idle`](super::idle::Idle).
    pub(super) epoch: u64,
    /// What the device has sent on it.
    pub(super) received: Arc<Received>,
}

impl Connection {
    pub(super) fn new(
        sender: SendRequest<Outbound>,
        line: impl Future<Output = ()> + Send + 'static,
        received: Arc<Received>,
        epoch: u64,
    ) -> Self {
        let bell = Arc::<Bell>::default();
        let waker = Waker::from(Arc::clone(&bell));
        Self { sender, line: Box::pin(line), is_apart: false, is_over: false, bell, waker, epoch, received }
    }

    /// Sends a request, at once, and waits for the head of the response.
    pub(super) fn send(
        &mut self,
        request: Request<Outbound>,
    ) -> Answered<'_, impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outbound>>>>> {
        let answered = self.bell.unheard(|| self.sender.try_send_request(request));
        // tokio would have a task wait that has done much, and nobody is woken for what is looked at next.
        Answered { connection: self, answered: unconstrained(answered) }
    }

    /// The next frame of a response that came on this connection.
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.is_apart {
            return Pin::new(body).poll_frame(context);
        }
        let unwoken = &mut Context::from_waker(Waker::noop());
        let frame = self.bell.unheard(|| Pin::new(&mut *body).poll_frame(unwoken));
        if frame.is_ready() {
            return frame;
        }
        self.drive(context.waker());
        let frame = self.bell.unheard(|| Pin::new(body).poll_frame(unwoken));
        if frame.is_pending() && self.bell.has_rung() {
            context.waker().wake_by_ref();
        }
        frame
    }

    /// The body of a response that came on this connection.
    pub(super) fn body(&mut self, body: Incoming) -> OnConnection<'_> {
        OnConnection { connection: self, body }
    }

    /// Waits until the last response is over, and says whether another request may follow it.
    pub(super) async fn is_free(&mut self) -> bool {
        poll_fn(|context| match self.is_quiet() || self.is_good(context.waker()) {
            true if !self.sender.is_ready() => Poll::Pending,
            _ => Poll::Ready(self.is_usable()),
        })
        .await
    }

    /// Whether it is still open, as far as can be told without using it. If that changes, `waker` is woken.
    pub(super) fn is_good(&mut self, waker: &Waker) -> bool {
        // In this order: what rings in between is seen or heard.
        self.bell.wakes(waker);
        if !self.is_quiet() {
            self.go_on(waker);
        }
        self.is_usable()
    }

    /// Whether there is nothing to look after.
    fn is_quiet(&self) -> bool {
        !self.bell.has_rung() && self.sender.is_ready()
    }

    fn is_usable(&self) -> bool {
        !self.is_over && !self.is_apart
    }

    /// Has a task of its own poll it from now on, for what goes on whether the response is read or not. No other request
    /// follows on it, and dropping it closes the socket as soon as that task is looked at.
    pub(super) fn go_apart(&mut self) {
        self.received.goes_apart();
        // What is over has nothing to go on with.
        if self.is_over {
            return;
        }
        let line = std::mem::replace(&mut self.line, Box::pin(async {}));
        let task = AbortOnDropHandle::new(tokio::spawn(line));
        self.line = Box::pin(async move { drop(task.await) });
        self.is_apart = true;
    }

    /// Goes on with it as far as it gets now. When there is more, `waker` is woken.
    fn drive(&mut self, waker: &Waker) {
        self.bell.wakes(waker);
        self.go_on(waker);
    }

    /// The same for whoever is woken already.
    fn go_on(&mut self, waker: &Waker) {
        for _ in 0..MOST_POLLS {
            if self.is_over {
                return;
            }
            self.bell.acknowledge();
            self.received.look();
            let context = &mut Context::from_waker(&self.waker);
            self.is_over = self.bell.unheard(|| self.line.as_mut().poll(context)).is_ready();
            if !self.bell.has_rung() {
                return;
            }
        }
        waker.wake_by_ref();
    }
}

pin_project! {
    /// See [`Connection::send`]. An async block would hold twice what it is moved into.
    pub(super) struct Answered<'a, F> {
        connection: &'a mut Connection,
        #[pin]
        answered: Unconstrained<F>,
    }
}

impl<F: Future> Future for Answered<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.connection.drive(context.waker());
        // What is answered while the connection is polled is looked at next, so that nobody is woken for it.
        this.answered.poll(&mut Context::from_waker(Waker::noop()))
    }
}

/// See [`Connection::body`].
pub(super) struct OnConnection<'a> {
    connection: &'a mut Connection,
    body: Incoming,
}

impl Body for OnConnection<'_> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { connection, body } = &mut *self;
        connection.poll_body(body, context)
    }
}

thread_local! {
    /// The bell of the connection that this thread polls right now.
    static ATTENDED: Cell<*const Bell> = const { Cell::new(ptr::null()) };
}

/// Wakes whoever polls a connection, but not for what they do themselves. Whether it is they who ring is told by the thread:
/// a flag that all threads see would cost each request a dozen locked instructions.
#[derive(Default)]
struct Bell {
    who: AtomicWaker,
    /// Whether it was rung since the connection was polled last.
    rung: AtomicBool,
}

/// As long as this is there, what this thread rings wakes nobody.
struct Attendance {
    before: *const Bell,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        ATTENDED.set(self.before);
    }
}

impl Bell {
    fn wakes(&self, waker: &Waker) {
        self.who.register(waker);
    }

    /// What rings in here wakes nobody: it has to be asked afterwards whether it [rang](Self::has_rung).
    fn unheard<T>(&self, attended: impl FnOnce() -> T) -> T {
        let _attendance = Attendance { before: ATTENDED.replace(ptr::from_ref(self)) };
        attended()
    }

    fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// What has rung so far is about to be seen.
    fn acknowledge(&self) {
        self.rung.swap(false, Ordering::AcqRel);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order: whoever is woken sees that it rang.
        self.rung.store(true, Ordering::Release);
        if !ptr::eq(ATTENDED.get(), Arc::as_ptr(self)) {
            self.who.wake();
        }
    }
}
