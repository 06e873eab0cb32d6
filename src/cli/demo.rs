//! `keyward demo`: simulated devices, and a keyward before them, in one process.

use std::net::SocketAddr;

use anyhow::{Context, anyhow};

use super::log::Log;
use super::{Exit, neighbour, run, say};
use crate::clock::Clock;
use crate::config::{self, Address, Config, Environment, Location, LogFormat};
use crate::server::{Server, StartError};
use crate::twin::{self, Certificate, Served};
use crate::vendor::{Driver, Registry};

/// What is asked for by itself and not by its default.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

pub(super) async fn demo(listen: Option<Address>, environment: Environment) -> Result<(), Exit> {
    let log = config::Log { level: "warn".to_owned(), format: LogFormat::Text };
    let log = Log::begin(&log, &environment);
    let folder = tempfile::Builder::new().prefix("keyward-demo-").tempdir().map_err(anyhow::Error::from)?;
    let path = folder.path().to_owned();
    let stop = run::stopped(move || drop(std::fs::remove_dir_all(path))).map_err(anyhow::Error::from)?;
    let (devices, tries) = devices().await?;
    let text: String = devices.iter().map(|(stanza, _)| stanza.as_str()).collect();
    let configure = |listen: &Address| -> Result<Config<Driver>, Exit> {
        let text = format!("listen = {:?}\n{text}", listen.to_string());
        let file = folder.path().join("proxy.toml");
        // Its environment is not the user's: a demo leaves their folders alone.
        config::parse(&text, &file, &Environment::default(), &Registry)
            .map_err(|errors| anyhow!("{errors}").into())
    };
    let wanted = listen.clone().unwrap_or_default();
    let server = match Server::bind(configure(&wanted)?, Clock::system(), Vec::new()).await {
        Err(StartError::Listen { .. }) if listen.is_none() => {
            Server::bind(configure(&Address { port: 0, ..wanted })?, Clock::system(), Vec::new()).await?
        }
        Err(StartError::Listen { address, source, .. }) => {
            // Its file is nobody's business.
            let error = StartError::Listen { at: Location::Place("--listen".to_owned()), address, source };
            return Err(neighbour::told(error, |_, free| format!("`keyward demo --listen {free}`")).await);
        }
        bound => bound?,
    };
    server.reloader().gateway.metrics.follow(log.panics(), log.dropped_lines());
    let (address, _) = *server.addresses().first().context("a server without a door")?;
    say(&format!("keyward demo: a simulated device of every vendor behind http://{address}/\n"));
    say(&format!("Open http://{address}/ in a browser, or try these; none needs a credential:\n"));
    for (name, sample) in tries {
        say(&format!("  curl -H 'Accept: application/json' 'http://{address}/{name}{sample}'"));
    }
    say(&format!("\n  curl http://{address}/-/devices\n"));
    say("The readings change while you watch. Ctrl-C ends it, and nothing is left behind.");
    server.run(stop).await;
    for (_, served) in devices {
        served.stop().await;
    }
    folder.close().context("the demo's folder could not be removed")?;
    Ok(())
}

type Try = (&'static str, &'static str);

/// Every simulated device, served, with its part of a configuration, and what to try.
async fn devices() -> anyhow::Result<(Vec<(String, Served)>, Vec<Try>)> {
    let mut devices = Vec::new();
    let mut tries = Vec::new();
    for twin in twin::every().await? {
        let name = twin.vendor();
        let stanza = twin.stanza();
        tries.push((name, twin.sample()));
        let served = twin::serve(twin.face(), Some(Certificate::self_signed()?), ANY_PORT)?;
        let url = served.url();
        devices.push((format!("[devices.{name}]\nvendor = \"{name}\"\nurl = \"{url}\"\n{stanza}\n"), served));
    }
    Ok((devices, tries))
}
