//! The devices of the soak, with a record of what went wrong at each of them and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyward::twin::cloud::CloudSettings;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use keyward::twin::{Arrival, Twin, every};
use tokio::time::Instant;

use super::dice::Dice;
use crate::it::support::{Act, Device, Scripted};

/// A keeper that failed rests for a while after the trouble: one, two, four seconds.
const RESTS: Duration = Duration::from_secs(8);
/// A connection that died with the trouble may be found dead a little later.
const LINGERS: Duration = Duration::from_secs(1);
/// A renewal in the background comes when two thirds of the shortest session are over, less its jitter.
const RENEWAL: Duration = Duration::from_secs(350);

/// What the device is called that reloads change.
const CHANGING: &str = "changing";

/// What can be wrong with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is off, and begins anew when it comes back.
    Off,
    /// Its sessions ended.
    Lapse,
    /// The cloud that its sessions come from is down.
    Cloud,
    /// None of its own: it is configured otherwise.
    Reload,
}

/// One device.
pub(super) struct Plant {
    pub(super) name: String,
    pub(super) twin: Arc<dyn Twin>,
    pub(super) device: tokio::sync::Mutex<Device>,
    troubles: Mutex<Vec<(Trouble, Instant, Option<Instant>)>>,
}

impl Plant {
    fn new(name: &str, twin: Arc<dyn Twin>) -> Self {
        let device = tokio::sync::Mutex::new(Device::new(Arc::clone(&twin)));
        Self { name: name.to_owned(), twin, device, troubles: Mutex::default() }
    }

    /// A path of the device as callers ask for it.
    pub(super) fn at(&self, path: &str) -> String {
        format!("/{}{path}", self.name)
    }

    pub(super) fn max_connections(&self) -> usize {
        if self.twin.vendor() == "enphase" { 1 } else { 4 }
    }

    /// How many requests for this arrived and were not answered.
    pub(super) fn unanswered(&self, target: &str) -> usize {
        let is_it = |arrival: &Arrival| arrival.target.starts_with(target) && arrival.status == 0;
        self.twin.arrivals().into_iter().filter(is_it).count()
    }

    pub(super) async fn connections_settle(&self, connections: usize) {
        self.device.lock().await.served().settles(connections).await;
    }

    pub(super) fn begin(&self, trouble: Trouble) {
        self.troubles.lock().unwrap().push((trouble, Instant::now(), None));
    }

    /// It is over as soon as it begins.
    pub(super) fn note(&self, trouble: Trouble) {
        self.begin(trouble);
        self.end(trouble);
    }

    pub(super) fn end(&self, trouble: Trouble) {
        let mut troubles = self.troubles.lock().unwrap();
        let open = troubles.iter_mut().rfind(|(known, _, until)| *known == trouble && until.is_none());
        open.expect("a trouble that is on").2 = Some(Instant::now());
    }

    pub(super) fn is_in(&self, trouble: Trouble) -> bool {
        self.troubles.lock().unwrap().iter().any(|(known, _, until)| *known == trouble && until.is_none())
    }

    fn count(&self, trouble: Trouble) -> usize {
        self.troubles.lock().unwrap().iter().filter(|(known, ..)| *known == trouble).count()
    }

    /// Whether something that was wrong in this time, or shortly before, explains this fault.
    pub(super) fn explains(&self, fault: &str, from: Instant, to: Instant) -> bool {
        let troubles = self.troubles.lock().unwrap();
        let within = |lingers: Duration| {
            move |(_, begun, until): &&(Trouble, Instant, Option<Instant>)| {
                *begun <= to && until.is_none_or(|until| until + lingers >= from)
            }
        };
        let had = |trouble: Trouble, lingers: Duration| {
            troubles.iter().filter(within(lingers)).any(|(known, ..)| *known == trouble)
        };
        let endings =
            troubles.iter().filter(within(RESTS)).filter(|(known, ..)| *known != Trouble::Reload).count();
        match fault {
            "device_broke_off" | "broken" => had(Trouble::Off, LINGERS),
            // Refused, or a login that was refused and rests.
            "device_unreachable" => had(Trouble::Off, RESTS),
            "login_unavailable" => had(Trouble::Cloud, RESTS) || had(Trouble::Off, RESTS) || endings > 1,
            "not_replayed" => {
                // A nonce that another request has overtaken is asked for anew at any time.
                had(Trouble::Lapse, RESTS) || had(Trouble::Off, RESTS) || self.twin.vendor() == "digest"
            }
            // The session that was just renewed ended too.
            "rights" => endings > 1,
            _ => false,
        }
    }

    /// How often it was logged into, and how often it may have been: once, and once for each session that ended.
    fn logins(&self, while_: Duration) -> (usize, usize) {
        let renewals = usize::try_from(while_.as_secs() / RENEWAL.as_secs()).unwrap();
        // A cloud's token outlives the device's memory.
        let forgets = self.twin.vendor() != "enphase";
        let ended = self.count(Trouble::Lapse) + if forgets { self.count(Trouble::Off) } else { 0 };
        // A login that a reload overtakes is another's: who takes over logs in, too.
        let troubles = self.troubles.lock().unwrap();
        let of =
            |reload: bool| troubles.iter().filter(move |(known, ..)| (*known == Trouble::Reload) == reload);
        let overtakes = |at: Instant| {
            of(false).any(|(_, begun, until)| *begun <= at && until.is_none_or(|until| until + LINGERS >= at))
        };
        let ended = ended + of(true).filter(|(_, at, _)| overtakes(*at)).count();
        // What a cloud refuses is tried again after one second, two, four: twice in the time that it is down.
        let clouds = troubles.iter().filter(|(known, ..)| *known == Trouble::Cloud).count();
        (self.twin.logins(), 1 + renewals + ended + 2 * clouds)
    }
}

/// All devices.
pub(super) struct Park {
    pub(super) plants: Vec<Plant>,
    pub(super) enphase: Arc<Enphase>,
    changing: Arc<Egauge>,
    pub(super) wild: Scripted,
}

impl Park {
    pub(super) async fn new(seed: u64) -> Self {
        let cloud = CloudSettings { retry_after: Duration::from_secs(1), ..CloudSettings::default() };
        let enphase = Enphase::with_cloud(EnphaseSettings::default(), cloud).await.unwrap();
        let twins = every().await.unwrap().into_iter().filter(|twin| twin.vendor() != "enphase");
        let changing = Egauge::new(EgaugeSettings::default());
        let mut plants: Vec<_> = twins.map(|twin| Plant::new(twin.vendor(), twin)).collect();
        plants.push(Plant::new("enphase", enphase.clone()));
        plants.push(Plant::new(CHANGING, changing.clone()));
        Self { plants, enphase, changing, wild: wild(seed).await }
    }

    /// With one connection only.
    pub(super) fn narrowest(&self) -> &Plant {
        self.plants.iter().find(|plant| plant.max_connections() == 1).unwrap()
    }

    /// The one that reloads change.
    pub(super) fn changing(&self) -> &Plant {
        self.plants.iter().find(|plant| plant.name == CHANGING).unwrap()
    }

    /// proxy.toml, in one of two forms: one device and one door are other ones.
    pub(super) fn configuration(&self, other: bool) -> String {
        let table = |plant: &Plant| {
            let more = if other && plant.name == CHANGING { "timeout = \"40s\"\n" } else { "" };
            plant
                .device
                .try_lock()
                .map(|device| device.table(&plant.name, &format!("max_streams = 4\n{more}")))
        };
        // Whoever is being switched off or on stays as it is.
        let mut text: String =
            self.plants.iter().map(|plant| table(plant).expect("a device at rest")).collect();
        text += &self.wild.table("wild", "timeout = \"2s\"\n");
        text + if other { "[[listeners]]\nlisten = \"127.0.0.1:0\"\n" } else { "" }
    }

    /// Of each device with sessions its name, how often it was logged into, and how often it may have been.
    pub(super) fn logins(&self, while_: Duration) -> Vec<(&str, usize, usize)> {
        // Each digest is asked for by a challenge, which is no login.
        let has_logins = |plant: &&Plant| plant.twin.renewable() && plant.twin.vendor() != "digest";
        self.plants
            .iter()
            .filter(has_logins)
            .map(|plant| {
                let (made, allowed) = plant.logins(while_);
                (plant.name.as_str(), made, allowed)
            })
            .collect()
    }

    /// How many sessions there are at the device that reloads change.
    pub(super) fn seats(&self) -> usize {
        self.changing.live_tokens()
    }
}

/// A device that is worse than any twin, in one answer of ten.
async fn wild(seed: u64) -> Scripted {
    let dice = Mutex::new(Dice::new(seed, 2000));
    Scripted::new(move |_| {
        let fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
        match dice.lock().unwrap().roll(60) {
            0 => Act::Last(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n".to_vec()),
            1 => Act::Last(Vec::new()),
            2 => Act::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nhalf".to_vec()),
            3 => Act::Last(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense".to_vec(),
            ),
            4 => Act::Answer([fine, fine].concat().into_bytes()),
            5 => Act::Hang,
            _ => Act::Answer(fine.into()),
        }
    })
    .await
}
