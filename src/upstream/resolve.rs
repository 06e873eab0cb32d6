//! Host names of devices, those of multicast DNS included.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mdns_sd::{HostnameResolutionEvent, ServiceDaemon};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::trouble::Trouble;

/// How long a good answer serves before the name is asked for again.
const FRESH: Duration = Duration::from_secs(60);

/// Share of the time to connect that a name may take, so that who fails is told apart from who does not answer.
const UNKNOWN_WITHIN: f64 = 0.9;
/// The same where an address was known before: most of the time is left to try that one.
const KNOWN_WITHIN: f64 = 0.25;

type Found = Result<Vec<SocketAddr>, Trouble>;

/// How a name is looked up; it may take for ever.
type LookUp = dyn Fn() -> Pin<Box<dyn Future<Output = Found> + Send>> + Send + Sync;

/// Where one device is. Remembers the last good answer, for when the resolver is down.
pub(super) struct Place {
    host: String,
    port: u16,
    look_up: Box<LookUp>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    known: Option<(Instant, Vec<SocketAddr>)>,
    /// Where a look-up under way will say what it has found. It has closed when that is over.
    landing: Option<watch::Receiver<Option<Found>>>,
}

impl Place {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let name: Arc<str> = Arc::from(host);
        let look_up = move || -> Pin<Box<dyn Future<Output = Found> + Send>> {
            let name = Arc::clone(&name);
            Box::pin(async move { look_up(&name, port).await })
        };
        Self::with(host, port, Box::new(look_up))
    }

    fn with(host: &str, port: u16, look_up: Box<LookUp>) -> Self {
        Self { host: host.to_owned(), port, look_up, state: Arc::default() }
    }

    /// The addresses to try, in order, soon enough to connect to one within `connect_timeout` from now on. A resolver
    /// that is silent is down like one that fails.
    pub(super) async fn addresses(&self, connect_timeout: Duration) -> Found {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let (known, mut landing) = {
            let mut state = self.state.lock();
            let known = state.known.clone();
            if let Some((since, addresses)) = &known
                && since.elapsed() < FRESH
            {
                return Ok(addresses.clone());
            }
            (known, self.start_look_up(&mut state))
        };
        let share = if known.is_some() { KNOWN_WITHIN } else { UNKNOWN_WITHIN };
        let found = match timeout(connect_timeout.mul_f64(share), landing.wait_for(Option::is_some)).await {
            Ok(Ok(found)) => found.clone().unwrap_or_else(|| Err(self.silence())),
            _ => Err(self.silence()),
        };
        match (found, known) {
            (Err(trouble), Some((_, addresses))) => {
                tracing::warn!(host = self.host, %trouble, "name not resolved, trying the last known address");
                Ok(addresses)
            }
            (found, _) => found,
        }
    }

    /// Starts a look-up, or joins the one under way. It goes on when nobody waits any longer: what comes late serves
    /// the next.
    fn start_look_up(&self, state: &mut State) -> watch::Receiver<Option<Found>> {
        if let Some(landing) = state.landing.as_ref().filter(|landing| landing.has_changed().is_ok()) {
            return landing.clone();
        }
        let (sender, landing) = watch::channel(None);
        state.landing = Some(landing.clone());
        let (look_up, shared) = ((self.look_up)(), Arc::clone(&self.state));
        tokio::spawn(async move {
            let found = look_up.await;
            if let Ok(addresses) = &found {
                shared.lock().known = Some((Instant::now(), addresses.clone()));
            }
            sender.send_replace(Some(found));
        });
        landing
    }

    fn silence(&self) -> Trouble {
        Trouble::NameTimeout(format!(
            "no name server says where {} is: is the network up? An address in `url` needs none",
            self.host
        ))
    }

    /// Nobody answered at the known address: ask for the name again next time.
    pub(super) fn doubt(&self) {
        if let Some((since, _)) = self.state.lock().known.as_mut()
            && let Some(earlier) = since.checked_sub(FRESH)
        {
            *since = earlier;
        }
    }
}

async fn look_up(host: &str, port: u16) -> Found {
    let system = async {
        let found = tokio::net::lookup_host((host, port)).await.ok()?;
        let addresses: Vec<_> = found.collect();
        (!addresses.is_empty()).then_some(addresses)
    };
    if !is_multicast_name(host) {
        return system.await.ok_or_else(|| {
            Trouble::NameNotFound(format!(
                "the name {host} is not known here: check its spelling, or write the device's address in `url`"
            ))
        });
    }
    // Both at once: a resolver that knows nothing of .local may take seconds to say so.
    let multicast = multicast_lookup(host, port);
    tokio::pin!(system, multicast);
    let found = tokio::select! {
        Some(found) = &mut system => Some(found),
        Some(found) = &mut multicast => Some(found),
        else => None,
    };
    found.ok_or_else(|| {
        Trouble::NameNotFound(format!(
            "nobody on this network answers to {host}: is the device on? Multicast does not reach a container on a \
             bridge network; there, write the device's address in `url`"
        ))
    })
}

/// Whether RFC 6762 section 3 sends this name to multicast DNS.
fn is_multicast_name(host: &str) -> bool {
    host.trim_end_matches('.').to_ascii_lowercase().ends_with(".local")
}

/// A look-up's own daemon, whose thread would outlive it, also when nobody waits for the look-up any more.
pub(super) struct Daemon(pub(super) ServiceDaemon);

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
    let usable = found.into_iter().filter(is_usable).map(|ip| SocketAddr::new(ip, port));
    let (mut addresses, later): (Vec<_>, Vec<_>) = usable.partition(SocketAddr::is_ipv4);
    addresses.extend(later);
    (!addresses.is_empty()).then_some(addresses)
}

/// A link-local IPv6 address is of no use without the interface it belongs to.
pub(super) fn is_usable(ip: &IpAddr) -> bool {
    !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
