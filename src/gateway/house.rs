//! What a request may need to know of the devices.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::admit::{Admission, Door, Peer};
use super::recall::Recall;
use super::respite::Respite;
use crate::config::{BaseUrl, PathPattern, Rights};
use crate::disk::Folder;
use crate::keeper::Keeper;
use crate::metrics::DeviceFigures;
use crate::secret::Secret;
use crate::upstream::Upstream;
use crate::vendor::{Make, Vendor};

/// Everything a request may need, as the configuration has it now.
#[derive(Clone)]
pub struct House {
    /// The devices, in the order of the file.
    pub devices: Vec<Arc<Device>>,
    /// Who may ask.
    pub admission: Admission,
    /// By which doors.
    pub doors: Vec<Door>,
    /// Longest silence in the middle of a caller's body.
    pub caller_idle: Duration,
    /// So many pages are kept up to date at once; others are loaded again now and then.
    pub pages: usize,
    /// What a person should know, for the page.
    pub warnings: Vec<String>,
    /// Where sessions and pins are saved.
    pub folders: [Arc<Folder>; 2],
    /// Why the file as it is now was not taken over.
    pub broken: Option<String>,
    /// What to write, where there is no configuration yet.
    pub welcome: Option<Welcome>,
    /// Files that the configuration names, and whose change is a change of it.
    pub files: Vec<PathBuf>,
}

/// What a person is told who has no configuration yet.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// Where a file would be found.
    pub places: Vec<String>,
    /// What could stand in it.
    pub example: String,
}

impl House {
    /// The door that a caller came by, unless it has been closed since.
    pub(super) fn door(&self, peer: &Peer) -> Option<&Door> {
        self.doors.iter().find(|door| door.id == *peer.door)
    }

    /// The device with this host name.
    pub(super) fn named(&self, host: &str) -> Option<&Arc<Device>> {
        self.devices.iter().find(|device| device.hosts.iter().any(|name| name == host))
    }
}

/// One device.
pub struct Device {
    /// Its prefix without slashes.
    pub name: String,
    /// Its prefix with the slash before it.
    pub prefix: String,
    /// Its table in the configuration, to tell whether another configuration changes it.
    pub source: Secret,
    /// Its make.
    pub make: &'static Make,
    /// How its make is spoken to.
    pub vendor: Arc<dyn Vendor>,
    /// Where it is.
    pub url: BaseUrl,
    /// Host names that are this device from their root on, in lower case.
    pub hosts: Vec<String>,
    /// What its `Host` header says.
    pub host: HeaderValue,
    /// The way to it.
    pub upstream: Arc<Upstream>,
    /// Its session.
    pub keeper: Arc<Keeper>,
    /// What of its answers is shared and remembered.
    pub recall: Arc<Recall>,
    /// Whether it wants to be left alone.
    pub respite: Arc<Respite>,
    /// What is counted of it.
    pub figures: Arc<DeviceFigures>,
    /// Held while a certificate is accepted by the page.
    pub pinning: tokio::sync::Mutex<()>,
    /// Whether it may only be read.
    pub rights: Rights,
    /// Paths whose GET changes something.
    pub acts_on_get: Vec<PathPattern>,
    /// Paths that reading does not include.
    pub private: Vec<PathPattern>,
    /// Paths that are never forwarded, and why.
    pub never: Vec<(PathPattern, &'static str)>,
    /// From the request's head to the response's.
    pub timeout: Duration,
    /// Largest request body.
    pub max_body: Option<u64>,
}

impl Device {
    /// Scheme and authority (RFC 6454).
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", if self.url.is_tls() { "https" } else { "http" }, self.url.authority())
    }
}
