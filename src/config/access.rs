//! Who may ask.

use std::net::IpAddr;

use http::{Method, Uri};
use ipnet::{IpNet, Ipv4Net};

use super::section::Section;
use super::url::is_name;
use super::{Malformed, SecretSource};
use crate::secret::Secret;

/// A key of fewer characters could be guessed.
const SHORTEST_KEY: usize = 20;

/// Who may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Host names beside those that are always fine, in lower case; `*.suffix` stands for every name below
    /// `suffix`.
    pub hosts: Vec<String>,
    /// Networks of callers, in place of the private ones; `None` leaves it at those.
    pub allow: Option<Vec<IpNet>>,
    /// Origins (RFC 6454 section 6.1) whose pages may ask, as browsers write them.
    pub origins: Vec<String>,
    /// Of which a caller must show one; without any nobody must.
    pub keys: Vec<AccessKey>,
}

/// A key that callers show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// What the file calls it.
    pub name: String,
    /// The key itself.
    pub key: SecretSource,
    /// The devices that it opens; `None`: all, and our own pages.
    pub devices: Option<Vec<String>>,
    /// The methods that it opens; `None`: all.
    pub methods: Option<Vec<Method>>,
}

pub(super) fn read(mut section: Section<'_>, devices: &[&str]) -> Access {
    let hosts = section.list("hosts", host_pattern).unwrap_or_default();
    let allow = section.list("allow", network);
    let origins = section.list("origins", origin).unwrap_or_default();
    let mut known = Vec::new();
    let keys = section.section("keys");
    let keys = keys.sections().into_iter().filter(|(_, _, table)| table.is_given());
    let keys = keys.filter_map(|(name, _, table)| key(name, table, devices, &mut known)).collect();
    section.finish(&[], true);
    Access { hosts, allow, origins, keys }
}

fn key(name: &str, mut table: Section<'_>, devices: &[&str], known: &mut Vec<Secret>) -> Option<AccessKey> {
    let key = table.required_header_secret("key");
    if let Some(Ok(secret)) = key.as_ref().map(SecretSource::read) {
        if secret.expose().chars().count() < SHORTEST_KEY {
            let hint = "`openssl rand -hex 16` prints one that nobody guesses";
            table.refuse("key", format!("shorter than {SHORTEST_KEY} characters; {hint}"));
        } else if known.contains(&secret) {
            table.refuse("key", "the same as that of another name; each name needs a key of its own");
        }
        known.push(secret);
    }
    let is_device = |name: &str| devices.contains(&name).then(|| name.to_owned());
    let devices = narrowing(&mut table, "devices", |name| {
        is_device(name).ok_or(Malformed("there is no such device below [devices]"))
    });
    let methods = narrowing(&mut table, "methods", method);
    table.finish(&[], true);
    Some(AccessKey { name: name.to_owned(), key: key?, devices, methods })
}

fn narrowing<T>(
    table: &mut Section<'_>,
    key: &'static str,
    read: impl Fn(&str) -> Result<T, Malformed>,
) -> Option<Vec<T>> {
    let found = table.list(key, read)?;
    if found.is_empty() && table.is_empty_list(key) {
        table.refuse(key, "an empty list would open nothing; remove it to open everything");
    }
    Some(found)
}

fn method(text: &str) -> Result<Method, Malformed> {
    let method = Method::from_bytes(text.as_bytes()).ok();
    method
        .filter(|method| method.as_str() == text.to_ascii_uppercase())
        .ok_or(Malformed("expected a method in capitals, such as \"GET\""))
}

/// As browsers write an `Origin`: lower case, and no port where it is the scheme's own.
fn origin(text: &str) -> Result<String, Malformed> {
    let wrong = Malformed(
        "expected the origin of a page, such as \"http://dashboard.lan:3000\": scheme, host and port, no path",
    );
    let uri: Uri = text.parse().map_err(|_| wrong)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong) };
    let is_bare = uri.path_and_query().is_none_or(|rest| rest == "/") && !text.contains(['@', '#', '*']);
    if !is_bare {
        return Err(wrong);
    }
    let authority = authority.as_str().to_ascii_lowercase();
    let usual_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    Ok(format!("{scheme}://{}", authority.strip_suffix(usual_port).unwrap_or(&authority)))
}

fn host_pattern(text: &str) -> Result<String, Malformed> {
    if is_name(text.strip_prefix("*.").unwrap_or(text)) {
        return Ok(text.trim_end_matches('.').to_ascii_lowercase());
    }
    Err(Malformed("expected a host name without port, such as \"meters.example.org\" or \"*.example.org\""))
}

/// A network or a plain address. Callers' IPv4 addresses come unmapped, so networks are too.
pub(super) fn network(text: &str) -> Result<IpNet, Malformed> {
    let plain = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse::<IpNet>().or_else(|_| plain());
    let network =
        network.map_err(|_| Malformed("expected a network such as \"192.168.0.0/16\", or an address"))?;
    let unmapped = match network {
        IpNet::V6(net) => net.addr().to_ipv4_mapped().zip(net.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    let unmapped = unmapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    Ok(unmapped.map_or(network, IpNet::V4).trunc())
}
