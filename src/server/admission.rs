//! From a configuration to who may ask, and by which doors.

use std::sync::Arc;

use crate::config::{Access, AccessKey, Config, Listener};
use crate::gateway::admit::{Admission, Door, DoorId, Key};
use crate::vendor::Driver;

/// Who may ask, of a machine of this name.
///
/// # Errors
/// A key can't be read any more.
pub(super) fn admission(access: Access, hostname: &str) -> Result<Admission, String> {
    let keys = access.keys.into_iter().map(key).collect::<Result<_, _>>()?;
    let hostname = hostname.to_owned();
    Ok(Admission { hosts: access.hosts, hostname, allow: access.allow, origins: access.origins, keys })
}

/// The doors, that of `listen` first.
pub(super) fn doors(config: &Config<Driver>) -> Vec<Door> {
    let doors = config.doors();
    let ids = DoorId::of(doors.iter().map(|door| &door.listen));
    let door = |(id, Listener { device, keys, allow, ingress, .. }): (DoorId, Listener)| Door {
        id,
        device,
        keys,
        allow,
        ingress,
    };
    ids.into_iter().zip(doors).map(door).collect()
}

fn key(key: AccessKey) -> Result<Arc<Key>, String> {
    let secret = key.key.read().map_err(|error| format!("access.keys.{}.key: {error}", key.name))?;
    Ok(Key::new(key.name, &secret, key.devices, key.methods))
}
