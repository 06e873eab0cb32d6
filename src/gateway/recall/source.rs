//! Where the body of an answer comes from.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::recording::Playback;
use crate::upstream::{Inbound, Trouble};

/// The body of an answer.
pub(in crate::gateway) enum Source {
    /// As the device sends it, for one caller.
    Device(Inbound),
    /// As the device sends it, for several.
    Recorded(Playback),
    /// From memory.
    Whole(Bytes),
}

impl From<Bytes> for Source {
    fn from(body: Bytes) -> Self {
        Self::Whole(body)
    }
}

impl Body for Source {
    type Data = Bytes;
    type Error = Trouble;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        match &mut *self {
            Self::Device(body) => Pin::new(body).poll_frame(context),
            Self::Recorded(body) => Pin::new(body).poll_frame(context),
            Self::Whole(body) if body.is_empty() => Poll::Ready(None),
            Self::Whole(body) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(body))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Device(body) => body.is_end_stream(),
            Self::Recorded(body) => body.is_end_stream(),
            Self::Whole(body) => body.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Device(body) => body.size_hint(),
            Self::Recorded(body) => body.size_hint(),
            Self::Whole(body) => SizeHint::with_exact(body.len() as u64),
        }
    }
}
