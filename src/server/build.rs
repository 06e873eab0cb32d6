//! From a configuration to a house of devices.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;

use super::admission::{admission, doors};
use super::certificate::OwnCertificate;
use super::descriptors;
use super::files::files;
use super::folders::folders;
use super::warnings;
use crate::clock::Clock;
use crate::config::{self, Config, Limits, Log, PathPattern};
use crate::disk::{self, Folder, Links};
use crate::gateway::recall::{Recall, Rules};
use crate::gateway::{Device, House};
use crate::keeper::store::Store;
use crate::keeper::{self, Keeper};
use crate::metrics::Metrics;
use crate::upstream::cloud::Cloud;
use crate::upstream::{self, Pin, Upstream};
use crate::vendor::Driver;

/// Each page that is kept up to date holds a connection of a caller's: so few of all that others never lack one.
const PAGES_SHARE: usize = 4;
const MOST_PAGES: usize = 32;

/// The keys of a configuration that are read at the start only.
#[derive(PartialEq, Eq)]
struct Fixed {
    limits: Limits,
    log: Log,
    folders: [PathBuf; 2],
}

impl Fixed {
    fn of(config: &Config<Driver>) -> Self {
        Self {
            limits: config.limits.clone(),
            log: config.log.clone(),
            folders: [config.state.clone(), config.certs.clone()],
        }
    }
}

/// Makes houses of configurations: has what devices share, and remembers what it made.
pub(super) struct Builder {
    clock: Clock,
    metrics: Arc<Metrics>,
    cloud: Cloud,
    store: Arc<Store>,
    state: Arc<Folder>,
    certs: Arc<Folder>,
    hostname: String,
    /// Where the configuration is, wherever this process goes.
    file: PathBuf,
    /// What only a restart can change.
    fixed: Fixed,
}

impl Builder {
    pub(super) fn new(config: &Config<Driver>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let [state, certs] = folders(config);
        Self {
            clock,
            metrics,
            cloud: Cloud::default(),
            store: Arc::new(Store::new(Arc::clone(&state))),
            state,
            certs,
            hostname: hostname(),
            file: std::path::absolute(&config.file).unwrap_or_else(|_| config.file.clone()),
            fixed: Fixed::of(config),
        }
    }

    /// Makes sure that no other server has the state folder. `None`: it can't be written, so there is nothing to
    /// share.
    ///
    /// # Errors
    /// Another one has it.
    pub(super) fn lock(&self) -> Result<Option<File>, String> {
        let place = self.state.path().join("lock");
        let mut options = File::options();
        options.create(true).append(true).mode(0o600).custom_flags(disk::open_flags(Links::Refused));
        let file = match options.open(&place) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(file = %place.display(), %error, "the state folder can't be locked");
                return Ok(None);
            }
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(format!(
                "keyward runs here already and takes changes of proxy.toml over by itself: there is no need to start it \
                 again; it has the state folder {:?}, and one that shall run beside it needs a `state` of its own",
                std::path::absolute(self.state.path()).unwrap_or_else(|_| self.state.path().to_owned())
            )),
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "the state folder can't be locked");
                Ok(Some(file))
            }
        }
    }

    /// The folder of saved sessions.
    pub(super) fn state(&self) -> &Path {
        self.state.path()
    }

    /// The configuration that is read, and read again.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Removes what an earlier process left unfinished. Only whoever has the lock may.
    pub(super) fn clean(&self) {
        self.state.clean();
        self.certs.clean();
    }

    /// Where our own certificate is.
    pub(super) fn certificate(&self, config: &Config<Driver>) -> OwnCertificate {
        let own = ["localhost", "127.0.0.1", "::1", &self.hostname].map(str::to_owned);
        let local = format!("{}.local", self.hostname);
        let doors = config.doors().into_iter().map(|door| door.listen.host);
        let listed = config.access.hosts.iter().chain(config.devices.iter().flat_map(|device| &device.hosts));
        let mut names: Vec<_> = own.into_iter().chain([local]).chain(doors).chain(listed.cloned()).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !matches!(name.as_str(), "" | ".local" | "0.0.0.0" | "::"));
        OwnCertificate::new(self.certs.path(), names, self.clock)
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Makes a house of a configuration. Devices that stay as they were in `former` stay with their sessions
    /// and connections; those that are only set otherwise, with what is known of them.
    ///
    /// # Errors
    /// What can't be used, with the key it stands under.
    pub(super) fn house(&self, config: Config<Driver>, former: Option<&House>) -> Result<House, String> {
        let mut warnings = warnings::warnings(&config);
        if Fixed::of(&config) != self.fixed {
            warnings.push("state, certs, [limits] and [log] take effect at the next start".to_owned());
        }
        let (connections, few) = descriptors::connections(&config);
        warnings.extend(few);
        let files = files(&config);
        let doors = doors(&config);
        let admission = admission(config.access, &self.hostname)?;
        let mut devices = Vec::new();
        for device in config.devices {
            let mut known = former.into_iter().flat_map(|house| &house.devices);
            let known = known.find(|known| known.name == device.name);
            devices.push(match known {
                // What a file of `trust` holds is no part of the source.
                Some(known)
                    if known.source == device.source && known.upstream.settings().trust == device.trust =>
                {
                    Arc::clone(known)
                }
                known => Arc::new(self.device(device, known.map(Arc::as_ref))?),
            });
        }
        if self.certs.is_open_to_writers() {
            let place = self.certs.path().display();
            warnings.push(format!(
                "others may write to the certs folder {place}, and so decide which devices are trusted: `chmod go-w` it"
            ));
        }
        warnings.extend(devices.iter().filter_map(|device| device.keeper.unusable().cloned()));
        Ok(House {
            devices,
            admission,
            doors,
            caller_idle: config.limits.idle_timeout,
            pages: (connections / PAGES_SHARE).clamp(1, MOST_PAGES),
            warnings,
            folders: [Arc::clone(&self.state), Arc::clone(&self.certs)],
            broken: None,
            welcome: None,
            files,
        })
    }

    fn device(&self, device: config::Device<Driver>, known: Option<&Device>) -> Result<Device, String> {
        let Driver { make, vendor } = device.driver;
        // It may be in memory alone, and is the name's, whatever has it.
        let pin = known.and_then(|known| known.upstream.pin());
        let pin =
            pin.unwrap_or_else(|| Arc::new(Pin::new(Arc::clone(&self.certs), &device.name, self.clock)));
        let known = known.filter(|known| known.make.name == make.name);
        // At another address it is one that nobody has asked yet, whatever its name.
        let former = known.filter(|known| known.url == device.url);
        if former.is_none() {
            pin.note_refused(None);
        }
        let host = device.url.authority();
        let host = HeaderValue::from_str(&host)
            .map_err(|_| format!("devices.{}.url: {host} is no host", device.name))?;
        let settings = upstream::Settings {
            device: device.name.clone(),
            url: device.url.clone(),
            trust: device.trust,
            connect_timeout: device.connect_timeout,
            timeout: device.timeout,
            idle_timeout: device.idle_timeout,
            max_connections: device.max_connections,
            keeps_connections: make.keeps_connections,
            clock: self.clock,
            max_waiting: device.max_waiting,
            max_streams: device.max_streams,
            min_interval: device.min_interval,
            path_interval: vendor.path_interval(),
        };
        let paced_as = former.map(|former| &*former.upstream);
        let upstream = Upstream::new(settings, pin, vendor.introduction(), paced_as)
            .map_err(|error| format!("devices.{}.trust: {error}", device.name))?;
        let figures = match former {
            Some(former) => Arc::clone(&former.figures),
            None => self.metrics.device(&device.name, self.clock),
        };
        let parts = keeper::Parts {
            name: device.name.clone(),
            address: device.url.to_string(),
            vendor: Arc::clone(&vendor),
            upstream: Arc::clone(&upstream),
            cloud: self.cloud.clone(),
            clock: self.clock,
            store: Arc::clone(&self.store),
            figures: Arc::clone(&figures),
        };
        let keeper = Keeper::new(parts, known.map(|known| &known.keeper));
        let rules = Rules {
            cache: device.cache,
            stale_if_error: device.stale_if_error,
            stale_after: device.stale_after,
        };
        let recall = match former {
            Some(former) => {
                let is_same = former.upstream.settings().trust == upstream.settings().trust
                    && former.vendor.account() == vendor.account();
                former.recall.succeeded(rules, is_same)
            }
            None => Recall::new(rules, self.clock, Arc::clone(&figures)),
        };
        let patterns =
            |paths: &[&str]| paths.iter().filter_map(|path| path.parse().ok()).collect::<Vec<PathPattern>>();
        Ok(Device {
            prefix: format!("/{}", device.name),
            name: device.name,
            source: device.source,
            hosts: device.hosts,
            make,
            vendor,
            url: device.url,
            host,
            upstream,
            keeper,
            recall,
            respite: former.map_or_else(Arc::default, |former| Arc::clone(&former.respite)),
            pinning: tokio::sync::Mutex::default(),
            figures,
            rights: device.access,
            acts_on_get: device.acts_on_get,
            private: patterns(make.private),
            never: make.never.iter().filter_map(|(path, why)| Some((path.parse().ok()?, *why))).collect(),
            timeout: device.timeout,
            max_body: device.max_body,
        })
    }
}

/// What this machine calls itself. It is asked of the kernel: a service may be kept from the file in /proc that says the
/// same.
fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().to_lowercase()
}
