//! What one caller gets of a fetch that may be several callers'.

use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, request};
use tokio::time::timeout;

use super::flights::{Flight, Landed, Shared};
use super::recording::{Recording, Settled};
use super::source::Source;
use crate::gateway::Fetch;
use crate::gateway::fault::{Fault, Kind};
use crate::gateway::reply::{Reply, is_failure};

/// So long at the most is the end of an answer waited for, where it is needed to say what it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where no length is told nobody waits longer than this: it may be a stream that does not say so.
const NO_LENGTH: Duration = Duration::from_millis(200);

/// What one caller has of a fetch.
pub(super) struct Got {
    pub(super) reply: Reply,
    pub(super) is_stored: bool,
    pub(super) is_collapsed: bool,
}

fn fails(status: StatusCode) -> Fault {
    Fault::new(Kind::DeviceBusy, format!("the device answers {status}"))
}

/// What one caller gets, of the fetch or alone; a failing answer is a fault where another can stand in for it. Nothing
/// of the fetch is held while one asks alone: it may have the only connection.
pub(super) async fn ask(
    flight: &mut Flight<'_>,
    fetch: &Fetch<'_>,
    can_stand_in: bool,
) -> Result<Got, Fault> {
    let got = match land(flight, &fetch.call.trip.head, can_stand_in).await? {
        Some(got) => got,
        None => {
            let call = Box::new(fetch.call.again(flight.waits.clone()));
            // On the heap, as whatever may not be needed.
            let reply = Box::pin(fetch.gateway.carry(&call)).await?;
            Got { reply, is_stored: false, is_collapsed: false }
        }
    };
    match got.reply.status() {
        status if can_stand_in && is_failure(status) => Err(fails(status)),
        _ => Ok(got),
    }
}

async fn land(
    flight: &mut Flight<'_>,
    asked: &request::Parts,
    can_stand_in: bool,
) -> Result<Option<Got>, Fault> {
    let is_first = flight.is_first;
    let got = |reply, is_stored| Ok(Some(Got { reply, is_stored, is_collapsed: !is_first }));
    let shared = match flight.landed().await {
        Landed::Alone(reply) => return got(reply, false),
        Landed::Shared(shared) => shared,
    };
    match shared {
        Shared::Failed(fault) => Err(fault),
        Shared::Other(status) if can_stand_in && is_failure(status) => Err(fails(status)),
        Shared::Confirmed(stored, is_stored) if is_first || stored.varied.suits(asked) => {
            got(Reply::Shared(Arc::clone(&stored.told), Source::from(stored.body.clone())), is_stored)
        }
        Shared::Recorded(recording)
            if is_first || recording.told.status == StatusCode::OK && recording.varied.suits(asked) =>
        {
            if can_stand_in {
                flight.hold(&recording);
            }
            match listen(&recording, is_first, can_stand_in).await? {
                Some((source, is_stored)) => {
                    got(Reply::Shared(Arc::clone(&recording.told), source), is_stored)
                }
                None => {
                    flight.let_go();
                    Ok(None)
                }
            }
        }
        Shared::Other(_) | Shared::Confirmed(..) | Shared::Recorded(_) => Ok(None),
    }
}

/// What one caller gets of an answer for several, and whether it is kept: all of it if it is soon there, else as it
/// comes. Of one that breaks off after it has begun nothing can be taken back, so where another can stand in it is better
/// waited for.
async fn listen(
    recording: &Arc<Recording>,
    is_first: bool,
    can_stand_in: bool,
) -> Result<Option<(Source, bool)>, Fault> {
    let patience = match is_first {
        _ if can_stand_in => PATIENCE,
        true if !recording.is_kept => Duration::ZERO,
        _ if !recording.has_length() => NO_LENGTH,
        _ => PATIENCE,
    };
    match timeout(patience, recording.settled()).await {
        Ok(Settled::Broken(trouble)) => Err(trouble.into()),
        Ok(Settled::Whole(body, is_stored)) => Ok(Some((Source::from(body), is_stored))),
        Ok(Settled::TooLong) | Err(_) => Ok(recording.play().map(|source| (Source::Recorded(source), false))),
    }
}
