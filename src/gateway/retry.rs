//! What comes of a response that says something of the session: most often the same request once more, with another.

use http::response;
use tokio::time::sleep;

use super::call::{Call, Trip};
use super::fault::{Fault, Kind};
use super::reply::Reply;
use super::{Gateway, forward, respond};
use crate::keeper::{Finding, Lease};
use crate::upstream::Inbound;
use crate::vendor::Verdict;

/// So often a request takes up a challenge: it may have been overtaken by another, and the session may end besides.
const CHALLENGES: u32 = 2;

/// What a response turned out to be.
pub(super) enum Judged {
    /// The answer.
    Passed(Reply),
    /// Something about the session.
    Refused((Verdict, response::Parts, Inbound)),
}

/// What one request has been through at its device.
#[derive(Default)]
pub(super) struct Attempts {
    /// What the device has handed out for the next of them.
    pub(super) own: Option<Lease>,
    /// Whether a session that was refused has been replaced.
    replayed: bool,
    challenges: u32,
    superseded: bool,
    signed_anew: bool,
}

impl Gateway {
    /// Sees to the session as the device says. Nothing: the request may be sent again.
    ///
    /// # Errors
    /// No session is to be had, the device takes none right now, or it broke off.
    pub(super) async fn retry(
        &self,
        call: &Call,
        lease: &Lease,
        (verdict, head, body): (Verdict, response::Parts, Inbound),
        attempts: &mut Attempts,
    ) -> Result<Option<Reply>, Fault> {
        let Trip { hop, .. } = &*call.trip;
        let device = &hop.device;
        match verdict {
            // These are no refusal, and have been passed on.
            Verdict::Pass | Verdict::Rotated(_) => return Ok(Some(Reply::Passed(head, body))),
            Verdict::Challenged(session) => {
                let refused = respond::take_in((head, body), call.deadline).await;
                if attempts.challenges == CHALLENGES {
                    return Reply::rights(device, refused).map(Some);
                }
                attempts.challenges += 1;
                attempts.own = Some(device.keeper.own(lease, session).await);
                device.figures.replayed();
                return Ok(None);
            }
            Verdict::Starting(detail) => {
                let wait = device.respite.learn(head.status, &head.headers, &self.clock);
                let fault = Fault::new(Kind::DeviceStarting, detail);
                return Err(Fault { retry_after: wait.or(fault.retry_after), ..fault });
            }
            Verdict::Again { clock, wait, busy } => {
                respond::take_in((head, body), call.deadline).await;
                if std::mem::replace(&mut attempts.signed_anew, true) {
                    return Err(Fault::new(Kind::DeviceBusy, busy));
                }
                clock.inspect(|clock| device.keeper.learn_clock(*clock));
                sleep(wait).await;
                return Ok(None);
            }
            Verdict::Refused(detail) => {
                respond::take_in((head, body), call.deadline).await;
                device.keeper.refused(lease, detail.clone()).await?;
                if attempts.replayed {
                    return Err(Fault::new(Kind::LoginRefused, detail));
                }
            }
            Verdict::Expired => {
                let refused = respond::take_in((head, body), call.deadline).await;
                device.keeper.expire(lease);
                if attempts.replayed {
                    return Reply::rights(device, refused).map(Some);
                }
            }
            Verdict::Doubt => {
                let refused = respond::take_in((head, body), call.deadline).await;
                // Refused again with a session just renewed: no session opens this.
                let finding = match attempts.replayed {
                    true => Finding::Rights,
                    false => forward::doubt(hop, lease, call.deadline).await?,
                };
                match finding {
                    Finding::Rights => return Reply::rights(device, refused).map(Some),
                    Finding::Void => {}
                    // It may be as old as the one refused, where each answer brings another.
                    Finding::Superseded if !std::mem::replace(&mut attempts.superseded, true) => {
                        device.figures.replayed();
                        return Ok(None);
                    }
                    Finding::Superseded => {}
                }
            }
        }
        attempts.replayed = true;
        device.figures.replayed();
        Ok(None)
    }
}
