//! A gateway that re-issues its certificate every year: when the new one follows the old, and when it does not.

use std::sync::Arc;

use keyward::clock::{Clock, Timestamp};
use keyward::server::operate::{Instruction, Outcome};
use keyward::twin::Certificate;
use keyward::twin::cloud::CloudSettings;
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use time::Duration;

use super::{fingerprint, now};
use crate::support::{Device, End, Lab};

/// Days from today: negative ones are past.
type Dates = (i64, i64);

/// A gateway whose first certificate is pinned, and then another one is shown.
struct Change {
    /// When the first one was seen, in days from today.
    pinned: i64,
    first: Dates,
    name: &'static str,
    second: Dates,
    serial: Option<&'static str>,
    trust: &'static str,
}

/// A change as it happens every year.
const YEARLY: Change =
    Change { pinned: 0, first: (-300, 60), name: "envoy", second: (-1, 364), serial: None, trust: "\"pin\"" };

fn named(name: &str, (from, to): Dates) -> Certificate {
    let days = |days: i64| Duration::days(days);
    Certificate::named(name, now() + days(from), now() + days(to), None).unwrap()
}

/// A clock that is so many days off.
fn clock(days: i64) -> Clock {
    const MILLIS: i64 = 24 * 60 * 60 * 1000;
    Clock::starting_at(Timestamp::from_millis(Clock::of_runtime().now().as_millis() + days * MILLIS))
}

struct Roof {
    gateway: Arc<Enphase>,
    device: Device,
    lab: Lab,
}

impl Roof {
    async fn new(change: &Change) -> Self {
        // Tokens for longer than the clock is moved here.
        let lifetime = Some(std::time::Duration::from_secs(3 * 365 * 86_400));
        let cloud = CloudSettings { token_lifetime: lifetime, ..CloudSettings::default() };
        let gateway = Enphase::with_cloud(EnphaseSettings::default(), cloud).await.unwrap();
        let device = Device::showing(Arc::<Enphase>::clone(&gateway), named("envoy", change.first));
        let mut lab = Lab::new(&device.table("solar", &format!("trust = {}\n", change.trust))).await;
        if change.pinned != 0 {
            lab.stop().await;
            lab.set_clock(clock(change.pinned));
            lab.start().await;
        }
        let roof = Self { gateway, device, lab };
        assert_eq!(roof.read().await, Ok(()));
        roof
    }

    /// Or the fault.
    async fn read(&self) -> Result<(), String> {
        let reply = self.lab.get("/solar/production.json").await;
        if reply.status == 200 { Ok(()) } else { Err(reply.fault()) }
    }

    async fn at(&mut self, days: i64) {
        self.lab.stop().await;
        self.lab.set_clock(clock(days));
        self.lab.start().await;
    }

    /// Whether a token was shown since so many requests had arrived.
    fn has_shown_a_token_since(&self, arrived: usize) -> bool {
        self.gateway_arrivals()
            .iter()
            .skip(arrived)
            .any(|arrival| arrival.headers.contains_key("authorization"))
    }

    fn gateway_arrivals(&self) -> Vec<keyward::twin::Arrival> {
        self.device.twin.arrivals()
    }
}

async fn changed(change: &Change) -> (Roof, Result<(), String>) {
    let mut roof = Roof::new(change).await;
    if change.pinned != 0 {
        roof.at(0).await;
    }
    if let Some(serial) = change.serial {
        roof.gateway.become_serial(serial);
    }
    roof.device.shows(named(change.name, change.second)).await;
    let arrived = roof.gateway_arrivals().len();
    let outcome = roof.read().await;
    if outcome.is_err() {
        assert!(!roof.has_shown_a_token_since(arrived), "a stranger has seen a token");
    }
    (roof, outcome)
}

#[tokio::test]
async fn a_certificate_re_issued_in_time_takes_over_and_its_key_is_the_pinned_one() {
    let in_last_days = YEARLY;
    let after_its_end = Change { pinned: -200, first: (-400, -20), ..YEARLY };
    for change in [in_last_days, after_its_end] {
        let (mut roof, outcome) = changed(&change).await;
        assert_eq!(outcome, Ok(()));
        let text = std::fs::read_to_string(roof.lab.path("certs/solar.pem")).unwrap();
        assert!(text.contains(roof.device.certificate.pem().trim()), "{text}");
        assert_eq!(
            roof.lab.listed("solar").await["certificate"]["sha256"],
            fingerprint(&roof.device.certificate)
        );
        // It is told after a restart too: somebody may want to know that it was not them.
        roof.lab.restart(End::Killed).await;
        assert_eq!(roof.read().await, Ok(()));
        assert!(roof.lab.get("/").await.text().contains("re-issued by the device"));
        let figure = "keyward_certificate_taken_over_timestamp_seconds{device=\"solar\"} ";
        assert!(roof.lab.get("/metrics").await.text().contains(figure));
        // A person's word is no take-over.
        roof.device.shows(Certificate::self_signed().unwrap()).await;
        let sha256 = fingerprint(&roof.device.certificate);
        let trust = Instruction::Trust { device: "solar".to_owned(), sha256 };
        assert!(matches!(roof.lab.order(trust).await, Outcome::Fine(_)));
        assert!(!roof.lab.get("/metrics").await.text().contains(figure));
    }
}

#[tokio::test]
async fn a_certificate_that_fails_one_condition_does_not_take_over() {
    let refused = |what, change| (what, change, "certificate_changed");
    let cases = [
        refused(
            "long before the end of the first",
            Change { first: (-10, 100), second: (-1, 364), ..YEARLY },
        ),
        refused("the first was not valid when it was pinned", Change { first: (-400, -20), ..YEARLY }),
        refused("another subject", Change { name: "envoy2", ..YEARLY }),
        refused("not valid yet", Change { second: (2, 364), ..YEARLY }),
        refused(
            "not valid any more",
            Change { second: (-300, -2), first: (-400, -20), pinned: -200, ..YEARLY },
        ),
        refused("ends no later", Change { second: (-1, 59), ..YEARLY }),
        refused("strict", Change { trust: "{ pin = \"strict\" }", ..YEARLY }),
        ("another serial", Change { serial: Some("202500000001"), ..YEARLY }, "wrong_device"),
    ];
    for (what, change, fault) in cases {
        let (roof, outcome) = changed(&change).await;
        assert_eq!(outcome, Err(fault.to_owned()), "{what}");
        let text = std::fs::read_to_string(roof.lab.path("certs/solar.pem")).unwrap();
        assert!(!text.contains(roof.device.certificate.pem().trim()), "{what}: pinned all the same");
    }
}

#[tokio::test]
async fn a_second_take_over_within_half_a_year_waits_for_a_person() {
    let (mut roof, outcome) = changed(&Change { second: (-1, 80), ..YEARLY }).await;
    assert_eq!(outcome, Ok(()));
    roof.device.shows(named("envoy", (-1, 364))).await;
    assert_eq!(roof.read().await, Err("certificate_changed".to_owned()));
    roof.at(181).await;
    assert_eq!(roof.read().await, Ok(()));
}

#[tokio::test]
async fn a_make_that_cannot_introduce_itself_has_no_take_over() {
    let mut door = super::door(named("device", YEARLY.first), "\"pin\"").await;
    super::is_accepted(&door).await;
    door.device.shows(named("device", YEARLY.second)).await;
    super::is_refused(&door, &["keyward trust meter"]).await;
}
