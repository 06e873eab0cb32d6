//! Sending a dressed request, and the tunnel that an upgraded connection becomes.

use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt as _, copy, split};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::authorise;
use super::call::{Call, Trip};
use super::fault::{Fault, Kind};
use super::recall::Writing;
use super::route::Hop;
use super::via::Via;
use crate::clock::Clock;
use crate::keeper::{Finding, Lease};
use crate::upstream::{Inbound, Order, Trouble, Urgency};

/// So long after one end of a tunnel has ended the other may say the rest.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A session for this request.
///
/// # Errors
/// [`Kind::LoginUnavailable`] when there is none at `deadline`; the login goes on without this caller.
pub(super) async fn lease(hop: &Hop, deadline: Instant) -> Result<Lease, Fault> {
    let keeper = &hop.device.keeper;
    if let Some(lease) = keeper.lease_at_once() {
        return Ok(lease);
    }
    match timeout_at(deadline, keeper.lease()).await {
        Ok(lease) => Ok(lease?),
        Err(_) => Err(no_session_yet(hop)),
    }
}

/// What the device says of a session that it seems to refuse.
pub(super) async fn doubt(hop: &Hop, lease: &Lease, deadline: Instant) -> Result<Finding, Fault> {
    match timeout_at(deadline, hop.device.keeper.doubt(lease, hop.path())).await {
        Ok(finding) => Ok(finding?),
        Err(_) => Err(no_session_yet(hop)),
    }
}

fn no_session_yet(hop: &Hop) -> Fault {
    let detail = format!("{} is still being logged in; ask again in a moment", hop.device.name);
    Fault::new(Kind::LoginUnavailable, detail)
}

/// Why a request was not sent.
enum Unsent {
    /// While it waited for its turn, its session came to an end.
    Superseded,
    Failed(Fault),
}

impl From<Trouble> for Unsent {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble.into())
    }
}

/// Sends the request with this session and waits for the head of the response. `None`: when its turn came the
/// session was no longer in force, and nothing was sent.
pub(super) async fn send(
    Call { trip, conditions, body, deadline, caller, waits, .. }: &Call,
    lease: &Lease,
    via: &Via,
    clock: &Clock,
) -> Result<Option<Response<Inbound>>, Fault> {
    let Trip { head: asked, hop, .. } = &**trip;
    let order = Order {
        deadline: *deadline,
        within: hop.device.timeout,
        urgency: Urgency::Request(*caller),
        repeatable: !trip.acts,
        upgrades: trip.is_websocket,
        path: hop.target.path(),
        waits: waits.as_deref(),
    };
    let begun = Instant::now();
    let sent = hop
        .device
        .upstream
        .send(&order, &mut || {
            if !hop.device.keeper.is_in_force(lease) {
                return Err(Unsent::Superseded);
            }
            // While it waited, the device may have asked for its peace.
            hop.device.respite.respect(trip, clock).map_err(Unsent::Failed)?;
            let mut head = authorise::dress(trip, lease, via).map_err(Unsent::Failed)?;
            if let Some(conditions) = conditions.as_deref() {
                head.headers.extend(conditions.clone());
            }
            let body = body.copy().ok_or_else(|| Unsent::Failed(not_replayed(hop)))?;
            authorise::frame(asked, &body, &mut head.headers);
            Ok(Request::from_parts(head, body))
        })
        .await;
    match sent {
        Ok(response) => {
            hop.device.figures.exchanged(begun.elapsed());
            Ok(Some(response))
        }
        Err(Unsent::Superseded) => Ok(None),
        Err(Unsent::Failed(fault)) => Err(fault),
    }
}

/// The body is gone by, so the request can't go out once more.
pub(super) fn not_replayed(hop: &Hop) -> Fault {
    Fault::new(
        Kind::NotReplayed,
        format!(
            "the session with {} had ended and was renewed, but this body was too large to be kept for a second \
             attempt: send it again now",
            hop.device.name
        ),
    )
}

/// Copies both ways until one end has ended. What the other has not said by then is not waited for: who left can't take it,
/// and it would hold one of few places.
async fn join(caller: TokioIo<Upgraded>, device: TokioIo<Upgraded>) {
    let (mut from_caller, mut to_caller) = split(caller);
    let (mut from_device, mut to_device) = split(device);
    // How a tunnel ends is a matter between its ends.
    let mut up = pin!(async {
        drop(copy(&mut from_caller, &mut to_device).await);
        drop(to_device.shutdown().await);
    });
    let mut down = pin!(async {
        drop(copy(&mut from_device, &mut to_caller).await);
        drop(to_caller.shutdown().await);
    });
    tokio::select! {
        () = &mut up => drop(timeout(LAST_WORDS, down).await),
        () = &mut down => drop(timeout(LAST_WORDS, up).await),
    }
}

/// Joins the two sides of an upgraded connection until one of them ends, or keyward does.
pub(super) fn tunnel(
    caller: OnUpgrade,
    device: OnUpgrade,
    held: (Inbound, Option<Writing>),
    closing: CancellationToken,
) {
    tokio::spawn(async move {
        let joined = async {
            let (caller, device): (Upgraded, Upgraded) = tokio::try_join!(caller, device)?;
            join(TokioIo::new(caller), TokioIo::new(device)).await;
            tracing::debug!("tunnel ended");
            Ok::<_, hyper::Error>(())
        };
        if let Some(Err(error)) = closing.run_until_cancelled(joined).await {
            tracing::debug!(%error, "no tunnel");
        }
        drop(held);
    });
}
