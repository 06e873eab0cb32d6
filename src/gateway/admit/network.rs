//! The networks that callers are in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::{Admission, Door, Peer};
use crate::gateway::fault::{Fault, Kind};

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

/// Lets in callers of this machine and those of the networks that the door, or else all doors let in.
///
/// # Errors
/// [`Kind::ClientNotAllowed`] for others, with the line of configuration that would let them in.
pub(super) fn admit(admission: &Admission, door: &Door, peer: &Peer) -> Result<(), Fault> {
    let caller = peer.remote.ip().to_canonical();
    let admitted = caller.is_loopback()
        || match door.allow.as_ref().or(admission.allow.as_ref()) {
            Some(networks) => networks.iter().any(|network| network.contains(&caller)),
            None => is_private(caller) || are_neighbours(caller, peer.local.ip().to_canonical()),
        };
    if admitted {
        return Ok(());
    }
    let table = match &door.allow {
        Some(_) => format!("the [[listeners]] of {}", door.id.listen),
        None => "[access]".to_owned(),
    };
    let add = match door.allow.as_ref().or(admission.allow.as_ref()) {
        Some(_) => format!("add \"{caller}\", or their network, to `allow`"),
        // Such a list takes the place of the private networks.
        None => format!(
            "name their network beside those that are let in without a list: allow = [{}\"{caller}\"]",
            private()
        ),
    };
    Err(Fault::new(
        Kind::ClientNotAllowed,
        format!("callers from {caller} are not answered: to let them in, under {table} in proxy.toml {add}"),
    ))
}

/// The private networks, as a list begins with them.
fn private() -> String {
    let v4 = PRIVATE_V4.iter().map(|(network, length)| format!("\"{network}/{length}\", "));
    v4.chain(PRIVATE_V6.iter().map(|(network, length)| format!("\"{network}/{length}\", "))).collect()
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
