//! What is saved, when the disk or somebody with access to it has spoiled it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::generic::{Generic, Scheme};

use crate::support::{Ask, Device, Door, End, Lab, Line, Process, pass, until};

/// Longer than it takes until a save that failed is tried again.
const TRIED_AGAIN: Duration = Duration::from_secs(31);

/// Ways to spoil a file, given one that was good. `elsewhere` is a path for what is to stay untouched.
type Spoil = fn(file: &Path, elsewhere: &Path);

const SPOILT: [(&str, Spoil); 8] = [
    ("empty", |file, _| fs::write(file, "").unwrap()),
    ("cut off", |file, _| {
        let text = fs::read(file).unwrap();
        fs::write(file, &text[..text.len() / 2]).unwrap();
    }),
    ("corrupt", |file, _| fs::write(file, b"\xff\x00 nonsense").unwrap()),
    ("huge", |file, _| fs::File::options().write(true).open(file).unwrap().set_len(1 << 40).unwrap()),
    ("a link to a good one", |file, elsewhere| {
        fs::rename(file, elsewhere).unwrap();
        symlink(elsewhere, file).unwrap();
    }),
    ("a link to nowhere", |file, elsewhere| {
        fs::remove_file(file).unwrap();
        symlink(elsewhere.with_extension("nowhere"), file).unwrap();
    }),
    ("a pipe", |file, _| {
        fs::remove_file(file).unwrap();
        assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
    }),
    ("a folder", |file, _| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
        fs::write(file.join("in it"), "").unwrap();
    }),
];

fn meter() -> Device {
    Device::new(Egauge::new(EgaugeSettings::default()))
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// Waits until `/-/devices` says so of the meter.
async fn becomes(lab: &Lab, state: &str) {
    for _ in 0..1000 {
        if lab.listed("meter").await["state"] == state {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it is not {state}: {}", lab.listed("meter").await);
}

#[tokio::test]
async fn a_saved_session_that_is_of_no_use_is_set_aside_and_a_login_takes_its_place() {
    let other_version: Spoil = |file, _| {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains("\"version\":1"));
        fs::write(file, "{\"version\":99,\"other\":[]}").unwrap();
    };
    for (name, spoil) in SPOILT.into_iter().chain([("of another version", other_version)]) {
        println!("{name}");
        let device = meter();
        let mut lab = Lab::new(&device.table("meter", "")).await;
        let (file, elsewhere) = (lab.path("state/meter.json"), lab.path("elsewhere"));
        assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
        lab.kill().await;
        spoil(&file, &elsewhere);
        let kind = fs::symlink_metadata(&file).unwrap().file_type();
        let untouched = fs::read(&elsewhere).ok();
        lab.start().await;
        let page = lab.get("/").await.text().to_owned();
        for words in ["state/meter.json", "set aside as", "meter.json.unusable-1"] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert_eq!(page.contains("from another version of keyward"), name == "of another version", "{page}");
        assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
        assert_eq!(device.twin.logins(), 2, "it was used");
        assert_eq!(fs::symlink_metadata(lab.path("state/meter.json.unusable-1")).unwrap().file_type(), kind);
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        assert_eq!(fs::read(&elsewhere).ok(), untouched, "what a link leads to was written");
        assert!(!elsewhere.with_extension("nowhere").exists(), "a link was followed");
    }
}

#[tokio::test]
async fn of_many_unusable_files_few_are_kept_and_the_first_of_all_is() {
    let device = meter();
    let mut lab = Lab::new(&device.table("meter", "")).await;
    let unusable = |nth: usize| lab.path(format!("state/meter.json.unusable-{nth}"));
    let files = [unusable(1), unusable(2), unusable(3)];
    for nth in 1..=5 {
        lab.kill().await;
        fs::write(lab.path("state/meter.json"), format!("bad {nth}")).unwrap();
        lab.start().await;
    }
    assert_eq!(files.map(|file| fs::read_to_string(file).unwrap()), ["bad 1", "bad 2", "bad 5"]);
    let entries = fs::read_dir(lab.path("state")).unwrap().map(|entry| entry.unwrap().file_name());
    let kept = entries.filter(|name| name.to_string_lossy().contains("unusable"));
    assert_eq!(kept.count(), 3);
}

#[tokio::test]
async fn a_pin_that_is_of_no_use_accepts_nobody_and_is_never_replaced_unasked() {
    for (name, spoil) in SPOILT {
        println!("{name}");
        let mut door = Door::new().await;
        let (file, elsewhere) = (door.lab.path("certs/meter.pem"), door.lab.path("elsewhere"));
        assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
        let arrived = door.arrived();
        let is_link_to_nothing = name == "a link to nowhere";
        spoil(&file, &elsewhere);
        for restart in [false, true] {
            // The connection that is open was made under the pin as it was.
            let certificate = door.device.certificate.clone();
            door.device.shows(certificate).await;
            if restart {
                door.lab.restart(End::Killed).await;
            }
            let problem = door.lab.get("/meter/twin/sample").await.problem();
            assert_eq!(problem.fault, "certificate_changed", "{}", problem.detail);
            for words in ["certs/meter.pem", "run `keyward trust meter`"] {
                assert!(problem.detail.contains(words), "{}", problem.detail);
            }
        }
        assert_eq!(door.arrived(), arrived, "a request went out");
        assert_eq!(door.device.served().accepted(), 0, "the device was contacted");
        assert!(is_link_to_nothing || fs::read(&elsewhere).is_ok() == name.contains("a link to"));
        let sha256 = door.device.certificate.sha256();
        let order = keyward::server::operate::Instruction::Trust { device: "meter".to_owned(), sha256 };
        let outcome = door.lab.order(order).await;
        assert!(matches!(outcome, keyward::server::operate::Outcome::Fine(_)), "{outcome:?}");
        assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
    }
}

#[tokio::test]
async fn what_cannot_be_saved_is_served_from_memory_told_and_saved_later() {
    for (folder, file) in [("state", "state/meter.json"), ("certs", "certs/meter.pem")] {
        println!("{folder}");
        let device = meter();
        let mut lab = Lab::new(&device.table("meter", "")).await;
        let place = lab.path(folder);
        lab.stop().await;
        fs::remove_dir_all(&place).unwrap();
        fs::write(&place, "a file where a folder belongs").unwrap();
        lab.start().await;
        let told = format!("the folder {} can't be written", place.display());
        assert!(lab.get("/").await.text().contains(&told));
        assert_ne!(mode(&place), 0o700, "it is somebody else's");
        for _ in 0..3 {
            assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
        }
        becomes(&lab, "degraded").await;
        assert!(lab.listed("meter").await["detail"].as_str().unwrap().contains("can't be saved"));
        assert_eq!(device.twin.logins(), 1);
        fs::remove_file(&place).unwrap();
        pass(TRIED_AGAIN).await;
        until(|| lab.path(file).exists()).await;
        becomes(&lab, "ok").await;
        assert!(!lab.get("/").await.text().contains(&told));
        assert_eq!(mode(lab.path(file)), 0o600);
        lab.restart(End::Killed).await;
        assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
        assert_eq!(device.twin.logins(), 1, "what was saved late is of no use");
    }
}

#[tokio::test]
async fn on_a_full_disk_it_serves_and_the_old_files_stay() {
    let device = meter();
    let process = Process::new(&device.table("meter", ""));
    let sample = Ask::get("/meter/twin/sample");
    let server = process.start(&["run"]);
    assert_eq!(Line::to(server.address().await).await.ask(&sample).await.unwrap().status, 200);
    server.kill().await;
    let old = fs::read(process.path("state/meter.json")).unwrap();
    device.twin.reboot();
    // Whatever is written to a file fails, as if there were no room; what is written to a pipe does not.
    let process = process.after("trap '' XFSZ; ulimit -f 0");
    let server = process.start(&["run"]);
    let address = server.address().await;
    for _ in 0..3 {
        assert_eq!(Line::to(address).await.ask(&sample).await.unwrap().status, 200);
    }
    for folder in ["state", "certs"] {
        let told = format!("the folder {folder} can't be written");
        server.logs(&told).await;
        assert_eq!(server.log().matches(&told).count(), 1, "{}", server.log());
    }
    assert_eq!(fs::read(process.path("state/meter.json")).unwrap(), old);
    assert_eq!(device.twin.logins(), 2);
    assert_eq!(server.log().matches("can't be written").count(), 2, "{}", server.log());
    server.kill().await;
    let left = fs::read_dir(process.path("state")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert_eq!(left, [""; 0], "litter");
}

#[tokio::test]
async fn a_pin_that_could_not_be_saved_holds_all_the_same() {
    let mut door = Door::new().await;
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
    // The folder is another one now, and no file can be made in it: the old pin stands there still.
    let (certs, aside) = (door.lab.path("certs"), door.lab.path("aside"));
    fs::rename(&certs, &aside).unwrap();
    fs::write(&certs, "").unwrap();
    let certificate = keyward::twin::Certificate::self_signed().unwrap();
    door.device.shows(certificate.clone()).await;
    let sha256 = certificate.sha256();
    let order = keyward::server::operate::Instruction::Trust { device: "meter".to_owned(), sha256 };
    door.lab.order(order).await;
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
    door.device.shows(keyward::twin::Certificate::self_signed().unwrap()).await;
    assert_eq!(door.lab.get("/meter/twin/sample").await.fault(), "certificate_changed");
    fs::remove_file(&certs).unwrap();
    pass(TRIED_AGAIN).await;
    until(|| door.lab.path("certs/meter.pem").exists()).await;
    let text = fs::read_to_string(door.lab.path("certs/meter.pem")).unwrap();
    assert!(text.contains(certificate.pem().trim()));
}

#[tokio::test]
async fn what_a_killed_process_was_writing_is_gone_after_the_next_start() {
    let mut lab = Lab::new(&meter().table("meter", "")).await;
    lab.kill().await;
    let left = [lab.path("state/.saving-abcdef"), lab.path("certs/.saving-abcdef")];
    left.iter().for_each(|file| fs::write(file, "half a secret").unwrap());
    let others = lab.path("certs/notes.txt");
    fs::write(&others, "").unwrap();
    lab.start().await;
    assert!(left.iter().all(|file| !file.exists()));
    assert!(others.exists(), "somebody else's file is gone");
}

#[tokio::test]
async fn folders_and_files_are_for_their_owner_alone_whatever_the_umask_and_whoever_made_them() {
    let device = meter();
    let process = Process::new(&device.table("meter", "")).after("umask 0");
    fs::create_dir(process.path("state")).unwrap();
    fs::set_permissions(process.path("state"), fs::Permissions::from_mode(0o777)).unwrap();
    let server = process.start(&["run"]);
    let address = server.address().await;
    let sample = Ask::get("/meter/twin/sample");
    assert_eq!(Line::to(address).await.ask(&sample).await.unwrap().status, 200);
    // It may be somebody else's too: that is for a person to mend.
    fs::set_permissions(process.path("certs"), fs::Permissions::from_mode(0o770)).unwrap();
    server.signal("HUP").await;
    server.logs("`chmod go-w` it").await;
    fs::set_permissions(process.path("certs"), fs::Permissions::from_mode(0o700)).unwrap();
    for folder in ["state", "certs"] {
        assert_eq!(mode(process.path(folder)), 0o700, "{folder}");
        for entry in fs::read_dir(process.path(folder)).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn a_secret_may_be_a_link_to_a_file_and_anything_else_holds_nobody_up() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let secret = device.twin.secrets().first().unwrap().expose().to_owned();
    let table = |name: &str| {
        let url = device.url();
        format!("[devices.{name}]\nvendor = \"bearer\"\nurl = \"{url}\"\ntoken = {{ file = \"key\" }}\n")
    };
    let process = Process::new(&table("meter"));
    fs::write(process.path("..data"), &secret).unwrap();
    fs::set_permissions(process.path("..data"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("..data", process.path("key")).unwrap();
    let server = process.start(&["run"]);
    let address = server.address().await;
    let sample = Ask::get("/meter/twin/sample");
    assert_eq!(Line::to(address).await.ask(&sample).await.unwrap().status, 200);
    fs::remove_file(process.path("key")).unwrap();
    assert!(Command::new("mkfifo").arg(process.path("key")).status().unwrap().success());
    server.logs("is not taken over").await;
    assert_eq!(Line::to(address).await.ask(&sample).await.unwrap().status, 200, "the old key serves on");
    server.kill().await;
    let ended = process.carry_out(&["run"]).await;
    assert!(ended.code == Some(2) && ended.err.contains("not a regular file"), "{ended:?}");
}
