//! `keyward run` where there is no configuration yet: a page that says what to write, until something is there.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

use super::run::{Watching, how_to_choose};
use super::{EXAMPLE, Exit, neighbour};
use crate::clock::Clock;
use crate::config::{self, Address, Config, Environment, Location, PLACES};
use crate::disk::private_folder;
use crate::gateway::{Gateway, House, Welcome};
use crate::server::Server;
use crate::vendor::{Driver, Registry};

/// How often it is looked for a file. The folder that it comes into may not be there yet, so nothing can tell of it.
const LOOK: Duration = Duration::from_secs(1);

/// What holds until then.
pub(super) fn unwritten(environment: &Environment) -> Result<Config<Driver>, Exit> {
    let [beside, _] = PLACES;
    config::unwritten(Path::new(beside), environment, &Registry)
        .map_err(|errors| Exit::Usage(errors.to_string()))
}

/// Serves the page until there is a configuration that can be read, and gives that; nothing if `stop` comes first. At a
/// `hangup` it is looked for one at once. The sockets that were `handed` over are still there then.
pub(super) async fn welcome(
    environment: &Environment,
    handed: &[TcpListener],
    watch: &mut Watching,
    hangup: &mut Signal,
    stop: impl Future<Output = ()>,
) -> Result<Option<Config<Driver>>, Exit> {
    // Nothing is saved, and where the folders are to be is for the file to say.
    let folder = private_folder("keyward-welcome-").map_err(anyhow::Error::from)?;
    let [state, certs] = ["state", "certs"].map(|name| folder.path().join(name));
    let config = Config { state, certs, ..unwritten(environment)? };
    let sockets: io::Result<Vec<_>> = handed.iter().map(TcpListener::try_clone).collect();
    let server = match Server::bind(config, Clock::system(), sockets.map_err(anyhow::Error::from)?).await {
        Ok(server) => server,
        Err(error) => {
            let [usual, _] = PLACES;
            let how = |at: &Location, free: &Address| how_to_choose(at, free, Path::new(usual));
            return Err(neighbour::told(error, how).await);
        }
    };
    let gateway = Arc::clone(&server.reloader().gateway);
    let places =
        PLACES.map(|place| std::path::absolute(place).map_or(place.into(), |at| at.display().to_string()));
    tracing::warn!(
        "there is no configuration: `keyward init` asks for a device and writes one, or write {}; a page says how",
        places.join(" or ")
    );
    let welcome = Welcome { places: places.to_vec(), example: EXAMPLE.to_owned() };
    tell(&gateway, |house| house.welcome = Some(welcome));
    let mut found = None;
    server
        .run(async {
            tokio::select! {
                () = stop => tracing::info!("stopping"),
                config = written(environment, watch, hangup, &gateway) => found = Some(config),
            }
        })
        .await;
    if let Err(error) = folder.close() {
        tracing::debug!(%error, "a temporary folder stays");
    }
    Ok(found)
}

/// Waits for a file that can be read. What is wrong with one is told, in the log and on the page.
async fn written(
    environment: &Environment,
    watch: &mut Watching,
    hangup: &mut Signal,
    gateway: &Gateway,
) -> Config<Driver> {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            _ = hangup.recv() => {}
        }
        let (here, there) = (environment.clone(), environment.clone());
        let found = tokio::task::spawn_blocking(move || config::find(None, &here).ok().flatten());
        let found = found.await.ok().flatten();
        // Before it is read, so that no change after that is missed.
        watch.cover(found.clone().into_iter().collect()).await;
        let read = tokio::task::spawn_blocking(move || {
            Some(config::load(&found?, &there, &Registry).map_err(|errors| errors.to_string()))
        });
        // A panic there is in the log already.
        let broken = match read.await.ok().flatten() {
            Some(Ok(config)) => {
                tracing::info!(
                    "{} is there and is taken over: the page that said what to write makes way for its devices",
                    config.file.display()
                );
                return config;
            }
            Some(Err(errors)) => Some(format!("the configuration that is there can't be used:\n{errors}")),
            None => None,
        };
        if told != broken {
            broken.iter().flat_map(|broken| broken.lines()).for_each(|line| tracing::error!("{line}"));
            tell(gateway, |house| house.broken.clone_from(&broken));
            told = broken;
        }
    }
}

/// Changes what the page says.
fn tell(gateway: &Gateway, change: impl FnOnce(&mut House)) {
    let mut house = House::clone(&gateway.house.load());
    change(&mut house);
    gateway.house.store(Arc::new(house));
}
