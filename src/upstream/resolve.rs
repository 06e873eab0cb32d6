//! Host names of devices, those of multicast DNS included.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mdns_sd::{HostnameResolutionEvent, ServiceDaemon};
use tokio::time::Instant;

use super::trouble::Trouble;

/// How long a good answer serves before the name is asked for again.
const FRESH: Duration = Duration::from_secs(60);

/// Where one device is. Remembers the last good answer, for when the resolver is down.
#[derive(Debug)]
pub(super) struct Place {
    host: String,
    port: u16,
    known: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
}

impl Place {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, known: Mutex::default() }
    }

    /// The addresses to try, in order.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, Trouble> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((since, addresses)) = &known
            && since.elapsed() < FRESH
        {
            return Ok(addresses.clone());
        }
        match self.look_up().await {
            Ok(addresses) => {
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((Instant::now(), addresses.clone()));
                Ok(addresses)
            }
            Err(trouble) => match known {
                Some((_, addresses)) => {
                    tracing::warn!(host = self.host, %trouble, "name not resolved, trying the last known address");
                    Ok(addresses)
                }
                None => Err(trouble),
            },
        }
    }

    /// Nobody answered at the known address: ask for the name again next time.
    pub(super) fn doubt(&self) {
        if let Some((since, _)) = self.known.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
            && let Some(earlier) = since.checked_sub(FRESH)
        {
            *since = earlier;
        }
    }

    async fn look_up(&self) -> Result<Vec<SocketAddr>, Trouble> {
        let system = async {
            let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await.ok()?;
            let addresses: Vec<_> = found.collect();
            (!addresses.is_empty()).then_some(addresses)
        };
        if !is_multicast_name(&self.host) {
            return system.await.ok_or_else(|| {
                Trouble::NameNotFound(format!(
                    "the name {} is not known here: check its spelling, or write the device's address in `url`",
                    self.host
                ))
            });
        }
        // Both at once: a resolver that knows nothing of .local may take seconds to say so.
        let multicast = multicast_lookup(&self.host, self.port);
        tokio::pin!(system, multicast);
        let found = tokio::select! {
            Some(found) = &mut system => Some(found),
            Some(found) = &mut multicast => Some(found),
            else => None,
        };
        found.ok_or_else(|| {
            Trouble::NameNotFound(format!(
                "nobody on this network answers to {}: is the device on? Multicast does not reach a container \
                 on a bridge network; there, write the device's address in `url`",
                self.host
            ))
        })
    }
}

/// Whether RFC 6762 section 3 sends this name to multicast DNS.
fn is_multicast_name(host: &str) -> bool {
    host.trim_end_matches('.').to_ascii_lowercase().ends_with(".local")
}

/// A look-up's own daemon, whose thread would outlive it, also when nobody waits for the look-up any more.
struct Daemon(ServiceDaemon);

impl Drop for Daemon {
    fn drop(&mut self) {
        // The thread ends by itself once it is told.
        drop(self.0.shutdown());
    }
}

async fn multicast_lookup(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let daemon = Daemon(ServiceDaemon::new().ok()?);
    let name = format!("{}.", host.trim_end_matches('.'));
    let events = daemon.0.resolve_hostname(&name, Some(3000)).ok()?;
    let mut found = HashSet::new();
    while let Ok(event) = events.recv_async().await {
        match event {
            HostnameResolutionEvent::AddressesFound(_, addresses) => {
                found.extend(addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr));
                break;
            }
            HostnameResolutionEvent::SearchTimeout(_) | HostnameResolutionEvent::SearchStopped(_) => break,
            _ => {}
        }
    }
    let mut addresses: Vec<_> =
        found.into_iter().filter(is_usable).map(|ip| SocketAddr::new(ip, port)).collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    (!addresses.is_empty()).then_some(addresses)
}

/// A link-local IPv6 address is of no use without the interface it belongs to.
fn is_usable(ip: &IpAddr) -> bool {
    !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
