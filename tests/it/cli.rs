//! The commands, as a person or a service manager runs them.

mod check;
mod health;
mod init;
mod limits;
mod log;
mod manual;
mod report;
mod run;
mod service;

use std::os::unix::fs::PermissionsExt as _;

use keyward::twin::generic::{Generic, Scheme};

use crate::support::{Ask, Device, Line, Process, address_in};

/// A device whose key stands in the environment of nobody.
const SECRETLESS: &str =
    "[devices.meter]\nvendor = \"bearer\"\nurl = \"http://127.0.0.1:9\"\ntoken = { env = \"NOT_SET\" }\n";

#[test]
fn what_is_printed_is_what_is_written_down() {
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/it/cli/*.trycmd").case("tests/it/cli/*.toml");
}

#[tokio::test]
async fn a_completion_script_is_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = Process::new("").carry_out(&["completions", shell]).await;
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{shell}");
        assert!(ended.out.contains("keyward") && ended.out.contains("check"), "{shell}");
    }
}

#[tokio::test]
async fn a_completion_script_that_nobody_takes_is_no_error() {
    let ended = Process::new("").after("exec >/dev/full").carry_out(&["completions", "bash"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn the_demo_prints_what_to_try_and_leaves_nothing_behind() {
    let process = Process::new(SECRETLESS).after("umask 0");
    let demo = process.start(&["demo", "--listen", "127.0.0.1:0"]);
    let printed = demo.prints("Ctrl-C").await;
    let address = address_in(&printed, "http://");
    let tries: Vec<_> = printed.lines().filter(|line| line.trim_start().starts_with("curl -H")).collect();
    assert_eq!(tries.len(), keyward::vendor::MAKES.len());
    for line in tries {
        let target = line.split(&format!("http://{address}")).nth(1).unwrap().trim_end_matches('\'');
        let ask = Ask::get(target).with("Accept", "application/json");
        let reply = Line::to(address).await.ask(&ask).await.unwrap();
        assert_eq!(reply.status, 200, "{line}");
        assert!(reply.json().is_object() || reply.json().is_array(), "{line}");
    }
    let practice = printed.lines().find(|line| line.contains("| keyward init")).unwrap();
    let practice = practice.replace("keyward init", &format!("{} init", env!("CARGO_BIN_EXE_keyward")));
    let home = Process::new("");
    std::fs::remove_file(home.path("proxy.toml")).unwrap();
    let mut shell = tokio::process::Command::new("sh");
    let ended = shell.args(["-c", &practice]).current_dir(home.path("")).output().await.unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("proxy.toml is written"), "{practice}: {ended:?}");
    let made: Vec<_> = std::fs::read_dir(process.path("tmp")).unwrap().map(Result::unwrap).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0].metadata().unwrap().permissions().mode() & 0o777, 0o700, "others see its secrets");
    demo.signal("TERM").await;
    assert_eq!(demo.ends().await.code, Some(0));
    assert_eq!(std::fs::read_dir(process.path("tmp")).unwrap().count(), 0);
    let left: Vec<_> =
        std::fs::read_dir(process.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "beside proxy.toml and tmp: {left:?}");
}

#[tokio::test]
async fn the_demo_ends_in_order_when_its_terminal_is_closed() {
    let process = Process::new("");
    let demo = process.start(&["demo", "--listen", "127.0.0.1:0"]);
    demo.prints("Ctrl-C").await;
    demo.signal("HUP").await;
    assert_eq!(demo.ends().await.code, Some(0));
    assert_eq!(std::fs::read_dir(process.path("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_device_without_tls_has_nothing_to_trust() {
    let process = Process::new("[devices.meter]\nvendor = \"open\"\nurl = \"http://127.0.0.1:9\"\n");
    let ended = process.carry_out(&["trust", "meter"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("meter does not use TLS"), "{}", ended.err);
}

#[tokio::test]
async fn trust_shows_both_certificates_and_takes_what_it_is_told_to() {
    let mut device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", ""));
    assert_eq!(process.carry_out(&["check"]).await.code, Some(0));
    let pinned = device.certificate.sha256();
    device.shows(keyward::twin::Certificate::self_signed().unwrap()).await;
    let presented = device.certificate.sha256();
    let without_terminal = process.carry_out(&["trust", "meter"]).await;
    assert_eq!(without_terminal.code, Some(2));
    assert!(without_terminal.err.contains("--sha256") && without_terminal.err.contains("--yes"));
    let torn = process.carry_out(&["trust", "meter", "--sha256", "AA"]).await;
    assert_eq!(torn.code, Some(2), "{torn:?}");
    assert!(torn.err.contains("64 hex digits") && torn.out.is_empty(), "without a visit: {torn:?}");
    let unknown = process.carry_out(&["trust", "nobody", "--yes"]).await;
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("meter"), "{}", unknown.err);
    let other = process.carry_out(&["trust", "meter", "--sha256", &pinned]).await;
    assert_eq!(other.code, Some(1), "{other:?}");
    assert_eq!(process.carry_out(&["check"]).await.code, Some(1));
    let taken = process.carry_out(&["trust", "meter", "--sha256", &presented]).await;
    assert_eq!(taken.code, Some(0), "{taken:?}");
    let plain = taken.out.replace(':', "").to_lowercase();
    assert!(plain.contains(&pinned) && plain.contains(&presented), "{}", taken.out);
    assert_eq!(process.carry_out(&["check"]).await.code, Some(0));
    let other = process.carry_out(&["trust", "meter", "--sha256", &pinned]).await;
    assert_eq!(other.code, Some(1), "a wrong fingerprint is wrong although nothing has changed: {other:?}");
    let again = process.carry_out(&["trust", "meter", "--yes"]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
}
