//! Doors beside the first one, and names of devices' own.

mod advice;
mod change;
mod guests;
mod ingress;
mod keys;
mod own;
mod tls;

use crate::support::{Ask, Device, Lab, Reply};

/// Two devices that everybody may ask, `meter` at its own host name and its own door.
pub(crate) struct Building {
    pub(crate) meter: Device,
    pub(crate) other: Device,
    pub(crate) lab: Lab,
}

impl Building {
    /// With these lines in the table of `meter`, and those below all.
    pub(crate) async fn with(meters: &str, more: &str) -> Self {
        use keyward::twin::generic::{Generic, Scheme};
        let (meter, other) =
            (Device::new(Generic::new(Scheme::Open)), Device::new(Generic::new(Scheme::Bearer)));
        let tables = [meter.table("meter", meters), other.table("other", "")].concat();
        let lab = Lab::new(&format!("{tables}{more}")).await;
        Self { meter, other, lab }
    }

    /// Asks by one of the doors; says how often the meter was asked for it.
    pub(crate) async fn ask(&self, door: usize, ask: &Ask) -> (Reply, usize) {
        let before = self.meter.twin.journal().total();
        let reply = self.lab.send_by(door, ask).await;
        (reply, self.meter.twin.journal().total() - before)
    }
}
