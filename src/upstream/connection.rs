//! An open connection to a device, driven by whoever waits for something on it.
//!
//! hyper leaves open who polls its end of a connection. A task for each is usual; but every request wakes that three times
//! and is woken by it as often, which costs more than the request itself. Here a request polls the connection that it
//! has, and is woken where the connection would be. While it rests, the pool is.

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use pin_project_lite::pin_project;
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::bell::{Bell, News};
use super::counted::Received;
use super::replay::Outbound;
use crate::alarm::Alarm;

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
    alarm: Alarm,
    /// See [`Idle`](super::idle::Idle).
    pub(super) epoch: u64,
    /// What the device has sent on it.
    pub(super) received: Arc<Received>,
    news: Arc<News>,
}

impl Connection {
    pub(super) fn new(
        sender: SendRequest<Outbound>,
        line: impl Future<Output = ()> + Send + 'static,
        (received, news): (Arc<Received>, Arc<News>),
        epoch: u64,
    ) -> Self {
        let bell = Arc::clone(&news.bell);
        news.ring();
        let waker = Waker::from(Arc::clone(&bell));
        let alarm = Alarm::default();
        Self {
            sender,
            line: Box::pin(line),
            is_apart: false,
            is_over: false,
            bell,
            waker,
            alarm,
            epoch,
            received,
            news,
        }
    }

    /// Sends a request, at once, and waits for the head of the response; nothing: it is not there by the `deadline`.
    pub(super) fn send(
        &mut self,
        request: Request<Outbound>,
        deadline: Instant,
    ) -> Answered<'_, impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outbound>>>>> {
        let answered = self.bell.unheard(|| self.sender.try_send_request(request));
        // tokio would have a task wait that has done much, and nobody is woken for what is looked at next.
        Answered { connection: self, answered: unconstrained(answered), deadline }
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
        self.go_on();
        let frame = self.bell.unheard(|| Pin::new(body).poll_frame(unwoken));
        if frame.is_pending() {
            self.wait(context.waker());
        }
        frame
    }

    /// Whether it is `due`; if not, whoever has just looked for something on this connection is woken when it is.
    pub(super) fn poll_alarm(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.is_apart {
            self.bell.wakes(context.waker());
        }
        self.alarm.poll_at(due, &mut Context::from_waker(&self.waker))
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
        // In this order: what comes in between is seen or heard.
        self.bell.wakes(waker);
        if !self.is_quiet() {
            self.go_on();
            self.echo(waker);
        }
        self.is_usable()
    }

    /// Whether hyper waits for a request and nothing else.
    fn is_quiet(&self) -> bool {
        self.news.is_quiet() && self.sender.is_ready()
    }

    fn is_usable(&self) -> bool {
        !self.is_over && !self.is_apart
    }

    /// Has a task of its own poll it from now on, for what goes on whether the response is read or not. No other request
    /// follows on it, and dropping it closes the socket as soon as that task is looked at.
    pub(super) fn go_apart(&mut self) {
        self.news.go_apart();
        // What is over has nothing to go on with.
        if self.is_over {
            return;
        }
        let line = std::mem::replace(&mut self.line, Box::pin(async {}));
        let task = AbortOnDropHandle::new(tokio::spawn(line));
        self.line = Box::pin(async move { drop(task.await) });
        self.is_apart = true;
    }

    /// Goes on with it as far as it gets now.
    fn go_on(&mut self) {
        for _ in 0..MOST_POLLS {
            if self.is_over {
                return;
            }
            self.bell.acknowledge();
            let context = &mut Context::from_waker(&self.waker);
            self.is_over = self.bell.unheard(|| self.line.as_mut().poll(context)).is_ready();
            if !self.bell.has_rung() {
                return;
            }
        }
    }

    /// Has `waker` woken for whatever has come since it was looked at last, or comes.
    fn wait(&self, waker: &Waker) {
        self.bell.wakes(waker);
        self.echo(waker);
    }

    /// What has rung while nobody was to be woken is not lost on whoever waits.
    fn echo(&self, waker: &Waker) {
        if self.bell.has_rung() {
            waker.wake_by_ref();
        }
    }
}

pin_project! {
    /// See [`Connection::send`]. An async block would hold twice what it is moved into.
    pub(super) struct Answered<'a, F> {
        connection: &'a mut Connection,
        #[pin]
        answered: Unconstrained<F>,
        deadline: Instant,
    }
}

impl<F: Future> Future for Answered<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let this = self.project();
        this.connection.go_on();
        // What is answered while the connection is polled is looked at next, so that nobody is woken for it.
        let answered = this.answered.poll(&mut Context::from_waker(Waker::noop()));
        if answered.is_ready() {
            return answered.map(Some);
        }
        this.connection.wait(context.waker());
        this.connection.poll_alarm(*this.deadline, context).map(|()| None)
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
