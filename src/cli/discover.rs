//! `keyward discover`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::anyhow;
use tokio::task::JoinHandle;

use super::draft::free;
use super::stanza::{Entry, quoted, table};
use super::terminal::during;
use super::words::devices;
use super::{Exit, say, tell};
use crate::config::{self, Environment};
use crate::upstream::browse::{Sighting, browse};
use crate::vendor::{Kind, MAKES, Make, Need};

/// So long it is listened for answers: devices may take their time, and are asked again in between.
const WITHIN: Duration = Duration::from_secs(4);
/// What a device announces that has pages, whatever its make.
const PAGES: [&str; 2] = ["_http._tcp", "_https._tcp"];

/// A device that shows itself on the network.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// What it is.
    pub(super) make: &'static Make,
    host: String,
    addresses: Vec<IpAddr>,
    /// What it says of itself, by its make's keys.
    pub(super) keys: BTreeMap<&'static str, String>,
}

impl Found {
    /// Where it is. A name stays when the address changes.
    pub(super) fn url(&self) -> String {
        format!("https://{}", self.host)
    }

    /// What it is and where, in a line.
    pub(super) fn words(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        let at = if addresses.is_empty() { String::new() } else { format!(" ({})", addresses.join(", ")) };
        let told: String = self.keys.iter().map(|(key, value)| format!(", {key} {value}")).collect();
        format!("{} at {}{at}{told}", self.make.product, self.host)
    }

    fn stanza(&self, name: &str) -> String {
        let mut entries =
            vec![Entry::new("vendor", quoted(self.make.name)), Entry::new("url", quoted(&self.url()))];
        for key in self.make.keys.iter().filter(|key| matches!(key.need, Need::Always | Need::Unless(_))) {
            entries.push(match (self.keys.get(key.name), key.kind) {
                (Some(value), _) => Entry::new(key.name, quoted(value)),
                (None, Kind::Secret) => {
                    let variable =
                        format!("{name}_{}", key.name).to_ascii_uppercase().replace(['-', '.'], "_");
                    Entry::new(key.name, format!("{{ env = {} }}", quoted(&variable)))
                }
                (None, _) => Entry::new(key.name, quoted("")).noted(&format!("to fill in: {}", key.asked)),
            });
        }
        table(&self.words(), name, &entries)
    }
}

pub(super) async fn discover(environment: Environment) -> Result<(), Exit> {
    let is_first = !matches!(config::find(None, &environment), Ok(Some(_)));
    let found = during("listening for devices", look(WITHIN)).await.map_err(|why| anyhow!(why))?;
    if found.is_empty() {
        return Err(anyhow!(nobody(is_first)).into());
    }
    let mut taken = Vec::new();
    for device in &found {
        let name = free(device.make.called, &taken);
        say(&device.stanza(&name));
        taken.push(name);
    }
    tell(&format!(
        "{} found. Paste into proxy.toml and fill in what is empty, or have keyward ask for it and try it:",
        devices(found.len())
    ));
    commands(&found, &taken, is_first).iter().for_each(|command| tell(&format!("  {command}")));
    Ok(())
}

/// What to do where nothing is found. `is_first`: there is no file yet.
fn nobody(is_first: bool) -> String {
    let command = if is_first { "keyward init" } else { "keyward add DEVICE" };
    format!(
        "no device shows itself on this network by multicast DNS, and many never do.\n\
         Your router lists the addresses of what is connected: `{command}` asks for one and tries it.\n\
         Multicast reaches neither into a container on a bridge network nor through most routers."
    )
}

/// What has keyward ask for each of these and write it down. `is_first`: there is no file yet that one could be added to.
fn commands(found: &[Found], names: &[String], is_first: bool) -> Vec<String> {
    let commands = std::iter::once(if is_first { "init" } else { "add" }).chain(std::iter::repeat("add"));
    let devices = commands.zip(found).zip(names);
    devices
        .map(|((command, device), name)| {
            format!("keyward {command} {name} --vendor {} --url {}", device.make.name, device.url())
        })
        .collect()
}

/// Looks for devices while a person reads and types.
pub(super) struct Search(Option<JoinHandle<Result<Vec<Found>, String>>>);

impl Search {
    /// Begins to look, if that is wanted.
    pub(super) fn begin(is_wanted: bool) -> Self {
        Self(is_wanted.then(|| tokio::spawn(look(WITHIN))))
    }

    /// What was found. A network that can't be searched is none that anything was found on.
    pub(super) async fn found(&mut self) -> Vec<Found> {
        let Some(search) = self.0.take() else { return Vec::new() };
        during("listening for devices", search).await.ok().and_then(Result::ok).unwrap_or_default()
    }
}

/// The devices that show themselves within this time.
///
/// # Errors
/// Why nobody could be asked, in words for a person.
async fn look(within: Duration) -> Result<Vec<Found>, String> {
    let services: Vec<_> =
        MAKES.iter().flat_map(|make| make.traces.services).chain(&PAGES).copied().collect();
    let names: Vec<_> = MAKES.iter().flat_map(|make| make.traces.names).copied().collect();
    let seen = browse(&services, &names, within).await;
    let seen = seen.map_err(|why| format!("this network can't be listened to by multicast: {why}"))?;
    Ok(recognised(seen))
}

/// Those that are of a make we know, each once.
fn recognised(seen: Vec<Sighting>) -> Vec<Found> {
    let mut found = BTreeMap::new();
    for sighting in seen {
        let Some(make) = MAKES.iter().find(|make| is_of(make, &sighting)) else { continue };
        let device = found.entry(sighting.host.clone()).or_insert_with(|| Found {
            make,
            host: sighting.host,
            addresses: Vec::new(),
            keys: BTreeMap::new(),
        });
        for address in sighting.addresses {
            if !device.addresses.contains(&address) {
                device.addresses.push(address);
            }
        }
        for (told, key) in make.traces.told {
            // Anybody on the network may say so, and it is printed.
            let plain = sighting
                .told
                .get(*told)
                .filter(|value| value.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            device.keys.extend(plain.map(|value| (*key, value.clone())));
        }
    }
    found.into_values().collect()
}

fn is_of(make: &Make, sighting: &Sighting) -> bool {
    let traces = &make.traces;
    let label = sighting.host.strip_suffix(".local").unwrap_or_default();
    let is_host =
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let is_numbered = |stem: &str| {
        label.strip_prefix(stem).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is_host
        && (sighting.service.as_deref().is_some_and(|service| traces.services.contains(&service))
            || traces.names.contains(&label)
            || traces.stem.is_some_and(is_numbered))
}

#[cfg(test)]
mod tests;
