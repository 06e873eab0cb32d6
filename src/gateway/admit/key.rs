//! The keys that callers show.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, request};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::gateway::fault::{Fault, Kind, cut};
use crate::secret::Secret;

/// The header that a key may stand in, beside `Authorization`.
const HEADER: &str = "x-api-key";

/// A key, and what it opens.
pub struct Key {
    /// What the configuration calls it.
    name: String,
    /// By what it is told from others.
    tag: u64,
    /// What is compared: in this form neither the key nor its length can be learnt from how long that takes.
    digest: [u8; 32],
    /// `None`: all, and our own pages.
    devices: Option<Vec<String>>,
    /// `None`: all.
    methods: Option<Vec<Method>>,
}

impl Key {
    /// A key that opens these devices (`None`: all, and our own pages) for these methods (`None`: all).
    pub fn new(
        name: String,
        key: &Secret,
        devices: Option<Vec<String>>,
        methods: Option<Vec<Method>>,
    ) -> Arc<Self> {
        let digest = digest(key.expose().as_bytes());
        Arc::new(Self { name, tag: rand::random(), digest, devices, methods })
    }

    fn permit_method(&self, method: &Method) -> Result<(), Fault> {
        // Who may GET may learn all that HEAD tells.
        let asked = if method == Method::HEAD { &Method::GET } else { method };
        match &self.methods {
            Some(methods) if !methods.contains(asked) && !methods.contains(method) => {
                let method = cut(method.as_str());
                Err(self.refuse(&format!("{method} requests"), "methods", &method))
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, what: &str, list: &str, missing: &str) -> Fault {
        let name = &self.name;
        Fault::new(
            Kind::KeyNotAllowed,
            format!(
                "the key {name:?} does not open {what}: add {missing:?} to `{list}` under [access.keys.{name}] in \
                 proxy.toml"
            ),
        )
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a caller has shown.
#[derive(Clone, Debug)]
pub(in crate::gateway) enum Shown {
    /// No key is wanted here.
    Unasked,
    /// No key.
    Nothing,
    /// One that is none of ours.
    Wrong,
    /// This one.
    Key(Arc<Key>),
}

impl Shown {
    /// By what the key is told from others.
    pub(super) fn tag(&self) -> Option<u64> {
        match self {
            Self::Key(key) => Some(key.tag),
            Self::Unasked | Self::Nothing | Self::Wrong => None,
        }
    }

    /// What is shown of these keys; without any nothing is asked for.
    pub(super) fn of(keys: &[Arc<Key>], headers: &HeaderMap) -> Self {
        if keys.is_empty() {
            return Self::Unasked;
        }
        let presented = presented(headers);
        let digests: Vec<_> = presented.iter().map(|key| digest(key)).collect();
        // Each is compared with each, whatever was found: how long it takes tells nothing.
        let mut found = if digests.is_empty() { Self::Nothing } else { Self::Wrong };
        for key in keys {
            for digest in &digests {
                if bool::from(key.digest.ct_eq(digest)) {
                    found = Self::Key(Arc::clone(key));
                }
            }
        }
        found
    }

    /// Whether there is a key where one is wanted.
    ///
    /// # Errors
    /// [`Kind::KeyRequired`] where there is none.
    pub(in crate::gateway) fn suffices(&self) -> Result<(), Fault> {
        match self {
            Self::Unasked | Self::Key(_) => Ok(()),
            Self::Wrong => Err(Fault::new(
                Kind::KeyRequired,
                "the key that was shown is none of those under [access.keys] in proxy.toml",
            )),
            Self::Nothing => Err(Fault::new(
                Kind::KeyRequired,
                "a key of [access.keys] in proxy.toml is wanted: show one as `Authorization: Bearer <key>`, as Basic \
                 password, or as `X-API-Key`; for a client that can't, open a door with keys = false and its address in \
                 `allow` under [[listeners]]",
            )),
        }
    }

    /// Whether this may go to a device.
    ///
    /// # Errors
    /// [`Kind::KeyNotAllowed`], with the list that would have to be longer.
    pub(in crate::gateway) fn permit(&self, device: &str, method: &Method) -> Result<(), Fault> {
        let Self::Key(key) = self else { return self.suffices() };
        if !self.opens(device) {
            return Err(key.refuse(device, "devices", device));
        }
        key.permit_method(method)
    }

    /// Whether this may ask for a page of ours.
    ///
    /// # Errors
    /// [`Kind::KeyNotAllowed`]: those tell of all devices.
    pub(in crate::gateway) fn permit_own(&self, method: &Method) -> Result<(), Fault> {
        let Self::Key(key) = self else { return self.suffices() };
        if key.devices.is_some() {
            let name = &key.name;
            let detail = format!(
                "the key {name:?} opens single devices, and not the pages of keyward's own, which tell of all: use a key \
                 without `devices`, or remove that line under [access.keys.{name}] in proxy.toml"
            );
            return Err(Fault::new(Kind::KeyNotAllowed, detail));
        }
        key.permit_method(method)
    }

    /// Whether the caller may know of this device.
    pub(in crate::gateway) fn opens(&self, device: &str) -> bool {
        match self {
            Self::Unasked => true,
            Self::Nothing | Self::Wrong => false,
            Self::Key(key) => {
                key.devices.as_ref().is_none_or(|devices| devices.iter().any(|it| it == device))
            }
        }
    }
}

/// Takes off what a key may have been shown in and a device must not see, whichever way it is spelt; `Authorization` is
/// never passed on.
pub(in crate::gateway) fn strip(asked: &mut request::Parts) {
    let is_twin = |name: &&HeaderName| name.as_str().replace('_', "-") == HEADER;
    let twins: Vec<_> = asked.headers.keys().filter(is_twin).cloned().collect();
    for name in twins {
        asked.headers.remove(name);
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Everything that may be a key: a bearer token (RFC 6750), a Basic password (RFC 7617), an `X-API-Key`.
fn presented(headers: &HeaderMap) -> Vec<Zeroizing<Vec<u8>>> {
    let plain = headers.get_all(HEADER).iter().map(|value| Zeroizing::new(value.as_bytes().to_vec()));
    let authorized = headers.get_all(header::AUTHORIZATION).iter().filter_map(authorized);
    plain.chain(authorized).filter(|key| !key.is_empty()).collect()
}

fn authorized(value: &HeaderValue) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, rest) = value.to_str().ok()?.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Zeroizing::new(rest.as_bytes().to_vec()));
    }
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest).ok())??;
    let decoded = Zeroizing::new(decoded);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    decoded.get(colon + 1..).map(|password| Zeroizing::new(password.to_vec()))
}
