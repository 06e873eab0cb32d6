//! What becomes of a request on its way, and of an answer on its way back.

mod admission;
mod headers;
mod limits;
mod own;
mod paths;

use keyward::twin::Arrival;
use keyward::twin::generic::{Generic, Scheme};

use crate::support::{Ask, Device, Lab, Reply};

/// A device that everybody may ask, and a server that knows it as `meter`.
struct Door {
    device: Device,
    lab: Lab,
}

impl Door {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With these lines in the device's table, or below it.
    async fn with(more: &str) -> Self {
        let device = Device::new(Generic::new(Scheme::Open));
        let lab = Lab::new(&device.table("meter", more)).await;
        Self { device, lab }
    }

    /// How many requests the device has got.
    fn arrived(&self) -> usize {
        self.device.twin.journal().total()
    }

    /// Sends a request that arrives, and says how.
    async fn passes(&self, ask: &Ask) -> Arrival {
        let before = self.arrived();
        let reply = self.lab.send(ask).await;
        assert!(reply.status.is_success(), "{reply:?}");
        assert_eq!(self.arrived(), before + 1, "exactly one request for one");
        self.device.twin.arrivals().pop().unwrap()
    }

    /// Sends a request that never arrives.
    async fn stops(&self, ask: &Ask) -> Reply {
        let before = self.arrived();
        let reply = self.lab.send(ask).await;
        assert_eq!(self.arrived(), before, "{reply:?}");
        reply
    }
}
