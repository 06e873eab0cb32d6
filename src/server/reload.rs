//! Taking over a changed configuration without dropping a request.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::build::Joined;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::vendor::Driver;

/// Editors write a file in several steps: what follows within this time is one change.
const SETTLE: Duration = Duration::from_millis(300);

/// Takes over a configuration that was read, or says in the log why it could not be.
pub fn take_over(joined: &Joined, gateway: &Gateway, read: Result<Config<Driver>, String>) {
    let former = gateway.house.load_full();
    match read.and_then(|config| joined.house(config, Some(&former))) {
        Ok(house) => {
            for warning in &house.warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!(devices = house.devices.len(), "configuration taken over");
            gateway.house.store(Arc::new(house));
            joined.metrics().reloaded(true, joined.clock().now());
        }
        Err(errors) => {
            tracing::error!("the changed configuration is not taken over, the former one stays: {errors}");
            joined.metrics().reloaded(false, joined.clock().now());
        }
    }
}

/// Tells when a file has changed. Dropping it ends the watch.
pub struct Watch {
    _watcher: RecommendedWatcher,
    changed: Arc<Notify>,
}

impl Watch {
    /// Watches the folder of `file`, since editors put a new file in the place of the old one.
    ///
    /// # Errors
    /// When the system can't watch it.
    pub fn new(file: &Path) -> io::Result<Self> {
        let file = std::path::absolute(file)?;
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_else(|| PathBuf::from("."));
        let name = file.file_name().map(OsStr::to_owned);
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Kubernetes and Docker swap a link beside the file instead of the file.
            let is_ours = event.paths.iter().any(|path| {
                path.file_name() == name.as_deref() || path.file_name() == Some(OsStr::new("..data"))
            });
            if is_ours && !event.kind.is_access() {
                notify.notify_one();
            }
        })
        .map_err(io::Error::other)?;
        watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(io::Error::other)?;
        Ok(Self { _watcher: watcher, changed })
    }

    /// Waits for the next change, and until it has settled.
    pub async fn changed(&self) {
        self.changed.notified().await;
        while tokio::time::timeout(SETTLE, self.changed.notified()).await.is_ok() {}
    }
}
