//! From a device's reply to what several callers, and later ones, get of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};
use http_cache_semantics::{BeforeRequest, CachePolicy};

use super::board::Followers;
use super::body::tells_of_error;
use super::flights::{Departure, Landed, Shared};
use super::question::Key;
use super::recording::Recording;
use super::semantics::{self, Varied, initial_age, is_keepable, is_never_stale, says};
use super::stored::{Found, Stored};
use super::{Question, Recall, Reply, Told, is_shareable};
use crate::config::Freshness;
use crate::fields;
use crate::gateway::fault::Fault;
use crate::gateway::{Call, Trip};

/// How long an answer that can be confirmed is remembered after it was good.
const CONFIRMABLE: Duration = Duration::from_secs(24 * 3600);

/// By what a device is asked whether an answer is still so (RFC 9110 section 13.1).
const CONDITIONS: [HeaderName; 2] = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// By what a device says which of its answers it is.
const VALIDATORS: [HeaderName; 2] = [header::ETAG, header::LAST_MODIFIED];

/// What an answer says of its own way here.
const OF_THE_MOMENT: [HeaderName; 2] = [header::AGE, header::DATE];

/// What a confirmation does not change of an answer, since it is of the body (RFC 9111 section 3.2).
const OF_THE_BODY: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    HeaderName::from_static("content-md5"),
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
];

/// One fetch, and what is to become of its reply.
pub(super) struct Keeping {
    departure: Departure,
    question: Question,
    epoch: u64,
    /// What the device is asked to confirm.
    former: Option<Arc<Stored>>,
}

impl Recall {
    /// Whether the answer to this is remembered.
    pub(super) fn keeps(&self, question: &Question) -> bool {
        let is_of_use = question.freshness != Freshness::None || !self.rules.stale_if_error.is_zero();
        self.store.is_some() && is_of_use
    }

    /// What memory has on this.
    pub(super) fn find(&self, question: &Question, trip: &Trip) -> Found {
        let Trip { head, hop, .. } = trip;
        let Some(store) = self.store.as_ref().filter(|_| question.shares) else { return Found::Nothing };
        let (epoch, now) = (self.writes.epoch(), self.clock.instant());
        let Some(stored) = store.get(&Key::of(trip)).filter(|stored| stored.epoch == epoch) else {
            return Found::Nothing;
        };
        if !stored.varied.suits(head) {
            return Found::Other;
        }
        let is_fresh = match &stored.policy {
            None => stored.is_fresh(now) && question.most_age.is_none_or(|most| stored.age(now) <= most),
            Some(policy) => {
                let now = semantics::wall(self.clock.now());
                let before = policy.before_request(&semantics::seen(hop, head), now);
                // By `max-stale` the library would give even what says that it is never to be given stale.
                matches!(before, BeforeRequest::Fresh(_)) && !policy.is_stale(now)
            }
        };
        if is_fresh { Found::Fresh(stored) } else { Found::Stale(stored) }
    }
}

impl Keeping {
    pub(super) fn of(mut departure: Departure, question: Question, found: Found) -> Self {
        let mut former = None;
        if let Found::Stale(stored) = found
            && let Some(conditions) = stored.conditions(&departure.call.trip, departure.recall())
        {
            departure.call.conditions = Some(Box::new(conditions));
            former = Some(stored);
        }
        let epoch = departure.recall().writes.epoch();
        Self { departure, question, epoch, former }
    }

    /// What the device is to be asked for.
    pub(super) fn call(&self) -> &Call {
        &self.departure.call
    }

    fn recall(&self) -> &Recall {
        self.departure.recall()
    }

    /// By what its answer is found again.
    fn key(&self) -> Key {
        Key::of(&self.call().trip).apart()
    }

    /// The reply is there. Whoever joined until the fetch is off the board gets it too.
    pub(super) fn landed(mut self, reply: Result<Reply, Fault>) -> Landed {
        let (head, body) = match reply {
            Err(fault) => return tell(self.departure.land(), Landed::Shared(Shared::Failed(fault))),
            Ok(Reply::Passed(head, body)) => (head, body),
            Ok(reply) => return tell(self.departure.land(), Landed::Alone(reply)),
        };
        if head.status == StatusCode::NOT_MODIFIED
            && let Some(former) = &self.former
        {
            let landed = match self.confirmed(former, &head.headers) {
                Some(stored) => {
                    let is_stored = self.recall().keep(self.epoch, self.key(), &stored);
                    Shared::Confirmed(stored, is_stored)
                }
                // It is not what was asked about, or it is for one alone: whoever waits asks for all of it.
                None => {
                    self.recall().store.iter().for_each(|store| store.remove(&self.key()));
                    Shared::Other(StatusCode::NOT_MODIFIED)
                }
            };
            return tell(self.departure.land(), Landed::Shared(landed));
        }
        let (status, question) = (head.status, &self.question);
        let keeps =
            self.recall().keeps(question) && question.is_kept && is_keepable(status, question.freshness);
        // Where it is on its way into memory, the fetch stays open to all until it is there.
        let followers = if keeps { None } else { self.departure.land() };
        let is_for_several = keeps || (followers.is_some() && status == StatusCode::OK);
        if !is_for_several || !is_shareable(&self.call().trip.hop, &head.headers) {
            let followers = followers.or_else(|| self.departure.land());
            return tell(followers, Landed::Alone(Reply::Passed(head, body)));
        }
        let told = Arc::new(Told { status: head.status, headers: head.headers });
        let varied = Varied::of(&self.call().trip.head, &told.headers);
        let draft = if keeps { self.draft(&told) } else { None };
        let (key, epoch, departure) = (self.key(), self.epoch, Arc::new(self.departure));
        let aloft = Arc::clone(&departure);
        let keep = draft.map(|draft| {
            move |body: &Bytes| {
                let is_good = !tells_of_error(&draft.told.headers, body, draft.policy.is_some());
                let is_stored = is_good && aloft.recall().keep(epoch, key, &Arc::new(draft.with(body)));
                // Whoever asks the same finds it on the board until they find its answer in memory.
                drop(aloft);
                is_stored
            }
        });
        let recording = Recording::begin(told, varied, body, keep);
        let followers = followers.or_else(|| departure.record(&recording));
        tell(followers, Landed::Shared(Shared::Recorded(recording)))
    }

    /// What would be remembered of this answer, but for its body.
    fn draft(&self, told: &Arc<Told>) -> Option<Stored> {
        let (trip, rules, clock) = (&self.call().trip, &self.recall().rules, self.recall().clock);
        if says(&told.headers, "no-store") {
            return None;
        }
        let mut stored = Stored {
            told: Arc::clone(told),
            body: Bytes::new(),
            varied: Varied::of(&trip.head, &told.headers),
            epoch: self.epoch,
            received: clock.instant(),
            initial_age: Duration::ZERO,
            fresh_for: Duration::ZERO,
            stands_in_for: rules.stale_if_error,
            kept_for: rules.stale_if_error,
            policy: None,
        };
        match self.question.freshness {
            Freshness::None => {}
            Freshness::For(duration) => {
                stored.fresh_for = duration;
                stored.initial_age = semantics::told_age(&told.headers);
            }
            Freshness::AsTold => {
                let now = clock.now();
                let policy = semantics::policy(&trip.hop, &trip.head, told.status, &told.headers, now);
                stored.take_policy(policy, self.recall())?;
            }
        }
        stored.kept_for = stored.kept_for.saturating_add(stored.fresh_for);
        Some(stored)
    }

    /// What is remembered, with what the device's confirmation says of it (RFC 9111 section 4.3.4).
    fn confirmed(&self, former: &Stored, told: &HeaderMap) -> Option<Arc<Stored>> {
        if !semantics::is_about(told, &former.told.headers) {
            return None;
        }
        let mut headers = former.told.headers.clone();
        for name in OF_THE_MOMENT.iter().chain(told.keys().filter(|name| !OF_THE_BODY.contains(name))) {
            headers.remove(name);
        }
        for (name, value) in told.iter().filter(|(name, _)| !OF_THE_BODY.contains(name)) {
            headers.append(name, fields::apart(value));
        }
        let told = Arc::new(Told { status: former.told.status, headers });
        let is_for_all = is_shareable(&self.call().trip.hop, &told.headers);
        let stored = self.draft(&told).filter(|_| is_for_all)?;
        Some(Arc::new(Stored { body: former.body.clone(), ..stored }))
    }
}

impl Recall {
    /// Remembers an answer, unless something has been changed since it was asked for.
    fn keep(&self, epoch: u64, key: Key, stored: &Arc<Stored>) -> bool {
        let is_current = self.writes.allow(epoch);
        match &self.store {
            Some(store) if is_current && !stored.kept_for.is_zero() => {
                store.keep(key, Arc::clone(stored));
                true
            }
            _ => false,
        }
    }
}

impl Stored {
    /// Takes the device's word on how long it is good. Nothing: not at all.
    fn take_policy(&mut self, policy: CachePolicy, recall: &Recall) -> Option<()> {
        if !policy.is_storable() {
            return None;
        }
        let now = recall.clock.now();
        self.initial_age = initial_age(&self.told.headers, now);
        self.fresh_for = policy.time_to_live(semantics::wall(now));
        if is_never_stale(&self.told.headers) {
            self.stands_in_for = Duration::ZERO;
        }
        if VALIDATORS.iter().any(|name| self.told.headers.contains_key(name)) {
            self.kept_for = self.kept_for.max(CONFIRMABLE);
        }
        self.policy = Some(policy);
        Some(())
    }

    /// This with its body. Neither it nor the headers keep what they were read from, and a session is nobody's to have.
    fn with(self, body: &Bytes) -> Self {
        let kept = self.told.headers.iter().filter(|(name, _)| **name != header::SET_COOKIE);
        let headers = kept.map(|(name, value)| (name.clone(), fields::apart(value)));
        let told = Told { status: self.told.status, headers: headers.collect() };
        Self { told: Arc::new(told), body: Bytes::copy_from_slice(body), ..self }
    }

    /// By what the device can be asked whether this is still so.
    fn conditions(&self, trip: &Trip, recall: &Recall) -> Option<HeaderMap> {
        let seen = semantics::seen(&trip.hop, &trip.head);
        let before = self.policy.as_ref()?.before_request(&seen, semantics::wall(recall.clock.now()));
        let BeforeRequest::Stale { request, matches: true } = before else { return None };
        let conditions =
            CONDITIONS.iter().filter_map(|name| Some((name.clone(), request.headers.get(name)?.clone())));
        let conditions: HeaderMap = conditions.collect();
        (!conditions.is_empty()).then_some(conditions)
    }
}

/// Whoever waits learns how it ended.
fn tell(followers: Option<Followers>, landed: Landed) -> Landed {
    if let Some(followers) = followers {
        followers.send_replace(Some(landed.shared()));
    }
    landed
}
