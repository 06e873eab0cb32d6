//! A caller's connection under deadlines: a head that does not come, a reader that does not read.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::doorman::{Phase, Seat, Stage};
use crate::alarm::Alarm;

/// RFC 9110 section 15.5.9.
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// So long an answer is written in one piece.
const SHORT: usize = 2048;
/// So much of what comes is read before hyper asks for it.
const MOST_AHEAD: usize = 16 * 1024;

/// What a connection goes over, TLS or not. It is one type, so that what is above it is compiled once.
pub(super) type Wire = Either<TcpStream, Box<TlsStream<TcpStream>>>;

pub(super) struct Watched {
    stream: Wire,
    seat: Arc<Seat>,
    /// See [`put_back`](Self::put_back).
    ahead: Bytes,
    alarm: Alarm,
    stall: Option<Pin<Box<Sleep>>>,
    requests: u64,
}

impl Watched {
    pub(super) fn new(stream: Wire, seat: Arc<Seat>) -> Self {
        Self { stream, seat, ahead: Bytes::new(), alarm: Alarm::default(), stall: None, requests: 0 }
    }

    /// What was read and not used is read again, before all else.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        // Even an empty part of a buffer keeps all of it.
        if !bytes.is_empty() {
            let rest = std::mem::take(&mut self.ahead);
            self.ahead = [bytes, rest].concat().into();
        }
    }

    fn poll_stream(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead.split_to(length));
        Poll::Ready(Ok(()))
    }

    /// Whether the caller has left whose request is being answered. What else comes, of this request or the next, is kept for
    /// hyper, which would look itself, but makes room for what it might read each time, and sees nothing once it has a part of
    /// the next request.
    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if !self.seat.is_answering() {
            return Poll::Pending;
        }
        let mut room = [MaybeUninit::uninit(); 2048];
        while self.ahead.len() < MOST_AHEAD {
            let mut buffer = ReadBuf::uninit(&mut room);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Err(error) => return Poll::Ready(error),
                Ok(()) if buffer.filled().is_empty() => {
                    return Poll::Ready(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(()) => self.ahead = [&self.ahead, buffer.filled()].concat().into(),
            }
            // It may be what hyper waits for.
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Whether the caller has taken too long to send a head.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.stall.is_some() {
            // The last answer is still on its way: the caller has its time, and nothing of ours may get into it.
            return Poll::Pending;
        }
        let limits = self.seat.limits();
        // Nobody wakes us when an answer is done and rest begins, so we look again after the shorter time.
        let shorter = limits.keep_alive.min(limits.head_timeout);
        let Stage { phase, since, .. } = self.seat.stage();
        // A new connection has to say something soon, one that has been served may rest.
        let patience = match phase {
            Phase::Waiting if self.requests > 0 => limits.keep_alive,
            Phase::Waiting | Phase::Head => limits.head_timeout,
            // Any time will do.
            Phase::Serving => Duration::MAX,
        };
        let due = since.checked_add(patience);
        self.alarm.poll(due, || Instant::now() + shorter, context)
    }

    /// The same of an answer: as long as that does not go on, it is not sent.
    fn check_answer<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() {
            // hyper answers what never becomes a request by itself, so that no phase says that something is sent.
            self.seat.sends();
        }
        self.check_stall(written, context)
    }

    /// A write that does not go on for long is given up: it may hold the only connection to a device.
    fn check_stall<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stall.take().is_some() {
                // The deadline of the next request was put off for this.
                self.seat.begin_anew();
                context.waker().wake_by_ref();
            }
            return written;
        }
        if let Poll::Ready(left) = self.poll_left(context) {
            return Poll::Ready(Err(left));
        }
        let idle_timeout = self.seat.limits().idle_timeout;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(idle_timeout)));
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let tcp = match &self.stream {
            Either::Left(tcp) => tcp,
            Either::Right(tls) => tls.get_ref().0,
        };
        // An ordinary end would make half an answer look whole.
        if self.seat.is_torn()
            && let Err(error) = SockRef::from(tcp).set_linger(Some(Duration::ZERO))
        {
            tracing::debug!(%error, "a connection ends in order that should not");
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if let Poll::Ready(read) = this.poll_stream(context, buffer) {
            if buffer.filled().len() > before && this.seat.phase() == Phase::Waiting {
                this.seat.enter(Phase::Head);
                this.requests += 1;
            }
            return Poll::Ready(read);
        }
        ready!(this.poll_alarm(context));
        if this.seat.phase() == Phase::Head {
            // Best effort: whoever sends a byte a second may not read either.
            drop(Pin::new(&mut this.stream).poll_write(context, TOO_LATE));
            drop(Pin::new(&mut this.stream).poll_flush(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        // Nothing was begun: the end of the connection, as if the caller had closed it.
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check_answer(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = match slices {
            [all] => stream.poll_write(context, all),
            // Head and body of a short answer: one piece takes the system less than two, and TLS too.
            _ if slices.iter().map(|slice| slice.len()).sum::<usize>() <= SHORT => {
                let mut room = [MaybeUninit::uninit(); SHORT];
                let mut piece = ReadBuf::uninit(&mut room);
                slices.iter().for_each(|slice| piece.put_slice(slice));
                stream.poll_write(context, piece.filled())
            }
            _ => stream.poll_write_vectored(context, slices),
        };
        self.check_answer(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS takes more than it has sent.
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        ready!(self.check_answer(flushed, context))?;
        // hyper flushes when it has written all that it has.
        self.seat.has_sent();
        // hyper comes by here each time that it has been woken.
        match self.poll_left(context) {
            Poll::Ready(left) => Poll::Ready(Err(left)),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.check_stall(shut, context)
    }
}
