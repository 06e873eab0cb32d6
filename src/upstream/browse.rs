//! Devices that show themselves on the network, by multicast DNS (RFC 6762, RFC 6763).

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use mdns_sd::{HostnameResolutionEvent, ScopedIp, ServiceDaemon, ServiceEvent};
use tokio::time::{Instant, timeout_at};

use super::resolve::{Daemon, is_usable};

/// A device that shows itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The type of service that it announces, such as `_http._tcp`; `None`: it answers to its name alone.
    pub service: Option<String>,
    /// Its name in lower case, without a dot at the end.
    pub host: String,
    /// Its addresses that can be written into a URL, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// What its announcement says beside that, by name.
    pub told: HashMap<String, String>,
}

/// Who announces one of these services, or answers to one of these names below `.local`, within this time.
///
/// # Errors
/// Why nobody could be asked, in words for a person.
pub async fn browse(services: &[&str], names: &[&str], within: Duration) -> Result<Vec<Sighting>, String> {
    let daemon = Daemon(ServiceDaemon::new().map_err(|error| error.to_string())?);
    let until = Instant::now() + within;
    let announced = join_all(services.iter().map(|service| announcers(&daemon.0, service, until)));
    let named = join_all(names.iter().map(|name| owner(&daemon.0, name, within, until)));
    let (announced, named) = tokio::join!(announced, named);
    let mut seen = Vec::new();
    for sightings in announced {
        seen.extend(sightings?);
    }
    for sighting in named {
        seen.extend(sighting?);
    }
    Ok(seen)
}

async fn announcers(daemon: &ServiceDaemon, service: &str, until: Instant) -> Result<Vec<Sighting>, String> {
    let events = daemon.browse(&format!("{service}.local.")).map_err(|error| error.to_string())?;
    let mut seen = BTreeMap::new();
    while let Ok(Ok(event)) = timeout_at(until, events.recv_async()).await {
        let ServiceEvent::ServiceResolved(found) = event else { continue };
        let told = found.txt_properties.iter();
        let told = told.map(|property| (property.key().to_ascii_lowercase(), property.val_str().to_owned()));
        let sighting = Sighting {
            service: Some(service.to_owned()),
            host: plain(&found.host),
            addresses: usable(found.addresses.iter()),
            told: told.collect(),
        };
        // It is told again whenever more of it is known.
        seen.insert(found.fullname.clone(), sighting);
    }
    Ok(seen.into_values().collect())
}

async fn owner(
    daemon: &ServiceDaemon,
    name: &str,
    within: Duration,
    until: Instant,
) -> Result<Option<Sighting>, String> {
    let host = format!("{name}.local");
    let milliseconds = u64::try_from(within.as_millis()).ok();
    let events =
        daemon.resolve_hostname(&format!("{host}."), milliseconds).map_err(|error| error.to_string())?;
    while let Ok(Ok(event)) = timeout_at(until, events.recv_async()).await {
        if let HostnameResolutionEvent::AddressesFound(_, addresses) = event {
            let addresses = usable(addresses.iter());
            return Ok(Some(Sighting { service: None, host, addresses, told: HashMap::new() }));
        }
    }
    Ok(None)
}

fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn usable<'a>(addresses: impl Iterator<Item = &'a ScopedIp>) -> Vec<IpAddr> {
    let mut addresses: Vec<_> = addresses.map(ScopedIp::to_ip_addr).filter(is_usable).collect();
    addresses.sort_by_key(|address| (address.is_ipv6(), *address));
    addresses
}
