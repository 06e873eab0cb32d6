//! Another configuration while callers ask.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use keyward::secret::Secret;
use keyward::twin::digest::{Digest, DigestSettings};
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::generic::{Generic, Scheme};
use keyward::twin::{Certificate, Twin as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{Ask, Device, Door, End, Lab, Line, Process, until};

const RELOADS: usize = 100;
const CALLERS: usize = 16;
/// So many more answers come before the next reload.
const BETWEEN: usize = 20;
const BROKEN: &str = "[devices.meter]\nvendor = \"enphse\"\n";

/// Two meters behind one certificate: the same device at two addresses.
struct Pair {
    twins: [Arc<Egauge>; 2],
    devices: [Device; 2],
}

impl Pair {
    /// At the first of the two a login takes so long.
    fn new(login_delay: Duration) -> Self {
        let quick = EgaugeSettings::default();
        let certificate = Certificate::self_signed().unwrap();
        let twins = [Egauge::new(EgaugeSettings { login_delay, ..quick.clone() }), Egauge::new(quick)];
        let devices = twins.clone().map(|twin| Device::showing(twin, certificate.clone()));
        Self { twins, devices }
    }

    fn sessions(&self) -> usize {
        self.twins.iter().map(|twin| twin.live_tokens()).sum()
    }
}

async fn ask_on(
    address: SocketAddr,
    targets: [&str; 2],
    nth: usize,
    answered: &AtomicUsize,
    over: &CancellationToken,
) {
    let mut line = Line::to(address).await;
    for round in nth.. {
        if over.is_cancelled() {
            return;
        }
        let target = targets[round % targets.len()];
        let reply = line.ask(&Ask::get(target)).await.unwrap();
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_hundred_reloads_under_load_cost_no_request_no_session_and_no_connection() {
    let (steady, pair) = (Device::new(Egauge::new(EgaugeSettings::default())), Pair::new(Duration::ZERO));
    let form = |nth: usize| {
        let door = if nth == 0 { "" } else { "[[listeners]]\nlisten = \"127.0.0.1:0\"\n" };
        steady.table("steady", "") + &pair.devices[nth].table("changing", "") + door
    };
    let mut lab = Lab::new(&form(0)).await;
    let address = lab.address();
    let (answered, over) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
    let mut callers = JoinSet::new();
    for nth in 0..CALLERS {
        let (answered, over) = (Arc::clone(&answered), over.clone());
        callers.spawn(async move {
            let targets = ["/steady/twin/sample", "/changing/twin/sample"];
            ask_on(address, targets, nth, &answered, &over).await;
        });
    }
    for nth in 1..=RELOADS {
        let enough = answered.load(Ordering::Relaxed) + BETWEEN;
        until(|| answered.load(Ordering::Relaxed) >= enough || callers.try_join_next().is_some()).await;
        let text = if nth % 10 == 0 { BROKEN.to_owned() } else { form(nth % 2) };
        lab.reconfigure(&text).await;
    }
    over.cancel();
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert_eq!(steady.twin.logins(), 1);
    assert!(steady.served().accepted() <= 4, "{} connections were opened", steady.served().accepted());
    // Of the replaced ones nothing is left: neither connections nor seats at the meter.
    lab.reconfigure(&form(0)).await;
    assert_eq!(lab.get("/changing/twin/sample").await.status, 200);
    pair.devices[1].served().settles(0).await;
    until(|| pair.sessions() == 1 && pair.devices[0].served().connections() <= 4).await;
}

#[tokio::test]
async fn a_device_that_is_configured_no_longer_finishes_what_it_does_and_is_logged_out() {
    let twin = Egauge::new(EgaugeSettings::default());
    let (device, other) = (Device::new(twin.clone()), Device::new(Generic::new(Scheme::Open)));
    let mut lab = Lab::new(&device.table("meter", "")).await;
    assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
    let arrived = twin.journal().total();
    let mut slow = lab.connect().await;
    slow.begin(&Ask::get("/meter/twin/slow?ms=400")).await;
    twin.journal().reaches(arrived + 1).await;
    lab.reconfigure(&other.table("other", "")).await;
    assert_eq!(lab.get("/meter/twin/sample").await.fault(), "unknown_device");
    assert_eq!(twin.live_tokens(), 1, "a request is under way with it");
    assert_eq!(slow.reply(&Method::GET).await.unwrap().json()["slept"], 400);
    until(|| twin.live_tokens() == 0).await;
    device.served().settles(0).await;
    let metrics = lab.get("/metrics").await;
    assert!(!metrics.text().contains("keyward_device_up{device=\"meter\"}"), "{}", metrics.text());
}

#[tokio::test]
async fn a_device_that_changes_keeps_its_session_and_what_is_saved_of_it() {
    let twin = Egauge::new(EgaugeSettings::default());
    let device = Device::new(twin.clone());
    let mut lab = Lab::new(&device.table("meter", "")).await;
    for timeout in ["30s", "31s", "32s"] {
        assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
        let connections = device.served().accepted();
        lab.reconfigure(&device.table("meter", &format!("timeout = \"{timeout}\"\n"))).await;
        assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
        assert_eq!(device.served().accepted(), connections + 1);
        // The former one has gone when its connection has.
        device.served().settles(1).await;
    }
    assert_eq!((twin.logins(), twin.live_tokens()), (1, 1));
}

#[tokio::test]
async fn what_is_known_of_a_device_outlives_a_change_of_its_settings_but_is_not_said_of_another_at_its_place()
{
    const KNOWN: [&str; 6] = ["state", "fault", "detail", "requests", "errors", "logins"];
    let pair = Pair::new(Duration::ZERO);
    let mut lab = Lab::new(&pair.devices[0].table("meter", "")).await;
    let known = async |lab: &Lab| {
        let listed = lab.listed("meter").await;
        let ready = lab.get("/readyz").await.json()["devices"][0]["state"].clone();
        assert_eq!(ready, listed["state"]);
        KNOWN.map(|key| listed[key].clone())
    };
    assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
    for (nth, timeout) in ["30s", "31s"].into_iter().enumerate() {
        let before = known(&lab).await;
        assert_eq!(before[0], if nth == 0 { "ok" } else { "down" });
        assert_eq!((&before[3], &before[5]), (&(nth + 1).into(), &1.into()));
        let page = lab.house().devices[0].figures.last_fault();
        lab.reconfigure(&pair.devices[0].table("meter", &format!("timeout = \"{timeout}\"\n"))).await;
        assert_eq!(known(&lab).await, before);
        assert_eq!(lab.house().devices[0].figures.last_fault(), page);
        assert_eq!(lab.get("/meter/api/register?noHTTP").await.fault(), "device_garbled");
    }
    lab.reconfigure(&pair.devices[1].table("meter", "")).await;
    let null = serde_json::Value::Null;
    assert_eq!(known(&lab).await, ["unknown".into(), null.clone(), null, 0.into(), 0.into(), 0.into()]);
}

#[tokio::test]
async fn what_is_counted_of_a_device_now_is_not_that_of_another_in_its_place() {
    let pair = Pair::new(Duration::ZERO);
    let mut lab = Lab::new(&pair.devices[0].table("meter", "")).await;
    let up = |lab: &Lab| {
        let figures = lab.figures();
        let mut lines = figures.lines();
        lines.find_map(|line| line.strip_prefix("keyward_device_up{device=\"meter\"} ")).map(str::to_owned)
    };
    assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
    assert_eq!(up(&lab).as_deref(), Some("1"));
    let mut slow = lab.connect().await;
    let arrived = pair.twins[0].journal().total();
    slow.begin(&Ask::get("/meter/twin/slow?ms=400")).await;
    pair.twins[0].journal().reaches(arrived + 1).await;
    lab.reconfigure(&pair.devices[1].table("meter", "")).await;
    assert_eq!(up(&lab), None, "nobody has asked it yet");
    assert_eq!(lab.get("/meter/api/register?noHTTP").await.fault(), "device_garbled");
    assert_eq!(up(&lab).as_deref(), Some("0"));
    // What is said of the former one meanwhile does not stay.
    assert_eq!(slow.reply(&Method::GET).await.unwrap().status, 200);
    pair.devices[0].served().settles(0).await;
    until(|| up(&lab).as_deref() == Some("0")).await;
}

#[tokio::test]
async fn a_nonce_serves_on_after_a_change_of_settings_but_not_for_another_password() {
    let twin = Digest::new(DigestSettings { shares_nonce: true, ..DigestSettings::default() });
    let device = Device::new(twin.clone());
    let mut lab = Lab::new(&device.table("camera", "")).await;
    for timeout in ["30s", "31s", "32s"] {
        assert_eq!(lab.get("/camera/twin/sample").await.status, 200);
        lab.reconfigure(&device.table("camera", &format!("timeout = \"{timeout}\"\n"))).await;
        assert_eq!(lab.get("/camera/twin/sample").await.status, 200);
    }
    assert_eq!((twin.logins(), twin.repeats()), (1, 0));
    let table = device.table("camera", "");
    lab.reconfigure(&table.replace(twin.secrets()[0].expose(), "another")).await;
    assert_eq!(lab.get("/camera/twin/sample").await.fault(), "login_refused");
    lab.reconfigure(&table).await;
    assert_eq!(lab.get("/camera/twin/sample").await.status, 200);
    assert_eq!(twin.repeats(), 0);
}

#[tokio::test]
async fn a_login_under_way_at_a_device_that_goes_takes_no_seat_for_good() {
    let delay = Duration::from_millis(300);
    let twin = Egauge::new(EgaugeSettings { login_delay: delay, ..EgaugeSettings::default() });
    let (device, other) = (Device::new(twin.clone()), Device::new(Generic::new(Scheme::Open)));
    let mut lab = Lab::new(&device.table("meter", "")).await;
    let mut line = lab.connect().await;
    line.begin(&Ask::get("/meter/twin/sample")).await;
    twin.journal().reaches(2).await;
    drop(line);
    lab.reconfigure(&other.table("other", "")).await;
    until(|| twin.arrivals().iter().any(|arrival| arrival.target == "/api/auth/logout")).await;
    until(|| twin.live_tokens() == 0).await;
}

#[tokio::test]
async fn what_is_saved_is_the_heirs_though_a_former_login_ends_later() {
    let pair = Pair::new(Duration::from_millis(500));
    let [slow, quick] = &pair.twins;
    let mut lab = Lab::new(&pair.devices[0].table("meter", "")).await;
    let mut line = lab.connect().await;
    line.begin(&Ask::get("/meter/twin/sample")).await;
    slow.journal().reaches(2).await;
    drop(line);
    lab.reconfigure(&pair.devices[1].table("meter", "")).await;
    assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
    until(|| slow.arrivals().iter().any(|arrival| arrival.target == "/api/auth/logout")).await;
    lab.restart(End::Killed).await;
    assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
    assert_eq!((slow.logins(), quick.logins()), (1, 1));
}

#[tokio::test]
async fn a_corrected_file_clears_the_page() {
    let mut door = Door::new().await;
    door.lab.reconfigure(BROKEN).await;
    let page = door.lab.get("/").await;
    assert!(page.text().contains("did you mean `enphase`?"), "{}", page.text());
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
    let table = door.device.table("meter", "");
    door.lab.reconfigure(&table).await;
    let page = door.lab.get("/").await;
    assert!(!page.text().contains("enphase"), "{}", page.text());
    assert!(door.lab.get("/metrics").await.text().contains("keyward_config_last_reload_successful 1"));
}

/// As Kubernetes does it: what changes is a link beside the file, of which a folder of files hangs.
#[tokio::test]
async fn a_secret_file_that_changes_is_used_at_once_though_the_former_secret_rests() {
    let device = Device::new(Generic::with(Scheme::Bearer, Secret::new("the right one, at last".to_owned())));
    let (url, process) = (device.url(), Process::new(""));
    let version = |name: &str, secret: &str| {
        std::fs::create_dir(process.path(name)).unwrap();
        std::fs::write(process.path(name).join("token"), secret).unwrap();
        symlink(name, process.path("..data_tmp")).unwrap();
        std::fs::rename(process.path("..data_tmp"), process.path("..data")).unwrap();
    };
    version("..1", "a wrong one to begin with\n");
    symlink("..data/token", process.path("token")).unwrap();
    process.write(&format!(
        "[devices.it]\nvendor = \"bearer\"\nurl = \"{url}\"\ntoken = {{ file = \"token\" }}\n"
    ));
    let server = process.start(&["run"]);
    let address = server.address().await;
    let ask = Ask::get("/it/twin/sample");
    assert_eq!(Line::to(address).await.ask(&ask).await.unwrap().fault(), "login_refused");
    version("..2", "the right one, at last\n");
    server.logs("taken over").await;
    assert_eq!(Line::to(address).await.ask(&ask).await.unwrap().status, 200);
}
