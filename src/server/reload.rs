//! Taking over a changed configuration without dropping a request.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::interval;

use super::build::Builder;
use super::doors::{Doors, Plan};
use super::warnings;
use crate::config::Config;
use crate::disk::plain;
use crate::gateway::{Device, Gateway, House};
use crate::vendor::Driver;

/// Editors write a file in several steps: what follows within this time is one change.
const SETTLE: Duration = Duration::from_millis(300);
/// How often it is looked whether the last request has left a device that is configured no longer.
const LEFT: Duration = Duration::from_millis(200);

/// What takes over another configuration.
pub struct Reloader {
    pub(super) builder: Builder,
    /// What serves.
    pub gateway: Arc<Gateway>,
    /// By which doors.
    pub doors: Doors,
}

impl Reloader {
    /// Takes over a configuration that is read, or says in the log why it could not be. `read` may take its time: a
    /// disk may keep who reads from it waiting, but not who serves.
    pub async fn take_over(
        self: &Arc<Self>,
        read: impl FnOnce() -> Result<Config<Driver>, String> + Send + 'static,
    ) {
        let former = self.gateway.house.load_full();
        let metrics = self.builder.metrics();
        let prepared = self.prepare(read, Arc::clone(&former)).await;
        metrics.reloaded(prepared.is_ok(), self.builder.clock().now());
        match prepared {
            Ok((house, plan)) => {
                warnings::say(&house.warnings);
                tracing::info!(devices = house.devices.len(), "configuration taken over");
                let house = Arc::new(house);
                self.gateway.house.store(Arc::clone(&house));
                self.doors.open(plan);
                look_again(Arc::clone(&house)).await;
                for gone in &former.devices {
                    if !house.devices.iter().any(|kept| Arc::ptr_eq(kept, gone)) {
                        if let Some(heir) = heir(&house, gone) {
                            heir.figures.succeed(&gone.figures);
                        }
                        gone.keeper.step_down();
                        tokio::spawn(retire(Arc::clone(gone), Arc::clone(&self.gateway)));
                    }
                }
            }
            Err(errors) => {
                let told =
                    format!("the changed configuration is not taken over, the former one stays:\n{errors}");
                // An event is a line.
                told.lines().for_each(|line| tracing::error!("{line}"));
                self.gateway.house.store(Arc::new(House { broken: Some(told), ..House::clone(&former) }));
            }
        }
        self.gateway.is_open.store(self.doors.all_listen(), Ordering::Relaxed);
    }

    async fn prepare(
        self: &Arc<Self>,
        read: impl FnOnce() -> Result<Config<Driver>, String> + Send + 'static,
        former: Arc<House>,
    ) -> Result<(House, Plan), String> {
        let this = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || {
            let config = read()?;
            let wanted = config.doors();
            let tls = this.doors.settings(&wanted)?;
            Ok::<_, String>((this.builder.house(config, Some(&former))?, wanted, tls))
        });
        let made = made.await.unwrap_or_else(|_| Err("an error of keyward's own; see the log".to_owned()));
        let (house, wanted, tls) = made?;
        let plan = self.doors.plan(&wanted, tls).await.map_err(|error| error.to_string())?;
        Ok((house, plan))
    }
}

/// Has each device's credentials looked at for a change. Files are read for this.
async fn look_again(house: Arc<House>) {
    let looked = tokio::task::spawn_blocking(move || {
        house.devices.iter().for_each(|device| device.keeper.look_again());
    });
    // A panic there is in the log already.
    drop(looked.await);
}

/// What has the name of a device now.
fn heir<'a>(house: &'a House, gone: &Device) -> Option<&'a Arc<Device>> {
    house.devices.iter().find(|heir| heir.name == gone.name)
}

/// Ends what a device leaves behind that is configured otherwise now, or no longer, after the last request to it.
async fn retire(device: Arc<Device>, gateway: Arc<Gateway>) {
    let mut looks = interval(LEFT);
    while Arc::strong_count(&device) > 1 {
        looks.tick().await;
    }
    let house = gateway.house.load_full();
    let heir = heir(&house, &device);
    match heir {
        // Until just now the former one said how it is.
        Some(heir) => heir.figures.succeed(&device.figures),
        None => gateway.metrics.forget(&device.name),
    }
    device.keeper.retire(heir.map(|heir| &heir.keeper)).await;
}

/// Tells when one of some files has changed. Dropping it ends the watch.
pub struct Watch {
    watcher: RecommendedWatcher,
    covered: Arc<Mutex<Covered>>,
    changed: Arc<Notify>,
}

/// What a change is one of.
#[derive(Default)]
struct Covered {
    files: HashSet<PathBuf>,
    folders: HashSet<PathBuf>,
}

impl Covered {
    fn concerns(&self, event: &Event) -> bool {
        let moves = matches!(event.kind, EventKind::Create(_) | EventKind::Remove(_))
            || matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
        let is_ours = |path: &PathBuf| {
            // Kubernetes and Docker swap a link beside the file instead of the file.
            self.files.contains(path)
                || path.file_name() == Some(OsStr::new("..data"))
                // Another may be in its place.
                || (moves && self.folders.contains(path))
        };
        !event.kind.is_access() && event.paths.iter().any(is_ours)
    }
}

impl Watch {
    /// A watch of no file yet.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn new() -> io::Result<Self> {
        let changed = Arc::new(Notify::new());
        let covered = Arc::<Mutex<Covered>>::default();
        let (notify, watched) = (Arc::clone(&changed), Arc::clone(&covered));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| watched.lock().concerns(&event)) {
                notify.notify_one();
            }
        })
        .map_err(io::Error::other)?;
        Ok(Self { watcher, covered, changed })
    }

    /// Watches these files too: their folders, since editors put a new file in the place of the old one. A folder that was
    /// watched before is watched anew, since its name may be another's by now.
    ///
    /// # Errors
    /// Which of them the system can't watch. All others are.
    pub fn cover(&mut self, files: impl IntoIterator<Item = PathBuf>) -> io::Result<()> {
        let mut troubles = Vec::new();
        let mut folders = BTreeSet::new();
        for file in files {
            match places(&file) {
                Ok(places) => {
                    folders.extend(places.iter().filter_map(|place| place.parent()).map(Path::to_owned));
                    self.covered.lock().files.extend(places);
                }
                Err(error) => troubles.push(format!("{}: {}", file.display(), plain(&error))),
            }
        }
        self.covered.lock().folders.extend(folders.iter().cloned());
        for folder in folders {
            if let Err(error) = self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                troubles.push(plain(&error));
            }
        }
        if troubles.is_empty() { Ok(()) } else { Err(io::Error::other(troubles.join("; "))) }
    }

    /// Waits for the next change, and until it has settled.
    pub async fn changed(&self) {
        self.changed.notified().await;
        while tokio::time::timeout(SETTLE, self.changed.notified()).await.is_ok() {}
    }
}

/// Where a file is by its name, and where the one is that it leads to as a link. Folders are named without links, since
/// the system knows a folder by one of its names only.
fn places(file: &Path) -> io::Result<Vec<PathBuf>> {
    let file = std::path::absolute(file)?;
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Ok(Vec::new()) };
    let named = folder.canonicalize()?.join(name);
    // It may be there only later.
    let target = file.canonicalize().ok();
    Ok(std::iter::once(named).chain(target).collect())
}

#[cfg(test)]
mod tests;
