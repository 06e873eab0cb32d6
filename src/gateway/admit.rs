//! May this caller ask at all: its network, the `Host` it names, and the page it comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::{self, HeaderMap};
use http::{Method, request};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::fault::{Fault, Kind};

/// Who asks, and by which door.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The caller's end of the connection.
    pub remote: SocketAddr,
    /// Our end of it.
    pub local: SocketAddr,
}

/// Whose requests are answered.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// Listed host names, `*.suffix` among them, in lower case.
    pub hosts: Vec<String>,
    /// The machine's own name, in lower case.
    pub hostname: String,
    /// Networks instead of the private ones.
    pub allow: Option<Vec<IpNet>>,
}

/// The private networks of IPv4, and those of IPv6.
const PRIVATE_V4: [(Ipv4Addr, u8); 5] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
];
const PRIVATE_V6: [(Ipv6Addr, u8); 2] =
    [(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7), (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)];
/// Callers in the same network of this length as our end are neighbours, whatever its prefix.
const NEIGHBOURS: u8 = 64;
/// Suffixes that no public name server serves.
const LOCAL_SUFFIXES: [&str; 6] = [".localhost", ".local", ".lan", ".home", ".internal", ".home.arpa"];

impl Admission {
    /// Lets a request in.
    ///
    /// # Errors
    /// [`Kind::HostNotAllowed`], [`Kind::ClientNotAllowed`] or [`Kind::OriginNotAllowed`], with the line of
    /// configuration that would let it in.
    pub fn admit(&self, asked: &request::Parts, peer: Peer) -> Result<(), Fault> {
        self.admit_host(asked)?;
        self.admit_client(peer)?;
        admit_origin(asked)
    }

    /// A name that an attacker's name server can point at us is refused: this stops DNS rebinding, which no
    /// comparison of `Origin` with `Host` can, since both are the attacker's.
    fn admit_host(&self, asked: &request::Parts) -> Result<(), Fault> {
        let named = asked.headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let target = asked.uri.authority().map(http::uri::Authority::as_str);
        for authority in std::iter::once(named).chain(target) {
            if !host_of(authority).is_some_and(|host| self.knows(&host)) {
                return Err(Fault::new(
                    Kind::HostNotAllowed,
                    format!(
                        "keyward does not answer to the name {authority:?}: use its address, or add the name under \
                         [access] in proxy.toml: hosts = [{:?}]",
                        host_of(authority).unwrap_or_else(|| "name.example".to_owned())
                    ),
                ));
            }
        }
        Ok(())
    }

    fn knows(&self, host: &str) -> bool {
        host.parse::<IpAddr>().is_ok()
            || (!host.contains('.') && !host.is_empty())
            || host == self.hostname
            || LOCAL_SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
            || self.hosts.iter().any(|listed| match listed.strip_prefix('*') {
                Some(suffix) => host.ends_with(suffix) && host.len() > suffix.len(),
                None => host == listed,
            })
    }

    fn admit_client(&self, peer: Peer) -> Result<(), Fault> {
        let caller = peer.remote.ip().to_canonical();
        let admitted = caller.is_loopback()
            || match &self.allow {
                Some(networks) => networks.iter().any(|network| network.contains(&caller)),
                None => is_private(caller) || are_neighbours(caller, peer.local.ip().to_canonical()),
            };
        if admitted {
            return Ok(());
        }
        Err(Fault::new(
            Kind::ClientNotAllowed,
            format!(
                "callers from {caller} are not answered: to let them in, name their network under [access] in \
                 proxy.toml: allow = [\"{caller}\"]"
            ),
        ))
    }
}

/// The host of `host[:port]` in lower case, without brackets and without a dot at its end; `None` where it is
/// anything else.
fn host_of(authority: &str) -> Option<String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        },
    };
    let port = port?;
    let is_port =
        port.is_empty() || (port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_name = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'));
    (is_port && is_name).then_some(host)
}

fn is_private(caller: IpAddr) -> bool {
    match caller {
        IpAddr::V4(v4) => PRIVATE_V4.iter().any(|(network, length)| {
            Ipv4Net::new(*network, *length).is_ok_and(|network| network.contains(&v4))
        }),
        IpAddr::V6(v6) => PRIVATE_V6.iter().any(|(network, length)| {
            Ipv6Net::new(*network, *length).is_ok_and(|network| network.contains(&v6))
        }),
    }
}

fn are_neighbours(caller: IpAddr, ours: IpAddr) -> bool {
    match (caller, ours) {
        (IpAddr::V6(caller), IpAddr::V6(ours)) => {
            Ipv6Net::new(ours, NEIGHBOURS).is_ok_and(|network| network.contains(&caller))
        }
        _ => false,
    }
}

/// A page of another origin may not ask, except that a person may follow a link to our first page.
fn admit_origin(asked: &request::Parts) -> Result<(), Fault> {
    if let Some(origin) = asked.headers.get(header::ORIGIN)
        && !is_own_origin(&asked.headers, origin.as_bytes())
    {
        return Err(foreign(&String::from_utf8_lossy(origin.as_bytes())));
    }
    match sec_fetch_site(&asked.headers) {
        Some("cross-site") if is_visit_of_first_page(asked) => Ok(()),
        Some("cross-site") => Err(foreign("another site")),
        Some("same-site") if !asked.method.is_safe() => Err(foreign("another host of this site")),
        _ => Ok(()),
    }
}

/// A GET that changes something is guarded like a POST, although a browser sends it without an `Origin`.
///
/// # Errors
/// [`Kind::OriginNotAllowed`] for a browser that does not prove to be on a page of ours.
pub(super) fn admit_acting_get(asked: &request::Parts) -> Result<(), Fault> {
    let headers = &asked.headers;
    let is_browser = headers
        .get(header::USER_AGENT)
        .is_some_and(|agent| agent.as_bytes().windows(8).any(|window| window == b"Mozilla/"));
    let referred =
        headers.get(header::REFERER).is_some_and(|referer| is_own_referer(headers, referer.as_bytes()));
    let proven =
        headers.contains_key(header::ORIGIN) || sec_fetch_site(headers) == Some("same-origin") || referred;
    if sec_fetch_site(headers) == Some("same-site") || (is_browser && !proven) {
        return Err(foreign("a page that does not say where it is from"));
    }
    Ok(())
}

fn foreign(whom: &str) -> Fault {
    Fault::new(
        Kind::OriginNotAllowed,
        format!("keyward does not answer pages of {whom}: open the device below keyward's own address"),
    )
}

fn sec_fetch_site(headers: &HeaderMap) -> Option<&str> {
    headers.get("sec-fetch-site")?.to_str().ok()
}

fn is_visit_of_first_page(asked: &request::Parts) -> bool {
    let is = |name: &str, expected: &str| asked.headers.get(name).is_some_and(|value| value == expected);
    asked.method == Method::GET
        && asked.uri.path() == "/"
        && is("sec-fetch-mode", "navigate")
        && is("sec-fetch-dest", "document")
}

/// Whether this `Origin` is that of the door the request came by.
pub(super) fn is_own_origin(headers: &HeaderMap, origin: &[u8]) -> bool {
    let host = headers.get(header::HOST).map_or(&b""[..], header::HeaderValue::as_bytes);
    let Some(authority) = strip_prefix_ignoring_case(origin, b"http://") else { return false };
    let plain = |authority: &[u8]| authority.strip_suffix(b":80").unwrap_or(authority).to_ascii_lowercase();
    !host.is_empty() && plain(authority) == plain(host)
}

/// Whether this `Referer` is a page of ours.
pub(super) fn is_own_referer(headers: &HeaderMap, referer: &[u8]) -> bool {
    let Some(rest) = strip_prefix_ignoring_case(referer, b"http://") else { return false };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let origin = referer.get(..b"http://".len() + end).unwrap_or_default();
    is_own_origin(headers, origin)
}

fn strip_prefix_ignoring_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}
