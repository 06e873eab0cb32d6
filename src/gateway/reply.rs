//! What a device said, and what becomes of it for one caller.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderValue};
use http::{StatusCode, request, response};
use hyper::upgrade::OnUpgrade;
use tokio_util::sync::CancellationToken;

use super::fault::{Fault, Kind};
use super::outgoing::Answer;
use super::recall::{Answered, Source, Told, Writing};
use super::respond::Refused;
use super::route::Hop;
use super::{Device, forward, respond};
use crate::upstream::Inbound;

/// What a device said, before it is made fit for a caller.
pub(super) enum Reply {
    /// An answer as it comes in.
    Passed(response::Parts, Inbound),
    /// That a good session has no right to this.
    Rights(Refused),
    /// An answer that others get too.
    Shared(Arc<Told>, Source),
}

impl Reply {
    /// The session is good, and so is the device.
    ///
    /// # Errors
    /// What it says has no end.
    pub(super) fn rights(device: &Device, refused: Refused) -> Result<Self, Fault> {
        let refused = refused.whole()?;
        device.figures.fine();
        Ok(Self::Rights(refused))
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Passed(head, _) => head.status,
            Self::Rights(_) => StatusCode::FORBIDDEN,
            Self::Shared(told, _) => told.status,
        }
    }
}

/// Whether an older answer is of more use than one of this status: it fails (RFC 5861 section 4), or has too much to do.
pub(super) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

/// The device's answer as this caller gets it. `ending` is cancelled when the door closes that they came by: what never
/// ends by itself ends then.
pub(super) fn respond(
    hop: &Hop,
    asked: &request::Parts,
    answered: Answered,
    (ending, writing): (&CancellationToken, Option<Writing>),
) -> Result<Answer, Fault> {
    let Answered { reply, status } = answered;
    let mut response = match reply {
        Reply::Passed(head, body) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
            return switch(hop, asked, (head, body), (ending, writing));
        }
        Reply::Passed(head, body) => {
            respond::pass(hop, asked, (head.status, head.headers), Source::Device(body), ending)
        }
        Reply::Shared(told, body) => {
            respond::pass(hop, asked, (told.status, told.headers.clone()), body, ending)
        }
        Reply::Rights(refused) => respond::rights(hop, asked, refused),
    };
    if let Some(status) = status {
        respond::tell(&status, response.headers_mut());
    }
    Ok(response)
}

fn switch(
    hop: &Hop,
    asked: &request::Parts,
    (mut head, body): (response::Parts, Inbound),
    (ending, writing): (&CancellationToken, Option<Writing>),
) -> Result<Answer, Fault> {
    let Some(caller_side) = asked.extensions.get::<OnUpgrade>().cloned() else {
        return Err(Fault::new(
            Kind::DeviceGarbled,
            "the device speaks another protocol than it was asked for",
        ));
    };
    let Some(device_side) = head.extensions.remove::<OnUpgrade>() else {
        return Err(Fault::new(
            Kind::DeviceGarbled,
            "the device's connection can't become one of another protocol",
        ));
    };
    forward::tunnel(caller_side, device_side, (body, writing), ending.clone());
    Ok(respond::switch(hop, asked, (head.status, head.headers)))
}

/// Sends a caller to the same with a slash at its end.
pub(super) fn redirect(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}
