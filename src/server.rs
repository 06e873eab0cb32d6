//! The server as a value: the only place where configuration, makes, keepers and connections meet.

mod accept;
mod build;
pub mod control;
mod descriptors;
mod doorman;
pub mod operate;
pub mod reload;
mod saving;
mod watched;

use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use build::{Builder, folders, warnings};

use crate::clock::Clock;
use crate::config::{Config, Limits};
use crate::gateway::{Gateway, House, admin};
use crate::metrics::Metrics;
use crate::vendor::Driver;
use doorman::Doorman;

/// Requests under way have so long when keyward is told to stop.
const DRAIN: Duration = Duration::from_secs(7);
/// Sessions that can be ended have so long after that, as far as they are not over the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Everything has so long, with something left of the promised eight seconds for the process to end.
const END: Duration = Duration::from_millis(7800);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What the configuration names can't be used.
    #[error("{0}")]
    Configuration(String),
    /// The address can't be listened on.
    #[error(
        "{address} can't be listened on: {source}. Is another keyward running, or is `listen` not an address here?"
    )]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Another keyward has the state folder.
    #[error("{0}")]
    Locked(String),
}

/// A server that is bound and not yet running.
pub struct Server {
    builder: Arc<Builder>,
    gateway: Arc<Gateway>,
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    /// Held for as long as this process has the state folder.
    _lock: Option<File>,
}

/// The devices of a configuration without a door before them, for commands.
///
/// # Errors
/// What the configuration names can't be used.
pub fn build_house(config: Config<Driver>, clock: Clock) -> Result<House, StartError> {
    let builder = Builder::new(&config, clock, Arc::default()).map_err(StartError::Configuration)?;
    builder.house(config, None).map_err(StartError::Configuration)
}

impl Server {
    /// Binds the door and prepares every device; asks none of them yet.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(config: Config<Driver>, clock: Clock) -> Result<Self, StartError> {
        let address = config.listen.to_string();
        let listen = |source| StartError::Listen { address: address.clone(), source };
        let limits = Limits { connections: descriptors::connections(&config).0, ..config.limits.clone() };
        let (host, port) = (config.listen.host.clone(), config.listen.port);
        let metrics = Arc::new(Metrics::new());
        let builder =
            Arc::new(Builder::new(&config, clock, Arc::clone(&metrics)).map_err(StartError::Configuration)?);
        let lock = builder.lock().map_err(StartError::Locked)?;
        builder.clean();
        let house = builder.house(config, None).map_err(StartError::Configuration)?;
        let listener = TcpListener::bind((host.as_str(), port)).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        metrics.reloaded(true, clock.now());
        Ok(Self {
            gateway: Gateway::new(house, metrics, clock),
            builder,
            listener,
            address,
            limits,
            _lock: lock,
        })
    }

    /// Where it listens; with port 0 in the configuration, the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What answers its requests.
    pub fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.gateway)
    }

    /// What is needed to take over another configuration.
    pub fn builder(&self) -> Arc<Builder> {
        Arc::clone(&self.builder)
    }

    /// Serves until `stop`, then until what is under way has ended, at most for eight seconds.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let connections = TaskTracker::new();
        let gone = CancellationToken::new();
        let front = admin::front(Arc::clone(&self.gateway));
        let doorman = Doorman::new(self.limits.clone(), Arc::clone(&self.gateway.metrics));
        let closing = self.gateway.closing.clone();
        let control = control::listen(self.builder.state(), Arc::clone(&self.gateway));
        if let Err(error) = &control {
            tracing::warn!(
                %error,
                "no control socket: `keyward check` and `keyward trust` don't reach this process and visit devices by \
                 themselves"
            );
        }
        let accepting = tokio::spawn(accept::serve(
            self.listener,
            front,
            doorman,
            closing.clone(),
            gone.clone(),
            connections.clone(),
        ));
        let saving = tokio::spawn(saving::save_again(Arc::clone(&self.gateway)));
        stop.await;
        tracing::info!("stopping");
        closing.cancel();
        connections.close();
        let told = Instant::now();
        if timeout_at(told + DRAIN, connections.wait()).await.is_err() {
            tracing::warn!(left = connections.len(), "requests under way were cut off");
        }
        accepting.abort();
        saving.abort();
        drop(control.map(|control| control.abort()));
        gone.cancel();
        let devices = self.gateway.house.load_full();
        let farewells = devices.devices.iter().map(|device| device.keeper.close());
        let end = (Instant::now() + FAREWELL).min(told + END);
        if timeout_at(end, join_all(farewells)).await.is_err() {
            tracing::debug!("not every session was ended in time");
        }
    }
}
