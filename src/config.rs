//! proxy.toml: what it may say, and reading it.
//!
//! [`find`] tells where the file is and [`load`] reads it, with whatever the environment overrides. All that
//! is wrong is told at once, each with its place; whatever comes out is whole, so that nothing behind this
//! module checks again. What the keys of a vendor are is not known here: a [`Makes`] reads those.

mod access;
mod cache;
mod credential;
mod device;
mod environment;
mod file;
mod lines;
mod listener;
mod pattern;
mod pem;
mod quantity;
mod read;
mod report;
mod section;
mod trust;
mod url;
mod whereabouts;
mod words;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

pub use access::{Access, AccessKey};
pub use cache::{Cache, Freshness};
pub use credential::{SecretError, SecretSource};
pub use device::fault_of_name;
pub use environment::{Environment, Missing, PLACES, find, place_of_new};
pub use file::text;
pub use listener::{Listener, ListenerTls};
pub use pattern::PathPattern;
pub use pem::{Unusable, certificates, identity};
pub use report::{Errors, Location};
pub use section::Section;
pub use trust::{CaName, Fingerprint, Trust};
pub use url::{Address, BaseUrl};
pub use whereabouts::{Whereabouts, service_folder, unusable, whereabouts};

use crate::secret::Secret;
use report::Report;

/// What a proxy.toml says, overrides of the environment included. `D` is what a vendor made of its own keys.
#[derive(Debug)]
pub struct Config<D> {
    /// The file it was read from.
    pub file: PathBuf,
    /// The address to listen on; without the key `127.0.0.1:8480`.
    pub listen: Address,
    /// What says so.
    pub listen_at: Location,
    /// The doors beside that one.
    pub listeners: Vec<Listener>,
    /// The folder of pinned certificates; without the key `certs` in the service's state folder or beside the
    /// file.
    pub certs: PathBuf,
    /// The folder of saved sessions; without the key `state` in the service's state folder or beside the
    /// file.
    pub state: PathBuf,
    /// The devices in the order of the file, at least one.
    pub devices: Vec<Device<D>>,
    /// Who may ask; without the table whoever may by default.
    pub access: Access,
    /// Limits on callers; without the table those of [`Limits::default`].
    pub limits: Limits,
    /// What is logged and how; without the table `info` as text.
    pub log: Log,
    /// What works and should be changed, for the log and `check`.
    pub warnings: Vec<String>,
}

impl<D> Config<D> {
    /// All doors, that of `listen` first.
    pub fn doors(&self) -> Vec<Listener> {
        let first = Listener::first(self.listen.clone(), self.listen_at.clone());
        std::iter::once(first).chain(self.listeners.iter().cloned()).collect()
    }
}

/// Limits on callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// To send a request's head.
    pub head_timeout: Duration,
    /// Between the bytes of a body.
    pub idle_timeout: Duration,
    /// Between two requests of a connection.
    pub keep_alive: Duration,
}

/// What is logged and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level, or directives as `tracing_subscriber::filter::Targets` takes them; it does take these.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// One device.
#[derive(Debug)]
pub struct Device<D> {
    /// Its name, which is the prefix of its paths.
    pub name: String,
    /// The vendor's name, as [`Defaults::name`] has it.
    pub vendor: &'static str,
    /// Below which URL it answers.
    pub url: BaseUrl,
    /// Whose certificate it may show; without the key [`Trust::Pin`], which on `http://` means nothing.
    pub trust: Trust,
    /// What callers may do; without the key [`Rights::Full`].
    pub access: Rights,
    /// Host names that are this device from their root on, in lower case; without the key none.
    pub hosts: Vec<String>,
    /// Prefixes of paths whose GET changes something; without the key the vendor's list, or every path.
    pub acts_on_get: Vec<PathPattern>,
    /// To connect; without the key what the vendor's devices need.
    pub connect_timeout: Duration,
    /// From the complete head of a request to the head of its response.
    pub timeout: Duration,
    /// Between the bytes of a body.
    pub idle_timeout: Duration,
    /// Bytes of the largest request body; `None`: no limit.
    pub max_body: Option<u64>,
    /// Connections to it at once; without the key what the vendor's devices bear.
    pub max_connections: usize,
    /// Requests that may wait for a connection.
    pub max_waiting: usize,
    /// Event streams and upgraded connections at once, which are counted apart; 0 allows none.
    pub max_streams: usize,
    /// Least time between two requests to it; without the key none.
    pub min_interval: Duration,
    /// How long its answers may be given from memory; without the key not at all.
    pub cache: Cache,
    /// How long after that they may stand in while it fails; without the key not at all.
    pub stale_if_error: Duration,
    /// After how long without an answer it counts as failing, where an answer in memory may stand in; without the
    /// key two seconds.
    pub stale_after: Duration,
    /// What the vendor made of its keys.
    pub driver: D,
    /// The device's table in one spelling, to tell on a reload whether it changed. Plain secrets are in it.
    pub source: Secret,
}

/// What callers may do with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    Full,
    /// GET, HEAD and OPTIONS, and no GET that changes something.
    Read,
}

/// The vendors: their names, what their devices need, and the reading of their own keys.
pub trait Makes {
    /// What becomes of a vendor's keys.
    type Driver;

    /// All names that `vendor` may have.
    fn names(&self) -> Vec<&'static str>;

    /// What holds for a vendor's devices unless the file says otherwise; `None`: there is no such vendor.
    fn defaults(&self, vendor: &str) -> Option<Defaults>;

    /// Reads the vendor's own keys. `None`: something is wrong, and `section` has been told.
    fn build(&self, vendor: &str, section: &mut Section<'_>) -> Option<Self::Driver>;
}

/// What holds for a vendor's devices unless the file says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// The vendor's name.
    pub name: &'static str,
    /// See [`Device::connect_timeout`].
    pub connect_timeout: Duration,
    /// See [`Device::max_connections`].
    pub max_connections: usize,
    /// Prefixes of paths whose GET changes something. `None`: it is not known, so any may, and who wants
    /// `access = "read"` has to say.
    pub acts_on_get: Option<&'static [&'static str]>,
}

/// What is wrong with a value: what would be right, and never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

/// Reads the file.
///
/// # Errors
/// All that is wrong with it, or that it cannot be read.
pub fn load<M: Makes>(
    file: &Path,
    environment: &Environment,
    makes: &M,
) -> Result<Config<M::Driver>, Errors> {
    parse(&text(file)?, file, environment, makes)
}

/// Reads `text` as [`load`] reads a file; `file` is what messages call it and what its paths are relative to.
///
/// # Errors
/// All that is wrong with it.
pub fn parse<M: Makes>(
    text: &str,
    file: &Path,
    environment: &Environment,
    makes: &M,
) -> Result<Config<M::Driver>, Errors> {
    let mut config = read(text, file, environment, makes)?;
    if config.devices.is_empty() {
        let vendors = words::listed(&makes.names());
        let message = format!(
            "there is no device yet; write one, with a vendor of {vendors}:\n\n    \
             [devices.meter]\n    vendor = \"…\"\n    url    = \"https://10.0.40.2\""
        );
        // In Home Assistant the page is there before the first device, to say just this.
        if !config.listeners.iter().any(|door| door.ingress) {
            return Err(Errors::whole(file, message));
        }
        config.warnings.push(message);
    }
    Ok(config)
}

/// What holds where there is no file yet: no device, and what the environment says. `file` is where it would be.
///
/// # Errors
/// All that is wrong with the environment.
pub fn unwritten<M: Makes>(
    file: &Path,
    environment: &Environment,
    makes: &M,
) -> Result<Config<M::Driver>, Errors> {
    read("", file, environment, makes)
}

fn read<M: Makes>(
    text: &str,
    file: &Path,
    environment: &Environment,
    makes: &M,
) -> Result<Config<M::Driver>, Errors> {
    let (table, broken) = DeTable::parse_recoverable(text);
    let report = Report::new(text, file, environment);
    let mut config = read::config(&report, table.get_ref(), makes);
    config.warnings = report.close(table.get_ref(), &broken)?;
    Ok(config)
}
