//! What is remembered of an account between two runs, and how it is recognised.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use super::lease::Held;
use super::rest::{LONGEST, Rest, after_rejections};
use super::store::{Cause, SavedRest};
use super::{Keeper, Record};
use crate::clock::Clock;
use crate::secret::Secret;
use crate::vendor::{Refusal, Vendor};

impl Keeper {
    /// Takes over what was saved, as far as it belongs to this account.
    pub(super) fn restore(&self, record: Record) {
        let mut state = self.state.lock();
        state.salt =
            if record.salt.is_empty() { hex::encode(rand::random::<[u8; 16]>()) } else { record.salt };
        let clock = self.parts.clock;
        let hash = hash(&*self.parts.vendor, &state.salt);
        // Credentials that can't be read now are not taken for others: their rest would end.
        let unchanged = hash.as_ref().is_none_or(|hash| *hash == record.credentials);
        if unchanged {
            state.rejections = record.rejections;
            self.proven.store(record.proven, Ordering::Release);
            // However the clock was set since, it is not taken for later than now.
            let ago = record.refused_at.map(|refused_at| clock.now().since(refused_at));
            state.refused_at = ago.and_then(|ago| clock.instant().checked_sub(ago));
            let is_here = record.account == self.account(&state.salt);
            let saved = record.rest.map(|saved| if is_here { saved } else { of_before(saved) });
            state.rest = saved.and_then(|saved| restored(saved, record.rejections, clock));
            state.trouble = state.rest.clone();
        }
        state.credentials = if unchanged { record.credentials } else { hash.unwrap_or_default() };
        if let Some((session, renewed_at)) = record.session
            && record.account == self.account(&state.salt)
        {
            state.generation += 1;
            let uses = self.uses(&session);
            let mut held = Held::new(session, state.generation, renewed_at, uses, clock);
            // It served before; if it is void now, that is because of what happened since.
            held.accepted.store(true, Ordering::Relaxed);
            if !unchanged {
                // New credentials are tried at once; the old session serves if that fails.
                held.end_now(clock.instant());
            }
            state.held = Some(Arc::new(held));
        }
    }

    /// Goes on with a session that is not worth saving but is counted at the device, if it is of these credentials. Reads
    /// files.
    pub(super) fn go_on_from(&self, former: &Self) {
        let (mut held, salt, credentials, proven) = {
            let theirs = former.state.lock();
            let held = theirs.held.as_deref().filter(|held| !held.session.lasts).cloned();
            let Some(held) = held else { return };
            (held, theirs.salt.clone(), theirs.credentials.clone(), former.is_proven())
        };
        let vendor = &*self.parts.vendor;
        let is_ours =
            self.account(&salt) == former.account(&salt) && hash(vendor, &salt) == Some(credentials);
        if !is_ours || vendor.counted_by(&held.session).is_none() {
            return;
        }
        let mut state = self.state.lock();
        if state.held.is_none() && state.rest.is_none() {
            state.generation += 1;
            held.generation = state.generation;
            state.held = Some(Arc::new(held));
            self.proven.store(proven || self.is_proven(), Ordering::Release);
        }
    }

    /// What is to be saved.
    pub(super) fn record(&self) -> Record {
        let state = self.state.lock();
        let clock = self.parts.clock;
        let rest = state.rest.as_ref().and_then(|rest| {
            Some(SavedRest {
                until: clock.now().plus(rest.until.saturating_duration_since(clock.instant())),
                cause: match rest.refusal {
                    Refusal::Rejected(_) => Cause::Rejected,
                    Refusal::Person(_) => Cause::Person,
                    Refusal::Unavailable { retry_after: Some(_), .. } => Cause::Asked,
                    Refusal::Enough(_) => Cause::Enough,
                    _ => return None,
                },
                detail: rest.refusal.to_string(),
            })
        });
        let session = state
            .held
            .as_ref()
            .filter(|held| held.session.lasts)
            .map(|held| (held.session.as_ref().clone(), held.renewed_at));
        Record {
            account: self.account(&state.salt),
            credentials: state.credentials.clone(),
            salt: state.salt.clone(),
            proven: self.is_proven(),
            refused_at: state.refused_at.map(|refused_at| {
                let ago = clock.instant().saturating_duration_since(refused_at);
                clock.now().minus(ago)
            }),
            rejections: state.rejections,
            rest,
            session,
        }
    }

    /// Saves what could not be saved before.
    pub async fn save_again(&self) {
        if self.state.lock().unsaved {
            self.save().await;
        }
    }

    /// Writes down what is to outlive this process.
    pub(super) async fn save(&self) {
        let _turn = self.saving.lock().await;
        if self.state.lock().is_done {
            return;
        }
        let record = self.record();
        let (store, name) = (Arc::clone(&self.parts.store), self.parts.name.clone());
        let saved = tokio::task::spawn_blocking(move || store.save(&name, &record)).await;
        let saved = saved.is_ok_and(|saved| saved);
        self.state.lock().unsaved = !saved;
    }

    /// Hash of the credentials as they are now; `None` where they can't be read.
    pub(super) async fn credentials(&self) -> Option<String> {
        let (vendor, salt) = (Arc::clone(&self.parts.vendor), self.state.lock().salt.clone());
        // A disk may keep who reads from it waiting, but not who serves.
        tokio::task::spawn_blocking(move || hash(&*vendor, &salt)).await.ok().flatten()
    }

    /// Hash of whose session it is, whatever proves it.
    fn account(&self, salt: &str) -> String {
        let account = self.parts.vendor.account();
        let address = if account.roams { "" } else { &self.parts.address };
        fingerprint(salt, std::iter::once(address).chain(account.who))
    }

    /// The configuration was read again: other credentials than those used last are tried at the next request.
    /// Reads files.
    pub fn look_again(&self) {
        let salt = self.state.lock().salt.clone();
        let credentials = hash(&*self.parts.vendor, &salt);
        let mut state = self.state.lock();
        if credentials.is_none_or(|now| now == state.credentials) {
            return;
        }
        state.end_rest();
        match &mut state.held {
            // The old session serves as long as the new credentials come to nothing.
            Some(held) if held.session.lasts => Arc::make_mut(held).end_now(self.parts.clock.instant()),
            _ => drop(self.give_up(&mut state)),
        }
    }

    /// Whether the credentials are others than those used last.
    pub(super) async fn credentials_changed(&self) -> bool {
        let now = self.credentials().await;
        now.is_some_and(|now| now != self.state.lock().credentials)
    }
}

/// Hash of names and secrets: it recognises credentials and tells nobody what they are. Reads files.
fn hash(vendor: &dyn Vendor, salt: &str) -> Option<String> {
    let account = vendor.account();
    let proofs: Option<Vec<Secret>> = account.proofs.iter().map(|proof| proof.read().ok()).collect();
    let proofs = proofs?;
    let names = account.who.into_iter().chain(account.asks_as);
    Some(fingerprint(salt, names.chain(proofs.iter().map(Secret::expose))))
}

/// A rest from before `url` was changed. It goes on, since the account may be the same at both addresses.
fn of_before(saved: SavedRest) -> SavedRest {
    if saved.detail.ends_with(BEFORE) {
        return saved;
    }
    SavedRest { detail: format!("{}{BEFORE}", saved.detail), ..saved }
}

const BEFORE: &str = " (so it was at the address that `url` named before; five minutes later `keyward check` tries it at this one)";

/// What is left of a rest. No more of it is believed than it had in the beginning: somebody may have set the clock.
fn restored(saved: SavedRest, rejections: u32, clock: Clock) -> Option<Rest> {
    let SavedRest { until, cause, detail } = saved;
    let (refusal, length) = match cause {
        Cause::Rejected => (Refusal::Rejected(detail), after_rejections(rejections)),
        Cause::Person => (Refusal::Person(detail), LONGEST),
        Cause::Enough => (Refusal::Enough(detail), LONGEST),
        Cause::Asked => (Refusal::Unavailable { detail, retry_after: Some(LONGEST) }, LONGEST),
    };
    let left = until.since(clock.now()).min(length);
    (!left.is_zero()).then(|| Rest { refusal, until: clock.instant() + left, length })
}

/// SHA-256 over the salt and the parts, each with its length before it.
pub fn fingerprint<'a>(salt: &'a str, parts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(salt).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
