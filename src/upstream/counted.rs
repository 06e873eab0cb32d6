//! A stream that counts what it receives: whether a byte of a response has come decides what may be repeated. It also
//! remembers how that began, and does not read where there is nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

use super::bell::News;
use super::trouble::Beginning;

/// So much of an answer is read as fast as it comes, which is all of most.
const SHORT: u64 = 64 * 1024;
/// So much of the rest is read at a time, which is what a TLS record holds at the most (RFC 8446 section 5.1): hyper makes
/// room for twice as much as it got at once, and keeps several of these for whoever does not take what he asked for.
const AT_ONCE: u64 = 16 * 1024;

/// How every answer in HTTP begins (RFC 9112 section 4).
const HTTP: &[u8] = b"HTTP/";

/// Of so many bytes the head of an answer is one: a device that sends more before it floods us with interim ones (1xx).
/// It is four times the largest head.
const MOST_BEFORE_ANSWER: u64 = 256 * 1024;

/// What was received.
#[derive(Debug)]
pub(super) struct Received {
    bytes: AtomicU64,
    is_other: AtomicBool,
    /// So many bytes at the most are there before something is answered.
    most: AtomicU64,
}

impl Default for Received {
    fn default() -> Self {
        Self { bytes: AtomicU64::new(0), is_other: AtomicBool::new(false), most: AtomicU64::new(u64::MAX) }
    }
}

impl Received {
    /// How many bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How they begin.
    pub(super) fn beginning(&self) -> Beginning {
        match (self.bytes(), self.is_other.load(Ordering::Relaxed)) {
            (0, _) => Beginning::Silence,
            (_, false) => Beginning::Http,
            (_, true) => Beginning::Other,
        }
    }

    /// From now on it is the head of an answer that comes.
    pub(super) fn expect_answer(&self) {
        self.most.store(self.bytes() + MOST_BEFORE_ANSWER, Ordering::Relaxed);
    }

    /// Its head is there; what follows may be as long as it likes.
    pub(super) fn answered(&self) {
        self.most.store(u64::MAX, Ordering::Relaxed);
    }

    /// Whether more came than any head is long.
    pub(super) fn is_flood(&self) -> bool {
        self.bytes() > self.most.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: &[u8]) {
        let before = usize::try_from(self.bytes()).unwrap_or(usize::MAX);
        let rest = HTTP.get(before..).unwrap_or_default();
        if !rest.iter().zip(bytes).all(|(expected, byte)| expected == byte) {
            self.is_other.store(true, Ordering::Relaxed);
        }
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

pub(super) struct Counted<S> {
    stream: Take<S>,
    received: Arc<Received>,
    news: Arc<News>,
    /// How much has come since something was sent.
    in_a_row: u64,
}

impl<S: AsyncRead> Counted<S> {
    pub(super) fn new(stream: S, received: Arc<Received>, news: Arc<News>) -> Self {
        Self { stream: stream.take(SHORT), received, news, in_a_row: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // TLS has given out all that it had before it asks for more.
        if this.news.rings() && this.news.is_quiet() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        this.stream.set_limit(if this.in_a_row < SHORT { SHORT } else { AT_ONCE });
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        this.in_a_row += read.len() as u64;
        this.received.take(read);
        if this.received.is_flood() {
            return Poll::Ready(Err(io::Error::other("no answer comes")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_a_row = 0;
        Pin::new(self.stream.get_mut()).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.in_a_row = 0;
        Pin::new(self.stream.get_mut()).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }
}
