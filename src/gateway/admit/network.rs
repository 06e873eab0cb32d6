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

/// Where Home Assistant's ingress comes from, on the network that it has with its apps.
const INGRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 30, 32, 2));

/// Lets in callers of this machine and those of the networks that the door, or else all doors let in.
///
/// # Errors
/// [`Kind::ClientNotAllowed`] for others, with the line of configuration that would let them in.
pub(super) fn admit(admission: &Admission, door: &Door, peer: &Peer) -> Result<(), Fault> {
    let caller = peer.remote.ip().to_canonical();
    if door.ingress {
        return if caller == INGRESS { Ok(()) } else { Err(no_ingress(caller)) };
    }
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

fn no_ingress(caller: IpAddr) -> Fault {
    let detail = format!(
        "this door is for Home Assistant's ingress ({INGRESS}) and for nobody else, {caller} neither: ask at the address \
         of `listen` in proxy.toml, or at a door without `ingress`"
    );
    Fault::new(Kind::ClientNotAllowed, detail)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::config::Address;
    use crate::gateway::admit::DoorId;

    /// A caller from there to our end of its connection, by a door that lets in these.
    fn admitted(remote: &str, local: &str, door: Option<&[&str]>, all: Option<&[&str]>) -> Result<(), Fault> {
        let networks = |listed: &[&str]| listed.iter().map(|network| network.parse().unwrap()).collect();
        let id = DoorId::of([&Address { host: "::".to_owned(), port: 8480 }]).remove(0);
        let peer = Peer {
            remote: (remote.parse::<IpAddr>().unwrap(), 49152).into(),
            local: (local.parse::<IpAddr>().unwrap(), 8480).into(),
            door: Arc::new(id.clone()),
            secure: false,
            ending: CancellationToken::new(),
        };
        let door = Door { id, device: None, keys: true, allow: door.map(networks), ingress: false };
        admit(&Admission { allow: all.map(networks), ..Admission::default() }, &door, &peer)
    }

    #[test]
    fn the_private_networks_begin_and_end_where_they_do() {
        const OURS: &str = "2001:db8:1:2::1";
        let edges = [
            ("10.0.0.0", "10.255.255.255", ["9.255.255.255", "11.0.0.0"]),
            ("172.16.0.0", "172.31.255.255", ["172.15.255.255", "172.32.0.0"]),
            ("192.168.0.0", "192.168.255.255", ["192.167.255.255", "192.169.0.0"]),
            ("169.254.0.0", "169.254.255.255", ["169.253.255.255", "169.255.0.0"]),
            ("100.64.0.0", "100.127.255.255", ["100.63.255.255", "100.128.0.0"]),
            ("127.0.0.1", "127.255.255.254", ["126.255.255.255", "128.0.0.0"]),
            ("fc00::", "fdff:ffff::ffff", ["fbff:ffff::ffff", "fe00::"]),
            ("fe80::", "febf:ffff::ffff", ["fe7f:ffff::ffff", "fec0::"]),
            ("::1", "::1", ["::", "::2"]),
            // Our neighbours: the same 64 bits, and no neighbour of theirs.
            ("2001:db8:1:2::", "2001:db8:1:2:ffff::ffff", ["2001:db8:1:1:ffff::ffff", "2001:db8:1:3::"]),
        ];
        for (first, last, beyond) in edges {
            for caller in [first, last] {
                assert!(admitted(caller, OURS, None, None).is_ok(), "{caller}");
            }
            for caller in beyond {
                let fault = admitted(caller, OURS, None, None).expect_err(caller);
                assert_eq!(fault.kind, Kind::ClientNotAllowed, "{caller}");
            }
        }
    }

    #[test]
    fn an_address_of_ipv4_in_one_of_ipv6_is_the_former() {
        for (caller, is_in) in [
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("::ffff:172.31.255.255", true),
            ("::ffff:172.32.0.0", false),
            ("::ffff:203.0.113.9", false),
            // Only so mapped: this is an address of IPv6.
            ("::10.0.0.1", false),
        ] {
            // On a socket for both, our end is mapped too, and that makes no neighbours.
            assert_eq!(admitted(caller, "::ffff:192.168.1.2", None, None).is_ok(), is_in, "{caller}");
            assert_eq!(admitted(caller, "2001:db8::1", Some(&["10.0.0.0/8"]), None).is_ok(), {
                ["::ffff:127.0.0.1", "::ffff:10.0.0.1"].contains(&caller)
            });
        }
        // Of IPv4 nobody is a neighbour.
        assert!(admitted("203.0.113.9", "203.0.113.8", None, None).is_err());
    }

    #[test]
    fn a_list_takes_the_place_of_the_private_networks_and_that_of_a_door_the_place_of_both() {
        const LISTED: &[&str] = &["203.0.113.0/24"];
        const LAN: &[&str] = &["192.168.7.0/24", "2001:db8::/32"];
        let ours = "2001:db8:1::1";
        for (caller, door, all, is_in) in [
            ("203.0.113.9", None, Some(LISTED), true),
            ("192.168.7.1", None, Some(LISTED), false),
            ("2001:db8:1::2", None, Some(LISTED), false),
            ("127.0.0.1", None, Some(LISTED), true),
            ("192.168.7.1", Some(LAN), Some(LISTED), true),
            ("2001:db8:9::2", Some(LAN), Some(LISTED), true),
            ("203.0.113.9", Some(LAN), Some(LISTED), false),
            ("192.168.8.1", Some(LAN), None, false),
            ("127.0.0.1", Some(&[]), Some(&[]), true),
            ("10.0.0.1", None, Some(&[]), false),
        ] {
            assert_eq!(admitted(caller, ours, door, all).is_ok(), is_in, "{caller} by {door:?}, {all:?}");
        }
    }

    #[test]
    fn who_is_refused_is_told_the_line_that_would_let_it_in() {
        let told = |door, all| admitted("::ffff:203.0.113.9", "::1", door, all).unwrap_err().detail;
        let whole = told(None, None);
        let line = "allow = [\"10.0.0.0/8\", \"172.16.0.0/12\", \"192.168.0.0/16\", \"169.254.0.0/16\", \
                    \"100.64.0.0/10\", \"fc00::/7\", \"fe80::/10\", \"203.0.113.9\"]";
        assert!(whole.contains(line) && whole.contains("under [access] in proxy.toml"), "{whole}");
        let listed = told(None, Some(&["10.0.0.0/8"]));
        assert!(listed.contains("under [access] in proxy.toml add \"203.0.113.9\""), "{listed}");
        let door = told(Some(&["10.0.0.0/8"]), None);
        assert!(door.contains("under the [[listeners]] of [::]:8480 in proxy.toml add"), "{door}");
        // What is told would do.
        let (_, allow) = line.split_once("allow = ").unwrap();
        let networks: Vec<String> = serde_json::from_str(allow).unwrap();
        let all = networks
            .iter()
            .all(|network| network.parse::<IpAddr>().is_ok() || network.parse::<ipnet::IpNet>().is_ok());
        assert!(all, "{networks:?}");
    }
}
