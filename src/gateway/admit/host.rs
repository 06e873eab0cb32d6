//! The names that keyward answers to.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use http::header::{self, HeaderValue};
use http::{Method, request};

use crate::fields;
use crate::gateway::House;
use crate::gateway::fault::{Fault, Kind};

/// Suffixes that no public name server serves.
const LOCAL_SUFFIXES: [&str; 6] = [".localhost", ".local", ".lan", ".home", ".internal", ".home.arpa"];

/// No name is longer (RFC 1035 section 2.3.4).
const LONGEST: usize = 253;

/// Lets in what names a host of ours: a name that an attacker's name server can point at us is refused. This stops DNS
/// rebinding, which no comparison of `Origin` with `Host` can, since both are the attacker's. An authority in the target
/// takes the place of `Host` (RFC 9112 section 3.2.2), which has to be ours all the same. What CONNECT names is where a
/// tunnel is to lead, and not us: there is no tunnel, and that it is a name is enough.
///
/// # Errors
/// [`Kind::HostNotAllowed`], with the line of configuration that would allow the name.
pub(super) fn admit(house: &House, asked: &mut request::Parts) -> Result<(), Fault> {
    let target = asked.uri.authority().map(http::uri::Authority::as_str);
    for authority in target.into_iter().chain([field(asked)]) {
        // What is no name is not repeated: it may hold a password.
        let host = host_of(authority).ok_or_else(|| {
            Fault::new(
                Kind::HostNotAllowed,
                "the `Host` of this request is no name and no address: ask for one that leads here, such as localhost:8480",
            )
        })?;
        if asked.method != Method::CONNECT && !knows(house, &host) {
            return Err(Fault::new(
                Kind::HostNotAllowed,
                format!(
                    "keyward does not answer to the name {host:?}: use its address, or add the name under [access] in \
                     proxy.toml: hosts = [{host:?}]"
                ),
            ));
        }
    }
    if let Some(authority) = target.and_then(|target| HeaderValue::from_str(target).ok()) {
        asked.headers.insert(header::HOST, authority);
    }
    Ok(())
}

/// The host that a request names, whether it is ours or not: that of its target, if one is in there (RFC 9112 section
/// 3.2.2), or of its `Host`.
pub(super) fn named(asked: &request::Parts) -> Option<Cow<'_, str>> {
    let target = asked.uri.authority().map(http::uri::Authority::as_str);
    host_of(target.unwrap_or_else(|| field(asked)))
}

fn field(asked: &request::Parts) -> &str {
    fields::first(&asked.headers, header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn knows(house: &House, host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
        || (!host.contains('.') && !host.is_empty())
        || host == house.admission.hostname
        || LOCAL_SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
        || house.named(host).is_some()
        || house.admission.hosts.iter().any(|listed| match listed.strip_prefix('*') {
            Some(suffix) => host.ends_with(suffix) && host.len() > suffix.len(),
            None => host == listed,
        })
}

/// The host of `host[:port]` in lower case, without brackets and without a dot at its end; `None` where it is
/// anything else.
fn host_of(authority: &str) -> Option<Cow<'_, str>> {
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
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_name = !host.is_empty()
        && host.len() <= LONGEST
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'));
    let is_lower = !host.bytes().any(|byte| byte.is_ascii_uppercase());
    (is_port && is_name)
        .then(|| if is_lower { Cow::Borrowed(host) } else { Cow::Owned(host.to_ascii_lowercase()) })
}
