//! The session of one device: when to log in, when to renew, when to leave the device and its cloud alone.
//!
//! Every lock, task, back-off and generation of a session lives here; *how* a make logs in is the
//! [vendor](crate::vendor)'s business. What outlives the process is in the [store](store::Store).

mod account;
mod check;
mod counts;
mod farewell;
mod lease;
mod login;
mod rest;
pub mod store;
mod succession;
#[cfg(test)]
mod tests;
mod trial;
mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

pub use account::fingerprint;
pub use check::TRIED_EVERY;
use counts::Counts;
use lease::Held;
pub use lease::Lease;
pub use rest::Failure;
use rest::Rest;
use store::{Record, Store};
use succession::Former;
pub use verify::Finding;
use verify::{Rights, Said};

use crate::clock::{Clock, Timestamp};
use crate::metrics::DeviceFigures;
use crate::upstream::Upstream;
use crate::upstream::cloud::Cloud;
use crate::vendor::{Session, Vendor};

/// So long a login has before a session that should be over serves on beside it. A cloud that hangs is no refusal.
const HEAD_START: Duration = Duration::from_secs(2);

/// What a keeper is made of.
pub struct Parts {
    /// Name of the device.
    pub name: String,
    /// What its sessions are bound to beside the account: the address they were got for.
    pub address: String,
    /// How its make logs in.
    pub vendor: Arc<dyn Vendor>,
    /// The way to it.
    pub upstream: Arc<Upstream>,
    /// The way to clouds.
    pub cloud: Cloud,
    /// What time it is.
    pub clock: Clock,
    /// Where sessions are saved.
    pub store: Arc<Store>,
    /// Counts logins.
    pub figures: Arc<DeviceFigures>,
}

/// The session engine of one device.
pub struct Keeper {
    parts: Parts,
    /// What was saved and could not be used, and what was done about it.
    unusable: Option<String>,
    state: Mutex<State>,
    /// The last generation that is void. A later one is in force, or was only replaced by another form of itself. Whoever
    /// has the state writes it; every request reads it.
    void: AtomicU64,
    /// Whether these credentials have ever been accepted; written and read likewise.
    proven: AtomicBool,
    /// Saves go one after the other, each with what is true when it begins; those of who had the device before too.
    saving: Arc<tokio::sync::Mutex<()>>,
    /// The device's clock less ours, in milliseconds.
    skew: AtomicI64,
    /// The turn of one request to find out whether a credential is right.
    trial: Arc<Semaphore>,
    /// The time that the last request carried.
    last_moment: AtomicI64,
    /// How often what the device counts was used.
    counts: Arc<Counts>,
}

/// Where a login or a verification under way will say how it ended.
type Landing<T> = watch::Receiver<Option<T>>;

#[derive(Default)]
struct State {
    held: Option<Arc<Held>>,
    generation: u64,
    /// What the device refused last: a login must not come back with the same.
    refused: Option<Arc<Session>>,
    rest: Option<Rest>,
    /// The last one since a login succeeded, over or not.
    trouble: Option<Rest>,
    /// Passing failures in a row.
    failures: u32,
    /// Rejections in a row of the same credentials, over restarts.
    rejections: u32,
    /// Salt of the credentials' hash, and the hash of those used last.
    salt: String,
    credentials: String,
    /// When they were last looked at while they rested.
    looked_at: Option<Instant>,
    /// When a credential that was fine before was refused, in this run or the one before. Of those that follow within
    /// [`TRIED_EVERY`](check::TRIED_EVERY) none counts.
    refused_at: Option<Instant>,
    login: Option<Landing<Result<(), Failure>>>,
    /// When the last one began.
    begun_at: Option<Instant>,
    verification: Option<Landing<Result<Said, Failure>>>,
    rights: Rights,
    /// Whether what is held could not be saved.
    unsaved: bool,
    /// Whether this keeper saves nothing any more: what is saved is another's by now, or the end has come.
    is_done: bool,
    former: Option<Former>,
}

impl State {
    /// The session in force, if it is the one of this lease.
    fn held_by(&self, lease: &Lease) -> Option<&Arc<Held>> {
        self.held.as_ref().filter(|held| held.generation == lease.held.generation)
    }
}

/// What the status page says of a session.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it ends, where that is known.
    pub expires_at: Option<Timestamp>,
    /// When it was got.
    pub renewed_at: Option<Timestamp>,
    /// What kept us from getting a new one when that was tried last.
    pub failure: Option<Failure>,
    /// Whether what is held could not be saved.
    pub unsaved: bool,
    /// Whether what is held is a credential of the configuration, which no login yields.
    pub is_fixed: bool,
}

impl Keeper {
    /// A keeper with what `former` knows, which had the device until now, or with what was saved for it; as far as that is
    /// for this account. Reads files.
    pub fn new(parts: Parts, former: Option<&Arc<Self>>) -> Arc<Self> {
        let saved = former.is_none().then(|| parts.store.load(&parts.name));
        let (record, unusable) = match saved.unwrap_or(Ok(None)) {
            Ok(record) => (record, None),
            Err(unusable) => (None, Some(unusable)),
        };
        let keeper = Arc::new(Self {
            parts,
            unusable,
            state: Mutex::default(),
            void: AtomicU64::new(0),
            proven: AtomicBool::new(false),
            saving: former.map(|former| Arc::clone(&former.saving)).unwrap_or_default(),
            trial: Arc::new(Semaphore::new(1)),
            skew: AtomicI64::new(0),
            last_moment: AtomicI64::new(0),
            counts: former.map(|former| Arc::clone(&former.counts)).unwrap_or_default(),
        });
        match former {
            Some(former) => keeper.succeed(former),
            None => keeper.restore(record.unwrap_or_default()),
        }
        keeper
    }

    /// A session to send one request with, logged in if need be.
    ///
    /// # Errors
    /// Why there is none, and when to ask again. While credentials rest, at once.
    pub async fn lease(self: &Arc<Self>) -> Result<Lease, Failure> {
        let lease = self.any_lease().await?;
        if !self.is_on_trial(&lease) {
            return Ok(lease);
        }
        let Some(turn) = self.turn().await else { return Ok(lease) };
        let lease = self.any_lease().await?;
        // It may have been found out meanwhile, and then nobody waits for this one.
        Ok(if self.is_on_trial(&lease) { lease.on_trial(Some(turn)) } else { lease })
    }

    async fn any_lease(self: &Arc<Self>) -> Result<Lease, Failure> {
        loop {
            self.look_while_resting().await;
            let (landing, serves_at) = {
                let mut state = self.state.lock();
                let now = self.parts.clock.instant();
                if let Some(rest) = &state.rest
                    && rest.is_over(now)
                {
                    state.rest = None;
                }
                let resting = state.rest.as_ref().map(|rest| rest.failure(now));
                match (&state.held, resting) {
                    (Some(held), resting) if !held.is_over(now) || resting.is_some() => {
                        let lease = Lease::of(held);
                        if held.is_due(now) && resting.is_none() {
                            self.start_login(&mut state);
                        }
                        return Ok(lease);
                    }
                    (_, Some(failure)) => return Err(failure),
                    _ => {
                        let landing = self.start_login(&mut state);
                        let begun_at = state.begun_at.unwrap_or(now);
                        (landing, state.held.is_some().then_some(begun_at + HEAD_START))
                    }
                }
            };
            let landed = async { land(landing).await.unwrap_or_else(|| Err(Failure::internal())) };
            let outcome = match serves_at {
                None => Ok(landed.await),
                Some(at) => timeout_at(at, landed).await,
            };
            // Time is a hint: a session that should be over serves until the device says so.
            match (&self.state.lock().held, outcome) {
                (Some(held), _) => return Ok(Lease::of(held)),
                (None, Ok(Err(failure))) => return Err(failure),
                // It was refused to somebody else in the meantime.
                (None, Ok(Ok(())) | Err(_)) => {}
            }
        }
    }

    /// The session of this lease is void. Nobody gets it again; one got since is not touched.
    pub fn expire(&self, lease: &Lease) {
        let mut state = self.state.lock();
        if state.held_by(lease).is_some() {
            state.refused = self.give_up(&mut state);
            // A renewal that could wait has failed for now; what is needed now is another matter.
            state.try_again();
        }
    }

    /// Gives the session up.
    fn give_up(&self, state: &mut State) -> Option<Arc<Session>> {
        let held = state.held.take()?;
        self.void.store(held.generation, Ordering::Release);
        Some(Arc::clone(&held.session))
    }

    /// The device handed out what the session looks like from now on.
    pub fn rotate(&self, lease: &Lease, session: Session) {
        let mut state = self.state.lock();
        let generation = state.generation + 1;
        if let Some(held) = state.held_by(lease) {
            let uses = self.uses(&session);
            let held = held.followed_by(session, generation, uses, self.parts.clock);
            state.held = Some(Arc::new(held));
            state.generation = generation;
        }
    }

    /// What the status page says.
    pub fn snapshot(&self) -> Snapshot {
        let (state, now) = (self.state.lock(), self.parts.clock.instant());
        Snapshot {
            expires_at: state.held.as_ref().and_then(|held| held.session.expires_at),
            renewed_at: state.held.as_ref().filter(|held| held.session.lasts).map(|held| held.renewed_at),
            failure: state.trouble.as_ref().map(|rest| rest.failure(now)),
            unsaved: state.unsaved,
            is_fixed: state.held.as_ref().is_some_and(|held| !held.session.lasts),
        }
    }

    /// What was saved and could not be used, in words for a person.
    pub fn unusable(&self) -> Option<&String> {
        self.unusable.as_ref()
    }
}

/// Waits for the outcome; `None` if whoever was to tell it is gone.
async fn land<T: Clone>(mut landing: Landing<T>) -> Option<T> {
    landing.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
}
