//! Doors that speak TLS.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use http::Method;

use super::Building;
use crate::support::{Ask, Device, End, Line, Process};
use keyward::clock::{Clock, Timestamp};
use keyward::twin::generic::{Generic, Scheme};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

const SELF_SIGNED: &str = "[[listeners]]\nlisten = \"127.0.0.1:0\"\ntls = \"self-signed\"\n";

#[tokio::test]
async fn a_self_signed_certificate_is_made_once_and_kept() {
    let mut building = Building::with("", SELF_SIGNED).await;
    let file = building.lab.path("certs/own/cert.pem");
    let made = fs::read(&file).unwrap();
    for end in [End::Stopped, End::Killed] {
        let mut line = Line::by_tls(building.lab.doors()[1], &made).await.unwrap();
        let origin = ("Origin", "https://localhost:8443");
        for _ in 0..2 {
            let ask = Ask::post("/meter/twin/echo", "x").with("Host", "localhost:8443");
            let reply = line.ask(&ask.with(origin.0, origin.1)).await.unwrap();
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        let plain = Ask::post("/meter/twin/echo", "x").with("Host", "localhost:8443");
        let reply = line.ask(&plain.with("Origin", "http://localhost:8443")).await.unwrap();
        assert_eq!(reply.fault(), "origin_not_allowed", "another scheme is another origin");
        building.lab.restart(end).await;
        assert_eq!(fs::read(&file).unwrap(), made);
    }
    for (name, mode) in [("own", 0o700), ("own/key.pem", 0o600), ("own/cert.pem", 0o600)] {
        let found = fs::metadata(building.lab.path("certs").join(name)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
}

/// Apple's clients refuse one that is good for more than 825 days.
#[tokio::test]
async fn a_self_signed_certificate_is_renewed_with_its_key_before_clients_refuse_it() {
    const DAY: i64 = 86_400;
    let mut building = Building::with("", SELF_SIGNED).await;
    let [cert, key] = ["cert", "key"].map(|name| building.lab.path(format!("certs/own/{name}.pem")));
    let secret = fs::read_to_string(&key).unwrap();
    let dates = || {
        let der = CertificateDer::from_pem_file(&cert).unwrap();
        let read = keyward::upstream::Certificate::read(&der).unwrap();
        (read.not_before.as_seconds(), read.not_after.as_seconds())
    };
    let now = Clock::of_runtime().now().as_seconds();
    let made = dates();
    assert!(made.0 < now && (819 * DAY..=825 * DAY).contains(&(made.1 - made.0)), "{made:?}");
    // Before its last days it stays as it is, and after a start in those it is another one of the same key.
    for (before_its_end, is_renewed) in [(200 * DAY, false), (100 * DAY, true), (-DAY, true)] {
        let (_, end) = dates();
        let former = fs::read(&cert).unwrap();
        building.lab.set_clock(Clock::starting_at(Timestamp::from_seconds(end - before_its_end)));
        building.lab.restart(End::Stopped).await;
        assert_eq!(fs::read(&cert).unwrap() != former, is_renewed, "{before_its_end}");
        assert_eq!(fs::read_to_string(&key).unwrap(), secret);
        assert!(!is_renewed || dates().1 > end + 600 * DAY);
    }
    // One that outlasts what clients accept, as they were made once.
    let pair = rcgen::KeyPair::from_pem(&secret).unwrap();
    let mut long = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    long.not_after = rcgen::date_time_ymd(2049, 12, 31);
    fs::write(&cert, long.self_signed(&pair).unwrap().pem()).unwrap();
    building.lab.set_clock(Clock::of_runtime());
    building.lab.restart(End::Stopped).await;
    let (begins, ends) = dates();
    assert!(ends - begins <= 825 * DAY);
    assert_eq!(fs::read_to_string(&key).unwrap(), secret);
    assert!(Line::by_tls(building.lab.doors()[1], &fs::read(&cert).unwrap()).await.is_ok());
}

/// What stands in place of its files is neither followed, nor waited for, nor replaced unasked.
#[tokio::test]
async fn a_certificate_of_our_own_that_is_of_no_use_is_named_at_the_start() {
    let device = Device::new(Generic::new(Scheme::Open));
    type Spoil = fn(&std::path::Path);
    let spoiled: [(&str, Spoil); 5] = [
        ("cert.pem", |own| fs::write(own.join("cert.pem"), "nothing").unwrap()),
        ("cert.pem", |own| {
            fs::remove_file(own.join("cert.pem")).unwrap();
            assert!(
                std::process::Command::new("mkfifo").arg(own.join("cert.pem")).status().unwrap().success()
            );
        }),
        ("symbolic link", |own| {
            fs::rename(own.join("key.pem"), own.join("other.pem")).unwrap();
            std::os::unix::fs::symlink(own.join("other.pem"), own.join("key.pem")).unwrap();
        }),
        ("symbolic link", |own| {
            fs::rename(own, own.with_file_name("elsewhere")).unwrap();
            std::os::unix::fs::symlink(own.with_file_name("elsewhere"), own).unwrap();
        }),
        ("key.pem is not there", |own| fs::remove_file(own.join("key.pem")).unwrap()),
    ];
    for (words, spoil) in spoiled {
        let process = Process::new(&format!("{}{SELF_SIGNED}", device.table("meter", "")));
        let server = process.start(&["run"]);
        server.logs("listens on https://").await;
        server.signal("TERM").await;
        server.ends().await;
        spoil(&process.path("certs/own"));
        for command in [["run"].as_slice(), &["check", "--offline"]] {
            let ended = process.carry_out(command).await;
            assert!(ended.code == Some(2) && ended.err.contains(words), "{command:?}: {ended:?}");
            assert!(ended.err.contains("remove both"), "{ended:?}");
        }
    }
}

#[tokio::test]
async fn who_speaks_plain_http_to_it_is_told_so() {
    let building = Building::with("", SELF_SIGNED).await;
    let mut line = Line::to(building.lab.doors()[1]).await;
    let reply = line.ask(&Ask::get("/")).await.unwrap();
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("https"), "{reply:?}");
    assert!(line.rest().await.unwrap().is_empty());
}

#[tokio::test]
async fn who_says_nothing_or_no_head_is_let_go() {
    let limits = "[limits]\nhead_timeout = \"200ms\"\n";
    let building = Building::with("", &format!("{limits}{SELF_SIGNED}")).await;
    let made = fs::read(building.lab.path("certs/own/cert.pem")).unwrap();
    let address = building.lab.doors()[1];
    for begun in [&b""[..], &[22, 3, 1, 2]] {
        let mut line = Line::to(address).await;
        line.write(begun).await;
        assert!(line.rest().await.unwrap().is_empty());
    }
    let mut line = Line::by_tls(address, &made).await.unwrap();
    line.write("GET / HTTP/1.1\r\nHo").await;
    assert_eq!(line.reply(&Method::GET).await.unwrap().status, 408);
}

/// A certificate for `localhost` with its key, in PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[tokio::test]
async fn a_renewed_certificate_of_a_file_is_shown_from_the_next_connection_on() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let write = |(pem, secret): &(String, String)| {
        fs::write(&cert, pem).unwrap();
        fs::write(&key, secret).unwrap();
    };
    let (first, second) = (certificate(), certificate());
    write(&first);
    let door = format!(
        "[[listeners]]\nlisten = \"127.0.0.1:0\"\ntls = {{ cert = {cert:?}, key = {key:?} }}\ndevice = \"meter\"\n"
    );
    let mut building = Building::with("", &door).await;
    let tables = [building.meter.table("meter", ""), building.other.table("other", ""), door].concat();
    let address = building.lab.doors()[1];
    let mut line = Line::by_tls(address, first.0.as_bytes()).await.unwrap();
    assert_eq!(line.ask(&Ask::get("/twin/echo")).await.unwrap().status, 200);

    // A key that does not belong to the certificate is kept out.
    write(&(second.0.clone(), first.1.clone()));
    building.lab.reconfigure(&tables).await;
    assert!(Line::by_tls(address, first.0.as_bytes()).await.is_ok());
    assert!(building.lab.get("/").await.text().contains("key.pem"), "the page says why");

    write(&second);
    building.lab.reconfigure(&tables).await;
    assert_eq!(building.lab.doors()[1], address);
    assert!(Line::by_tls(address, second.0.as_bytes()).await.is_ok());
    assert!(Line::by_tls(address, first.0.as_bytes()).await.is_err());
    assert_eq!(line.ask(&Ask::get("/twin/echo")).await.unwrap().status, 200, "who is connected stays so");
}
