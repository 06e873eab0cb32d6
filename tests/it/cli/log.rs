//! A log that nobody reads, or that can't be written.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;

use keyward::twin::Certificate;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::generic::{Generic, Scheme};
use tokio::net::TcpStream;

use crate::support::{Ask, Device, Line, Port, Process, Reply, until};

const DROPPED: &str = "\nkeyward_log_lines_dropped_total ";

async fn get(address: SocketAddr, target: &str) -> Reply {
    Line::to(address).await.ask(&Ask::get(target)).await.unwrap()
}

/// A server that is told where to listen, since its log does not say it to anybody.
fn silent(device: &Device, port: &Port) -> Process {
    Process::new(&device.table("meter", ""))
        .with("KEYWARD_LOG", "trace")
        .with("KEYWARD_LISTEN", port.address().to_string())
}

async fn listens(port: &Port) -> SocketAddr {
    while TcpStream::connect(port.address()).await.is_err() {
        tokio::task::yield_now().await;
    }
    port.address()
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_nobody_up() {
    let (device, port) = (Device::new(Generic::new(Scheme::Bearer)), Port::new());
    let process = silent(&device, &port);
    let (unread, log) = std::io::pipe().unwrap();
    let server = process.spawn(&["run"], log);
    let address = listens(&port).await;
    // More than a pipe holds, twice over.
    let long = format!("/meter/{}", "x".repeat(8000));
    for _ in 0..20 {
        assert_eq!(get(address, &long).await.status, 404);
    }
    assert_eq!(get(address, "/meter/twin/sample").await.status, 200);
    let id = server.id().unwrap().to_string();
    let told = std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(told.success());
    let ended = server.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    drop(unread);
}

#[tokio::test]
async fn lines_for_nobody_are_counted_and_requests_are_answered() {
    let (device, port) = (Device::new(Generic::new(Scheme::Bearer)), Port::new());
    let process = silent(&device, &port);
    let (gone, log) = std::io::pipe().unwrap();
    drop(gone);
    let _server = process.spawn(&["run"], log);
    let address = listens(&port).await;
    for _ in 0..1000 {
        assert_eq!(get(address, "/meter/twin/sample").await.status, 200);
        let metrics = get(address, "/metrics").await;
        let (_, dropped) = metrics.text().split_once(DROPPED).expect("a figure");
        if !dropped.starts_with('0') {
            return;
        }
    }
    panic!("no line was dropped, or none was counted");
}

#[tokio::test]
async fn no_line_of_the_log_is_longer_than_it_may_be() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    for format in ["text", "json"] {
        let process = Process::new(&device.table("meter", ""))
            .with("KEYWARD_LOG", "trace")
            .with("KEYWARD_LOG_FORMAT", format);
        let server = process.start(&["run"]);
        let address = server.address().await;
        get(address, &format!("/meter/twin/{}", "x".repeat(8000))).await;
        Line::to(address).await.ask(&Ask::get("/").with("Host", &"y".repeat(30_000))).await.unwrap();
        server.logs("host_not_allowed").await;
        server.signal("TERM").await;
        let ended = server.ends().await;
        let longest = ended.err.lines().map(str::len).max().unwrap();
        assert!((4096..9000).contains(&longest), "{format}: {longest}");
        assert!(ended.err.contains("[cut]"));
        let is_json = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert!(format == "text" || ended.err.lines().all(is_json), "{}", ended.err);
    }
}

#[tokio::test]
async fn no_line_of_the_log_is_anybody_elses() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", "")).with("KEYWARD_LOG", "trace");
    let server = process.start(&["run"]);
    let address = server.address().await;
    // What a head may hold at all: C1 codes, which terminals obey, a tab, quotes and backslashes.
    get(address, "/forged\u{9b}31m\\n\"/").await;
    let page = Ask::get("/meter/").with("Origin", "http://forged\u{9b}31m\t\"\\ERROR");
    Line::to(address).await.ask(&page).await.unwrap();
    // Errors of several lines.
    process.write("[devices.\"a\\nERROR forged\"]\nvendor = \"enphse\"\n");
    server.logs("did you mean `enphase`?").await;
    server.signal("TERM").await;
    let ended = server.ends().await;
    for line in ended.err.lines() {
        let is_dated = line.get(..5).is_some_and(|year| year.starts_with("20") && year.ends_with('-'));
        assert!(is_dated && !line.contains(char::is_control), "{line:?}");
    }
    assert_eq!(ended.err.matches("forged\\u{9b}31m").count(), 3, "{}", ended.err);
    let metrics = ["keyward_panics_total", "keyward_log_lines_dropped_total"];
    assert!(metrics.iter().all(|name| !ended.err.contains(name)));
}

#[tokio::test]
async fn the_icon_that_a_browser_asks_for_by_itself_is_no_reason_to_warn() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", "")).with("KEYWARD_LOG", "debug");
    let server = process.start(&["run"]);
    let address = server.address().await;
    // As a page of a device asks, whose origin is none.
    for path in ["/favicon.ico", "/meter/favicon.ico"] {
        let ask = Ask::get(path).with("Sec-Fetch-Site", "cross-site");
        assert_eq!(Line::to(address).await.ask(&ask).await.unwrap().fault(), "origin_not_allowed");
    }
    server.signal("TERM").await;
    let log = server.ends().await.err;
    let levels: Vec<_> = log
        .lines()
        .filter(|line| line.contains("origin_not_allowed"))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(levels, ["DEBUG", "WARN"], "{log}");
}

#[tokio::test]
async fn a_device_that_goes_on_refusing_is_not_said_to_answer_again() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    let address = server.address().await;
    assert_eq!(get(address, "/meter/twin/sample").await.status, 200);
    device.twin.lock_out();
    for _ in 0..3 {
        assert_eq!(get(address, "/meter/twin/sample").await.status, 502);
    }
    device.twin.readmit();
    assert_eq!(get(address, "/meter/twin/sample").await.status, 200);
    assert_eq!(server.logs("answers again").await.matches("answers again").count(), 1);
}

#[tokio::test]
async fn what_keeps_a_request_from_its_session_is_said_once_and_of_that_request() {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    let process = Process::new(&device.table("meter", ""));
    std::fs::create_dir(process.path("certs")).unwrap();
    std::fs::write(process.path("certs/meter.pem"), Certificate::self_signed().unwrap().pem()).unwrap();
    let server = process.start(&["run"]);
    let address = server.address().await;
    assert_eq!(get(address, "/meter/api/register").await.json()["fault"], "certificate_changed");
    assert_eq!(process.carry_out(&["check"]).await.code, Some(1));
    server.signal("TERM").await;
    let log = server.ends().await.err;
    let lines: Vec<_> = log.lines().filter(|line| line.contains("keyward trust meter")).collect();
    let [of_request, of_check] = lines.as_slice() else { panic!("{log}") };
    assert!(of_request.contains("request=") && of_request.contains("certificate_changed"), "{of_request}");
    assert!(of_check.contains("a check failed") && of_check.contains("certificate_changed"), "{of_check}");
}

#[tokio::test]
async fn the_journal_is_told_how_grave_a_line_is_and_not_what_time_it_is() {
    let (device, port) = (Device::new(Generic::new(Scheme::Bearer)), Port::new());
    let folder = tempfile::tempdir().unwrap();
    let log = File::create(folder.path().join("log")).unwrap();
    let facts = log.metadata().unwrap();
    for (stream, is_journal) in
        [(format!("{}:{}", facts.dev(), facts.ino()), true), ("8:1".to_owned(), false)]
    {
        log.set_len(0).unwrap();
        let process = Process::new(&device.table("meter", "trust = \"any\""))
            .with("JOURNAL_STREAM", stream)
            .with("KEYWARD_LISTEN", port.address().to_string());
        let mut server =
            process.spawn(&["run"], File::options().append(true).open(folder.path().join("log")).unwrap());
        listens(&port).await;
        let read = || std::fs::read_to_string(folder.path().join("log")).unwrap();
        until(|| read().contains("leads to")).await;
        let (first, rest) =
            read().split_once('\n').map(|(first, rest)| (first.to_owned(), rest.to_owned())).unwrap();
        assert_eq!(first.starts_with("<6> INFO keyward listens on http://"), is_journal, "{first}");
        assert_eq!(rest.contains("<4> WARN devices.meter.trust"), is_journal, "{rest}");
        server.kill().await.unwrap();
    }
}
