//! What changes a device, and what is known of it no longer then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::Recall;

/// What may have changed the device.
#[derive(Default)]
pub(super) struct Writes {
    /// Counts it: what was asked before then is of another time.
    epoch: AtomicU64,
    /// How much of it nobody waits for any longer that the device may be about yet.
    unsettled: AtomicU64,
}

impl Writes {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Whether what was asked in this epoch may be remembered.
    pub(super) fn allow(&self, epoch: u64) -> bool {
        self.epoch() == epoch && self.unsettled.load(Ordering::Relaxed) == 0
    }
}

/// While this is there, something may change the device.
pub(in crate::gateway) struct Writing {
    recall: Arc<Recall>,
    /// For how long after this it may still do so: nothing once it is answered.
    settles_in: Option<Duration>,
}

impl Recall {
    /// What is asked for now may change the device: neither what was asked before nor what is until its answer is good
    /// afterwards. Where there is none, the device may take up to `timeout` over it, whoever has left.
    pub(in crate::gateway) fn write(self: &Arc<Self>, timeout: Duration) -> Writing {
        self.forget();
        Writing { recall: Arc::clone(self), settles_in: Some(timeout) }
    }

    fn forget(&self) {
        self.writes.epoch.fetch_add(1, Ordering::Relaxed);
        if let Some(store) = &self.store {
            store.clear();
        }
    }
}

impl Writing {
    /// The device has answered: it has done what it will do.
    pub(in crate::gateway) fn answered(mut self) -> Self {
        self.settles_in = None;
        self
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.recall.forget();
        // Without a runtime everything ends.
        if let (Some(wait), Ok(runtime)) = (self.settles_in, Handle::try_current()) {
            let recall = Arc::clone(&self.recall);
            recall.writes.unsettled.fetch_add(1, Ordering::Relaxed);
            runtime.spawn(async move {
                sleep(wait).await;
                recall.writes.unsettled.fetch_sub(1, Ordering::Relaxed);
                recall.forget();
            });
        }
    }
}
