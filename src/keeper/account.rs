//! What is remembered of an account between two runs, and how it is recognised.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::lease::Held;
use super::rest::{Rest, after_rejections};
use super::{Keeper, Record};
use crate::keeper::store::SavedRest;
use crate::vendor::Refusal;

/// A longer rest than this is not believed: somebody has set the clock.
const LONGEST_REST: Duration = Duration::from_secs(86_400);

impl Keeper {
    /// Takes over what was saved, as far as it belongs to this account.
    pub(super) fn restore(&self, record: Record) {
        let mut state = self.lock();
        state.salt =
            if record.salt.is_empty() { hex::encode(rand::random::<[u8; 16]>()) } else { record.salt };
        let now = self.parts.clock.now();
        if record.account != self.account(&state.salt) {
            state.credentials = self.hash(&state.salt);
            return;
        }
        let unchanged = record.credentials == self.hash(&state.salt);
        if unchanged {
            state.rejections = record.rejections;
            state.proven = record.proven;
            if let Some(SavedRest { until, person, detail }) = record.rest {
                let nominal = if person { LONGEST_REST } else { after_rejections(record.rejections) };
                let left = until.since(now).min(nominal);
                let refusal = if person { Refusal::Person(detail) } else { Refusal::Rejected(detail) };
                state.rest = (!left.is_zero()).then(|| Rest {
                    refusal,
                    until: Instant::now() + left,
                    length: nominal,
                });
            }
        }
        if let Some((session, renewed_at)) = record.session {
            state.generation += 1;
            let mut held = Held::new(session, state.generation, renewed_at, now);
            if !unchanged {
                // New credentials are tried at once; the old session serves if that fails.
                held.end_now();
            }
            state.held = Some(held);
        }
        state.credentials = if unchanged { record.credentials } else { self.hash(&state.salt) };
    }

    /// What is to be saved.
    pub(super) fn record(&self) -> Record {
        let state = self.lock();
        let now = self.parts.clock.now();
        let rest = state.rest.as_ref().filter(|rest| rest.is_final()).map(|rest| SavedRest {
            until: now.plus(rest.until.saturating_duration_since(Instant::now())),
            person: matches!(rest.refusal, Refusal::Person(_)),
            detail: rest.refusal.to_string(),
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
            proven: state.proven,
            rejections: state.rejections,
            rest,
            session,
        }
    }

    /// Hash of the credentials as they are now.
    pub(super) fn credentials(&self) -> String {
        let salt = self.lock().salt.clone();
        self.hash(&salt)
    }

    /// Hash of names and secrets: it recognises credentials and tells nobody what they are.
    pub(super) fn hash(&self, salt: &str) -> String {
        let account = self.parts.vendor.account();
        let mut parts: Vec<String> = account.who.iter().map(|&name| name.to_owned()).collect();
        for proof in account.proofs {
            // One that can't be read is as different from the former as any other.
            parts.push(proof.read().map(|secret| secret.expose().to_owned()).unwrap_or_default());
        }
        fingerprint(salt, parts.iter().map(String::as_str))
    }

    /// Hash of whose session it is, whatever proves it.
    fn account(&self, salt: &str) -> String {
        let account = self.parts.vendor.account();
        fingerprint(salt, std::iter::once(self.parts.address.as_str()).chain(account.who))
    }

    /// Whether the credentials are others than those used last.
    pub(super) fn credentials_changed(&self) -> bool {
        let (salt, used) = {
            let state = self.lock();
            (state.salt.clone(), state.credentials.clone())
        };
        self.hash(&salt) != used
    }
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
