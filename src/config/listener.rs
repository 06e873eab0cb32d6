//! The doors beside the first one.

use std::path::PathBuf;

use ipnet::IpNet;

use super::access::network;
use super::section::Section;
use super::words::nearest;
use super::{Address, Location, identity};
use crate::disk::{self, Links, plain};

/// No chain and no key is larger.
const MAX_FILE: u64 = 256 * 1024;

/// A door: where callers come in, and which of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub listen: Address,
    /// What says so.
    pub listen_at: Location,
    /// Without it, plain HTTP.
    pub tls: Option<ListenerTls>,
    /// What says which certificate it shows, or would.
    pub tls_at: Location,
    /// The device that the whole door is; without it, all of them by their prefixes.
    pub device: Option<String>,
    /// Whether callers show a key here where keys are set; without the key they do.
    pub keys: bool,
    /// Networks of callers, in place of those of [`super::Access::allow`].
    pub allow: Option<Vec<IpNet>>,
    /// Whether it is for Home Assistant's ingress, and for nobody else; without the key it is not.
    pub ingress: bool,
}

/// The certificate that a door shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerTls {
    /// One that keyward makes for itself, once.
    SelfSigned,
    /// That of two files in PEM.
    Files {
        /// The chain, our certificate first.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

impl Listener {
    /// The door of the key `listen`: plain HTTP, to all devices, for all who may ask.
    pub fn first(listen: Address, at: Location) -> Self {
        let listen_at = at.clone();
        Self {
            listen,
            listen_at,
            tls: None,
            tls_at: at,
            device: None,
            keys: true,
            allow: None,
            ingress: false,
        }
    }
}

/// What has no place beside `ingress = true`, and why.
const NOT_BESIDE_INGRESS: [(&str, &str); 3] = [
    ("tls", "Home Assistant's ingress speaks plain HTTP: remove `tls` here, or `ingress`"),
    (
        "device",
        "a device's own page would have all the rights of Home Assistant's there: remove `device`, below the ingress it \
         is found by its prefix",
    ),
    (
        "allow",
        "where `ingress` is true nobody but Home Assistant is let in: remove `allow` here, or `ingress`",
    ),
];

/// Reads one of the tables of `listeners`. `taken` are the addresses of the doors before it.
pub(super) fn read(mut table: Section<'_>, devices: &[&str], taken: &[Address]) -> Option<Listener> {
    table.require("listen", "`host:port`, such as \"0.0.0.0:8443\"");
    let listen: Option<Address> = table.parsed("listen");
    if listen.as_ref().is_some_and(|listen| listen.port != 0 && taken.contains(listen)) {
        table.refuse("listen", "another door listens there already");
    }
    let (listen_at, tls_at) = (table.location("listen"), table.location("tls"));
    let tls = tls(&mut table);
    let device = device(&mut table, devices);
    let keys = table.flag("keys").unwrap_or(true);
    let allow = table.list("allow", network);
    let ingress = table.flag("ingress").unwrap_or(false);
    for (key, why) in NOT_BESIDE_INGRESS {
        if ingress && table.has(key) {
            table.refuse(key, why);
        }
    }
    table.finish(&[], true);
    Some(Listener { listen: listen?, listen_at, tls, tls_at, device, keys, allow, ingress })
}

fn tls(door: &mut Section<'_>) -> Option<ListenerTls> {
    const FORMS: &str = "\"self-signed\" or { cert = \"file.pem\", key = \"file.pem\" }";
    if !door.take("tls")?.get_ref().is_table() {
        return match door.text("tls")?.as_str() {
            "self-signed" => Some(ListenerTls::SelfSigned),
            _ => door.wrong("tls", FORMS),
        };
    }
    let mut table = door.section("tls");
    let mut file = |key| {
        table.require(key, "a file in PEM");
        let file = table.path(key)?;
        match disk::read(&file, MAX_FILE, Links::Followed) {
            Ok(bytes) => Some((file, bytes)),
            Err(error) => {
                table.refuse(key, format!("{} cannot be read: {}", file.display(), plain(&error)));
                None
            }
        }
    };
    let (cert, key) = (file("cert"), file("key"));
    if let Some((key, _)) = &key {
        table.warn_if_open("key", key);
    }
    let both = cert.as_ref().zip(key.as_ref());
    if let Some(Err(unusable)) = both.map(|((_, cert), (_, key))| identity(cert, key)) {
        let file = both.map(|((cert, _), (key, _))| if unusable.of == "key" { key } else { cert });
        let file = file.map(|file| file.display().to_string()).unwrap_or_default();
        table.refuse(unusable.of, format!("{file} {}", unusable.why));
    }
    table.finish(&[], true);
    Some(ListenerTls::Files { cert: cert?.0, key: key?.0 })
}

fn device(door: &mut Section<'_>, devices: &[&str]) -> Option<String> {
    let name = door.text("device")?;
    if !devices.contains(&name.as_str()) {
        let hint = nearest(&name, devices).map(|near| format!("; did you mean `{near}`?"));
        let message = format!("there is no such device below [devices]{}", hint.unwrap_or_default());
        door.refuse("device", message);
    }
    Some(name)
}
