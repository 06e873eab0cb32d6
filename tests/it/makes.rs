//! What only one make does.

mod digest;

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use keyward::twin::digest::{Algorithm, Digest, DigestSettings};
use keyward::twin::egauge::{Egauge, EgaugeSettings, Ltm};
use keyward::twin::enlighted::{Api, Enlighted, EnlightedSettings};
use keyward::twin::yombo::{Starting, Yombo, YomboSettings};
use keyward::twin::{Twin as _, serve};
use tokio::sync::watch;

use crate::support::{Act, Ask, Device, Lab, Reply, Scripted, pass};

#[tokio::test]
async fn a_meters_token_lasts_as_long_as_it_says_by_whatever_clock_it_has() {
    const YEAR: i64 = 365 * 86_400;
    for (ltm, clock_offset_seconds) in [(Ltm::Number, 0), (Ltm::Text, -5 * YEAR), (Ltm::Absent, 5 * YEAR)] {
        let settings = EgaugeSettings { ltm, clock_offset_seconds, ..EgaugeSettings::default() };
        let twin = Egauge::new(settings);
        let device = Device::new(twin.clone());
        let lab = Lab::new(&device.table("meter", "")).await;
        for (seconds, logins) in [(0, 1), (350, 1), (200, 2)] {
            pass(Duration::from_secs(seconds)).await;
            assert_eq!(lab.get("/meter/api/register?rate").await.status, 200);
            // A session in its last third is renewed beside the request that finds it so.
            while twin.logins() < logins {
                tokio::task::yield_now().await;
            }
            assert_eq!(twin.logins(), logins, "{ltm:?} after {seconds} s");
        }
        assert!(
            twin.arrivals()
                .iter()
                .all(|arrival| arrival.status != 401 || arrival.target == "/api/auth/unauthorized")
        );
    }
}

#[tokio::test]
async fn a_meter_that_leaves_http_out_is_garbled_and_served_again_after_it() {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    let lab = Lab::new(&device.table("meter", "")).await;
    assert_eq!(lab.get("/meter/api/register?noHTTP").await.fault(), "device_garbled");
    assert_eq!(lab.get("/meter/api/register?rate").await.status, 200);
}

fn answer(status: &str, lines: &str, body: &str) -> Act {
    let length = body.len();
    Act::Answer(format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {length}\r\n\r\n{body}").into())
}

#[tokio::test]
async fn a_login_slower_than_the_timeout_goes_on_and_serves_whoever_asks_then() {
    const NONCE: &str = r#"{"rlm":"eGauge Administration","nnc":"a-nonce"}"#;
    let (may_answer, said) = watch::channel(false);
    let device = Scripted::new(move |nth| match (nth, answer("200 OK", "", r#"{"jwt":"head.e30.tail"}"#)) {
        (0, _) => answer("401 Unauthorized", "", NONCE),
        (1, Act::Answer(token)) => Act::Held(said.clone(), token),
        _ => answer("200 OK", "", "{}"),
    })
    .await;
    let lab = Lab::new(&format!(
        "[devices.meter]\nvendor = \"egauge\"\nurl = \"http://{}\"\nusername = \"owner\"\npassword = \"word\"\n\
         timeout = \"100ms\"\n",
        device.address
    ))
    .await;
    // The second one waits until long after the login was begun.
    for _ in 0..2 {
        assert_eq!(lab.get("/meter/api/register").await.fault(), "login_unavailable");
    }
    may_answer.send_replace(true);
    let logged_in = async || lab.listed("meter").await["logins"] == 1;
    while !logged_in().await {}
    assert_eq!(lab.get("/meter/api/register").await.status, 200);
    let asked: Vec<_> = device.heard().iter().map(|heard| heard.target().to_owned()).collect();
    assert_eq!(asked, ["/api/auth/unauthorized", "/api/auth/login", "/api/register"]);
}

/// A matter of rights, as the device's own words and no further login say.
fn is_refused_again(reply: &Reply) {
    assert_eq!((reply.status.as_u16(), reply.text()), (403, "not for you"), "{reply:?}");
    assert_eq!(reply.header("proxy-status"), "keyward; received-status=401");
}

#[tokio::test]
async fn what_a_meter_refuses_again_after_a_login_is_a_matter_of_rights() {
    const NONCE: &str = r#"{"rlm":"eGauge Administration","nnc":"a-nonce"}"#;
    let device = Scripted::new(|nth| match nth {
        // Of both logins, and of the question between them whether the first session is still good.
        0 | 4 | 5 => answer("401 Unauthorized", "", NONCE),
        1 | 6 => answer("200 OK", "", r#"{"jwt":"head.e30.tail","rights":[]}"#),
        2 => answer("200 OK", "", "{}"),
        _ => answer("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", "not for you"),
    })
    .await;
    let lab = Lab::new(&format!(
        "[devices.meter]\nvendor = \"egauge\"\nurl = \"http://{}\"\nusername = \"owner\"\npassword = \"word\"\n",
        device.address
    ))
    .await;
    assert_eq!(lab.get("/meter/api/register").await.status, 200);
    is_refused_again(&lab.get("/meter/api/register").await);
    let asked: Vec<_> = device.heard().iter().map(|heard| heard.target().to_owned()).collect();
    let (nonce, login, path) = ("/api/auth/unauthorized", "/api/auth/login", "/api/register");
    assert_eq!(asked, [nonce, login, path, path, nonce, nonce, login, path]);
}

#[tokio::test]
async fn what_is_refused_again_with_a_fresh_nonce_is_a_matter_of_rights() {
    let device = Scripted::new(|nth| match nth {
        // The path that was refused, and the one that a fresh nonce was tried with.
        1 | 2 | 6 => answer("200 OK", "", "{}"),
        _ => {
            let challenge = format!(
                "WWW-Authenticate: Digest realm=\"r\", nonce=\"{nth}\", qop=\"auth\", algorithm=MD5\r\n"
            );
            answer("401 Unauthorized", &challenge, "not for you")
        }
    })
    .await;
    let lab = Lab::new(&format!(
        "[devices.camera]\nvendor = \"digest\"\nurl = \"http://{}\"\nusername = \"owner\"\npassword = \"word\"\n",
        device.address
    ))
    .await;
    assert_eq!(lab.get("/camera/x").await.status, 200);
    assert_eq!(lab.get("/camera/x").await.status, 200);
    is_refused_again(&lab.get("/camera/x").await);
    let asked: Vec<_> = device.heard().iter().map(|heard| heard.target().to_owned()).collect();
    assert_eq!(asked, ["/", "/x", "/x", "/x", "/x", "/", "/"]);
}

#[tokio::test]
async fn a_refusal_that_breaks_off_is_not_told_as_if_it_were_whole() {
    const NONCE: &str = r#"{"rlm":"eGauge Administration","nnc":"a-nonce"}"#;
    let device = Scripted::new(|nth| match nth {
        0 => answer("401 Unauthorized", "", NONCE),
        1 => answer("200 OK", "", r#"{"jwt":"head.e30.tail","rights":[]}"#),
        3 => answer("200 OK", "", r#"{"status":"You are logged in."}"#),
        _ => Act::Last(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nnot for".to_vec()),
    })
    .await;
    let lab = Lab::new(&format!(
        "[devices.meter]\nvendor = \"egauge\"\nurl = \"http://{}\"\nusername = \"owner\"\npassword = \"word\"\n",
        device.address
    ))
    .await;
    assert_eq!(lab.get("/meter/api/register").await.fault(), "device_broke_off");
    assert_eq!(device.heard().len(), 4);
}

#[tokio::test]
async fn what_acts_on_a_get_is_kept_from_who_may_only_read() {
    let meter = Device::new(Egauge::new(EgaugeSettings::default()));
    let house = Device::new(Yombo::new(YomboSettings::default()));
    let read = "access = \"read\"\n";
    let lab = Lab::new(&(meter.table("meter", read) + &house.table("house", read))).await;
    let acting = [
        "/meter/api/cmd?reboot",
        "/meter/api/capture?R",
        "/house/api/v1/lib/devices/kitchen/command/on",
        "/house/api/v1/device/kitchen/command/on",
        "/house/api/v1/system/backup",
    ];
    for path in acting {
        assert_eq!(lab.get(path).await.fault(), "read_only", "{path}");
        let ask = Ask::new(Method::HEAD, path);
        assert_eq!(lab.send(&ask).await.status, 403, "{path}: a HEAD may act too");
    }
    assert_eq!(meter.twin.journal().total() + house.twin.journal().total(), 0);
    for path in acting.iter().filter(|path| !path.ends_with("/backup")) {
        let before = meter.twin.journal().total() + house.twin.journal().total();
        lab.send(&Ask::new(Method::OPTIONS, *path)).await;
        let arrived = meter.twin.journal().total() + house.twin.journal().total();
        assert!(arrived > before, "{path}: to ask what may be done is no deed");
    }
    assert_eq!(lab.get("/meter/api/register?rate").await.status, 200);
    assert_eq!(lab.get("/house/api/v1/lib/devices").await.status, 200);
}

#[tokio::test]
async fn a_command_by_get_is_sent_once_and_not_for_a_page_of_nowhere() {
    let twin = Yombo::new(YomboSettings::default());
    let device = Device::new(twin.clone());
    let lab = Lab::new(&device.table("house", "")).await;
    let command = Ask::get("/house/api/v1/lib/devices/kitchen/command/on");
    assert_eq!(lab.send(&command).await.status, 200);
    let problem = lab.send(&command.clone().with("User-Agent", "Mozilla/5.0")).await.problem();
    assert_eq!(problem.fault, "origin_not_allowed");
    assert!(!problem.detail.contains("acts_on_get"), "no invitation to switch it off: {}", problem.detail);
    assert_eq!(twin.commands(), ["kitchen/on"]);
}

#[tokio::test]
async fn every_login_of_an_enlighted_server_is_spoken() {
    for api in [Api::Two, Api::Three, Api::FourFive] {
        let twin = Enlighted::new(EnlightedSettings { api, ..EnlightedSettings::default() });
        let device = Device::new(twin.clone());
        let lab = Lab::new(&device.table("lights", "")).await;
        let reply = lab.get(&format!("/lights{}", twin.sample())).await;
        assert_eq!(reply.status, 200, "api {}: {reply:?}", api.name());
        assert!(reply.text().starts_with("<?xml"), "what `Accept` does not name stays as it is");
    }
}

#[tokio::test]
async fn an_enlighted_server_whose_clock_is_off_is_signed_for_by_its_own() {
    for clock_offset_seconds in [-86_400, 3600] {
        let twin = Enlighted::new(EnlightedSettings { clock_offset_seconds, ..EnlightedSettings::default() });
        let device = Device::new(twin.clone());
        let lab = Lab::new(&device.table("lights", "")).await;
        for _ in 0..3 {
            let reply = lab.get(&format!("/lights{}", twin.sample())).await;
            assert_eq!(reply.status, 200, "{clock_offset_seconds} s: {reply:?}");
        }
        let statuses: Vec<_> = twin.arrivals().iter().map(|arrival| arrival.status).collect();
        assert_eq!(statuses, [408, 200, 200, 200]);
    }
}

#[tokio::test]
async fn an_enlighted_server_that_says_408_twice_is_busy() {
    // Every call would have to be signed a day after the one before it.
    let twin =
        Enlighted::new(EnlightedSettings { replay_grace: -86_400_000, ..EnlightedSettings::default() });
    let device = Device::new(twin.clone());
    let lab = Lab::new(&device.table("lights", "")).await;
    let sample = format!("/lights{}", twin.sample());
    assert_eq!(lab.get(&sample).await.status, 200);
    let problem = lab.get(&sample).await.problem();
    assert_eq!(problem.fault, "device_busy");
    assert_eq!(twin.journal().total(), 3);
}

#[tokio::test]
async fn a_wrong_key_of_an_enlighted_page_is_no_redirect_to_its_login() {
    let twin = Enlighted::new(EnlightedSettings::default());
    let device = Device::new(twin.clone());
    let lab = Lab::new(&device.table("lights", "")).await;
    twin.lock_out();
    assert_eq!(lab.get("/lights/ems/home.action").await.fault(), "login_refused");
}

#[tokio::test]
async fn a_server_error_of_the_devices_own_is_passed_on() {
    let twin = Enlighted::new(EnlightedSettings::default());
    let device = Device::new(twin.clone());
    let lab = Lab::new(&device.table("lights", "")).await;
    let ask = Ask::get("/lights/ems/api/org/sensor/v1/details/13").with("Accept", "application/json");
    let reply = lab.send(&ask).await;
    assert_eq!((reply.status.as_u16(), reply.json()["msg"].as_str()), (500, Some("sensor is offline")));
}

#[tokio::test]
async fn a_yombo_gateway_that_is_starting_is_said_to_be() {
    for starting in [Starting::Html, Starting::Json] {
        let twin = Yombo::new(YomboSettings { starting: Some(starting), ..YomboSettings::default() });
        let device = Device::new(twin.clone());
        let lab = Lab::new(&device.table("house", "")).await;
        assert_eq!(lab.get("/house/api/v1/lib/devices").await.fault(), "device_starting");
        twin.start(None);
        assert_eq!(lab.get("/house/api/v1/lib/devices").await.status, 200);
    }
}

#[tokio::test]
async fn a_gateway_that_says_when_it_will_have_started_is_left_alone_until_then() {
    let device = Scripted::new(|nth| match nth {
        0 => answer("503 Booting", "Content-Type: application/json\r\nRetry-After: 9\r\n", "{}"),
        _ => answer("200 OK", "", "{}"),
    })
    .await;
    let table = device.table("house", "").replace("\"open\"", "\"yombo\"\nauth_key = \"key\"");
    let lab = Lab::new(&table).await;
    let reply = lab.get("/house/api/v1/lib/devices").await;
    assert_eq!((reply.fault().as_str(), reply.header("retry-after")), ("device_starting", "9"));
    assert_eq!(lab.get("/house/api/v1/lib/devices").await.fault(), "device_busy");
    assert_eq!(device.heard().len(), 1);
    pass(Duration::from_secs(10)).await;
    assert_eq!(lab.get("/house/api/v1/lib/devices").await.status, 200);
}

#[tokio::test]
async fn who_does_not_say_what_it_accepts_gets_a_yombo_gateways_data() {
    let device = Device::new(Yombo::new(YomboSettings::default()));
    let lab = Lab::new(&device.table("house", "")).await;
    for accept in [None, Some("*/*"), Some("application/json")] {
        let ask = Ask::get("/house/api/v1/lib/devices");
        let reply = lab.send(&accept.map_or(ask.clone(), |accept| ask.with("Accept", accept))).await;
        assert!(reply.json()["data"].is_array(), "{accept:?}");
    }
    let page = lab.send(&Ask::get("/house/api/v1/lib/devices").with("Accept", "text/html")).await;
    assert!(page.text().starts_with("<!DOCTYPE html>"), "{page:?}");
}

#[tokio::test]
async fn every_kind_of_digest_is_answered() {
    for (algorithm, qop) in [
        (Algorithm::Md5, true),
        (Algorithm::Md5, false),
        (Algorithm::Sha256, true),
        (Algorithm::Sha256, false),
    ] {
        let settings = DigestSettings {
            algorithm,
            qop,
            realm: "a realm, with commas".to_owned(),
            ..DigestSettings::default()
        };
        let device = Device::new(Digest::new(settings));
        let lab = Lab::new(&device.table("camera", "")).await;
        for target in ["/camera/twin/sample", "/camera/twin/echo?a=1,2&b={x}&c"] {
            assert_eq!(lab.get(target).await.status, 200, "{algorithm:?}, qop {qop}: {target}");
        }
        assert_eq!(lab.send(&Ask::post("/camera/twin/upload", "body")).await.json()["length"], 4);
    }
}

#[tokio::test]
async fn no_count_goes_out_twice_with_a_nonce_that_a_device_hands_to_everybody() {
    let twin = Digest::new(DigestSettings { shares_nonce: true, ..DigestSettings::default() });
    let device = Device::new(twin.clone());
    let settings = "max_connections = 10\nacts_on_get = []\n";
    let lab = Lab::new(&device.table("camera", settings)).await;
    for _ in 0..3 {
        let replies = join_all((0..40).map(|_| lab.get("/camera/twin/sample"))).await;
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
        assert_eq!(statuses, [200; 40]);
        twin.lapse();
    }
    assert_eq!(twin.repeats(), 0);
    // A question of ours counts among them: a path that is refused has it asked with the same nonce.
    assert_eq!(lab.get("/camera/twin/sample").await.status, 200);
    assert_eq!(lab.get("/camera/twin/status?code=401").await.status, 403);
    assert_eq!(lab.get("/camera/twin/sample").await.status, 200);
    assert_eq!(twin.repeats(), 0);
    let faults = lab.figures();
    assert!(!faults.contains("keyward_faults_total{"), "{faults}");
}

#[tokio::test]
async fn a_device_without_tls_is_served_too() {
    let twin = Egauge::new(EgaugeSettings::default());
    let served = serve(twin.clone().face(), None, "127.0.0.1:0".parse().unwrap()).unwrap();
    let stanza = twin.stanza();
    let lab =
        Lab::new(&format!("[devices.meter]\nvendor = \"egauge\"\nurl = \"{}\"\n{stanza}", served.url()))
            .await;
    assert_eq!(lab.get("/meter/api/register?rate").await.status, 200);
}
