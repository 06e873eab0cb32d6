//! `keyward check --report`.

use keyward::twin;
use keyward::twin::cloud::CloudSettings;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use keyward::twin::generic::{Generic, Scheme};

use crate::support::{Device, Process};

#[tokio::test]
async fn a_report_tells_what_an_issue_needs_and_neither_where_nor_whose_it_is() {
    let fine: Vec<_> = twin::every().await.unwrap().into_iter().map(Device::new).collect();
    let locked = Device::new(Egauge::new(EgaugeSettings {
        username: "walter".to_owned(),
        ..EgaugeSettings::default()
    }));
    locked.twin.lock_out();
    let other = Enphase::with_cloud(EnphaseSettings::default(), CloudSettings::default()).await.unwrap();
    other.become_serial("202500000001");
    let other = Device::new(other);
    let mut off = Device::new(Generic::new(Scheme::Header));
    off.leave().await;
    let named = fine.iter().map(|device| (device.twin.vendor(), device));
    let named: Vec<_> = named.chain([("locked", &locked), ("off", &off), ("other", &other)]).collect();
    let tables: String = named.iter().map(|(name, device)| device.table(name, "")).collect();
    let gone = "[devices.gone]\nvendor = \"open\"\nurl = \"http://nobody-here.invalid:81/base\"\n";
    let process = Process::new(&(tables + gone));
    let ended = process.carry_out(&["check", "--report"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("4 of 14"), "{}", ended.err);
    for words in [
        &format!("keyward {} on linux", env!("CARGO_PKG_VERSION")),
        "egauge: egauge, https to this machine, a port other than 443, trust pin, access full, cache off\n  ok, answers 200",
        "firmware D8.3.5286, certificate pinned just now, session until 20",
        "locked: egauge",
        "FAIL login_refused: ",
        "FAIL device_unreachable: ",
        "FAIL wrong_device: the device at this address is serial <number>",
        "gone: open, http to a name, a port other than 80, a base path, no TLS",
        "<address>",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    let serials = ["121935144671", "TWIN0001", "walter", "owner@example.com", "nobody-here", "202500000001"];
    let places = named.iter().map(|(_, device)| device.authority());
    let secrets = named.iter().flat_map(|(_, device)| device.twin.secrets());
    let secrets = secrets.map(|secret| secret.expose().to_owned()).filter(|secret| !secret.is_empty());
    for private in serials.map(str::to_owned).into_iter().chain(places).chain(secrets) {
        assert!(!ended.out.contains(&private), "{private}: {}", ended.out);
    }
}

#[tokio::test]
async fn a_running_server_is_asked_for_the_report() {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    let process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    server.address().await;
    let ended = process.carry_out(&["check", "--report"]).await;
    assert!(ended.code == Some(0) && ended.out.contains("ok, answers 200"), "{ended:?}");
    assert_eq!(device.twin.logins(), 1);
    assert_eq!(process.carry_out(&["check", "--report", "--offline"]).await.code, Some(2));
}
