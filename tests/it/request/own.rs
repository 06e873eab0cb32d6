//! keyward's own endpoints.

use http::Method;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use serde_json::Value;

use crate::support::{Ask, Device, Door, End, Lab, has_members};

const OWN: [&str; 5] = ["/", "/healthz", "/readyz", "/metrics", "/-/devices"];

#[tokio::test]
async fn our_endpoints_know_get_and_head_and_no_other_method() {
    let door = Door::new().await;
    for path in OWN {
        let whole = door.stops(&Ask::get(path)).await;
        assert_eq!(whole.status, 200, "{path}");
        let head = door.stops(&Ask::new(Method::HEAD, path)).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), whole.header("content-type"));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let reply = door.stops(&Ask::new(method.clone(), path)).await;
            assert_eq!(
                (reply.fault().as_str(), reply.header("allow")),
                ("method_not_allowed", "GET, HEAD"),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn a_browser_gets_a_page_of_the_same_words_and_nobody_else_does() {
    let door = Door::new().await;
    let asked = |accept: &str| Ask::get("/this&that/").with("Accept", accept);
    let problem = door.lab.send(&asked("application/json, text/html")).await.problem();
    let page = door.lab.send(&asked("text/html,application/xhtml+xml,*/*;q=0.8")).await;
    assert_eq!(page.status, 404);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(page.header("proxy-status").starts_with("keyward; error=destination_not_found"));
    assert!(page.text().contains("unknown_device") && page.text().contains("there is no device"));
    assert!(page.text().contains("this&amp;that"), "what was asked for is not escaped: {}", page.text());
    assert!(problem.detail.ends_with("there is no device `this&that` in proxy.toml; there is /meter/"));
    let problem = door.lab.get("/a\\b/").await.problem();
    assert!(problem.detail.contains("`a\\b`"), "{}", problem.detail);
}

#[tokio::test]
async fn readyz_lists_the_devices_and_is_503_from_the_first_moment_of_the_end() {
    let mut door = Door::new().await;
    let ready = door.lab.get("/readyz").await.json();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["devices"][0]["name"], "meter");
    let mut slow = door.lab.connect().await;
    slow.begin(&Ask::get("/meter/twin/slow?ms=700")).await;
    door.device.twin.journal().reaches(1).await;
    door.lab.begin_to_stop();
    tokio::task::yield_now().await;
    // Whoever connects now, whenever its request is read.
    for _ in 0..20 {
        let reply = door.lab.get("/readyz").await;
        assert_eq!((reply.status.as_u16(), &reply.json()["ready"]), (503, &Value::Bool(false)));
    }
    let reply = slow.reply(&Method::GET).await.unwrap();
    assert_eq!(reply.json()["slept"], 700, "what is under way is finished");
    door.lab.stop().await;
}

#[tokio::test]
async fn every_line_of_the_metrics_is_prometheus_text_and_counts_what_happened() {
    let door = Door::new().await;
    for path in [
        "/meter/twin/sample",
        "/meter/twin/sample",
        "/meter/twin/status?code=404",
        "/meter/../x",
        "/unknown/",
    ] {
        door.lab.get(path).await;
    }
    let reply = door.lab.get("/metrics").await;
    assert!(reply.header("content-type").starts_with("text/plain; version=0.0.4"));
    let mut samples = Vec::new();
    for line in reply.text().lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            assert!(
                ["HELP ", "TYPE ", "UNIT ", "EOF"].iter().any(|word| comment.starts_with(word)),
                "{line}"
            );
        } else {
            samples.push(sample(line));
        }
    }
    let is_ours = |name: &str| name.starts_with("keyward_") || name.starts_with("process_");
    assert!(samples.iter().all(|(name, ..)| is_ours(name)), "{samples:?}");
    let process = |name: &str| samples.iter().find(|(shown, ..)| shown == name).map(|(.., value)| *value);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!(process("process_open_fds").is_some_and(|open| (5.0..10_000.0).contains(&open)), "{samples:?}");
    assert!(process("process_resident_memory_bytes").is_some_and(|bytes| bytes > f64::from(1 << 20)));
    assert!(process("process_start_time_seconds").is_some_and(|at| (now - 3600.0..now + 60.0).contains(&at)));
    let count = |labels: &str| {
        let is_it =
            |(name, shown, _): &&(String, String, f64)| name == "keyward_requests_total" && shown == labels;
        samples.iter().find(is_it).map(|(.., value)| *value)
    };
    assert_eq!(count(r#"device="meter",method="GET",code="200""#), Some(2.0));
    assert_eq!(count(r#"device="meter",method="GET",code="404""#), Some(1.0));
}

/// Name, labels and value of a sample (the text format of Prometheus, version 0.0.4).
fn sample(line: &str) -> (String, String, f64) {
    let (metric, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) =
        metric.split_once('{').map_or((metric, ""), |(name, rest)| (name, rest.strip_suffix('}').unwrap()));
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
    for label in labels.split("\",").filter(|label| !label.is_empty()) {
        let (label, text) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        assert!(!text.trim_end_matches('"').contains(['"', '\n']), "{line}");
    }
    (name.to_owned(), labels.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
}

#[tokio::test]
async fn the_list_of_devices_has_every_key_and_null_for_what_is_not_known() {
    let door = Door::new().await;
    let listed = door.lab.listed("meter").await;
    for name in ["fault", "detail"] {
        assert_eq!(listed[name], Value::Null, "{name}");
    }
    assert_eq!(listed["vendor"], "open");
    assert_eq!(listed["prefix"], "/meter/");
    assert_eq!(listed["url"].as_str().unwrap().trim_end_matches('/'), door.device.url());
    assert_eq!(
        (&listed["requests"], &listed["errors"], &listed["logins"]),
        (&0.into(), &0.into(), &0.into())
    );
    has_members(
        &listed,
        &[
            "cache",
            "certificate",
            "detail",
            "errors",
            "fault",
            "logins",
            "name",
            "prefix",
            "requests",
            "session",
            "state",
            "url",
            "vendor",
        ],
    );
    has_members(&listed["session"], &["expires_at", "renewed_at"]);
    has_members(&listed["certificate"], &["not_after", "pinned_at", "sha256", "subject"]);
    has_members(&listed["cache"], &["hits", "misses"]);
    assert!(listed["certificate"].as_object().unwrap().values().all(Value::is_null));
}

#[tokio::test]
async fn the_state_of_a_device_follows_its_last_exchange() {
    let mut door = Door::new().await;
    assert_eq!(door.lab.listed("meter").await["state"], "unknown");
    door.lab.get("/meter/twin/sample").await;
    let fine = door.lab.listed("meter").await;
    assert_eq!((&fine["state"], &fine["requests"]), (&"ok".into(), &1.into()));
    for name in ["not_after", "pinned_at"] {
        let time = fine["certificate"][name].as_str().unwrap();
        assert!(
            time.len() == 20 && time.ends_with('Z') && &time[10..11] == "T",
            "{name} {time} is not RFC 3339 UTC"
        );
    }
    assert!(fine["certificate"]["sha256"].as_str().unwrap().contains(':'));
    door.device.leave().await;
    door.lab.get("/meter/twin/sample").await;
    let down = door.lab.listed("meter").await;
    assert_eq!((&down["state"], &down["fault"]), (&"down".into(), &"device_unreachable".into()));
    assert!(down["detail"].as_str().unwrap().contains(&door.device.authority()));
    door.device.come_back().await;
    door.lab.get("/meter/twin/sample").await;
    assert_eq!(door.lab.listed("meter").await["state"], "ok");
}

#[tokio::test]
async fn a_check_that_fails_says_how_the_device_is_and_counts_among_no_requests() {
    let mut door = Door::new().await;
    door.device.leave().await;
    door.lab.check("meter").await.unwrap_err();
    let listed = door.lab.listed("meter").await;
    assert_eq!((&listed["state"], &listed["fault"]), (&"down".into(), &"device_unreachable".into()));
    assert_eq!((&listed["requests"], &listed["errors"]), (&0.into(), &0.into()), "an error of no request");
    let metrics = door.lab.get("/metrics").await;
    assert!(metrics.text().contains("keyward_device_up{device=\"meter\"} 0"), "{}", metrics.text());
    assert!(!metrics.text().contains("keyward_faults_total{"), "no answer of keyward's: {}", metrics.text());
    let page = door.lab.get("/").await;
    assert!(page.text().contains("just now</time> <code>device_unreachable</code>"), "{}", page.text());
    door.lab.get("/meter/twin/sample").await;
    let listed = door.lab.listed("meter").await;
    assert_eq!((&listed["requests"], &listed["errors"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn after_a_restart_a_device_is_unknown_until_it_is_asked_though_its_login_rests() {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    device.twin.lock_out();
    let mut lab = Lab::new(&device.table("meter", "")).await;
    assert_eq!(lab.get("/meter/twin/sample").await.fault(), "login_refused");
    assert_eq!(lab.listed("meter").await["state"], "down");
    lab.restart(End::Killed).await;
    let listed = lab.listed("meter").await;
    assert_eq!((&listed["state"], &listed["requests"]), (&"unknown".into(), &0.into()));
    // What it will come to is known all the same.
    assert_eq!(listed["fault"], "login_refused");
    assert!(listed["detail"].as_str().unwrap().contains("username or password"), "{listed}");
    assert_eq!(lab.get("/readyz").await.json()["devices"][0]["state"], "unknown");
    assert_eq!(lab.get("/meter/twin/sample").await.fault(), "login_refused");
    assert_eq!(lab.listed("meter").await["state"], "down");
}

#[tokio::test]
async fn a_fault_of_the_callers_is_no_state_of_the_device() {
    let door = Door::with("access = \"read\"\nacts_on_get = []\n").await;
    door.lab.get("/meter/twin/sample").await;
    assert_eq!(door.lab.send(&Ask::post("/meter/twin/upload", "x")).await.fault(), "read_only");
    let listed = door.lab.listed("meter").await;
    assert_eq!((&listed["state"], &listed["errors"]), (&"ok".into(), &1.into()));
}
