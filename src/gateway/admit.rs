//! May this caller ask at all: the `Host` it names, its network, the page it comes from, the key it shows.

mod host;
mod ingress;
mod key;
mod network;
mod origin;

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, request};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::fault::{Fault, Kind};
use super::{Device, House, RequestId};
use crate::config::Address;
use crate::upstream::Caller;
pub use key::Key;
pub(super) use key::{Shown, strip};
pub(super) use origin::{Site, admit_acting_get, is_own_origin, is_own_referer};

/// Who asks, and by which door.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The caller's end of the connection.
    pub remote: SocketAddr,
    /// Our end of it.
    pub local: SocketAddr,
    /// The door.
    pub door: Arc<DoorId>,
    /// Whether it speaks TLS.
    pub secure: bool,
    /// Cancelled when the door closes.
    pub ending: CancellationToken,
}

/// A request that has come in: by whom, and what it is called.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who asks.
    pub peer: Arc<Peer>,
    /// What it is called.
    pub id: RequestId,
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
    /// Listed origins, as browsers write them.
    pub origins: Vec<String>,
    /// Of which a caller must show one, where there are any.
    pub keys: Vec<Arc<Key>>,
}

/// Which door: where it listens, as the configuration says, and which one of those that listen there. Any number may
/// listen at port 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorId {
    /// Where it listens.
    pub listen: Address,
    nth: usize,
}

impl DoorId {
    /// The doors that listen at these addresses.
    pub fn of<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> Vec<Self> {
        let mut ids: Vec<Self> = Vec::new();
        for listen in addresses {
            let nth = ids.iter().filter(|id| id.listen == *listen).count();
            ids.push(Self { listen: listen.clone(), nth });
        }
        ids
    }
}

/// What a door asks of its callers beside what all of them do.
#[derive(Clone, Debug)]
pub struct Door {
    /// Which one it is.
    pub id: DoorId,
    /// The device that all of it is.
    pub device: Option<String>,
    /// Whether callers have to show a key where there are any.
    pub keys: bool,
    /// Networks instead of [`Admission::allow`].
    pub allow: Option<Vec<IpNet>>,
    /// Whether it is for Home Assistant's ingress alone.
    pub ingress: bool,
}

/// What was found of a request that may be answered.
#[derive(Clone)]
pub(super) struct Admitted {
    /// The device that the door or the host name is from its root on.
    pub(super) own: Option<Arc<Device>>,
    /// How a browser calls this door.
    pub(super) site: Site,
    /// What stands before every path of ours in a browser: nothing, but for what came by the ingress.
    pub(super) base: String,
    /// The key it came with.
    pub(super) shown: Shown,
    /// The listed origin whose pages may read the answer.
    pub(super) guest: Option<HeaderValue>,
    /// Whether it is known who asks: somebody of this machine, of Home Assistant, or who has a key.
    pub(super) is_known: bool,
}

impl Admitted {
    /// Whether a browser says that a page of this very door asks: `Origin`, or else `Sec-Fetch-Site`, which no page can
    /// forge. A page that is only listed is none of ours.
    pub(super) fn is_own_page(&self, asked: &request::Parts) -> bool {
        self.guest.is_none() && origin::is_proven(asked, self.site)
    }
}

/// Lets a request in, whatever it is for; whether its key suffices is for [`Shown`] to say. `own` is what [`own`] gave.
///
/// # Errors
/// [`Kind::HostNotAllowed`], [`Kind::ClientNotAllowed`] or [`Kind::OriginNotAllowed`], with the line of
/// configuration that would let it in.
pub(super) fn admit(
    house: &House,
    asked: &mut request::Parts,
    door: Option<&Door>,
    peer: &Peer,
    own: Option<Arc<Device>>,
) -> Result<Admitted, Fault> {
    let is_ingress = door.is_some_and(|door| door.ingress);
    if !is_ingress {
        host::admit(house, asked)?;
    }
    let door = door.ok_or_else(|| {
        let detail = format!("proxy.toml was changed, and has no door at {} any more", peer.door.listen);
        Fault::new(Kind::ClientNotAllowed, detail)
    })?;
    network::admit(&house.admission, door, peer)?;
    let (site, base, listed) = match is_ingress {
        true => (Site::Ingress, ingress::enter(asked), &[][..]),
        false => (Site::of(peer.secure), String::new(), house.admission.origins.as_slice()),
    };
    let guest = origin::admit(asked, site, listed)?;
    let keys = if door.keys { house.admission.keys.as_slice() } else { &[] };
    let shown = Shown::of(keys, &asked.headers);
    let is_neighbour = peer.remote.ip().to_canonical().is_loopback();
    let is_known = is_neighbour || is_ingress || matches!(shown, Shown::Key(_));
    Ok(Admitted { own, site, base, shown, guest, is_known })
}

/// Who asks, as far as that is to be told: whoever shows another key or comes from another address is another.
pub(super) fn caller(arrival: &Arrival, admitted: &Admitted) -> Caller {
    Caller { address: arrival.peer.remote.ip().to_canonical(), key: admitted.shown.tag() }
}

/// The device that this door, or the name that is asked for, is from its root on, if it is one's.
pub(super) fn own(house: &House, asked: &request::Parts, door: &Door) -> Option<Arc<Device>> {
    match &door.device {
        // What the ingress calls this host is its own affair.
        None if door.ingress => None,
        Some(device) => house.devices.iter().find(|known| known.name == *device).cloned(),
        // Most houses have none with a name of its own.
        None if house.devices.iter().all(|device| device.hosts.is_empty()) => None,
        None => house.named(&host::named(asked)?).cloned(),
    }
}
