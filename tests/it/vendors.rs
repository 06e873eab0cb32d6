//! One contract over every make. Who adds a make adds a twin, and all of this is asked of it.

mod credentials;
mod refusals;
mod sessions;
mod time;

use std::sync::Arc;

use keyward::twin::{self, Arrival, Twin};
use keyward::vendor::MAKES;

use crate::support::{Ask, Device, Lab, Reply};

/// A make under test: its twin behind a server that knows it as `it`.
struct Bench {
    twin: Arc<dyn Twin>,
    device: Device,
    lab: Lab,
}

impl Bench {
    async fn of(twin: Arc<dyn Twin>) -> Self {
        let device = Device::new(Arc::clone(&twin));
        let lab = Lab::new(&device.table("it", "")).await;
        Self { twin, device, lab }
    }

    fn make(&self) -> &'static str {
        self.twin.vendor()
    }

    /// What every logged-in caller may read.
    fn sample(&self) -> Ask {
        Ask::get(format!("/it{}", self.twin.sample())).with("Accept", "application/json")
    }

    async fn read(&self) -> Reply {
        self.lab.send(&self.sample()).await
    }

    /// Reads the sample and expects data.
    async fn reads(&self) {
        let reply = self.read().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.json().is_object() || reply.json().is_array());
    }

    /// What arrived for this path, whatever its query.
    fn arrivals(&self, path: &str) -> Vec<Arrival> {
        let is_it = |arrival: &Arrival| arrival.target.split('?').next() == path.split('?').next();
        self.twin.arrivals().into_iter().filter(is_it).collect()
    }

    /// So many logins where the make has any.
    fn has_logged_in(&self, times: usize) {
        let expected = if self.twin.renewable() { times } else { 0 };
        assert_eq!(self.twin.logins(), expected, "logins");
    }
}

impl Drop for Bench {
    #[expect(clippy::print_stderr, reason = "whoever reads of a failure wants to know of which make")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was {}", self.make());
        }
    }
}

#[tokio::test]
async fn every_make_has_a_twin_and_every_twin_a_make() {
    let mut twins: Vec<_> = twin::every().await.unwrap().iter().map(|twin| twin.vendor()).collect();
    let mut makes: Vec<_> = MAKES.iter().map(|make| make.name).collect();
    twins.sort_unstable();
    makes.sort_unstable();
    assert_eq!(twins, makes);
}
