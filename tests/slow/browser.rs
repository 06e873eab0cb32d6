//! What pages in a real browser can and can't do. Needs Chromium (Debian's package `chromium`).
//!
//! Names are resolved by the browser as the test says, so that pages of any site can be served from the loopback. On
//! names and addresses other than `127.0.0.1` and `localhost` a browser sends neither `Sec-Fetch-Site` nor anything
//! else by which a plain-http gateway in a LAN could know a page: both kinds are tried.

mod page;
mod pilot;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use http::Uri;
use keyward::twin::generic::{Generic, Scheme};
use keyward::twin::{Served, serve};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{Device, Lab};

/// A browser has to start, and its page has attempts that nobody answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// What each attempt read, if it read anything.
type Report = BTreeMap<String, Option<String>>;

/// A site that serves the page with all attempts, and hears what came of them.
struct Site {
    address: SocketAddr,
    reports: mpsc::UnboundedReceiver<String>,
    /// Attempts that came here.
    asked: Arc<Mutex<BTreeSet<String>>>,
    _served: Served,
}

impl Site {
    async fn new() -> Self {
        let (told, reports) = mpsc::unbounded_channel();
        let page = get(async || Html(include_str!("browser/attempts.html")));
        let hear = post(async move |report: String| drop(told.send(report)));
        let asked = Arc::<Mutex<BTreeSet<String>>>::default();
        let note = Arc::clone(&asked);
        let other = async move |uri: Uri| {
            note.lock().unwrap().extend(attempt(&uri.to_string()));
            "answered"
        };
        let router = Router::new().route("/attempts", page).route("/report", hear).fallback(other);
        let served = serve(router, None, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = served.url().strip_prefix("http://").unwrap().parse().unwrap();
        Self { address, reports, asked, _served: served }
    }

    /// The query that has the page try its attempts at `target`, below `prefix`.
    fn query(&self, target: &str, prefix: &str) -> String {
        let encoded: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("target", target)
            .append_pair("prefix", prefix)
            .append_pair("report", &format!("http://{}/report", self.address))
            .finish();
        format!("/attempts?{encoded}")
    }

    /// Opens the page and waits for what came of it.
    async fn tried(&mut self, url: &str) -> Report {
        let browser = Browser::open(url);
        let report = timeout(PATIENCE, self.reports.recv()).await;
        let report = report.unwrap_or_else(|_| panic!("the page at {url} told nothing")).unwrap();
        browser.close().await;
        serde_json::from_str(&report).unwrap()
    }
}

/// The name of the attempt that asks for this.
fn attempt(target: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    query.split(['&', '=']).next().map(str::to_owned)
}

/// A browser of its own, with nothing remembered.
struct Browser {
    child: Child,
    _profile: TempDir,
}

impl Browser {
    fn command(profile: &TempDir) -> Command {
        let mut command = Command::new("chromium");
        Self::prepare(&mut command, profile);
        command
    }

    /// What a browser of ours is started with, whatever starts it.
    fn prepare(command: &mut Command, profile: &TempDir) {
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg("--host-resolver-rules=MAP *.example 127.0.0.1, MAP *.lan 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
    }

    fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // Its page has to stay open until it has told: without a debugger's port it would end at once.
        let child = Self::command(&profile)
            .arg("--remote-debugging-port=0")
            .arg(url)
            .stdout(Stdio::null())
            .spawn()
            .expect("chromium has to be installed for these tests");
        Self { child, _profile: profile }
    }

    async fn close(mut self) {
        self.child.kill().await.unwrap();
    }

    /// A page as it is when it has been loaded.
    async fn shows(url: &str) -> String {
        let profile = tempfile::tempdir().unwrap();
        let shown = Self::command(&profile).args(["--dump-dom", url]).output();
        let shown = timeout(PATIENCE, shown).await.expect("a page").expect("chromium has to be installed");
        String::from_utf8_lossy(&shown.stdout).into_owned()
    }
}

/// A keyward in a house, with a device `meter` whose GETs below `/twin/slow` act, and a site somewhere else.
struct House {
    device: Device,
    lab: Lab,
    site: Site,
}

impl House {
    async fn with(meters: &str, more: impl FnOnce(&Site) -> String) -> Self {
        let device = Device::new(Generic::new(Scheme::Open));
        let site = Site::new().await;
        let table = device.table("meter", &format!("acts_on_get = [\"/twin/slow\"]\n{meters}"));
        let lab = Lab::new(&format!("{table}{}", more(&site))).await;
        Self { device, lab, site }
    }

    /// The names of the attempts that arrived at the device.
    fn arrived(&self) -> BTreeSet<String> {
        self.device.twin.arrivals().iter().filter_map(|arrival| attempt(&arrival.target)).collect()
    }

    /// keyward as a browser names it, by a host of its choice.
    fn named(&self, host: &str) -> String {
        format!("http://{host}:{}", self.lab.address().port())
    }
}

/// Attempts that read something. One that is opaque to its page, was only sent, or was refused has read nothing.
fn read(report: &Report) -> BTreeSet<&str> {
    let nothing = ["", "opaque", "sent", "undefined", "loaded"];
    let told = |value: &Option<String>| {
        let told = value.as_deref().filter(|value| !nothing.contains(value));
        told.is_some_and(|value| !value.starts_with("{\"detail\":"))
    };
    report.iter().filter(|(_, value)| told(value)).map(|(name, _)| name.as_str()).collect()
}

fn names<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
    names.iter().copied().collect()
}

#[tokio::test]
async fn a_page_of_another_site_reaches_no_device_and_reads_nothing() {
    for host in ["127.0.0.1", "box.lan"] {
        let mut house = House::with("", |_| String::new()).await;
        let query = house.site.query(&house.named(host), "/meter");
        let page = format!("http://evil.example:{}{query}", house.site.address.port());
        let report = house.site.tried(&page).await;
        assert_eq!(read(&report), names(&[]), "{host}: {report:?}");
        assert_eq!(house.arrived(), BTreeSet::new(), "{host}: {report:?}");
        println!("{host}: {} attempts, none arrived, none read", report.len());
    }
}

/// The attacker's name points at keyward, so that the browser takes both for one site.
#[tokio::test]
async fn a_rebound_name_reaches_no_device_and_reads_nothing() {
    let mut house = House::with("", |_| String::new()).await;
    let query = house.site.query(&house.named("rebound.example"), "/meter");
    let page = format!("http://rebound.example:{}{query}", house.site.address.port());
    let report = house.site.tried(&page).await;
    assert_eq!(read(&report), names(&[]), "{report:?}");
    assert_eq!(house.arrived(), BTreeSet::new(), "{report:?}");
    // The same origin to the last letter, as after the attacker's name server has changed its mind.
    let shown = Browser::shows(&house.named("rebound.example")).await;
    assert!(shown.contains("host_not_allowed") && !shown.contains("meter"), "{shown}");
}

/// One device serves a page with all attempts at another, below its prefix and with all rights a page there has.
#[tokio::test]
async fn a_page_of_one_device_reaches_no_other() {
    for host in ["127.0.0.1", "box.lan"] {
        let bad = |site: &Site| {
            format!("[devices.bad]\nvendor = \"open\"\nurl = \"http://{}\"\nacts_on_get = []\n", site.address)
        };
        let mut house = House::with("", bad).await;
        let here = house.named(host);
        let report = house.site.tried(&format!("{here}/bad{}", house.site.query(&here, "/meter"))).await;
        assert_eq!(read(&report), names(&[]), "{host}: {report:?}");
        assert_eq!(house.arrived(), BTreeSet::new(), "{host}: {report:?}");
    }
}

/// At a port of its own a device is a site of its own: its page does all that it could do without keyward, with
/// itself, and nothing with another device.
#[tokio::test]
async fn a_devices_own_page_works_at_its_own_port_and_for_itself_alone() {
    let doors = |site: &Site| {
        format!(
            "[devices.bad]\nvendor = \"open\"\nurl = \"http://{}\"\nacts_on_get = [\"/twin/slow\"]\n\
             [[listeners]]\nlisten = \"127.0.0.1:0\"\ndevice = \"bad\"\n\
             [[listeners]]\nlisten = \"127.0.0.1:0\"\ndevice = \"meter\"\n",
            site.address
        )
    };
    let mut house = House::with("", doors).await;
    let [_, bad, meter] = house.lab.doors().try_into().unwrap();
    for host in ["127.0.0.1", "box.lan"] {
        let here = format!("http://{host}:{}", bad.port());
        let others = [(house.named(host), "/meter"), (format!("http://{host}:{}", meter.port()), "")];
        for (target, prefix) in others {
            let report = house.site.tried(&format!("{here}{}", house.site.query(&target, prefix))).await;
            assert_eq!(read(&report), names(&[]), "{target}: {report:?}");
            assert_eq!(house.arrived(), BTreeSet::new(), "{target}: {report:?}");
        }
        let report = house.site.tried(&format!("{here}{}", house.site.query(&here, ""))).await;
        let mut reads =
            vec!["fetch-get", "fetch-own-pages", "fetch-metrics", "fetch-post", "fetch-put", "fetch-json"];
        let mut comes = vec!["fetch-get", "fetch-post", "fetch-put", "fetch-json", "opaque-post", "beacon"];
        reads.extend(["opaque-post", "frame-own-page"]);
        if host == "127.0.0.1" {
            // To another host a page that asks to send no `Referer` has no proof of where it is from.
            reads.extend(["opaque-act", "frame-act"]);
            comes.extend([
                "opaque-act",
                "image-act",
                "script-act",
                "style-act",
                "prefetch-act",
                "frame-act",
                "form-act",
            ]);
        }
        let came = std::mem::take(&mut *house.site.asked.lock().unwrap());
        assert_eq!(read(&report), names(&reads), "{host}: {report:?}");
        let missed: Vec<_> = comes.iter().filter(|name| !came.contains(**name)).collect();
        assert!(missed.is_empty(), "{host}: {missed:?} of {came:?}");
    }
}

#[tokio::test]
async fn a_listed_page_reads_and_acts() {
    let listed =
        |site: &Site| format!("[access]\norigins = [\"http://dash.example:{}\"]\n", site.address.port());
    let mut house = House::with("", listed).await;
    let query = house.site.query(&house.named("127.0.0.1"), "/meter");
    let report = house.site.tried(&format!("http://dash.example:{}{query}", house.site.address.port())).await;
    let reads = [
        "fetch-get",
        "fetch-own-pages",
        "fetch-metrics",
        "fetch-post",
        "fetch-put",
        "fetch-json",
        "event-source",
        "web-socket",
    ];
    assert_eq!(read(&report), names(&reads), "{report:?}");
    let arrived = house.arrived();
    for name in ["fetch-get", "fetch-post", "fetch-put", "fetch-json", "opaque-post", "web-socket"] {
        assert!(arrived.contains(name), "{name}: {arrived:?}");
    }
    // Without an origin nothing tells whose they are.
    for name in ["image-act", "script-act", "style-act", "frame-act", "form-act"] {
        assert!(!arrived.contains(name), "{name}: {arrived:?}");
    }
}

/// Of a generic device nobody has said which GETs act, and the browser says nothing of who asks.
#[tokio::test]
async fn the_first_page_of_a_device_of_any_make_is_shown_at_its_own_name() {
    let device = Device::new(Generic::new(Scheme::Open));
    let lab = Lab::new(&device.table("meter", "hosts = [\"meter.lan\"]\n")).await;
    let shown = Browser::shows(&format!("http://meter.lan:{}/", lab.address().port())).await;
    assert!(!shown.contains("origin_not_allowed"), "{shown}");
    assert_eq!(device.twin.arrivals().first().map(|arrival| arrival.target.clone()).as_deref(), Some("/"));
}

#[tokio::test]
async fn our_own_page_is_shown_and_what_it_links_to_too() {
    let house = House::with("hosts = [\"meter.lan\"]\n", |_| String::new()).await;
    for host in ["127.0.0.1", "box.lan"] {
        let shown = Browser::shows(&house.named(host)).await;
        assert!(shown.contains("keyward</h1>") && shown.contains("id=\"device-meter\""), "{host}: {shown}");
        let shown = Browser::shows(&format!("{}/meter/twin/html", house.named(host))).await;
        assert!(shown.contains("<h1>Twin</h1>"), "{host}: {shown}");
    }
    let shown = Browser::shows(&format!("{}/twin/html", house.named("meter.lan"))).await;
    assert!(shown.contains("<h1>Twin</h1>"), "{shown}");
}
