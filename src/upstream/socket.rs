//! A TCP connection to a device that tells whether something is there.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::has_budget_remaining;

use super::bell::News;

pub(super) struct Socket {
    tcp: TcpStream,
    news: Arc<News>,
    /// Wakes `news`, when something comes.
    comes: Waker,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, news: Arc<News>) -> Self {
        let comes = Waker::from(Arc::clone(&news));
        Self { tcp, news, comes }
    }

    /// What is written, or is not yet.
    fn wrote<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() {
            self.news.look_again();
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let woken = if this.news.rings() { &this.comes } else { context.waker() };
        // In this order: what comes meanwhile is not missed.
        this.news.nothing_there();
        let read = Pin::new(&mut this.tcp).poll_read(&mut Context::from_waker(woken), buffer);
        // Of a task that has done much tokio reads nothing, whatever is there.
        if read.is_ready() || !has_budget_remaining() {
            this.news.look_again();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tcp = Pin::new(&mut self.tcp);
        let written = match slices {
            // send(2) takes the system less than writev(2).
            [all] => tcp.poll_write(context, all),
            _ => tcp.poll_write_vectored(context, slices),
        };
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
