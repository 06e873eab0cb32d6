//! Enphase gateways and their cloud: every trouble by its name, and a token that is never fetched once too often.

use std::sync::Arc;
use std::time::Duration;

use keyward::twin::cloud::{Cloud, CloudSettings, Stage, Trouble};
use keyward::twin::enphase::{Enphase, EnphaseSettings, Firmware};
use keyward::twin::{Served, Twin as _, serve};

use crate::support::{Ask, Device, End, Lab, pass};

const DAY: u64 = 24 * 60 * 60;
/// Longer than every rest.
const A_WHILE: Duration = Duration::from_secs(2 * DAY);

/// A gateway, the cloud that its tokens come from, and a server that knows it as `solar`.
struct Home {
    cloud: Arc<Cloud>,
    /// The cloud's port, until it goes down.
    served: Option<Served>,
    gateway: Arc<Enphase>,
    device: Device,
    lab: Lab,
}

impl Home {
    async fn usual() -> Self {
        Self::new(EnphaseSettings::default(), CloudSettings::default()).await
    }

    async fn new(settings: EnphaseSettings, cloud: CloudSettings) -> Self {
        let cloud = Cloud::new(cloud);
        let served = serve(Arc::clone(&cloud).face(), None, "127.0.0.1:0".parse().unwrap()).unwrap();
        let gateway = Enphase::new(settings, Arc::clone(&cloud), served.url());
        let device = Device::new(Arc::<Enphase>::clone(&gateway));
        let lab = Lab::new(&device.table("solar", "timeout = \"2s\"\n")).await;
        Self { cloud, served: Some(served), gateway, device, lab }
    }

    /// The cloud is gone from the net.
    async fn cut_off(&mut self) {
        self.served.take().unwrap().stop().await;
    }

    async fn read(&self) -> crate::support::Reply {
        self.lab.get("/solar/production.json").await
    }

    async fn reads(&self) {
        let reply = self.read().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// Logins at the cloud, and tokens asked of it.
    fn asked_of_cloud(&self) -> (usize, usize) {
        (self.cloud.logins(), self.cloud.fetches())
    }

    /// Whether anybody but `/info`'s readers came to the gateway with a token.
    fn has_seen_a_token(&self) -> bool {
        self.gateway.arrivals().iter().any(|arrival| arrival.headers.contains_key("authorization"))
    }

    /// The configuration with a token in the account's place.
    fn with_token_only(&self, token: &str) -> String {
        let serial = &EnphaseSettings::default().serial;
        let url = self.device.url();
        format!(
            "[devices.solar]\nvendor = \"enphase\"\nurl = \"{url}\"\nserial = \"{serial}\"\ntoken = \"{token}\"\n"
        )
    }
}

#[tokio::test]
async fn every_trouble_of_the_cloud_has_its_fault_its_words_and_its_rest() {
    use Trouble::*;
    const REFUSED: &str = "login_refused";
    const UNAVAILABLE: &str = "login_unavailable";
    /// Trouble, fault, a part of the detail, and the seconds in `Retry-After`; 0 where it is a matter of seconds.
    const TROUBLES: [(Trouble, &str, &str, u64); 18] = [
        (Invalid, REFUSED, "wrong email or password, or MFA is on", 300),
        (Mfa, REFUSED, "turn MFA off, or set `token`", DAY),
        (OtpCookie, REFUSED, "turn MFA off, or set `token`", DAY),
        (NoSession, REFUSED, "turn MFA off, or set `token`", DAY),
        (Blocked, REFUSED, "blocked", DAY),
        (Crowded, UNAVAILABLE, "too many active sessions", 300),
        (BadRequest, UNAVAILABLE, "400", 0),
        (Forbidden, UNAVAILABLE, "403", 0),
        (NotAcceptable, UNAVAILABLE, "robot", 0),
        (BotWall, UNAVAILABLE, "robot", 0),
        (TooManyRequests, UNAVAILABLE, "429", 120),
        (Broken, UNAVAILABLE, "500", 0),
        (Unavailable, UNAVAILABLE, "503", 120),
        (TokenError, UNAVAILABLE, "no token", 0),
        (TokenEmpty, UNAVAILABLE, "no token", 0),
        (TokenForeign, UNAVAILABLE, "another gateway", 0),
        (TokenExpired, UNAVAILABLE, "ended on", 0),
        (TokenTorn, UNAVAILABLE, "three parts", 0),
    ];
    assert_eq!(TROUBLES.len(), Trouble::ALL.len() - 1, "and `Hang`, which has a test of its own");
    for (trouble, fault, words, wait) in TROUBLES {
        let home = Home::usual().await;
        home.cloud.strike(trouble);
        let problem = home.read().await.problem();
        assert_eq!(problem.fault, fault, "{trouble}: {}", problem.detail);
        assert!(problem.detail.contains(words), "{trouble}: {}", problem.detail);
        let told = problem.retry_after.unwrap();
        let expected = if wait == 0 { 1..=2 } else { wait - 5..=wait };
        assert!(expected.contains(&told), "{trouble}: Retry-After {told}");
        let asked = home.asked_of_cloud();
        assert_eq!(asked.0, 1, "{trouble}");
        for _ in 0..10 {
            assert_eq!(home.read().await.fault(), fault);
        }
        assert_eq!(home.asked_of_cloud(), asked, "{trouble} was asked for again");
        assert!(!home.has_seen_a_token());
        home.cloud.clear();
        pass(A_WHILE).await;
        home.reads().await;
    }
}

#[tokio::test]
async fn a_cloud_that_hangs_makes_nobody_wait_longer_than_the_timeout() {
    let home = Home::usual().await;
    home.cloud.strike(Trouble::Hang);
    let problem = home.read().await.problem();
    assert_eq!(problem.fault, "login_unavailable");
    assert_eq!(home.cloud.logins(), 1);
    assert_eq!(home.read().await.fault(), "login_unavailable");
    assert_eq!(home.cloud.logins(), 1, "the login under way goes on");
}

#[tokio::test]
async fn where_the_first_way_to_a_token_fails_the_second_is_tried_with_the_same_session() {
    let passing = |trouble: &&(&str, Trouble)| trouble.1.befalls(Stage::Tokens) && trouble.1 != Trouble::Hang;
    for (name, trouble) in Trouble::ALL.iter().filter(passing) {
        let home = Home::usual().await;
        home.cloud.set(Stage::Tokens, Some(*trouble));
        let reply = home.read().await;
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        assert_eq!(home.asked_of_cloud(), (1, 2), "{name}");
    }
}

#[tokio::test]
async fn a_restart_without_internet_serves_at_once_and_asks_no_cloud() {
    let mut home = Home::usual().await;
    home.reads().await;
    let asked = home.asked_of_cloud();
    home.cut_off().await;
    for end in [End::Stopped, End::Killed] {
        home.lab.restart(end).await;
        home.reads().await;
    }
    assert_eq!(home.asked_of_cloud(), asked);
    assert_eq!(home.lab.listed("solar").await["state"], "ok");
}

/// It is one for a serial number, whoever asked for it and wherever that is.
#[tokio::test]
async fn another_address_or_owners_name_throws_no_token_away() {
    let mut home = Home::usual().await;
    home.reads().await;
    let table = home.device.table("solar", "timeout = \"2s\"\n");
    home.cut_off().await;
    let moved = table.replace("127.0.0.1", "localhost");
    let line = table.lines().find(|line| line.starts_with("username")).unwrap();
    let renamed = moved.replace(line, "username = \"somebody@example.org\"");
    for text in [&moved, &renamed, &moved] {
        home.lab.reconfigure(text).await;
        home.reads().await;
    }
    home.lab.restart(End::Stopped).await;
    home.reads().await;
}

#[tokio::test]
async fn a_token_near_its_end_serves_on_while_the_cloud_is_down() {
    let lifetime = Some(Duration::from_secs(365 * DAY));
    let mut home = Home::new(
        EnphaseSettings::default(),
        CloudSettings { token_lifetime: lifetime, ..CloudSettings::default() },
    )
    .await;
    home.reads().await;
    home.cut_off().await;
    pass(Duration::from_secs(345 * DAY)).await;
    for _ in 0..3 {
        home.reads().await;
    }
    // The renewal goes on beside the requests; when it has failed it shows.
    while home.lab.listed("solar").await["state"] == "ok" {
        home.reads().await;
    }
    let listed = home.lab.listed("solar").await;
    assert_eq!((&listed["state"], &listed["fault"]), (&"degraded".into(), &"login_unavailable".into()));
}

#[tokio::test]
async fn a_token_is_renewed_in_the_background_thirty_days_before_its_end() {
    let home = Home::usual().await;
    home.reads().await;
    pass(Duration::from_secs(300 * DAY)).await;
    home.reads().await;
    assert_eq!(home.cloud.logins(), 1);
    pass(Duration::from_secs(50 * DAY)).await;
    while home.cloud.fetches() < 2 {
        home.reads().await;
    }
    home.reads().await;
    assert_eq!(home.asked_of_cloud(), (2, 2));
}

#[tokio::test]
async fn another_gateway_at_the_address_never_sees_a_token() {
    let home = Home::usual().await;
    home.gateway.become_serial("202500000001");
    let problem = home.read().await.problem();
    assert_eq!(problem.fault, "wrong_device");
    assert!(problem.detail.contains("202500000001"), "{}", problem.detail);
    assert!(problem.detail.contains(&EnphaseSettings::default().serial), "{}", problem.detail);
    assert!(!home.has_seen_a_token());
}

#[tokio::test]
async fn a_token_refused_before_its_end_costs_one_renewal_and_is_replaced() {
    let home = Home::usual().await;
    home.reads().await;
    home.gateway.void_tokens();
    home.reads().await;
    assert_eq!(home.asked_of_cloud(), (2, 2));
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_too_is_the_end_of_it_and_is_said() {
    let home = Home::usual().await;
    home.reads().await;
    home.gateway.refuse_tokens(true);
    let problem = home.read().await.problem();
    assert_eq!(problem.fault, "login_refused", "{}", problem.detail);
    assert!(problem.detail.contains("refuses a token that was fetched just now"), "{}", problem.detail);
    // A gateway without the time refuses it too, so that is not the end of the day.
    assert!(problem.detail.contains("tried again in 5 min, a changed one at once"), "{}", problem.detail);
    for _ in 0..20 {
        assert_eq!(home.read().await.fault(), "login_refused");
    }
    assert_eq!(home.asked_of_cloud(), (2, 2));
}

#[tokio::test]
async fn early_firmware_gets_its_cookie_beside_the_token() {
    let settings = EnphaseSettings { firmware: Firmware::Seven, ..EnphaseSettings::default() };
    let home = Home::new(settings, CloudSettings::default()).await;
    home.reads().await;
    let arrival = home.gateway.arrivals().pop().unwrap();
    assert_eq!(arrival.target, "/production.json");
    assert!(arrival.headers["authorization"].to_str().unwrap().starts_with("Bearer "));
    assert!(arrival.headers["cookie"].to_str().unwrap().starts_with("sessionId="));
}

#[tokio::test]
async fn firmware_below_seven_is_reached_as_a_digest_device() {
    let settings =
        EnphaseSettings { firmware: Firmware::Five, resets_reused: true, ..EnphaseSettings::default() };
    let home = Home::new(settings, CloudSettings::default()).await;
    let token = home.cloud.mint(&EnphaseSettings::default().serial, None);
    let lab = Lab::new(&home.with_token_only(token.expose())).await;
    let problem = lab.get("/solar/production.json").await.problem();
    assert!(problem.detail.contains("vendor = \"digest\""), "{}", problem.detail);
    let password = &EnphaseSettings::default().serial[6..];
    let url = home.device.url();
    let lab = Lab::new(&format!(
        "[devices.old]\nvendor = \"digest\"\nurl = \"{url}\"\nusername = \"envoy\"\npassword = \"{password}\"\n"
    ))
    .await;
    for _ in 0..3 {
        assert_eq!(lab.get("/old/production.json").await.status, 200);
    }
}

#[tokio::test]
async fn one_session_at_the_gateway_serves_everybody() {
    let settings = EnphaseSettings { max_sessions: 1, ..EnphaseSettings::default() };
    let home = Home::new(settings, CloudSettings::default()).await;
    for _ in 0..50 {
        home.reads().await;
    }
    assert_eq!(home.gateway.sessions(), 1);
    home.gateway.reboot();
    futures_util::future::join_all((0..20).map(|_| home.reads())).await;
    assert_eq!((home.gateway.sessions(), home.cloud.logins()), (1, 1));
}

#[tokio::test]
async fn a_session_that_the_gateway_renames_is_followed() {
    let settings = EnphaseSettings { max_sessions: 2, rotate_every: 3, ..EnphaseSettings::default() };
    let home = Home::new(settings, CloudSettings::default()).await;
    for _ in 0..20 {
        home.reads().await;
    }
    assert_eq!((home.gateway.sessions(), home.cloud.logins()), (1, 1));
    assert!(home.gateway.arrivals().iter().all(|arrival| arrival.status == 200));
}

#[tokio::test]
async fn a_configured_token_needs_no_cloud() {
    for wrapped in [false, true] {
        let mut home = Home::usual().await;
        let token = home.cloud.mint(&EnphaseSettings::default().serial, None);
        let written = if wrapped {
            format!(
                "{{\\\"generation_time\\\":1,\\\"token\\\":\\\"{}\\\",\\\"expires_at\\\":2}}",
                token.expose()
            )
        } else {
            format!("  {}\\n", token.expose())
        };
        home.lab.reconfigure(&home.with_token_only(&written)).await;
        home.reads().await;
        assert_eq!(home.asked_of_cloud(), (0, 0));
    }
}

#[tokio::test]
async fn a_configured_token_that_has_ended_is_refused_with_its_date() {
    let mut home = Home::usual().await;
    let token = home.cloud.mint(&EnphaseSettings::default().serial, Some(Duration::ZERO));
    let today = keyward::clock::Clock::of_runtime().now().to_string();
    home.lab.reconfigure(&home.with_token_only(token.expose())).await;
    let problem = home.read().await.problem();
    assert_eq!(problem.fault, "login_refused");
    assert!(problem.detail.contains(&today[..10]), "{} says no {}", problem.detail, &today[..10]);
    assert!(!home.has_seen_a_token());
}

#[tokio::test]
async fn of_a_configured_token_and_a_fetched_one_the_longer_lived_serves() {
    let home = Home::usual().await;
    let token = home.cloud.mint(&EnphaseSettings::default().serial, Some(Duration::from_secs(DAY)));
    let lab = Lab::new(&home.device.table("solar", &format!("token = \"{}\"\n", token.expose()))).await;
    assert_eq!(lab.get("/solar/production.json").await.status, 200);
    assert_eq!(home.cloud.logins(), 0, "the configured one serves");
    pass(Duration::from_secs(DAY)).await;
    assert_eq!(lab.get("/solar/production.json").await.status, 200);
    assert_eq!(home.cloud.logins(), 1, "the fetched one does after it");
}

#[tokio::test]
async fn the_clients_of_the_field_find_the_gateway_they_know() {
    let home = Home::usual().await;
    let info = home.lab.get("/solar/info").await;
    assert_eq!(info.status, 200);
    assert!(info.text().contains("<sn>121935144671</sn>"));
    let json = home.lab.send(&Ask::get("/solar/production").with("Accept", "application/json")).await;
    assert!(json.json()["wattsNow"].is_number());
    let page = home.lab.send(&Ask::get("/solar/production").with("Accept", "text/html")).await;
    assert!(page.text().starts_with("<!DOCTYPE html>"));
    let form = Ask::post("/solar/admin/lib/tariff", "{\"rate\":1}").by(http::Method::PUT);
    let put = home.lab.send(&form.with("Content-Type", "application/x-www-form-urlencoded")).await;
    assert_eq!(put.json()["tariff"]["rate"], 1);
    let home_page = home.lab.get("/solar/").await;
    assert_eq!((home_page.status.as_u16(), home_page.header("location")), (301, "/solar/home"));
    let deleted = home.lab.send(&Ask::post("/solar/ivp/ss/gen_schedule", "x").by(http::Method::DELETE)).await;
    assert_eq!(deleted.status, 204);
}
