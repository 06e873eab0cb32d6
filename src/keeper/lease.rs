//! A session on loan, and what is particular to each request of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::request;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Keeper;
use super::counts::next;
use crate::clock::{Clock, Timestamp};
use crate::vendor::{Moment, Refusal, Session};

/// Renewal begins no earlier than this before the end, however long a session lives.
const MOST_LEAD: Duration = Duration::from_secs(30 * 86_400);

/// A session that is void this soon after its login was void from the beginning.
const JUST_NOW: Duration = Duration::from_secs(10);

/// The session in force.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) session: Arc<Session>,
    pub(super) generation: u64,
    pub(super) renewed_at: Timestamp,
    /// Whether the device has accepted a request with it.
    pub(super) accepted: Arc<AtomicBool>,
    uses: Arc<AtomicU64>,
    over_at: Option<Instant>,
    due_at: Option<Instant>,
    since: Instant,
}

impl Held {
    /// Lifetimes run on the monotonic clock from now on.
    pub(super) fn new(
        session: Session,
        generation: u64,
        renewed_at: Timestamp,
        uses: Arc<AtomicU64>,
        clock: Clock,
    ) -> Self {
        let instant = clock.instant();
        let left = session.expires_at.map(|end| end.since(clock.now()));
        let whole = session.expires_at.map(|end| end.since(renewed_at));
        // Not all of a house's sessions at the same moment.
        let jitter = rand::random_range(0.9..1.1);
        let lead = whole.map(|whole| (whole.mul_f64(jitter) / 3).min(MOST_LEAD));
        let over_at = left.and_then(|left| instant.checked_add(left));
        let due_at = left.zip(lead).and_then(|(left, lead)| instant.checked_add(left.saturating_sub(lead)));
        Self {
            session: Arc::new(session),
            generation,
            renewed_at,
            accepted: Arc::default(),
            uses,
            over_at,
            due_at,
            since: instant,
        }
    }

    /// The same session in another form: as old, and as proven, as it was.
    pub(super) fn followed_by(
        &self,
        session: Session,
        generation: u64,
        uses: Arc<AtomicU64>,
        clock: Clock,
    ) -> Self {
        let is_renewed = session.expires_at != self.session.expires_at;
        let renewed_at = if is_renewed { clock.now() } else { self.renewed_at };
        let accepted = Arc::clone(&self.accepted);
        Self { accepted, since: self.since, ..Self::new(session, generation, renewed_at, uses, clock) }
    }

    /// Whether a login has just yielded it and no request has succeeded with it yet.
    pub(super) fn is_untried(&self, now: Instant) -> bool {
        !self.accepted.load(Ordering::Relaxed) && now.saturating_duration_since(self.since) < JUST_NOW
    }

    /// Serves only as long as nothing better is to be had.
    pub(super) fn end_now(&mut self, now: Instant) {
        self.over_at = Some(now);
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.over_at.is_some_and(|end| end <= now)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due_at.is_some_and(|due| due <= now)
    }

    /// Whether it is neither. A clock takes longer than all else that is asked here, and what has no end needs none.
    fn is_good(&self, clock: Clock) -> bool {
        let has_end = self.over_at.is_some() || self.due_at.is_some();
        !has_end || {
            let now = clock.instant();
            !self.is_over(now) && !self.is_due(now)
        }
    }
}

/// A session on loan for one request.
#[derive(Clone, Debug)]
pub struct Lease {
    pub(super) held: Arc<Held>,
    /// Whether the device handed this to one request, which nobody else's can overtake.
    is_own: bool,
    /// Held while this is the one request that tries a credential.
    turn: Option<Arc<OwnedSemaphorePermit>>,
}

impl Lease {
    /// The session.
    pub fn session(&self) -> &Session {
        &self.held.session
    }

    pub(super) fn of(held: &Arc<Held>) -> Self {
        Self { held: Arc::clone(held), is_own: false, turn: None }
    }

    pub(super) fn on_trial(self, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { turn: turn.map(Arc::new), ..self }
    }

    pub(super) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Whether nothing else has been counted with its session.
    pub(super) fn is_first(&self) -> bool {
        self.held.uses.load(Ordering::Relaxed) <= 1
    }
}

impl Keeper {
    /// A lease of what is held, where there is nothing to wait for or to begin: most requests find it so.
    pub fn lease_at_once(&self) -> Option<Lease> {
        let state = self.state.lock();
        let held = state.held.as_ref().filter(|held| held.is_good(self.parts.clock))?;
        // Whether a credential is right is for one request to find out.
        let is_proven = held.session.lasts || self.is_proven() || held.accepted.load(Ordering::Relaxed);
        (is_proven && state.rest.is_none()).then(|| Lease::of(held))
    }

    /// A lease of what the device handed out in answer to one request, for that request alone until it is
    /// [shared](Self::share): counted in order by the device, it must not be overtaken by what others send. Where others
    /// were handed the same, they count together, since no number may come twice. Where nothing has been asked for until
    /// now, one request tries the credential first.
    pub async fn own(&self, lease: &Lease, session: Session) -> Lease {
        let uses = self.uses(&session);
        let held = Held { session: Arc::new(session), uses, ..Held::clone(&lease.held) };
        let own = Lease { held: Arc::new(held), is_own: true, ..lease.clone() };
        if lease.turn.is_some() || !self.is_unproven(lease) {
            return own;
        }
        let turn = self.turn().await;
        if self.is_unproven(lease) { own.on_trial(turn) } else { own }
    }

    /// What one request had alone has served it, and serves all from now on.
    pub fn share(&self, lease: &Lease) {
        if !lease.is_own {
            return;
        }
        let mut state = self.state.lock();
        let generation = state.generation + 1;
        if let Some(held) = state.held_by(lease) {
            let (session, uses) = (lease.session().clone(), Arc::clone(&lease.held.uses));
            let held = held.followed_by(session, generation, uses, self.parts.clock);
            state.held = Some(Arc::new(held));
            state.generation = generation;
        }
    }

    /// Whether nobody has found this session void: who waited long may be left with one that was refused to others.
    pub fn is_in_force(&self, lease: &Lease) -> bool {
        lease.held.generation > self.void.load(Ordering::Acquire)
    }

    /// Dresses one request with the session of a lease.
    ///
    /// # Errors
    /// When a credential can't stand in a request.
    pub fn sign(&self, lease: &Lease, head: &mut request::Parts) -> Result<(), Refusal> {
        let moment = Moment { nth: &|| next(&lease.held.uses), time: &|| self.moment() };
        self.parts.vendor.sign(lease.session(), moment, head)
    }

    /// The device showed its clock.
    pub fn learn_clock(&self, theirs: Timestamp) {
        let skew = theirs.as_millis().saturating_sub(self.parts.clock.now().as_millis());
        tracing::info!(device = self.parts.name, skew_ms = skew, "the device's clock differs");
        self.skew.store(skew, Ordering::Relaxed);
        // Where the device is behind, its time begins anew.
        self.last_moment.store(0, Ordering::Relaxed);
    }

    /// The device's time, later than every one before.
    pub(super) fn moment(&self) -> Timestamp {
        let now = self.parts.clock.now().as_millis().saturating_add(self.skew.load(Ordering::Relaxed));
        let step = |last: i64| now.max(last.saturating_add(1));
        let last =
            self.last_moment.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(step(last)));
        Timestamp::from_millis(step(last.unwrap_or(0)))
    }
}
