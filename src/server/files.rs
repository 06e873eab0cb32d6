//! What else has to be watched than proxy.toml itself.

use std::path::PathBuf;

use crate::config::{Config, ListenerTls, SecretSource, Trust};
use crate::vendor::Driver;

/// The files beside proxy.toml that say what it says by naming them.
pub(super) fn files(config: &Config<Driver>) -> Vec<PathBuf> {
    let proofs = config.devices.iter().flat_map(|device| device.driver.vendor.account().proofs);
    let secrets = proofs.chain(config.access.keys.iter().map(|key| &key.key));
    let secrets = secrets.filter_map(|secret| match secret {
        SecretSource::File(file) => Some(file.clone()),
        SecretSource::Env { .. } | SecretSource::Plain(_) => None,
    });
    let certificates = config.listeners.iter().filter_map(|door| match &door.tls {
        Some(ListenerTls::Files { cert, key }) => Some([cert.clone(), key.clone()]),
        _ => None,
    });
    let authorities = config.devices.iter().filter_map(|device| match &device.trust {
        Trust::Ca { file, .. } => Some(file.clone()),
        _ => None,
    });
    secrets.chain(certificates.flatten()).chain(authorities).collect()
}
