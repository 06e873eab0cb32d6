//! The body of an answer, whosever it is.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::respond::Passing;

/// The body of an answer. A device's is no box of axum's, since that would be one for each request.
pub enum Outgoing {
    /// Of an answer of our own.
    Ours(Body),
    /// Of a device's.
    Device(Passing),
}

/// An answer, whosever it is.
pub(super) type Answer = http::Response<Outgoing>;

/// An answer of our own.
pub(super) fn ours(response: Response) -> Answer {
    response.map(Outgoing::Ours)
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Ours(body) => Pin::new(body).poll_frame(context).map_err(BoxError::from),
            Self::Device(body) => Pin::new(body).poll_frame(context).map_err(BoxError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ours(body) => body.is_end_stream(),
            Self::Device(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ours(body) => body.size_hint(),
            Self::Device(body) => body.size_hint(),
        }
    }
}
