//! A process that is killed, or whose disk fails, at any point of a save.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use keyward::twin::Certificate;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::it::support::{Ask, Device, Line, Process, Reply};

/// What a save consists of.
const STEPS: [&str; 6] =
    ["openat", "write", "fsync", "rename,renameat,renameat2", "close", "fstat,newfstatat,statx,lseek"];
/// A save has fewer of each.
const MOST: usize = 12;

/// A server at whose system calls something goes wrong from now on.
async fn spoil(server: u32, calls: &str, what: &str) -> Child {
    let mut strace = Command::new("strace");
    let rule = format!("inject={calls}:{what}");
    strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &rule]);
    strace.args(["-p", &server.to_string()]).stderr(Stdio::piped()).kill_on_drop(true);
    let mut strace = strace.spawn().expect("strace, which this test needs: `apt-get install strace`");
    let mut said = BufReader::new(strace.stderr.take().unwrap()).lines();
    let first = said.next_line().await.unwrap().unwrap_or_default();
    assert!(first.contains("attached"), "strace can't attach (it has to be root): {first}");
    // Its pipe stays open, or its next word would end it.
    tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
    strace
}

async fn read(server: SocketAddr) -> Option<Reply> {
    Line::to(server).await.ask(&Ask::get("/meter/twin/sample")).await.ok()
}

/// A device and a folder with what an earlier run has saved of it.
async fn bench() -> (Device, Process) {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    let process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    assert_eq!(read(server.address().await).await.unwrap().status, 200);
    server.kill().await;
    (device, process)
}

/// Whole, of one owner, and alone.
fn is_in_order(process: &Process, file: &str, old: &[u8], is_whole: fn(&[u8]) -> bool) -> bool {
    let path = process.path(file);
    let now = fs::read(&path).unwrap();
    assert!(now == old || is_whole(&now), "{file}: {}", String::from_utf8_lossy(&now));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    now == old
}

fn litter(process: &Process) -> usize {
    let entries = ["state", "certs"].map(|folder| fs::read_dir(process.path(folder)).unwrap());
    let names = entries.into_iter().flatten().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".saving-")).count()
}

#[tokio::test]
async fn a_session_is_the_old_one_or_the_new_one_wherever_its_save_is_killed() {
    let (device, process) = bench().await;
    let (mut olds, mut news, mut killed) = (0, 0, 0);
    for calls in STEPS {
        for nth in 1..=MOST {
            let old = fs::read(process.path("state/meter.json")).unwrap();
            let server = process.start(&["run"]);
            server.address().await;
            let strace = spoil(server.id(), calls, &format!("signal=KILL:when={nth}")).await;
            device.twin.reboot();
            let answered = read(server.address().await).await.is_some_and(|reply| reply.status == 200);
            killed += usize::from(!answered);
            server.kill().await;
            drop(strace);
            let is_whole = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).is_ok();
            if is_in_order(&process, "state/meter.json", &old, is_whole) {
                olds += 1;
            } else {
                news += 1;
            }
            let server = process.start(&["run"]);
            assert_eq!(read(server.address().await).await.unwrap().status, 200, "{calls} {nth}");
            assert_eq!(litter(&process), 0, "{calls} {nth}");
            assert!(!server.log().contains("can't be used"), "{}", server.log());
            server.kill().await;
        }
    }
    println!("{killed} killed; the old one {olds} times, the new one {news} times");
    assert!(olds > 0 && news > 0 && killed > 0, "nothing was killed in the middle of a save");
}

#[tokio::test]
async fn a_pin_is_the_old_one_or_the_new_one_wherever_its_save_is_killed() {
    let (mut device, process) = bench().await;
    let (mut olds, mut news) = (0, 0);
    for calls in STEPS {
        for nth in 1..=MOST {
            let old = fs::read(process.path("certs/meter.pem")).unwrap();
            device.shows(Certificate::self_signed().unwrap()).await;
            let server = process.start(&["run"]);
            server.address().await;
            let strace = spoil(server.id(), calls, &format!("signal=KILL:when={nth}")).await;
            let trust = process.carry_out(&["trust", "meter", "--yes"]).await;
            server.kill().await;
            drop(strace);
            let is_whole = |text: &[u8]| text.ends_with(b"-----END CERTIFICATE-----\n");
            let is_old = is_in_order(&process, "certs/meter.pem", &old, is_whole);
            assert!(trust.code == Some(1) || !is_old, "{calls} {nth}: said to be pinned and is not");
            if is_old {
                olds += 1;
            } else {
                news += 1;
            }
            let server = process.start(&["run"]);
            let expected = if is_old { 502 } else { 200 };
            assert_eq!(read(server.address().await).await.unwrap().status, expected, "{calls} {nth}");
            assert_eq!(litter(&process), 0, "{calls} {nth}");
            server.kill().await;
        }
    }
    println!("the old one {olds} times, the new one {news} times");
    assert!(olds > 0 && news > 0, "nothing was killed in the middle of a save");
}

#[tokio::test]
async fn a_disk_that_fails_costs_no_answer_and_no_old_file() {
    for (calls, error) in [
        ("fsync", "EIO"),
        ("fsync", "ENOSPC"),
        ("rename,renameat,renameat2", "EROFS"),
        ("rename,renameat,renameat2", "ENOSPC"),
    ] {
        let (device, process) = bench().await;
        let old = fs::read(process.path("state/meter.json")).unwrap();
        let server = process.start(&["run"]);
        server.address().await;
        let _strace = spoil(server.id(), calls, &format!("error={error}")).await;
        device.twin.reboot();
        for _ in 0..3 {
            assert_eq!(read(server.address().await).await.unwrap().status, 200, "{calls} {error}");
        }
        server.logs("can't be written").await;
        let list = Line::to(server.address().await).await.ask(&Ask::get("/-/devices")).await.unwrap();
        assert_eq!(list.json()["devices"][0]["state"], "degraded");
        assert_eq!(fs::read(process.path("state/meter.json")).unwrap(), old);
        assert_eq!(device.twin.logins(), 2);
        assert_eq!(litter(&process), 0);
    }
}
