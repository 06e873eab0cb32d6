//! Getting a session: one login at a time, in a task of its own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::timeout;

use super::lease::Held;
use super::rest::Failure;
use super::succession::news;
use super::{Keeper, Landing, State};
use crate::vendor::{Refusal, Session, Visit};

/// A login with all its round trips takes no longer, unless `timeout` is longer still.
pub(super) const BUDGET: Duration = Duration::from_secs(120);

/// So long a device may take for an answer of a login, unless `timeout` is longer still. Callers are told at `timeout` that
/// they have to ask again; a login that ended with them would never come to its end at a slow device, and leave a session
/// there each time.
const LOGIN_ANSWER: Duration = Duration::from_secs(45);

/// So many ends of a login's channel are kept for those who join it.
const KEPT: usize = 1;

/// A disk that takes longer is not waited for.
pub(super) const SAVED_WITHIN: Duration = Duration::from_secs(1);

impl Keeper {
    /// Starts a login, or joins the one under way. It goes on whoever waits for it or leaves.
    pub(super) fn start_login(self: &Arc<Self>, state: &mut State) -> Landing<Result<(), Failure>> {
        // A task that panicked has left its channel closed.
        if let Some(landing) = state.login.as_ref().filter(|landing| landing.has_changed().is_ok()) {
            return landing.clone();
        }
        let known = news(state);
        let (sender, landing) = watch::channel(None);
        state.login = Some(landing.clone());
        state.begun_at = Some(self.parts.clock.instant());
        let keeper = Arc::clone(self);
        tokio::spawn(async move {
            let inherited = keeper.inherit(known).await;
            if let Some(inherited) = inherited {
                keeper.state.lock().login = None;
                keeper.save_in_time().await;
                sender.send_replace(Some(inherited));
                return;
            }
            // As they are now: whoever corrects a password during the login has not seen that one refused.
            let credentials = keeper.credentials().await;
            let budget = keeper.or_timeout(BUDGET);
            let outcome = match timeout(budget, AssertUnwindSafe(keeper.obtain()).catch_unwind()).await {
                Ok(Ok(outcome)) => outcome,
                // It may have got as far as the device: without a rest every request would be a login.
                Ok(Err(_)) => Err(Failure::internal().refusal),
                Err(_) => Err(Refusal::Odd("the login took too long".to_owned())),
            };
            // Of those who wait each says in the log what became of its request.
            let is_awaited = sender.receiver_count() > KEPT;
            let settled = keeper.settle(credentials, outcome, is_awaited);
            keeper.save_in_time().await;
            sender.send_replace(Some(settled));
        });
        landing
    }

    /// What came of something is told when a restart can't forget it, but a disk that hangs keeps nobody waiting.
    pub(super) async fn save_in_time(self: &Arc<Self>) {
        let keeper = Arc::clone(self);
        let saving = tokio::spawn(async move { keeper.save().await });
        drop(timeout(SAVED_WITHIN, saving).await);
    }

    async fn obtain(&self) -> Result<Session, Refusal> {
        let (old, refused) = {
            let state = self.state.lock();
            (state.held.as_ref().map(|held| Arc::clone(&held.session)), state.refused.clone())
        };
        let visit = self.long_visit(refused.as_deref());
        if let Some(old) = old {
            match self.parts.vendor.renew(&visit, &old).await {
                Ok(Some(session)) => return Ok(session),
                Ok(None) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        self.parts.vendor.login(&visit).await
    }

    fn settle(
        &self,
        credentials: Option<String>,
        outcome: Result<Session, Refusal>,
        is_awaited: bool,
    ) -> Result<(), Failure> {
        let lasts = outcome.as_ref().is_ok_and(|session| session.lasts);
        let (result, is_held) = {
            let mut state = self.state.lock();
            let mut is_proven = self.is_proven();
            if let Some(credentials) = credentials.filter(|now| *now != state.credentials) {
                state.rejections = 0;
                is_proven = false;
                state.refused_at = None;
                state.credentials = credentials;
            }
            state.login = None;
            let result = match outcome {
                Ok(session) => {
                    state.failures = 0;
                    state.end_rest();
                    if session.lasts {
                        state.rejections = 0;
                        is_proven = true;
                    }
                    self.hold(&mut state, session);
                    Ok(())
                }
                Err(refusal) => Err(self.begin_rest(&mut state, refusal)),
            };
            // It is seen without the lock: who looks meanwhile is not to find that nothing was ever proven.
            self.proven.store(is_proven, Ordering::Release);
            (result, state.held.is_some())
        };
        if lasts || result.is_err() {
            self.parts.figures.login(result.is_ok());
        }
        match &result {
            Ok(()) if lasts => tracing::info!(device = self.parts.name, "logged in"),
            Ok(()) => {}
            // The same again would follow, with the request that it is said of.
            Err(failure) if is_awaited && !is_held => {
                tracing::debug!(device = self.parts.name, "no session: {}", failure.refusal);
            }
            Err(failure) => tracing::warn!(
                device = self.parts.name,
                retry_after_s = failure.retry_after.as_secs(),
                "no session: {}",
                failure.refusal
            ),
        }
        result
    }

    fn hold(&self, state: &mut State, session: Session) {
        state.generation += 1;
        let now = self.parts.clock.now();
        let uses = self.uses(&session);
        let held = Held::new(session, state.generation, now, uses, self.parts.clock);
        state.held = Some(Arc::new(held));
        // A second login must not come to nothing because of what was refused long ago.
        state.refused = None;
    }

    pub(super) fn visit<'a>(&'a self, refused: Option<&'a Session>) -> Visit<'a> {
        Visit {
            device: &self.parts.upstream,
            cloud: &self.parts.cloud,
            now: self.parts.clock.now(),
            refused,
            within: self.parts.upstream.settings().timeout,
            count: &*self.counts,
        }
    }

    /// The same for a login, or for a question that may lead to one: it goes on though nobody may be left who waits.
    pub(super) fn long_visit<'a>(&'a self, refused: Option<&'a Session>) -> Visit<'a> {
        Visit { within: self.or_timeout(LOGIN_ANSWER), ..self.visit(refused) }
    }

    pub(super) fn or_timeout(&self, least: Duration) -> Duration {
        least.max(self.parts.upstream.settings().timeout)
    }
}
