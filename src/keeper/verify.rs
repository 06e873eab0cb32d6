//! What a refused request means: a void session, or a matter of rights.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::response;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::check::TRIED_EVERY;
use super::login::{BUDGET, SAVED_WITHIN};
use super::rest::{Failure, as_asked};
use super::{Keeper, Landing, Lease, land};
use crate::vendor::{Asked, Refusal, Standing, Verdict};

/// What it means that a login yields nothing.
pub(super) const REFUSED_AT_ONCE: &str = "the device refuses a session that it has just given out: see that \
                                          nothing else logs in as this user at the same time, and that the device \
                                          shows the right time";

/// For so long after the device called a session good, another refusal of what it has no right to is not asked about.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// What was never refused before is asked about all the same, since a session that ends meanwhile is refused everywhere;
/// but so many questions in a second are enough.
const QUESTIONS: (u32, Duration) = (4, Duration::from_secs(1));
/// Paths remembered as open to this session, and as closed; a refusal at an open one is never taken for a matter of rights
/// unasked.
const MAX_PATHS: usize = 256;

/// What a doubtful refusal turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The session is good; it has no right to this.
    Rights,
    /// The session was void: the request may go out once more.
    Void,
    /// There is another session by now, and nobody has asked whether it is good: the request may go out once more.
    Superseded,
}

/// What a device says when it is asked.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Found(Finding),
    /// Nothing. The credential is wrong if it opened this before, in these words.
    Nothing(String),
}

/// What is known of a session's rights.
#[derive(Debug, Default)]
pub(super) struct Rights {
    good_at: Option<Instant>,
    /// When the first question of this second was asked, and how many there were.
    asked: Option<(Instant, u32)>,
    /// Until when the device, when asked, wants to be left alone, and why.
    pub(super) busy: Option<(Instant, Refusal)>,
    open: BTreeSet<u64>,
    closed: BTreeSet<u64>,
    hasher: RandomState,
}

impl Rights {
    /// Whether a refusal of this is a matter of rights without asking.
    fn is_closed(&self, path: u64, now: Instant) -> bool {
        let (most, within) = QUESTIONS;
        let is_asked_often = self.asked.is_some_and(|(since, times)| times >= most && now < since + within);
        let is_good = self.good_at.is_some_and(|good_at| now < good_at + GOOD_FOR);
        is_good && !self.open.contains(&path) && (self.closed.contains(&path) || is_asked_often)
    }

    /// A question goes out.
    fn ask(&mut self, now: Instant) {
        let this_second = self.asked.filter(|(since, _)| now < *since + QUESTIONS.1);
        self.asked = Some(this_second.map_or((now, 1), |(since, times)| (since, times + 1)));
    }

    /// The session has no right to this.
    fn close(&mut self, path: u64) {
        self.open.remove(&path);
        if self.closed.len() < MAX_PATHS {
            self.closed.insert(path);
        }
    }
}

impl Keeper {
    /// What an answer to a request with this lease says about the session.
    pub fn judge(&self, lease: &Lease, asked: &Asked<'_>, answered: &response::Parts) -> Verdict {
        let standing =
            Standing { is_proven: self.is_proven(), is_first: lease.is_first(), is_answer: lease.is_own() };
        self.parts.vendor.judge(lease.session(), &Asked { standing, ..*asked }, answered)
    }

    /// The device refused a request in words that may mean two things: asks it which.
    ///
    /// # Errors
    /// When the device can't be asked.
    pub async fn doubt(self: &Arc<Self>, lease: &Lease, path: &str) -> Result<Finding, Failure> {
        let (path, landing) = {
            let mut state = self.state.lock();
            if state.held_by(lease).is_none() {
                return Ok(Finding::Superseded);
            }
            let now = self.parts.clock.instant();
            let path = state.rights.hasher.hash_one(path);
            if state.rights.is_closed(path, now) {
                return Ok(Finding::Rights);
            }
            if let Some((until, refusal)) = state.rights.busy.as_ref().filter(|(until, _)| now < *until) {
                return Err(passing(refusal.clone(), until.duration_since(now)));
            }
            (path, self.start_verification(&mut state, lease))
        };
        match land(landing).await.unwrap_or_else(|| Err(Failure::internal()))? {
            // What was proven afresh to this request alone can't be void where the like of it was good.
            Said::Found(Finding::Void) if lease.is_own() => Ok(Finding::Rights),
            Said::Found(Finding::Rights) => {
                self.state.lock().rights.close(path);
                Ok(Finding::Rights)
            }
            Said::Found(finding) => Ok(finding),
            Said::Nothing(detail) => {
                let was_open = self.state.lock().rights.open.contains(&path);
                match was_open {
                    true => self.refused(lease, detail).await.map(|()| Finding::Void),
                    false => Ok(Finding::Rights),
                }
            }
        }
    }

    /// The device answered a request otherwise than it answers who is not logged in.
    pub fn accepted(self: &Arc<Self>, lease: &Lease, asked: &Asked<'_>, answered: &response::Parts) {
        if self.is_news_that_accepted(lease, asked, answered) {
            let keeper = Arc::clone(self);
            tokio::spawn(async move { keeper.save().await });
        }
    }

    /// The same, and whether that is to be saved.
    pub(super) fn is_news_that_accepted(
        &self,
        lease: &Lease,
        asked: &Asked<'_>,
        answered: &response::Parts,
    ) -> bool {
        let mut state = self.state.lock();
        // Who waited long may have succeeded with credentials that are no longer these.
        if state.held_by(lease).is_none() {
            return false;
        }
        lease.held.accepted.store(true, Ordering::Relaxed);
        let rights = &mut state.rights;
        if answered.status.is_success() && rights.open.len() < MAX_PATHS {
            let path = rights.hasher.hash_one(asked.path);
            rights.open.insert(path);
            rights.closed.remove(&path);
        }
        // What a login yielded was proven by it, and may be of credentials that were changed since.
        if lease.session().lasts || !self.parts.vendor.proves(lease.session(), asked, answered) {
            return false;
        }
        let (was_proven, was_refused) = (self.is_proven(), state.refused_at.take().is_some());
        state.rejections = 0;
        self.proven.store(true, Ordering::Release);
        !was_proven || was_refused
    }

    /// A credential that can't be renewed is refused. It rests only while it has never once been accepted;
    /// `Ok`: it is another one by now, so the request may go out once more.
    ///
    /// # Errors
    /// When to try again.
    pub async fn refused(self: &Arc<Self>, lease: &Lease, detail: String) -> Result<(), Failure> {
        // A disk that hangs keeps nobody waiting for long.
        let changed = timeout(SAVED_WITHIN, self.credentials_changed()).await.unwrap_or(false);
        let (failure, is_news) = {
            let mut state = self.state.lock();
            if state.held_by(lease).is_none() {
                return Ok(());
            }
            if changed {
                self.give_up(&mut state);
                return Ok(());
            }
            let refusal = Refusal::Rejected(detail);
            if self.is_proven() {
                let now = self.parts.clock.instant();
                let is_news = state.refused_at.is_none_or(|refused_at| refused_at + TRIED_EVERY <= now);
                if is_news {
                    state.refused_at = Some(now);
                }
                (Failure { refusal, retry_after: GOOD_FOR, is_proven: true }, is_news)
            } else {
                self.give_up(&mut state);
                (self.begin_rest(&mut state, refusal), true)
            }
        };
        if is_news {
            self.save_in_time().await;
        }
        Err(failure)
    }

    fn start_verification(
        self: &Arc<Self>,
        state: &mut super::State,
        lease: &Lease,
    ) -> Landing<Result<Said, Failure>> {
        if let Some(landing) = state.verification.as_ref().filter(|landing| landing.has_changed().is_ok()) {
            return landing.clone();
        }
        let (sender, landing) = watch::channel(None);
        state.verification = Some(landing.clone());
        state.rights.ask(self.parts.clock.instant());
        let (keeper, lease) = (Arc::clone(self), lease.clone());
        tokio::spawn(async move {
            let visit = keeper.long_visit(None);
            let verdict =
                timeout(keeper.or_timeout(BUDGET), keeper.parts.vendor.verify(&visit, lease.session()))
                    .await
                    .unwrap_or_else(|_| {
                        Err(Refusal::Odd(
                            "the device did not say in time whether the session is good".to_owned(),
                        ))
                    });
            let finding = keeper.conclude(&lease, verdict).await;
            sender.send_replace(Some(finding));
        });
        landing
    }

    async fn conclude(&self, lease: &Lease, verdict: Result<Verdict, Refusal>) -> Result<Said, Failure> {
        let failure = {
            let mut state = self.state.lock();
            state.verification = None;
            let Some(held) = state.held_by(lease) else { return Ok(Said::Found(Finding::Void)) };
            let is_untried = held.is_untried(self.parts.clock.instant());
            let good_at = Some(self.parts.clock.instant());
            match verdict {
                Ok(Verdict::Expired) if is_untried => {
                    // Without a rest every request would be a login.
                    state.refused = self.give_up(&mut state);
                    self.begin_rest(&mut state, Refusal::Odd(REFUSED_AT_ONCE.to_owned()))
                }
                Ok(Verdict::Expired) => {
                    drop(state);
                    self.expire(lease);
                    return Ok(Said::Found(Finding::Void));
                }
                Ok(Verdict::Rotated(session)) => {
                    state.rights.good_at = good_at;
                    drop(state);
                    lease.held.accepted.store(true, Ordering::Relaxed);
                    self.rotate(lease, session);
                    return Ok(Said::Found(Finding::Void));
                }
                Ok(Verdict::Refused(detail)) => {
                    state.rights.good_at = good_at;
                    return Ok(Said::Nothing(detail));
                }
                Ok(_) => {
                    state.rights.good_at = good_at;
                    return Ok(Said::Found(Finding::Rights));
                }
                Err(refusal @ (Refusal::Rejected(_) | Refusal::Person(_))) => {
                    state.refused = self.give_up(&mut state);
                    self.begin_rest(&mut state, refusal)
                }
                Err(refusal @ Refusal::Unavailable { retry_after: Some(asked), .. }) => {
                    let wait = as_asked(asked);
                    state.rights.busy = Some((self.parts.clock.instant() + wait, refusal.clone()));
                    return Err(passing(refusal, wait));
                }
                Err(refusal) => return Err(passing(refusal, Duration::from_secs(1))),
            }
        };
        self.save().await;
        Err(failure)
    }
}

fn passing(refusal: Refusal, retry_after: Duration) -> Failure {
    Failure { refusal, retry_after, is_proven: false }
}
