//! The server as a value: the only place where configuration, makes, keepers and connections meet.

mod accept;
mod admission;
mod bind;
mod build;
mod certificate;
mod connection;
pub mod control;
mod descriptors;
mod doorman;
pub mod doors;
mod ending;
mod files;
mod folders;
mod guarded;
pub mod operate;
pub mod reload;
mod saving;
pub mod warnings;
mod watched;

use std::fs::File;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use accept::Hall;
use build::Builder;
use certificate::OwnCertificate;
use doorman::Doorman;
use doors::Doors;
pub use folders::{examine_folders, folders};
use reload::Reloader;

use crate::clock::Clock;
use crate::config::{Config, Limits, Location};
use crate::disk::plain;
use crate::gateway::front::front;
use crate::gateway::{Gateway, House};
use crate::metrics::Metrics;
use crate::vendor::Driver;

/// Requests under way have so long when keyward is told to stop.
const DRAIN: Duration = Duration::from_secs(7);
/// Sessions that can be ended have so long after that, as far as they are not over the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Everything has so long, with something left of the promised eight seconds for the log and for the process to end.
const END: Duration = Duration::from_millis(7600);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What the configuration names can't be used.
    #[error("{0}")]
    Configuration(String),
    /// The address can't be listened on.
    #[error("{at}: {address} can't be listened on: {}", unbound(source))]
    Listen {
        /// What says that it is to be.
        at: Location,
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Another keyward has the state folder.
    #[error("{0}")]
    Locked(String),
}

/// Why an address can't be listened on, and what to do.
fn unbound(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there; end it, or choose another port".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; write one that it has, or 0.0.0.0 for all of them".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are for root and for who has CAP_NET_BIND_SERVICE; choose another port"
                .to_owned()
        }
        _ => plain(error),
    }
}

/// A server that is bound and not yet running.
pub struct Server {
    reloader: Arc<Reloader>,
    hall: Arc<Hall>,
    /// Held for as long as this process has the state folder.
    _lock: Option<File>,
}

/// Without the server there are no doors.
impl Drop for Server {
    fn drop(&mut self) {
        self.hall.close();
    }
}

/// The devices of a configuration without a door before them, for commands.
///
/// # Errors
/// What the configuration names can't be used.
pub fn build_house(config: Config<Driver>, clock: Clock) -> Result<House, StartError> {
    let builder = Builder::new(&config, clock, Arc::default());
    builder.house(config, None).map_err(StartError::Configuration)
}

/// Whether every door has a certificate that it can show, for commands.
///
/// # Errors
/// What can't be used, and what to do.
pub fn examine_doors(config: &Config<Driver>) -> Result<(), StartError> {
    let certificate = OwnCertificate::new(&config.certs, Vec::new(), Clock::system());
    for door in &config.listeners {
        let fine = door.tls.as_ref().map_or(Ok(()), |tls| certificate.examine(tls));
        fine.map_err(|error| StartError::Configuration(doors::unusable(door, &error)))?;
    }
    Ok(())
}

impl Server {
    /// Binds the doors and prepares every device; asks none of them yet. `handed` are the sockets that a service
    /// manager has bound for us.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(
        config: Config<Driver>,
        clock: Clock,
        handed: Vec<TcpListener>,
    ) -> Result<Self, StartError> {
        let limits = Limits { connections: descriptors::connections(&config).0, ..config.limits.clone() };
        let wanted = config.doors();
        let metrics = Arc::new(Metrics::new());
        let builder = Builder::new(&config, clock, Arc::clone(&metrics));
        let lock = builder.lock().map_err(StartError::Locked)?;
        builder.clean();
        let certificate = builder.certificate(&config);
        let house = builder.house(config, None).map_err(StartError::Configuration)?;
        let gateway = Gateway::new(house, Arc::clone(&metrics), clock);
        let hall = Arc::new(Hall {
            front: front(Arc::clone(&gateway)),
            doorman: Doorman::new(limits, Arc::clone(&metrics)),
            begun: CancellationToken::new(),
            closing: gateway.closing.clone(),
            gone: CancellationToken::new(),
            connections: TaskTracker::new(),
        });
        let doors = Doors::new(Arc::clone(&hall), certificate, handed);
        let tls = doors.settings(&wanted).map_err(StartError::Configuration)?;
        doors.open(doors.plan(&wanted, tls).await?);
        metrics.reloaded(true, clock.now());
        let reloader = Arc::new(Reloader { builder, gateway, doors });
        Ok(Self { reloader, hall, _lock: lock })
    }

    /// Where it listens and whether by TLS, in the order of the configuration; where that says port 0, with the port
    /// that it got.
    pub fn addresses(&self) -> Vec<(SocketAddr, bool)> {
        self.reloader.doors.addresses()
    }

    /// What takes over another configuration while it runs.
    pub fn reloader(&self) -> Arc<Reloader> {
        Arc::clone(&self.reloader)
    }

    /// Serves until `stop`, then until what is under way has ended, at most for eight seconds.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Reloader { builder, gateway, .. } = &*self.reloader;
        let control = control::listen(builder.state(), Arc::clone(&self.reloader));
        if let Err(error) = &control {
            tracing::warn!(
                %error,
                "no control socket: `keyward check` and `keyward trust` don't reach this process and visit devices by \
                 themselves"
            );
        }
        self.hall.begun.cancel();
        let saving = tokio::spawn(saving::save_again(Arc::clone(gateway)));
        stop.await;
        let Hall { closing, connections, .. } = &*self.hall;
        closing.cancel();
        connections.close();
        let told = Instant::now();
        if timeout_at(told + DRAIN, connections.wait()).await.is_err() {
            tracing::warn!(left = connections.len(), "requests under way were cut off");
        }
        self.hall.close();
        self.reloader.doors.close().await;
        saving.abort();
        drop(control);
        let devices = gateway.house.load_full();
        // Its outcome would be forgotten: a password would be tried once more, a session would stay.
        let logins = devices.devices.iter().map(|device| device.keeper.settled());
        drop(timeout_at(told + END - FAREWELL, join_all(logins)).await);
        let farewells = devices.devices.iter().map(|device| device.keeper.close());
        let end = (Instant::now() + FAREWELL).min(told + END);
        if timeout_at(end, join_all(farewells)).await.is_err() {
            tracing::debug!("not every session was ended in time");
        }
    }
}
