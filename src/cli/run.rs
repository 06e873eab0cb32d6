//! `keyward run`.

use std::future::poll_fn;
use std::io;
use std::mem::replace;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use listenfd::ListenFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::log::Log;
use super::{Exit, neighbour, read, service, welcome};
use crate::clock::Clock;
use crate::config::{self, Address, Environment, Location};
use crate::disk::plain;
use crate::server::reload::{Reloader, Watch};
use crate::server::{Server, warnings};
use crate::vendor::Registry;

/// A task that is called off ends so soon.
const MOMENT: Duration = Duration::from_millis(100);

pub(super) async fn run(
    named: Option<PathBuf>,
    environment: Environment,
    handed: Vec<TcpListener>,
) -> Result<(), Exit> {
    let found = config::find(named.as_deref(), &environment)?;
    let mut watch = Watching::new();
    let config =
        found.map(|file| watch.cover_and_read(&file, |file| read(file, &environment))).transpose()?;
    let log_of = match &config {
        Some(config) => config.log.clone(),
        None => welcome::unwritten(&environment)?.log,
    };
    let log = Log::begin(&log_of, &environment);
    // Before anybody can know that it runs: a signal without a handler would end it.
    let mut stop = pin!(stopped(&ENDS, || {}).map_err(anyhow::Error::from)?);
    let mut hangup = signal(SignalKind::hangup()).map_err(anyhow::Error::from)?;
    let config = match config {
        Some(config) => config,
        None => match welcome::welcome(&environment, &handed, &mut watch, &mut hangup, &mut stop).await? {
            Some(config) => config,
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
    let server = match Server::bind(config, Clock::system(), handed).await {
        Ok(server) => server,
        Err(error) => {
            return Err(neighbour::told(error, |at, free| how_to_choose(at, free, &file)).await);
        }
    };
    introduce(&server);
    server.reloader().gateway.metrics.follow(log.panics(), log.dropped_lines());
    let reloader = server.reloader();
    let reloading = tokio::spawn(reload(file, environment, hangup, watch, Arc::clone(&reloader)));
    let alive = service::watchdog().map(tokio::spawn);
    service::ready(&reloader.gateway.house.load());
    let stop = async {
        stop.await;
        // What is changed now is for the next start, and a service manager would take us for one that serves again. Who
        // waits for a disk is not waited for.
        reloading.abort();
        drop(timeout(MOMENT, reloading).await);
        tracing::info!("stopping");
        service::stopping();
    };
    server.run(stop).await;
    alive.inspect(JoinHandle::abort);
    log.end().await;
    Ok(())
}

/// How the port is chosen that `at` says, which is in this file or a variable.
pub(super) fn how_to_choose(at: &Location, free: &Address, file: &Path) -> String {
    match at {
        Location::Variable(name) => format!("{name}={free}"),
        Location::Place(_) => format!("`listen = \"{free}\"` in {}", file.display()),
    }
}

/// The sockets that a service manager has bound for us (systemd's `sd_listen_fds`). To be called before there are
/// threads: what says so is taken out of the environment.
pub(super) fn handed() -> Result<Vec<TcpListener>, Exit> {
    let mut handed = ListenFd::from_env();
    let sockets = (0..handed.len()).map(|nth| handed.take_tcp_listener(nth));
    let sockets: io::Result<Vec<_>> = sockets.collect();
    let sockets = sockets.map_err(|error| {
        Exit::Usage(format!(
            "a socket that was handed over can't be used ({}): doors listen at TCP",
            plain(&error)
        ))
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

/// The signals that end a command.
pub(super) const ENDS: [SignalKind; 2] = [SignalKind::terminate(), SignalKind::interrupt()];

/// Completes at the first of these signals; a second one ends the process at once, after `last_act`.
pub(super) fn stopped<F: FnOnce() + Send + 'static>(
    kinds: &[SignalKind],
    last_act: F,
) -> io::Result<impl Future<Output = ()> + use<F>> {
    let mut signals = kinds.iter().map(|kind| signal(*kind)).collect::<io::Result<Vec<_>>>()?;
    Ok(async move {
        first(&mut signals).await;
        tokio::spawn(async move {
            first(&mut signals).await;
            last_act();
            // Nothing is lost: what is saved is saved whole or not at all.
            std::process::exit(1);
        });
    })
}

async fn first(signals: &mut [Signal]) {
    poll_fn(|context| match signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// Takes over the file whenever it or a file of secrets changes, and at SIGHUP.
async fn reload(
    file: PathBuf,
    environment: Environment,
    mut hangup: Signal,
    mut watch: Watching,
    reloader: Arc<Reloader>,
) {
    loop {
        watch.cover_all(&file, &reloader).await;
        if let Some(error) = &watch.trouble {
            tracing::warn!(error, "not every file is watched; send SIGHUP after a change");
        }
        tokio::select! {
            _ = hangup.recv() => {}
            () = watch.changed() => {}
        }
        // A folder in the place of a former one is watched before anything in it is read.
        watch.cover_all(&file, &reloader).await;
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

/// The watch of the files that a configuration is made of, as far as the system has one to give.
pub(super) struct Watching {
    watch: Option<Watch>,
    /// Why not every file is watched.
    trouble: Option<String>,
}

impl Watching {
    fn new() -> Self {
        match Watch::new() {
            Ok(watch) => Self { watch: Some(watch), trouble: None },
            Err(error) => Self { watch: None, trouble: Some(error.to_string()) },
        }
    }

    /// Watches a file before it is read, so that no change after that is missed.
    fn cover_and_read<T>(&mut self, file: &Path, read: impl FnOnce(&Path) -> T) -> T {
        self.cover_at_once(vec![file.to_owned()]);
        read(file)
    }

    fn cover_at_once(&mut self, files: Vec<PathBuf>) {
        if let Some(watch) = &mut self.watch {
            self.trouble = watch.cover(files).err().map(|error| error.to_string());
        }
    }

    /// Watches these files too, on a thread that may wait for a disk. Who does not wait for the end of it has no watch any more.
    pub(super) async fn cover(&mut self, files: Vec<PathBuf>) {
        let mut own = replace(self, Self { watch: None, trouble: None });
        let covered = spawn_blocking(move || {
            own.cover_at_once(files);
            own
        });
        *self = covered.await.unwrap_or_else(|error| Self { watch: None, trouble: Some(error.to_string()) });
    }

    /// Watches the configuration that is read again and again, and the files that it names.
    async fn cover_all(&mut self, file: &Path, reloader: &Reloader) {
        let mut files = reloader.gateway.house.load().files.clone();
        files.push(file.to_owned());
        self.cover(files).await;
    }

    async fn changed(&self) {
        match &self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_changes_while_it_is_read_for_the_first_time_is_seen_to_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.toml");
        std::fs::write(&file, "").unwrap();
        let mut watch = Watching::new();
        watch.cover_and_read(&file, |file| std::fs::write(file, "listen = \"127.0.0.1:0\"\n").unwrap());
        timeout(Duration::from_secs(20), watch.changed()).await.expect("a change");
    }

    #[tokio::test]
    async fn that_a_file_is_not_watched_is_told_for_as_long_as_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sub/proxy.toml");
        let mut watch = Watching::new();
        for _ in 0..2 {
            watch.cover_and_read(&file, |_| ());
            assert!(
                watch.trouble.as_ref().is_some_and(|trouble| trouble.contains("sub")),
                "{:?}",
                watch.trouble
            );
        }
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        watch.cover_and_read(&file, |file| std::fs::write(file, "").unwrap());
        assert_eq!(watch.trouble, None);
        timeout(Duration::from_secs(20), watch.changed()).await.expect("a change");
    }
}
