//! The simplest of all devices behind the simplest of all servers.

use keyward::twin::Arrival;
use keyward::twin::generic::{Generic, Scheme};

use super::{Ask, Device, Lab, Reply};

/// A device that everybody may ask, and a server that knows it as `meter`.
pub(crate) struct Door {
    pub(crate) device: Device,
    pub(crate) lab: Lab,
}

impl Door {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// With these lines in the device's table, or below it.
    pub(crate) async fn with(more: &str) -> Self {
        let device = Device::new(Generic::new(Scheme::Open));
        let lab = Lab::new(&device.table("meter", more)).await;
        Self { device, lab }
    }

    /// How many requests the device has got.
    pub(crate) fn arrived(&self) -> usize {
        self.device.twin.journal().total()
    }

    /// Sends a request that arrives, and says how.
    pub(crate) async fn passes(&self, ask: &Ask) -> Arrival {
        let before = self.arrived();
        let reply = self.lab.send(ask).await;
        assert!(reply.status.is_success(), "{reply:?}");
        assert_eq!(self.arrived(), before + 1, "exactly one request for one");
        self.device.twin.arrivals().pop().unwrap()
    }

    /// Sends a request that never arrives.
    pub(crate) async fn stops(&self, ask: &Ask) -> Reply {
        let before = self.arrived();
        let reply = self.lab.send(ask).await;
        assert_eq!(self.arrived(), before, "{reply:?}");
        reply
    }
}
