//! What works in a configuration and should not be left so.

use crate::config::{Config, Device, Trust};
use crate::vendor::Driver;

/// In words for the log, the page and `check`.
pub fn warnings(config: &Config<Driver>) -> Vec<String> {
    let devices = config.devices.iter().filter_map(warning);
    let is_keyed = !config.access.keys.is_empty();
    let open = config.listeners.iter().filter(|door| {
        is_keyed && !door.keys && !door.ingress && door.allow.is_none() && !door.listen.is_loopback()
    });
    let doors = open.map(|door| {
        format!(
            "the door at {} asks for no key (`keys = false`) and lets in all who may ask at all: name its callers in \
             `allow`",
            door.listen
        )
    });
    let shut = config.listeners.iter().filter(|door| is_keyed && door.keys && door.ingress).map(|door| {
        format!(
            "the door at {} asks for a key, and Home Assistant has none to show: it has asked its users who they are, so \
             write keys = false beside ingress = true",
            door.listen
        )
    });
    config.warnings.iter().cloned().chain(devices).chain(doors).chain(shut).collect()
}

/// Says them in the log, of which an event is a line: what is to be written stands below the words that say so.
pub fn say(warnings: &[String]) {
    for line in warnings.iter().flat_map(|warning| warning.lines()).filter(|line| !line.is_empty()) {
        tracing::warn!("{line}");
    }
}

fn warning(device: &Device<Driver>) -> Option<String> {
    let name = &device.name;
    if device.trust == Trust::Any {
        return Some(format!(
            "devices.{name}.trust = \"any\" accepts whoever answers at {}: everyone on the way can read its credentials",
            device.url
        ));
    }
    let has_secret = !device.driver.vendor.account().proofs.is_empty();
    (has_secret && !device.url.is_tls() && !device.url.is_loopback()).then(|| {
        format!("devices.{name}.url is http://: its credentials and answers can be read by everyone on the network")
    })
}
