//! Where things are: the address we listen on and the base URL of a device.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::Uri;

use super::Malformed;
use super::pattern::climbs;

/// `host:port` to listen on; the host is an address or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host, without the brackets of an IPv6 address.
    pub host: String,
    /// The port; 0 lets the system pick a free one.
    pub port: u16,
}

impl Default for Address {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 8480 }
    }
}

impl Address {
    /// Whether it is of this machine's loopback, by name or address.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl FromStr for Address {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = Malformed("expected `host:port`, such as \"127.0.0.1:8480\" or \"[::1]:8480\"");
        let (host, port) = text.rsplit_once(':').ok_or(wrong)?;
        let port = port.parse().map_err(|_| wrong)?;
        if host.is_empty() {
            return Err(Malformed("the host is missing; \"0.0.0.0:8480\" listens on every IPv4 address"));
        }
        let host = read_host(host).ok_or(wrong)?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Bracketed(&self.host), self.port)
    }
}

/// The URL below which a device answers, or an endpoint of a vendor's cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl BaseUrl {
    /// Whether it begins with `https`.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host in lower case, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own where none is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the `Host` header carries: brackets around IPv6, no port where it is the scheme's own.
    pub fn authority(&self) -> String {
        let host = Bracketed(&self.host);
        if self.port == default_port(self.tls) { host.to_string() } else { format!("{host}:{}", self.port) }
    }

    /// The path before every request's own, without a slash at its end; empty when there is none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the host is this machine's loopback, by name or address.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl FromStr for BaseUrl {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong =
            Malformed("expected a URL such as \"https://10.0.40.2\" or \"http://meter.local:8080/base\"");
        let (scheme, rest) = text.split_once("://").ok_or(wrong)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(Malformed("only https:// and http:// URLs are known")),
        };
        // `http::Uri` cuts a fragment off without a word.
        if rest.contains(['?', '#']) {
            return Err(Malformed("a query or fragment has no place in this URL; remove it"));
        }
        if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
            return Err(Malformed("no user name or password in the URL; they have keys of their own"));
        }
        let uri: Uri = text.parse().map_err(|_| wrong)?;
        let authority = uri.authority().ok_or(wrong)?;
        let host = read_host(authority.host()).ok_or(Malformed("the host is no name and no address"))?;
        let port = match authority.as_str().get(authority.host().len()..) {
            Some("") => default_port(tls),
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).unwrap_or(0),
            None => 0,
        };
        if port == 0 {
            return Err(Malformed("the port is a number from 1 to 65535"));
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        if climbs(&path) {
            return Err(Malformed("`.` and `..` have no place in this URL; write the path they lead to"));
        }
        Ok(Self { tls, host, port, path })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// An IPv6 address needs brackets wherever a port may follow.
struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn is_loopback(host: &str) -> bool {
    host.parse::<IpAddr>().map_or(host == "localhost", |address| address.is_loopback())
}

/// A host as an authority carries it: a bracketed IPv6 address, an IPv4 address or a name.
fn read_host(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    // A name whose last label is a number is an address to every resolver, or a slip of the pen.
    let last = text.trim_end_matches('.').rsplit('.').next()?;
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<Ipv4Addr>().ok().map(|address| address.to_string());
    }
    is_name(text).then(|| text.to_ascii_lowercase())
}

/// Whether `text` is a host name; `_` is no letter of one, yet routers hand it out.
pub(super) fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.len() <= 253 && name.split('.').all(label)
}
