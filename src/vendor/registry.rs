//! Every make there is, a row each.

use std::sync::Arc;
use std::time::Duration;

use super::key::{Key, Traces, secret, text};
use super::{Vendor, basic, bearer, digest, egauge, enlighted, enphase, header, open, query, yombo};
use crate::config::{Defaults, Makes, Section};

/// One make of device.
#[derive(Debug)]
pub struct Make {
    /// What `vendor` says in the configuration.
    pub name: &'static str,
    /// What it is, for a person who chooses; an article can go before it.
    pub product: &'static str,
    /// What a person may call the first device of this make.
    pub called: &'static str,
    /// An address that such a device may have.
    pub address: &'static str,
    /// The make's own keys, in the order in which a person is asked for them.
    pub keys: &'static [Key],
    /// By what its devices show themselves on the network.
    pub traces: Traces,
    /// A path and query that shows a person something, where the probe does not.
    pub sample: Option<&'static str>,
    /// Reads the make's own keys. `None`: what is wrong was told to the section.
    pub build: fn(&mut Section<'_>) -> Option<Arc<dyn Vendor>>,
    /// To connect, where the configuration does not say.
    pub connect_timeout: Duration,
    /// Connections at once, where the configuration does not say.
    pub max_connections: usize,
    /// Path prefixes whose GET changes something; `None`: nobody can know.
    pub acts_on_get: Option<&'static [&'static str]>,
    /// Path prefixes that `access = "read"` blocks although their GET changes nothing.
    pub private: &'static [&'static str],
    /// Path prefixes that are never forwarded, and why.
    pub never: &'static [(&'static str, &'static str)],
    /// Whether a connection serves more than one request.
    pub keeps_connections: bool,
    /// Whether a `WWW-Authenticate` of the device is the caller's business.
    pub challenges: bool,
}

/// A vendor and the row it comes from.
#[derive(Clone)]
pub struct Driver {
    /// The row.
    pub make: &'static Make,
    /// The vendor with its credentials.
    pub vendor: Arc<dyn Vendor>,
}

const FIVE_SECONDS: Duration = Duration::from_secs(5);

const BY_PASSWORD: &[Key] = &[text("username", "Username"), secret("password", "Password")];

/// A make of which nothing is known but how it takes its credential.
const GENERIC: Make = Make {
    name: "",
    product: "",
    called: "device",
    address: "https://192.168.1.20",
    keys: &[],
    traces: Traces { services: &[], names: &[], stem: None, told: &[] },
    sample: None,
    build: open::build,
    connect_timeout: FIVE_SECONDS,
    max_connections: 4,
    acts_on_get: None,
    private: &[],
    never: &[],
    keeps_connections: true,
    challenges: false,
};

/// Every make, in the order in which messages list them.
pub static MAKES: &[Make] = &[
    Make {
        name: "egauge",
        product: "eGauge meter",
        called: "meter",
        address: "https://egauge12345.local",
        keys: egauge::KEYS,
        traces: egauge::TRACES,
        sample: Some("/api/register?rate"),
        build: egauge::build,
        acts_on_get: Some(egauge::ACTS_ON_GET),
        ..GENERIC
    },
    Make {
        name: "enlighted",
        product: "Enlighted Manage server",
        called: "lights",
        address: "https://10.0.40.2",
        keys: enlighted::KEYS,
        build: enlighted::build,
        acts_on_get: Some(&[]),
        ..GENERIC
    },
    Make {
        name: "yombo",
        product: "Yombo gateway",
        called: "house",
        address: "https://192.168.1.20:8443",
        keys: yombo::KEYS,
        build: yombo::build,
        acts_on_get: Some(yombo::ACTS_ON_GET),
        private: yombo::PRIVATE,
        never: yombo::NEVER,
        ..GENERIC
    },
    Make {
        name: "enphase",
        product: "Enphase IQ Gateway (Envoy) from firmware 7 on",
        called: "solar",
        address: "https://envoy.local",
        keys: enphase::KEYS,
        traces: enphase::TRACES,
        build: enphase::build,
        connect_timeout: Duration::from_secs(10),
        max_connections: 1,
        acts_on_get: Some(&[]),
        ..GENERIC
    },
    Make {
        name: "bearer",
        product: "device that takes a bearer token",
        keys: &[secret("token", "Token")],
        build: bearer::build,
        ..GENERIC
    },
    Make {
        name: "basic",
        product: "device that takes a password (HTTP Basic)",
        keys: BY_PASSWORD,
        build: basic::build,
        ..GENERIC
    },
    Make {
        name: "header",
        product: "device that takes a key in a header",
        keys: &[text("name", "Name of the header"), secret("value", "Key")],
        build: header::build,
        ..GENERIC
    },
    Make {
        name: "query",
        product: "device that takes a key in the query",
        keys: &[text("name", "Name of the query parameter"), secret("value", "Key")],
        build: query::build,
        ..GENERIC
    },
    // An Envoy of firmware 3 resets a connection on which a digest follows another request, and what may act can't
    // be sent again to find out.
    Make {
        name: "digest",
        product: "device that takes a digest (an Envoy with firmware below 7)",
        keys: BY_PASSWORD,
        build: digest::build,
        keeps_connections: false,
        ..GENERIC
    },
    Make {
        name: "open",
        product: "device that needs no key",
        build: open::build,
        challenges: true,
        ..GENERIC
    },
];

/// [`MAKES`] as the configuration asks for them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Registry;

impl Registry {
    /// The make of this name.
    pub fn make(vendor: &str) -> Option<&'static Make> {
        MAKES.iter().find(|make| make.name == vendor)
    }

    /// The makes of which nothing is known but how they take a credential.
    pub fn generic() -> impl Iterator<Item = &'static Make> {
        MAKES.iter().filter(|make| make.acts_on_get.is_none() && !make.keys.is_empty())
    }
}

impl Makes for Registry {
    type Driver = Driver;

    fn names(&self) -> Vec<&'static str> {
        MAKES.iter().map(|make| make.name).collect()
    }

    fn defaults(&self, vendor: &str) -> Option<Defaults> {
        let make = Self::make(vendor)?;
        Some(Defaults {
            name: make.name,
            connect_timeout: make.connect_timeout,
            max_connections: make.max_connections,
            acts_on_get: make.acts_on_get,
        })
    }

    fn build(&self, vendor: &str, section: &mut Section<'_>) -> Option<Driver> {
        let make = Self::make(vendor)?;
        Some(Driver { make, vendor: (make.build)(section)? })
    }
}
