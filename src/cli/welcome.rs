//! `keyward run` where there is no configuration yet: a page that says what to write, until something is there.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{EXAMPLE, Exit};
use crate::clock::Clock;
use crate::config::{self, Config, Environment, PLACES};
use crate::gateway::{Gateway, House, Welcome};
use crate::server::Server;
use crate::server::reload::Watch;
use crate::vendor::{Driver, Registry};

/// How often it is looked for a file. The folder that it comes into may not be there yet, so nothing can tell of it.
const LOOK: Duration = Duration::from_secs(1);

/// What holds until then.
pub(super) fn unwritten(environment: &Environment) -> Result<Config<Driver>, Exit> {
    let [beside, _] = PLACES;
    config::unwritten(Path::new(beside), environment, &Registry)
        .map_err(|errors| Exit::Usage(errors.to_string()))
}

/// A configuration, and what has watched its file since before it was read.
pub(super) type Found = (Config<Driver>, io::Result<Watch>);

/// Serves the page until there is a configuration that can be read, and gives that; nothing if `stop` comes first. The
/// sockets that were `handed` over are still there then.
pub(super) async fn welcome(
    environment: &Environment,
    handed: &[TcpListener],
    stop: impl Future<Output = ()>,
) -> Result<Option<Found>, Exit> {
    // Nothing is saved, and where the folders are to be is for the file to say.
    let folder =
        tempfile::Builder::new().prefix("keyward-welcome-").tempdir().map_err(anyhow::Error::from)?;
    let [state, certs] = ["state", "certs"].map(|name| folder.path().join(name));
    let config = Config { state, certs, ..unwritten(environment)? };
    let sockets: io::Result<Vec<_>> = handed.iter().map(TcpListener::try_clone).collect();
    let server = Server::bind(config, Clock::system(), sockets.map_err(anyhow::Error::from)?).await?;
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
                () = stop => {}
                written = written(environment, &gateway) => found = Some(written),
            }
        })
        .await;
    if let Err(error) = folder.close() {
        tracing::debug!(%error, "a temporary folder stays");
    }
    Ok(found)
}

/// Waits for a file that can be read. What is wrong with one is told, in the log and on the page.
async fn written(environment: &Environment, gateway: &Gateway) -> Found {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        looks.tick().await;
        let environment = environment.clone();
        let read = tokio::task::spawn_blocking(move || {
            let file = config::find(None, &environment).ok().flatten()?;
            let watch = Watch::over(&file);
            let config = config::load(&file, &environment, &Registry);
            Some(config.map(|config| (config, watch)).map_err(|errors| errors.to_string()))
        });
        // A panic there is in the log already.
        let broken = match read.await.ok().flatten() {
            Some(Ok(found)) => {
                tracing::info!("{} is there, and is taken over", found.0.file.display());
                return found;
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
