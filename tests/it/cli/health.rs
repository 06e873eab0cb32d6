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
