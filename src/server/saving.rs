//! What could not be saved is saved as soon as the disk takes it again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::gateway::Gateway;

/// How often it is tried.
const EVERY: Duration = Duration::from_secs(30);

pub(super) async fn save_again(gateway: Arc<Gateway>) {
    let mut turns = interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let house = gateway.house.load_full();
        for folder in house.folders.clone() {
            // A panic there is in the log already, and the next turn is another try.
            drop(tokio::task::spawn_blocking(move || folder.try_again()).await);
        }
        for device in &house.devices {
            device.keeper.save_again().await;
            device.upstream.save_again().await;
        }
    }
}
