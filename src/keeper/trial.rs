//! A credential that nobody knows to be right yet.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::{Keeper, Lease};

/// So long other requests wait for the one that tries a credential.
const TRIAL: Duration = Duration::from_secs(1);

impl Keeper {
    /// Whether a credential is right is for one request to find out and not for fifty. But a device that is slow to say so
    /// does not stop the others.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        timeout(TRIAL, Arc::clone(&self.trial).acquire_owned()).await.ok()?.ok()
    }

    /// Whether no request has been let in with this credential, which no login has proven.
    pub(super) fn is_on_trial(&self, lease: &Lease) -> bool {
        !lease.held.accepted.load(Ordering::Relaxed) && self.is_unproven(lease)
    }

    /// Whether these credentials have ever been accepted.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Acquire)
    }

    /// Whether nothing has ever proven the credential that this lease is of.
    pub(super) fn is_unproven(&self, lease: &Lease) -> bool {
        !lease.session().lasts && !self.is_proven() && !self.parts.vendor.account().proofs.is_empty()
    }
}
