//! The page, its stream, and its button.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use http::Method;
use keyward::twin::Certificate;
use keyward::twin::generic::{Generic, Scheme};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::support::{Ask, Device, Door, Lab, Line, Process, Reply, until};

const PARTS: [&str; 4] = ["/-/live", "/-/page.css", "/-/page.js", "/-/icon.svg"];
const KEYS: &str = "[access.keys.all]\nkey = \"all-0123456789abcdefgh\"\n\
    [access.keys.looker]\nkey = \"looker-0123456789abcdef\"\nmethods = [\"GET\"]\n\
    [access.keys.single]\nkey = \"single-0123456789abcdef\"\ndevices = [\"meter\"]\n";

/// The page's own request, as its button has a browser make it.
fn pressed(lab: &Lab, device: &str, sha256: &str) -> Ask {
    pressed_as(lab, device, sha256, "application/x-www-form-urlencoded")
}

fn pressed_as(lab: &Lab, device: &str, sha256: &str, kind: &str) -> Ask {
    let origin = format!("http://{}", lab.address());
    let form = format!("device={device}&sha256={}", sha256.replace(':', "%3A"));
    Ask::post("/-/trust", form)
        .with("Host", &lab.address().to_string())
        .with("Origin", &origin)
        .with("Sec-Fetch-Site", "same-origin")
        .with("Content-Type", kind)
}

/// The fingerprint that the button of this page would accept.
fn offered(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("name=\"sha256\" value=\"")?;
    Some(rest.split('"').next()?.to_owned())
}

/// A device whose certificate was exchanged after it was pinned, and that was asked since.
async fn changed() -> Door {
    changed_with("").await
}

async fn changed_with(more: &str) -> Door {
    let mut door = Door::with(more).await;
    let ask = |ask: Ask| if more.is_empty() { ask } else { ask.with("X-API-Key", "all-0123456789abcdefgh") };
    assert_eq!(door.lab.send(&ask(Ask::get("/meter/twin/sample"))).await.status, 200);
    door.device.shows(Certificate::self_signed().unwrap()).await;
    let refused = door.lab.send(&ask(Ask::get("/meter/twin/sample"))).await;
    assert_eq!(refused.fault(), "certificate_changed");
    door
}

/// A stream of the page's, read event by event.
struct Stream(Line, String);

impl Stream {
    async fn open(lab: &Lab) -> Self {
        let mut line = lab.connect().await;
        line.begin(&Ask::get("/-/live")).await;
        let head = line.head(&Method::GET).await.unwrap();
        assert_eq!((head.status.as_u16(), head.header("content-type")), (200, "text/event-stream"));
        assert_eq!(head.header("cache-control"), "no-store");
        Self(line, String::new())
    }

    /// Reads on to the end, which is not to be long in coming.
    async fn ends(&mut self) {
        let ended = async { while self.next().await.is_some() {} };
        timeout(Duration::from_secs(10), ended).await.expect("an end");
    }

    /// The parts of the page that the next event changes; nothing at the end.
    async fn next(&mut self) -> Option<Vec<(String, String)>> {
        loop {
            if let Some((event, rest)) = self.1.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.1 = rest.to_owned();
                match data {
                    Some(data) => return Some(serde_json::from_str(&data).unwrap()),
                    None => continue,
                }
            }
            let piece = self.0.piece().await.unwrap()?;
            self.1.push_str(str::from_utf8(&piece).unwrap());
        }
    }
}

#[tokio::test]
async fn the_page_tells_how_each_device_is_and_what_happened_to_it() {
    let mut door = Door::new().await;
    let page = door.lab.get("/").await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(page.header("cache-control"), "no-store");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(
        page.text().contains("data-state=\"unknown\"")
            && page.text().contains("No device has been asked yet")
    );
    door.lab.get("/meter/twin/sample").await;
    let page = door.lab.get("/").await;
    assert!(
        page.text().contains("<span class=\"state\">ok</span>") && page.text().contains("The device is well")
    );
    assert!(
        page.text().contains("<polyline") && page.text().contains("<dt>Requests</dt><dd>1</dd>"),
        "{}",
        page.text()
    );
    door.device.leave().await;
    door.lab.get("/meter/twin/sample").await;
    let page = door.lab.get("/").await;
    assert!(
        page.text().contains("<span class=\"state\">down</span>") && page.text().contains("meter is down")
    );
    assert!(page.text().contains("just now</time> <code>device_unreachable</code>"), "{}", page.text());
    assert!(
        page.text().contains("refuses connections: is the device on, and is that its port?"),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn a_device_is_linked_where_a_browser_that_follows_is_answered() {
    for (more, links) in [("", false), ("acts_on_get = []", true), ("acts_on_get = [\"/reboot\"]", true)] {
        let page = Door::with(more).await.lab.get("/").await;
        assert_eq!(page.text().contains("<a href=\"meter/\">/meter/</a>"), links, "{more}: {}", page.text());
    }
}

#[tokio::test]
async fn the_parts_of_the_page_know_get_and_head_and_the_button_post_alone() {
    let door = Door::new().await;
    for path in PARTS {
        let head = door.stops(&Ask::new(Method::HEAD, path)).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let reply = door.stops(&Ask::new(method, path)).await;
            assert_eq!((reply.fault().as_str(), reply.header("allow")), ("method_not_allowed", "GET, HEAD"));
        }
    }
    for path in &PARTS[1..] {
        assert!(!door.stops(&Ask::get(*path)).await.body.is_empty(), "{path}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let reply = door.stops(&Ask::new(method, "/-/trust")).await;
        assert_eq!((reply.fault().as_str(), reply.header("allow")), ("method_not_allowed", "POST"));
    }
    assert_eq!(door.stops(&Ask::get("/-/nothing")).await.fault(), "unknown_device");
}

#[tokio::test]
async fn the_button_pins_what_the_page_has_shown_and_the_device_is_well_at_once() {
    let door = changed().await;
    let page = door.lab.get("/").await;
    let shown = offered(page.text()).unwrap();
    assert_eq!(shown.replace(':', "").to_lowercase(), door.device.certificate.sha256());
    let accepted = door.lab.send(&pressed(&door.lab, "meter", &shown)).await;
    assert_eq!((accepted.status.as_u16(), accepted.header("location")), (303, "../"), "{accepted:?}");
    let page = door.lab.get("/").await;
    assert!(offered(page.text()).is_none() && page.text().contains("The device is well"), "{}", page.text());
    let listed = door.lab.listed("meter").await;
    assert_eq!((&listed["state"], &listed["certificate"]["sha256"]), (&"ok".into(), &shown.into()));
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
}

#[tokio::test]
async fn a_certificate_that_the_page_has_not_shown_is_not_pinned() {
    let mut door = changed().await;
    let shown = offered(door.lab.get("/").await.text()).unwrap();
    door.device.shows(Certificate::self_signed().unwrap()).await;
    let refused = door.lab.send(&pressed(&door.lab, "meter", &shown)).await.problem();
    assert_eq!((refused.fault.as_str(), refused.device.as_deref()), ("certificate_changed", Some("meter")));
    assert!(
        refused.detail.contains(&shown) && refused.detail.contains("nothing is changed"),
        "{}",
        refused.detail
    );
    // From then on the page shows what the device does.
    let now = offered(door.lab.get("/").await.text()).unwrap();
    assert_eq!(now.replace(':', "").to_lowercase(), door.device.certificate.sha256());
    assert_eq!(door.lab.get("/meter/twin/sample").await.fault(), "certificate_changed");
}

#[tokio::test]
async fn what_no_request_has_met_yet_is_accepted_by_nobody() {
    let mut door = Door::new().await;
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
    door.device.shows(Certificate::self_signed().unwrap()).await;
    let shown = door.device.certificate.sha256();
    let refused = door.lab.send(&pressed(&door.lab, "meter", &shown)).await;
    assert_eq!(refused.fault(), "certificate_changed");
    let seen = door.lab.send(&pressed(&door.lab, "meter", &shown).with("Accept", "text/html")).await;
    assert!(seen.text().contains("<a href=\"../\">"), "whoever pressed it is led back: {}", seen.text());
    assert!(!door.lab.send(&Ask::get("/nobody/").with("Accept", "text/html")).await.text().contains("<a "));
    assert_eq!(door.lab.get("/meter/twin/sample").await.fault(), "certificate_changed");
    assert_eq!(door.lab.send(&pressed(&door.lab, "meter", &shown)).await.status, 303);
}

#[tokio::test]
async fn only_the_page_itself_may_press_its_button() {
    let door = changed_with("[access]\norigins = [\"http://dash.lan:3000\"]\n").await;
    let shown = offered(door.lab.get("/").await.text()).unwrap();
    let form = format!("device=meter&sha256={shown}");
    let (host, port) = (door.lab.address().to_string(), door.lab.address().port());
    let own = format!("http://{host}");
    for lines in [
        &[][..],
        &[("Origin", "http://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "http://dash.lan:3000")],
        &[("Origin", "http://dash.lan:3000"), ("Sec-Fetch-Site", "same-origin")],
        &[("Origin", &format!("http://127.0.0.1:{}", port.wrapping_add(1)))],
        &[("Origin", &format!("https://{host}"))],
        &[("Origin", &own), ("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "none")],
        &[("Referer", &own)],
    ] {
        let ask = Ask::post("/-/trust", form.clone()).with("Host", &host).with_all(lines);
        assert_eq!(door.lab.send(&ask).await.fault(), "origin_not_allowed", "{lines:?}");
    }
    // A name that an attacker has led here is the origin of the attacker's page.
    let rebound = [("Host", "rebound.example"), ("Origin", "http://rebound.example")];
    let ask = Ask::post("/-/trust", form.clone()).with_all(&rebound);
    assert_eq!(door.lab.send(&ask).await.fault(), "host_not_allowed");
    assert_eq!(
        door.lab.get("/meter/twin/sample").await.fault(),
        "certificate_changed",
        "pinned by somebody else"
    );
    let ask = Ask::post("/-/trust", form).with("Host", &host).with("Sec-Fetch-Site", "same-origin");
    assert_eq!(door.lab.send(&ask).await.status, 303);
}

#[tokio::test]
async fn a_form_that_is_none_of_ours_changes_nothing() {
    let door = changed().await;
    let shown = offered(door.lab.get("/").await.text()).unwrap();
    let own = format!("http://{}", door.lab.address());
    let ask = |form: String| {
        let ask = Ask::post("/-/trust", form).with("Host", &door.lab.address().to_string());
        ask.with("Origin", &own).with("Content-Type", "application/x-www-form-urlencoded")
    };
    for form in [
        format!("device=meter&sha256={shown}&sha256={shown}"),
        format!("sha256={shown}"),
        "device=meter".to_owned(),
        "device=meter&sha256=AA".to_owned(),
        "x".repeat(10_000),
    ] {
        assert_eq!(door.lab.send(&ask(form)).await.status, 400);
    }
    assert_eq!(door.lab.send(&ask(format!("device=nobody&sha256={shown}"))).await.fault(), "unknown_device");
    assert_eq!(door.lab.get("/meter/twin/sample").await.fault(), "certificate_changed");
}

/// A browser reports what breaks a device's policy to whom that names, as the page that it is.
#[tokio::test]
async fn a_report_of_a_browsers_is_no_press_of_the_button_whatever_is_in_it() {
    let door = changed().await;
    let shown = offered(door.lab.get("/").await.text()).unwrap();
    for kind in ["application/csp-report", "application/json", "text/plain", ""] {
        let reported = pressed_as(&door.lab, "meter", &shown, kind);
        assert_eq!(door.lab.send(&reported).await.status, 400, "{kind}");
    }
    assert_eq!(door.lab.get("/meter/twin/sample").await.fault(), "certificate_changed");
}

#[tokio::test]
async fn a_key_opens_of_the_page_what_its_methods_and_devices_say() {
    let door = changed_with(KEYS).await;
    let by = |key: &str, ask: Ask| ask.with("X-API-Key", key);
    for path in ["/"].iter().chain(&PARTS) {
        assert_eq!(door.lab.get(path).await.fault(), "key_required", "{path}");
        let single = door.lab.send(&by("single-0123456789abcdef", Ask::get(*path))).await;
        assert_eq!(single.fault(), "key_not_allowed", "{path}");
    }
    let all = "all-0123456789abcdefgh";
    let shown = offered(door.lab.send(&by(all, Ask::get("/"))).await.text()).unwrap();
    let looker = "looker-0123456789abcdef";
    let page = door.lab.send(&by(looker, Ask::get("/"))).await;
    assert!(offered(page.text()).is_none() && page.text().contains(&shown), "{}", page.text());
    assert!(page.text().contains("keyward trust meter"), "{}", page.text());
    let press = || pressed(&door.lab, "meter", &shown);
    assert_eq!(door.lab.send(&press()).await.fault(), "key_required");
    assert_eq!(door.lab.send(&by(looker, press())).await.fault(), "key_not_allowed");
    assert_eq!(door.lab.send(&by("single-0123456789abcdef", press())).await.fault(), "key_not_allowed");
    assert_eq!(door.lab.send(&by(all, press())).await.status, 303);
}

#[tokio::test]
async fn what_changes_comes_by_the_stream_and_nothing_else_does() {
    let devices = [(); 2].map(|()| Device::new(Generic::new(Scheme::Open)));
    let lab = Lab::new(&(devices[0].table("meter", "") + &devices[1].table("other", ""))).await;
    let mut stream = Stream::open(&lab).await;
    let first = stream.next().await.unwrap();
    let names: Vec<_> = first.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(names, ["summary", "notices", "devices"]);
    assert!(first[2].1.contains("id=\"device-meter\"") && first[2].1.contains("id=\"device-other\""));
    lab.get("/meter/twin/sample").await;
    let changed = stream.next().await.unwrap();
    let names: Vec<_> = changed.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(names, ["summary", "device-meter"]);
    assert!(changed[1].1.contains("<span class=\"state\">ok</span>"), "{changed:?}");
}

#[tokio::test]
async fn a_stream_ends_with_the_configuration_that_it_began_with_and_with_keyward() {
    let mut door = Door::new().await;
    let mut stream = Stream::open(&door.lab).await;
    stream.next().await.unwrap();
    let table = door.device.table("meter", "max_waiting = 3");
    door.lab.reconfigure(&table).await;
    stream.ends().await;
    let mut stream = Stream::open(&door.lab).await;
    stream.next().await.unwrap();
    let begun = Instant::now();
    door.lab.stop().await;
    stream.ends().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn as_many_streams_are_open_as_there_is_room_for_and_one_that_ends_makes_room() {
    let door = Door::with("[limits]\nconnections = 32\n").await;
    let mut streams = Vec::new();
    let refused = loop {
        let mut line = door.lab.connect().await;
        line.begin(&Ask::get("/-/live")).await;
        let head = line.head(&Method::GET).await.unwrap();
        if head.status != 200 {
            break head;
        }
        streams.push(line);
        assert!(streams.len() < 100, "nothing bounds them");
    };
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "10"));
    assert_eq!(streams.len(), 8, "a quarter of all connections");
    streams.pop();
    let has_room = async {
        while door.lab.send(&Ask::new(Method::HEAD, "/-/live")).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), has_room).await.expect("room");
    // Everything else goes on.
    assert_eq!(door.lab.get("/").await.status, 200);
}

async fn asked(line: &mut Line, target: &str) -> Reply {
    line.ask(&Ask::get(target)).await.unwrap()
}

#[tokio::test]
async fn without_a_file_a_page_says_what_to_write_until_there_is_one() {
    let device = Device::new(Generic::new(Scheme::Open));
    let process = Process::new("").with("KEYWARD_LISTEN", "127.0.0.1:0");
    std::fs::remove_file(process.path("proxy.toml")).unwrap();
    let server = process.start(&["run"]);
    let address = server.address().await;
    let mut line = Line::to(address).await;
    let page = asked(&mut line, "/").await;
    let file = std::fs::canonicalize(process.path("")).unwrap().join("proxy.toml");
    assert!(page.status == 200 && page.text().contains(&file.display().to_string()), "{}", page.text());
    assert!(page.text().contains("[devices.meter]") && page.text().contains("/etc/keyward/proxy.toml"));
    assert_eq!(asked(&mut line, "/healthz").await.status, 200);
    let ready = asked(&mut line, "/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["ready"]), (503, &Value::Bool(false)));
    assert_eq!(asked(&mut line, "/-/devices").await.json()["devices"].as_array().unwrap().len(), 0);
    let early = asked(&mut line, "/meter/x").await.problem();
    assert_eq!(early.fault, "unknown_device");
    assert!(
        early.detail.contains("no configuration yet") && !early.detail.contains("proxy.toml"),
        "{}",
        early.detail
    );
    // What can't be used is told, and waited for.
    process.write("[devices.meter]\nvendor = \"opem\"\n");
    server.logs("did you mean `open`?").await;
    let page = asked(&mut line, "/").await;
    assert!(page.text().contains("did you mean `open`?"), "{}", page.text());
    process.write(&device.table("meter", ""));
    server.logs("is taken over").await;
    let listens = |log: &str| log.matches("listens on http://").count();
    until(|| listens(&server.log()) == 2).await;
    let log = server.log();
    assert!(!log.contains("stopping"), "it goes on: {log}");
    let address = log.rsplit("listens on http://").next().unwrap().split_whitespace().next().unwrap();
    let mut line = Line::to(address.parse().unwrap()).await;
    assert_eq!(asked(&mut line, "/meter/twin/sample").await.status, 200);
    assert_eq!(asked(&mut line, "/readyz").await.status, 200);
    server.signal("TERM").await;
    assert_eq!(server.ends().await.code, Some(0));
    assert_eq!(std::fs::read_dir(process.path("tmp")).unwrap().count(), 0, "something stays behind");
}

#[tokio::test]
async fn a_welcome_ends_at_a_signal_and_leaves_nothing_behind() {
    let process = Process::new("").with("KEYWARD_LISTEN", "127.0.0.1:0").after("umask 0");
    std::fs::remove_file(process.path("proxy.toml")).unwrap();
    let server = process.start(&["run"]);
    server.address().await;
    let made: Vec<_> = std::fs::read_dir(process.path("tmp")).unwrap().map(Result::unwrap).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0].metadata().unwrap().permissions().mode() & 0o777, 0o700, "it is for its owner alone");
    // It has been told to look for a file, and there is none.
    server.signal("HUP").await;
    server.signal("TERM").await;
    assert_eq!(server.ends().await.code, Some(0));
    let left: Vec<_> =
        std::fs::read_dir(process.path("")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["tmp"]);
    assert_eq!(std::fs::read_dir(process.path("tmp")).unwrap().count(), 0);
}
