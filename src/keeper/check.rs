//! An operator's look at a device: is there a session, and does the device take it?

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use tokio::time::sleep;

use super::verify::REFUSED_AT_ONCE;
use super::{Failure, Finding, Keeper, Lease};
use crate::upstream::Answer;
use crate::vendor::{Asked, Refusal, Standing, Verdict};

/// A person may try the same refused credential this often.
pub const TRIED_EVERY: Duration = Duration::from_secs(5 * 60);

impl Keeper {
    /// Asks the device something that needs a session, and gives its answer. Ends a rest, except that credentials which were refused
    /// are tried once in five minutes at the most.
    ///
    /// # Errors
    /// Why the device can't be used.
    pub async fn check(self: &Arc<Self>) -> Result<Answer, Failure> {
        let credentials = self.credentials().await;
        let is_unasked = {
            let mut state = self.state.lock();
            let just_begun =
                state.rest.as_ref().is_some_and(|rest| rest.has_just_begun(self.parts.clock.instant()));
            if !just_begun {
                state.end_rest();
            }
            state.rights.busy = None;
            let is_same = credentials.is_none_or(|now| now == state.credentials);
            let again_at = state.refused_at.map(|refused_at| refused_at + TRIED_EVERY);
            if let Some(again_at) = again_at.filter(|again_at| self.parts.clock.instant() < *again_at)
                && is_same
            {
                let detail =
                    "the device refused this credential less than 5 min ago: change it, or wait".to_owned();
                let retry_after = again_at.duration_since(self.parts.clock.instant());
                return Err(Failure { refusal: Refusal::Rejected(detail), retry_after, is_proven: true });
            }
            just_begun && is_same
        };
        let probe = self.parts.vendor.probe();
        let path = probe.split('?').next().unwrap_or_default();
        let headers = HeaderMap::new();
        let asked = Asked { method: &Method::GET, path, headers: &headers, standing: Standing::default() };
        let mut own = None;
        for _ in 0..3 {
            let lease = match own.take() {
                Some(lease) => Ok(lease),
                None => self.lease().await,
            };
            let lease = lease.map_err(|failure| if is_unasked { unasked(failure) } else { failure })?;
            let answer = self.probe(&lease).await?;
            let mut head = http::Response::new(()).into_parts().0;
            head.status = answer.status();
            head.headers.clone_from(answer.headers());
            match self.judge(&lease, &asked, &head) {
                passed @ (Verdict::Pass | Verdict::Rotated(_)) => {
                    // Whoever asked may be about to end.
                    if self.is_news_that_accepted(&lease, &asked, &head) {
                        self.save_in_time().await;
                    }
                    match passed {
                        Verdict::Rotated(session) => self.rotate(&lease, session),
                        _ => self.share(&lease),
                    }
                    return Ok(answer);
                }
                Verdict::Challenged(session) => own = Some(self.own(&lease, session).await),
                Verdict::Doubt => {
                    if self.doubt(&lease, path).await? == Finding::Rights {
                        return Ok(answer);
                    }
                }
                Verdict::Expired => self.expire(&lease),
                Verdict::Refused(detail) => self.refused(&lease, detail).await?,
                Verdict::Starting(detail) => return Err(passing(detail)),
                Verdict::Again { clock, wait, .. } => {
                    clock.inspect(|clock| self.learn_clock(*clock));
                    sleep(wait).await;
                }
            }
        }
        Err(passing(REFUSED_AT_ONCE.to_owned()))
    }

    /// What the device says of itself, with the session there is.
    pub async fn describe(self: &Arc<Self>) -> Vec<(&'static str, String)> {
        let Ok(lease) = self.lease().await else { return Vec::new() };
        self.parts.vendor.describe(&self.visit(None), lease.session()).await
    }

    async fn probe(&self, lease: &Lease) -> Result<Answer, Failure> {
        let asked = Request::get(self.parts.vendor.probe()).body(Bytes::new());
        let (mut head, body) = asked.map_err(|error| passing(error.to_string()))?.into_parts();
        let refused = |refusal| Failure { refusal, ..passing(String::new()) };
        head.uri = self
            .parts
            .upstream
            .locate(self.parts.vendor.probe())
            .map_err(|trouble| refused(trouble.into()))?;
        self.sign(lease, &mut head).map_err(refused)?;
        let upstream = &self.parts.upstream;
        let answer = upstream.ask(Request::from_parts(head, body), upstream.settings().timeout).await;
        answer.map_err(|trouble| refused(trouble.into()))
    }

    /// Whether nothing has ever asked for the credential, so that nobody knows whether it is right.
    pub async fn is_untried(self: &Arc<Self>) -> bool {
        self.lease().await.is_ok_and(|lease| self.is_unproven(&lease))
    }
}

/// A refusal from before, which nobody has asked for anew.
fn unasked(failure: Failure) -> Failure {
    let said = |detail: String| format!("{detail} (refused less than 5 min ago, and not asked since)");
    let refusal = match failure.refusal {
        Refusal::Rejected(detail) => Refusal::Rejected(said(detail)),
        Refusal::Person(detail) => Refusal::Person(said(detail)),
        other => other,
    };
    Failure { refusal, ..failure }
}

fn passing(detail: String) -> Failure {
    Failure { refusal: Refusal::Odd(detail), ..Failure::internal() }
}
