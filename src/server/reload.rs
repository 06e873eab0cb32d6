//! Taking over a changed configuration without dropping a request.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::build::Builder;
use crate::config::{Config, SecretSource};
use crate::gateway::{Gateway, House};
use crate::vendor::Driver;

/// Editors write a file in several steps: what follows within this time is one change.
const SETTLE: Duration = Duration::from_millis(300);

/// Takes over a configuration that was read, or says in the log why it could not be.
pub fn take_over(builder: &Builder, gateway: &Gateway, read: Result<Config<Driver>, String>) {
    let former = gateway.house.load_full();
    match read.and_then(|config| builder.house(config, Some(&former))) {
        Ok(house) => {
            for warning in &house.warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!(devices = house.devices.len(), "configuration taken over");
            gateway.house.store(Arc::new(house));
            for device in &gateway.house.load().devices {
                device.keeper.look_again();
            }
            builder.metrics().reloaded(true, builder.clock().now());
        }
        Err(errors) => {
            let told = format!("the changed configuration is not taken over, the former one stays: {errors}");
            // An event is a line.
            told.lines().for_each(|line| tracing::error!("{line}"));
            gateway.house.store(Arc::new(House { broken: Some(told), ..House::clone(&former) }));
            builder.metrics().reloaded(false, builder.clock().now());
        }
    }
}

/// The files that secrets of this house are read from.
pub fn secret_files(house: &House) -> Vec<PathBuf> {
    let proofs = house.devices.iter().flat_map(|device| device.vendor.account().proofs);
    proofs
        .filter_map(|proof| match proof {
            SecretSource::File(file) => Some(file.clone()),
            SecretSource::Env { .. } | SecretSource::Plain(_) => None,
        })
        .collect()
}

/// Tells when one of some files has changed. Dropping it ends the watch.
pub struct Watch {
    watcher: RecommendedWatcher,
    files: Arc<Mutex<HashSet<PathBuf>>>,
    changed: Arc<Notify>,
}

impl Watch {
    /// A watch of no file yet.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn new() -> io::Result<Self> {
        let changed = Arc::new(Notify::new());
        let files = Arc::<Mutex<HashSet<PathBuf>>>::default();
        let (notify, watched) = (Arc::clone(&changed), Arc::clone(&files));
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
            // Kubernetes and Docker swap a link beside the file instead of the file.
            let is_ours = event
                .paths
                .iter()
                .any(|path| watched.contains(path) || path.file_name() == Some(OsStr::new("..data")));
            if is_ours && !event.kind.is_access() {
                notify.notify_one();
            }
        })
        .map_err(io::Error::other)?;
        Ok(Self { watcher, files, changed })
    }

    /// Watches these files too: their folders, since editors put a new file in the place of the old one.
    ///
    /// # Errors
    /// When the system can't watch one of them.
    pub fn cover(&mut self, files: impl IntoIterator<Item = PathBuf>) -> io::Result<()> {
        for file in files {
            let file = std::path::absolute(file)?;
            let Some(folder) = file.parent().map(Path::to_path_buf) else { continue };
            if self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(file) {
                self.watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    /// Waits for the next change, and until it has settled.
    pub async fn changed(&self) {
        self.changed.notified().await;
        while tokio::time::timeout(SETTLE, self.changed.notified()).await.is_ok() {}
    }
}
