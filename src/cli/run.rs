//! `keyward run`.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use listenfd::ListenFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::log::Log;
use super::{Exit, find, read, service, welcome};
use crate::clock::Clock;
use crate::config::{self, Environment};
use crate::server::reload::{Reloader, Watch};
use crate::server::{Server, warnings};
use crate::vendor::Registry;

pub(super) async fn run(
    named: Option<PathBuf>,
    environment: Environment,
    handed: Vec<TcpListener>,
) -> Result<(), Exit> {
    let found = find(named.as_deref(), &environment)?;
    let found = found.map(|file| {
        let watch = Watch::over(&file);
        read(&file, &environment).map(|config| (config, watch))
    });
    let found = found.transpose()?;
    let log_of = match &found {
        Some((config, _)) => config.log.clone(),
        None => welcome::unwritten(&environment)?.log,
    };
    let log = Log::begin(&log_of, &environment);
    // Before anybody can know that it runs: a signal without a handler would end it.
    let mut stop = pin!(stopped(|| {}).map_err(anyhow::Error::from)?);
    let (config, watch) = match found {
        Some(found) => found,
        None => match welcome::welcome(&environment, &handed, &mut stop).await? {
            Some(found) => found,
            None => {
                log.end().await;
                return Ok(());
            }
        },
    };
    if config.log != log_of {
        tracing::warn!("[log] takes effect at the next start");
    }
    let file = config.file.clone();
    let hangup = signal(SignalKind::hangup()).map_err(anyhow::Error::from)?;
    let server = Server::bind(config, Clock::system(), handed).await?;
    introduce(&server);
    server.reloader().gateway.metrics.follow(log.panics(), log.dropped_lines());
    let reloader = server.reloader();
    let reloading = tokio::spawn(reload(file, watch, environment, hangup, Arc::clone(&reloader)));
    let alive = service::watchdog().map(tokio::spawn);
    service::ready(&reloader.gateway.house.load());
    server.run(stop.inspect(|()| service::stopping())).await;
    reloading.abort();
    alive.inspect(JoinHandle::abort);
    log.end().await;
    Ok(())
}

/// The sockets that a service manager has bound for us (systemd's `sd_listen_fds`). To be called before there are
/// threads: what says so is taken out of the environment.
pub(super) fn handed() -> Result<Vec<TcpListener>, Exit> {
    let mut handed = ListenFd::from_env();
    let sockets = (0..handed.len()).map(|nth| handed.take_tcp_listener(nth));
    let sockets: io::Result<Vec<_>> = sockets.collect();
    let sockets = sockets.map_err(|error| {
        Exit::Usage(format!("a socket that was handed over can't be used ({error}): doors listen at TCP"))
    })?;
    Ok(sockets.into_iter().flatten().collect())
}

fn introduce(server: &Server) {
    let reloader = server.reloader();
    let house = reloader.gateway.house.load();
    warnings::say(&house.warnings);
    let Some((address, _)) = server.addresses().first().copied() else { return };
    for device in &house.devices {
        tracing::info!("http://{address}/{}/ leads to {} ({})", device.name, device.url, device.make.name);
        for host in &device.hosts {
            tracing::info!("http://{host}:{}/ is {}, from its root on", address.port(), device.name);
        }
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
    mut watch: io::Result<Watch>,
    environment: Environment,
    mut hangup: Signal,
    reloader: Arc<Reloader>,
) {
    loop {
        let named = reloader.gateway.house.load().files.clone();
        let files = std::iter::once(file.clone()).chain(named);
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
        service::reloading();
        reloader
            .take_over(move || {
                config::load(&file, &environment, &Registry).map_err(|errors| errors.to_string())
            })
            .await;
        service::ready(&reloader.gateway.house.load());
    }
}

async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
