//! `keyward run`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::log::Log;
use super::{Exit, load};
use crate::clock::Clock;
use crate::config::{self, Environment};
use crate::gateway::Gateway;
use crate::server::reload::{Watch, secret_files, take_over};
use crate::server::{Builder, Server};
use crate::vendor::Registry;

pub(super) async fn run(named: Option<PathBuf>, environment: Environment) -> Result<(), Exit> {
    let config = load(named.as_deref(), &environment)?;
    let log = Log::begin(&config.log);
    let file = config.file.clone();
    // Before anybody can know that it runs: a signal without a handler would end it.
    let stop = stopped(|| {}).map_err(anyhow::Error::from)?;
    let hangup = signal(SignalKind::hangup()).map_err(anyhow::Error::from)?;
    let server = Server::bind(config, Clock::system()).await?;
    introduce(&server);
    server.gateway().metrics.follow(log.panics(), log.dropped_lines());
    let reloading = tokio::spawn(reload(file, environment, hangup, server.builder(), server.gateway()));
    server.run(stop).await;
    reloading.abort();
    Ok(())
}

fn introduce(server: &Server) {
    let gateway = server.gateway();
    let house = gateway.house.load();
    for warning in &house.warnings {
        tracing::warn!("{warning}");
    }
    let address = server.address();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "keyward listens on http://{address}");
    for device in &house.devices {
        tracing::info!("http://{address}/{}/ leads to {} ({})", device.name, device.url, device.make.name);
    }
}

/// Completes at the first signal to stop; a second one ends the process at once, after `last_act`.
pub(super) fn stopped(last_act: impl FnOnce() + Send + 'static) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        first(&mut terminate, &mut interrupt).await;
        tokio::spawn(async move {
            first(&mut terminate, &mut interrupt).await;
            last_act();
            // Nothing is lost: what is saved is saved whole or not at all.
            std::process::exit(1);
        });
    })
}

async fn first(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Takes over the file whenever it or a file of secrets changes, and at SIGHUP.
async fn reload(
    file: PathBuf,
    environment: Environment,
    mut hangup: Signal,
    builder: Arc<Builder>,
    gateway: Arc<Gateway>,
) {
    let mut watch = Watch::new();
    loop {
        let files = std::iter::once(file.clone()).chain(secret_files(&gateway.house.load()));
        let covered = watch
            .as_mut()
            .map_err(|error| error.to_string())
            .and_then(|watch| watch.cover(files).map_err(|error| error.to_string()));
        if let Err(error) = covered {
            tracing::warn!(error, "not every file is watched; send SIGHUP after a change");
        }
        tokio::select! {
            _ = hangup.recv() => {}
            () = changed(watch.as_ref().ok()) => {}
        }
        let (file, environment) = (file.clone(), environment.clone());
        let (builder, gateway) = (Arc::clone(&builder), Arc::clone(&gateway));
        // Files are read for this: a disk may keep who reads from it waiting, but not who serves.
        let taken = tokio::task::spawn_blocking(move || {
            let read = config::load(&file, &environment, &Registry).map_err(|errors| errors.to_string());
            take_over(&builder, &gateway, read);
        });
        // A panic there is in the log already, and the former configuration stays.
        drop(taken.await);
    }
}

async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
