//! Who makes the trouble.

use std::sync::Arc;
use std::time::Duration;

use keyward::twin::cloud::Trouble as AtCloud;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::dice::Dice;
use super::plant::{Park, Plant, Trouble};
use crate::it::support::{Process, Running};

/// How often something may begin to go wrong.
const STEP: Duration = Duration::from_millis(100);
/// How often the configuration changes, in steps.
const RELOADED_EVERY: u64 = 15;

/// Makes trouble for so long. At the end all of it is over.
pub(super) async fn make(
    park: &Arc<Park>,
    process: &Process,
    server: &Running,
    mut dice: Dice,
    while_: Duration,
) {
    let ends = Instant::now() + while_;
    let configurations = [park.configuration(false), park.configuration(true)];
    let mut steps = interval(STEP);
    let mut running = JoinSet::new();
    let mut reloads = 0;
    for step in 0.. {
        steps.tick().await;
        if Instant::now() >= ends {
            break;
        }
        if step % RELOADED_EVERY == RELOADED_EVERY - 1 {
            reloads += 1;
            match reloads % 5 {
                0 => process.write("[devices.meter]\nvendor = \"enphse\"\n"),
                nth => process.write(&configurations[nth % 2]),
            }
            park.changing().note(Trouble::Reload);
            server.signal("HUP").await;
        }
        let nth = usize::try_from(dice.roll(park.plants.len() as u64)).unwrap();
        let lasts = STEP * u32::try_from(1 + dice.roll(6)).unwrap();
        match dice.roll(100) {
            0..12 => lapse(&park.plants[nth]),
            12..18 => {
                let park = Arc::clone(park);
                running.spawn(async move { switch_off(&park.plants[nth], lasts).await });
            }
            18..22 => {
                let park = Arc::clone(park);
                let what = *dice.pick(&[AtCloud::Broken, AtCloud::Unavailable, AtCloud::TooManyRequests]);
                running.spawn(async move { cloud_down(&park, what, lasts * 2).await });
            }
            _ => {}
        }
    }
    while let Some(over) = running.join_next().await {
        over.unwrap();
    }
    // The last word is the form that there was before.
    let taken_over = || server.log().matches("taken over devices").count();
    let before = taken_over();
    process.write(&configurations[0]);
    server.signal("HUP").await;
    crate::it::support::until(|| taken_over() > before).await;
}

fn lapse(plant: &Plant) {
    plant.note(Trouble::Lapse);
    plant.twin.lapse();
}

/// The plug is pulled; it comes back at its address with the certificate that it had, and with no session.
async fn switch_off(plant: &Plant, while_: Duration) {
    let Ok(mut device) = plant.device.try_lock() else { return };
    plant.begin(Trouble::Off);
    device.leave().await;
    plant.twin.reboot();
    pass(while_).await;
    device.come_back().await;
    plant.end(Trouble::Off);
}

/// The cloud fails when it is needed.
async fn cloud_down(park: &Park, what: AtCloud, while_: Duration) {
    let plant = park.narrowest();
    if plant.is_in(Trouble::Cloud) {
        return;
    }
    plant.begin(Trouble::Cloud);
    park.enphase.cloud().strike(what);
    lapse(plant);
    pass(while_).await;
    park.enphase.cloud().clear();
    plant.end(Trouble::Cloud);
}

/// How long a trouble lasts is what it is, and nothing that is waited for.
async fn pass(while_: Duration) {
    let mut time = interval(while_);
    time.tick().await;
    time.tick().await;
}
