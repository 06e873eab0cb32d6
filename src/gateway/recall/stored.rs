//! What is remembered of a device's answers.

use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use bytes::Bytes;
use http::header::HeaderMap;
use http_cache_semantics::CachePolicy;
use moka::Expiry;
use moka::sync::Cache;
use tokio::time::Instant;

use super::Told;
use super::question::Key;
use super::semantics::Varied;

/// So many bytes of answers are remembered of each device.
const ROOM: u64 = 16 * 1024 * 1024;
/// What an answer takes beside its bytes; it also bounds how many small ones there are.
const OVERHEAD: usize = 1024;

/// An answer that is remembered.
pub(super) struct Stored {
    pub(super) told: Arc<Told>,
    pub(super) body: Bytes,
    pub(super) varied: Varied,
    /// See [`Recall`](super::Recall).
    pub(super) epoch: u64,
    pub(super) received: Instant,
    /// How old it was when it came.
    pub(super) initial_age: Duration,
    /// For how long after that it is good.
    pub(super) fresh_for: Duration,
    /// For how long after that it may stand in while the device fails.
    pub(super) stands_in_for: Duration,
    /// For how long it is remembered in all.
    pub(super) kept_for: Duration,
    /// Where the device decides how long it is good.
    pub(super) policy: Option<CachePolicy>,
}

impl Stored {
    pub(super) fn age(&self, now: Instant) -> Duration {
        self.initial_age.saturating_add(now.saturating_duration_since(self.received))
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.received) < self.fresh_for
    }

    pub(super) fn may_stand_in(&self, now: Instant) -> bool {
        let most = self.fresh_for.saturating_add(self.stands_in_for);
        !self.stands_in_for.is_zero() && now.saturating_duration_since(self.received) <= most
    }

    /// For how many seconds it is good yet; less than none where it is not.
    pub(super) fn ttl(&self, now: Instant) -> i64 {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let gone = now.saturating_duration_since(self.received);
        match self.fresh_for.checked_sub(gone) {
            Some(left) => seconds(left),
            None => -seconds(gone.saturating_sub(self.fresh_for)).max(1),
        }
    }

    fn size(&self) -> usize {
        let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| name.as_str().len() + value.len();
        let headers = HeaderMap::iter(&self.told.headers).map(line).sum::<usize>();
        // A policy has its own of both.
        let times = if self.policy.is_some() { 2 } else { 1 };
        OVERHEAD + self.body.len() + times * (headers + self.varied.size())
    }
}

/// What memory has on a question.
pub(super) enum Found {
    /// An answer that is good.
    Fresh(Arc<Stored>),
    /// One that was.
    Stale(Arc<Stored>),
    /// One to a request of another kind.
    Other,
    /// Nothing.
    Nothing,
}

impl Found {
    /// What was good once.
    pub(super) fn former(&self) -> Option<Arc<Stored>> {
        match self {
            Self::Stale(stored) => Some(Arc::clone(stored)),
            _ => None,
        }
    }
}

/// Answers of one device, as many as there is room for.
#[derive(Clone)]
pub(super) struct Store(Cache<Key, Arc<Stored>>);

impl Store {
    pub(super) fn new() -> Self {
        let weigh =
            |key: &Key, stored: &Arc<Stored>| u32::try_from(key.size() + stored.size()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(ROOM).weigher(weigh).expire_after(Retention).build())
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.0.get(key)
    }

    pub(super) fn keep(&self, key: Key, stored: Arc<Stored>) {
        self.0.insert(key, stored);
    }

    pub(super) fn remove(&self, key: &Key) {
        self.0.invalidate(key);
    }

    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }
}

/// Each answer is remembered for as long as it can be of use.
struct Retention;

impl Expiry<Key, Arc<Stored>> for Retention {
    fn expire_after_create(&self, _: &Key, stored: &Arc<Stored>, _: StdInstant) -> Option<Duration> {
        Some(stored.kept_for)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        stored: &Arc<Stored>,
        _: StdInstant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(stored.kept_for)
    }
}
