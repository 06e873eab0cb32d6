//! `keyward health`: what counts is the server that runs.

use keyward::twin::generic::{Generic, Scheme};

use super::SECRETLESS;
use crate::support::{Device, Process};

#[tokio::test]
async fn health_is_0_while_it_serves_and_1_when_it_does_not() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let mut process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    let address = server.address().await;
    assert_eq!(process.carry_out(&["health"]).await.code, Some(0), "the port that it got");
    server.signal("TERM").await;
    assert_eq!(server.ends().await.code, Some(0));
    let ended = process.carry_out(&["health"]).await;
    assert!(ended.code == Some(1) && ended.err.contains("127.0.0.1:0"), "{ended:?}");
    process = process.with("KEYWARD_LISTEN", address.to_string());
    let ended = process.carry_out(&["health"]).await;
    assert!(ended.code == Some(1) && ended.err.contains(&address.to_string()), "{ended:?}");
}

#[tokio::test]
async fn a_file_that_was_spoilt_since_the_start_says_nothing_of_the_server() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    server.address().await;
    for spoilt in [SECRETLESS, "[devices.meter\nurl =", "state = \"state\"\nsurprise = 1\n", ""] {
        process.write(spoilt);
        let ended = process.carry_out(&["health"]).await;
        assert_eq!(ended.code, Some(0), "{spoilt}: {ended:?}");
    }
    std::fs::remove_file(process.path("proxy.toml")).unwrap();
    assert_eq!(process.carry_out(&["health", "--config", "proxy.toml"]).await.code, Some(0));
}

#[tokio::test]
async fn a_pipe_in_the_place_of_the_file_keeps_nobody_waiting() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    server.address().await;
    std::fs::remove_file(process.path("proxy.toml")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(process.path("proxy.toml")).status().unwrap();
    assert!(made.success());
    assert_eq!(process.carry_out(&["health"]).await.code, Some(0));
}

#[tokio::test]
async fn without_a_state_folder_it_is_found_by_its_address() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&format!("state = \"taken\"\n{}", device.table("meter", "")));
    std::fs::write(process.path("taken"), "a file where a folder belongs").unwrap();
    let server = process.start(&["run"]);
    let address = server.address().await;
    let process = process.with("KEYWARD_LISTEN", address.to_string());
    assert_eq!(process.carry_out(&["health"]).await.code, Some(0));
}

#[tokio::test]
async fn a_file_that_was_named_and_is_of_no_use_is_told_with_exit_2_whoever_serves_at_the_address() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    let address = server.address().await.to_string();
    let other = Process::new("").with("KEYWARD_LISTEN", &address);
    std::fs::write(other.path("broken.toml"), "listen = \"127.0.0.1:9\"\nbroken[\n").unwrap();
    std::fs::write(other.path("fine.toml"), "").unwrap();
    std::fs::write(process.path("broken.toml"), "broken[\n").unwrap();
    for (from, file, words) in [
        (&other, "nowhere.toml", "there is no such file"),
        (&other, "broken.toml", "broken.toml:2:"),
        (&other, ".", "which is a folder"),
        (&other, "/dev/zero", "not a regular file"),
        // The state folder is that of the one that runs, and the file is not.
        (&process, "nowhere.toml", "there is no such file"),
        (&process, "broken.toml", "broken.toml:1:"),
    ] {
        let ended = from.carry_out(&["health", "--config", file]).await;
        assert!(ended.code == Some(2) && ended.err.contains(words), "{file}: {ended:?}");
    }
    assert_eq!(other.carry_out(&["health", "--config", "fine.toml"]).await.code, Some(0));
    std::fs::remove_file(other.path("proxy.toml")).unwrap();
    assert_eq!(other.carry_out(&["health"]).await.code, Some(0), "no file is named, and none is there");
}
