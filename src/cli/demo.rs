//! `keyward demo`: simulated devices, and a keyward before them, in one process.

use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use tokio::signal::unix::SignalKind;

use super::given::flag;
use super::log::Log;
use super::words::word;
use super::{Exit, neighbour, run, say};
use crate::clock::Clock;
use crate::config::{self, Address, Config, Environment, Location, LogFormat};
use crate::disk::private_folder;
use crate::server::{Server, StartError};
use crate::twin::{self, Certificate, Served};
use crate::vendor::{Driver, Key, Kind, Make, Registry};

/// What is asked for by itself and not by its default.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

pub(super) async fn demo(listen: Option<Address>, environment: Environment) -> Result<(), Exit> {
    let log = config::Log { level: "warn".to_owned(), format: LogFormat::Text };
    let log = Log::begin(&log, &environment);
    let folder = private_folder("keyward-demo-").map_err(anyhow::Error::from)?;
    let path = folder.path().to_owned();
    // It has nothing to read again, and a terminal that is closed is no reason to leave its folder behind.
    let [terminate, interrupt] = run::ENDS;
    let ends = [terminate, interrupt, SignalKind::hangup()];
    let stop =
        run::stopped(&ends, move || drop(std::fs::remove_dir_all(path))).map_err(anyhow::Error::from)?;
    let Simulated { devices, tries, practice } = devices().await?;
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
    let usual = Address::default();
    if listen.is_none() && address.port() != usual.port {
        say(&format!("{usual} is taken, so this is another port.\n"));
    }
    say(&format!("Open http://{address}/ in a browser, or try these; none needs a credential:\n"));
    for (name, sample) in tries {
        say(&format!("  curl -H 'Accept: application/json' 'http://{address}/{name}{sample}'"));
    }
    say(&format!("\n  curl http://{address}/-/devices\n"));
    if let Some(practice) = practice {
        say(
            "To try `keyward init` against one, in a folder of your own and while this runs (its password is made up):\n",
        );
        say(&format!("  {practice}\n"));
    }
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
struct Simulated {
    devices: Vec<(String, Served)>,
    tries: Vec<Try>,
    /// A line of a shell that configures one of them.
    practice: Option<String>,
}

async fn devices() -> anyhow::Result<Simulated> {
    let mut devices = Vec::new();
    let mut tries = Vec::new();
    let mut practice = None;
    for twin in twin::every().await? {
        let name = twin.vendor();
        let stanza = twin.stanza();
        tries.push((name, twin.sample()));
        let served = twin::serve(twin.face(), Some(Certificate::self_signed()?), ANY_PORT)?;
        let url = served.url();
        practice = practice.or_else(|| in_a_shell(Registry::make(name)?, &url, &stanza));
        devices.push((format!("[devices.{name}]\nvendor = \"{name}\"\nurl = \"{url}\"\n{stanza}\n"), served));
    }
    Ok(Simulated { devices, tries, practice })
}

/// The line of a shell that has `keyward init` configure this device: none where it needs more than one secret, or none.
fn in_a_shell(make: &Make, url: &str, stanza: &str) -> Option<String> {
    let stanza: toml_edit::DocumentMut = stanza.parse().ok()?;
    let value = |key: &Key| stanza.get(key.name)?.as_str().map(word);
    let mut secret = None;
    let mut flags = Vec::new();
    for key in make.keys {
        let Some(value) = value(key) else { continue };
        match key.kind {
            Kind::Secret if secret.is_some() => return None,
            Kind::Secret => {
                secret = Some(value);
                flags.push(format!("--{} -", flag(key)));
            }
            _ => flags.push(format!("--{} {value}", flag(key))),
        }
    }
    let (secret, flags) = (secret?, flags.join(" "));
    Some(format!("echo {secret} | keyward init {} --vendor {} --url {url} {flags}", make.called, make.name))
}
