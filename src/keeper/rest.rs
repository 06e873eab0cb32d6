//! How long to leave a device or a cloud alone after a refusal.

use std::time::Duration;

use tokio::time::Instant;

use super::{Keeper, State};
use crate::vendor::Refusal;

/// After the first, the second and every further rejection of the same credentials.
const AFTER_REJECTION: [Duration; 3] =
    [Duration::from_secs(5 * 60), Duration::from_secs(30 * 60), Duration::from_secs(24 * 3600)];
/// Until a person has acted.
const AFTER_PERSON: Duration = Duration::from_secs(24 * 3600);
/// When there is nothing better than what is in use, another hour won't bring it.
const AFTER_ENOUGH: Duration = Duration::from_secs(24 * 3600);
/// After failures that pass: doubling from the first to the last.
const PASSING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// However long a server asks for, we look in once a day.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How often credentials that rest are looked at for a change.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why there is no session, and when it is worth asking again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub refusal: Refusal,
    /// When to ask again.
    pub retry_after: Duration,
    /// Whether these credentials are fixed and were accepted before: they don't rest, and every request tries them.
    pub is_proven: bool,
}

impl Failure {
    pub(super) fn internal() -> Self {
        let refusal = Refusal::Odd("the login ended in an error of keyward's own; see the log".to_owned());
        Self { refusal, retry_after: PASSING.0, is_proven: false }
    }
}

/// A time without attempts.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    pub(super) refusal: Refusal,
    pub(super) until: Instant,
    /// How long it is in all.
    pub(super) length: Duration,
}

impl Rest {
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    pub(super) fn failure(&self, now: Instant) -> Failure {
        let left = self.until.saturating_duration_since(now);
        Failure { refusal: self.refusal.clone(), retry_after: left.max(PASSING.0), is_proven: false }
    }

    /// Whether so little time has gone by that not even a person may try the same credentials again.
    pub(super) fn has_just_begun(&self, now: Instant) -> bool {
        let [shortest, ..] = AFTER_REJECTION;
        let gone = self.length.saturating_sub(self.until.saturating_duration_since(now));
        self.is_final() && gone < shortest
    }

    /// Whether only other credentials, or a person, can change the outcome.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.refusal, Refusal::Rejected(_) | Refusal::Person(_))
    }

    /// Whether a server wants to be left alone for so long, whatever we need.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self.refusal, Refusal::Unavailable { retry_after: Some(_), .. })
    }
}

impl State {
    /// Only what credentials have to do with, or a server has asked for, rests on.
    pub(super) fn try_again(&mut self) {
        if self.rest.as_ref().is_none_or(|rest| !rest.is_final() && !rest.is_asked()) {
            self.end_rest();
        }
    }

    /// What the last attempt came to is no reason to wait any more, and nothing to be told.
    pub(super) fn end_rest(&mut self) {
        self.rest = None;
        self.trouble = None;
    }
}

impl Keeper {
    /// Begins to rest after a refusal.
    pub(super) fn begin_rest(&self, state: &mut State, refusal: Refusal) -> Failure {
        let length = match &refusal {
            Refusal::Rejected(_) => {
                state.rejections = state.rejections.saturating_add(1);
                after_rejections(state.rejections)
            }
            Refusal::Person(_) => AFTER_PERSON,
            Refusal::Enough(_) => AFTER_ENOUGH,
            Refusal::Unavailable { retry_after: Some(asked), .. } => as_asked(*asked),
            Refusal::Unreachable(_) | Refusal::Unavailable { .. } | Refusal::Odd(_) => {
                state.failures = state.failures.saturating_add(1);
                after_failures(state.failures)
            }
        };
        let now = self.parts.clock.instant();
        let rest = Rest { refusal, until: now + length, length };
        let failure = rest.failure(now);
        state.trouble = Some(rest.clone());
        state.rest = Some(rest);
        failure
    }

    /// What was in the way of a login may be gone.
    pub fn try_again(&self) {
        self.state.lock().try_again();
    }

    /// Other credentials than those refused end a rest.
    pub(super) async fn look_while_resting(&self) {
        {
            let mut state = self.state.lock();
            if !state.rest.as_ref().is_some_and(Rest::is_final) {
                return;
            }
            let now = self.parts.clock.instant();
            // Files are read for this, so not for every request.
            if state.looked_at.is_some_and(|looked_at| now.duration_since(looked_at) < LOOK_EVERY) {
                return;
            }
            state.looked_at = Some(now);
        }
        if let Some(credentials) = self.credentials().await {
            let mut state = self.state.lock();
            if state.credentials != credentials {
                state.end_rest();
            }
        }
    }
}

/// How long credentials rest that were rejected so many times in a row.
pub(super) fn after_rejections(count: u32) -> Duration {
    let [.., last] = AFTER_REJECTION;
    let nth = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
    AFTER_REJECTION.get(nth).copied().unwrap_or(last)
}

/// How long to leave alone who asks for so long.
pub(super) fn as_asked(asked: Duration) -> Duration {
    asked.clamp(PASSING.0, LONGEST)
}

fn after_failures(count: u32) -> Duration {
    let (first, last) = PASSING;
    let doubled = first.saturating_mul(1 << count.saturating_sub(1).min(10)).min(last);
    doubled.mul_f64(rand::random_range(0.75..1.0))
}
