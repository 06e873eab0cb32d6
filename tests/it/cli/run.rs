//! `keyward run`.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::time::Duration;

use http::Method;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::generic::{Generic, Scheme};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::support::{Ask, Device, Line, Process, Reply};

async fn get(address: SocketAddr, target: &str) -> Reply {
    Line::to(address).await.ask(&Ask::get(target)).await.unwrap()
}

async fn until_served(address: SocketAddr, target: &str) {
    let served = async { while get(address, target).await.status != 200 {} };
    timeout(Duration::from_secs(20), served).await.unwrap_or_else(|_| panic!("{target} is not served"));
}

/// Whoever asks shows a key.
const KEYED: &str = "[access.keys.all]\nkey = \"all-0123456789abcdefgh\"\n";

fn device() -> Device {
    Device::new(Generic::new(Scheme::Bearer))
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_told_with_exit_2() {
    let device = device();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap().into_std().unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let process = Process::new(&device.table("meter", ""));
    let nobody = process.carry_out(&["run", "--config", "nowhere.toml"]).await;
    assert!(nobody.code == Some(2) && nobody.err.contains("nowhere.toml"), "{nobody:?}");
    assert!(nobody.err.contains("`keyward init --config nowhere.toml`"), "{nobody:?}");
    for command in ["run", "check", "health", "init", "add"] {
        let folder = process.carry_out(&[command, "--config", "."]).await;
        let is_told = folder.err.contains("which is a folder") && folder.err.contains("./proxy.toml");
        assert!(folder.code == Some(2) && is_told, "{command}: {folder:?}");
    }
    let named = Process::new("").with("KEYWARD_CONFIG", "nowhere.toml").carry_out(&["run"]).await;
    assert!(
        named.code == Some(2) && named.err.contains("`keyward init` asks for a device and writes it"),
        "{named:?}"
    );
    let first = process.start(&["run"]);
    let ours = first.address().await;
    let keyed = Process::new(&format!("{}{KEYED}", device.table("meter", "")));
    let keyed_server = keyed.start(&["run"]);
    let keyed = keyed_server.address().await.to_string();
    let before = device.twin.journal().total();
    let ended =
        Process::new(&device.table("meter", "")).with("KEYWARD_LISTEN", &keyed).carry_out(&["run"]).await;
    assert!(ended.err.contains("a keyward listens there already"), "{ended:?}");
    assert_eq!(device.twin.journal().total(), before, "no device hears of it");
    for (arguments, how) in [
        (&["run"][..], "KEYWARD_LISTEN"),
        (&["demo", "--listen", &ours.to_string()], "`keyward demo --listen "),
    ] {
        let other = Process::new(&device.table("meter", "")).with("KEYWARD_LISTEN", ours.to_string());
        let ended = other.carry_out(arguments).await;
        let is_told = ended.err.contains("a keyward listens there already") && ended.err.contains(how);
        assert!(ended.code == Some(2) && is_told, "{ended:?}");
    }
    let second = process.carry_out(&["run"]).await;
    assert!(second.code == Some(2) && second.err.starts_with("keyward runs here already"), "{second:?}");
    let other = Process::new(&device.table("meter", "")).with("KEYWARD_LISTEN", &address);
    let ended = other.carry_out(&["run"]).await;
    let expected =
        format!("environment variable KEYWARD_LISTEN: {address} can't be listened on: another program");
    assert!(ended.code == Some(2) && ended.err.contains(&expected), "{ended:?}");
    let listener = format!("{}[[listeners]]\nlisten = \"{address}\"\n", device.table("meter", ""));
    let ended = Process::new(&listener).carry_out(&["run"]).await;
    let line = listener.lines().count() + 1;
    let expected = format!("proxy.toml:{line}:10: listeners[0].listen: {address} can't be listened on");
    assert!(ended.code == Some(2) && ended.err.contains(&expected), "{expected}: {ended:?}");
    let broken = Process::new("[devices.meter]\nvendor = \"enphse\"\n").carry_out(&["run"]).await;
    assert!(broken.code == Some(2) && broken.err.contains("did you mean `enphase`?"), "{broken:?}");
}

#[tokio::test]
async fn the_first_signal_lets_requests_finish_and_the_exit_is_0_within_eight_seconds() {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    for signal in ["TERM", "INT"] {
        let process = Process::new(&device.table("meter", ""));
        let server = process.start(&["run"]);
        let address = server.address().await;
        let mut idle = Line::to(address).await;
        idle.ask(&Ask::get("/healthz")).await.unwrap();
        assert_eq!(get(address, "/meter/twin/sample").await.status, 200);
        let arrived = device.twin.journal().total();
        let mut slow = Line::to(address).await;
        slow.begin(&Ask::get("/meter/twin/slow?ms=500")).await;
        device.twin.journal().reaches(arrived + 1).await;
        let begun = Instant::now();
        server.signal(signal).await;
        assert!(idle.rest().await.unwrap().is_empty());
        assert_eq!(slow.reply(&Method::GET).await.unwrap().status, 200);
        assert_eq!(server.ends().await.code, Some(0));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert_eq!(device.twin.arrivals().pop().unwrap().target, "/api/auth/logout");
    }
}

#[tokio::test]
async fn requests_that_do_not_finish_are_cut_off_after_seven_seconds() {
    let device = device();
    let process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    let mut slow = Line::to(server.address().await).await;
    slow.begin(&Ask::get("/meter/twin/slow?ms=3600000")).await;
    device.twin.journal().reaches(1).await;
    let begun = Instant::now();
    server.signal("TERM").await;
    assert_eq!(server.ends().await.code, Some(0));
    assert!((6..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(slow.reply(&Method::GET).await.is_err());
}

#[tokio::test]
async fn a_changed_file_is_taken_over_and_a_broken_one_is_not() {
    let device = device();
    let process = Process::new(&device.table("first", ""));
    let server = process.start(&["run"]);
    let address = server.address().await;
    assert_eq!(get(address, "/first/twin/sample").await.status, 200);
    process.write(&(device.table("first", "") + &device.table("second", "")));
    server.logs("taken over").await;
    assert_eq!(get(address, "/second/twin/sample").await.status, 200);
    process.write("[devices.first]\nvendor = \"enphse\"\n");
    let log = server.logs("did you mean `enphase`?").await;
    let lines: Vec<_> = log.lines().collect();
    let at = lines.iter().position(|line| line.contains("is not taken over")).unwrap();
    assert!(lines[at].ends_with("the former one stays:"), "{log}");
    assert!(lines[at + 1].contains("proxy.toml:"), "each mistake begins its own line: {log}");
    assert_eq!(get(address, "/second/twin/sample").await.status, 200);
    std::fs::remove_file(process.path("proxy.toml")).unwrap();
    server.logs("proxy.toml: is not there: put it back").await;
    assert_eq!(get(address, "/second/twin/sample").await.status, 200);
    let metrics = get(address, "/metrics").await;
    assert!(metrics.text().contains("keyward_config_last_reload_successful 0"));
    assert_eq!(get(address, "/readyz").await.status, 200);
}

/// As tools do it that exchange a whole folder, or keep the file elsewhere.
#[tokio::test]
async fn a_changed_file_is_taken_over_in_a_folder_that_is_exchanged_and_behind_a_link() {
    let device = device();
    let process = Process::new("");
    let place = |folder: &str, name: &str| {
        std::fs::create_dir_all(process.path(folder)).unwrap();
        let text = format!("listen = \"127.0.0.1:0\"\n{}", device.table(name, ""));
        std::fs::write(process.path(folder).join("proxy.toml"), text).unwrap();
    };
    place("etc", "first");
    let server = process.start(&["run", "--config", "etc/proxy.toml"]);
    let address = server.address().await;
    place("next", "second");
    std::fs::rename(process.path("etc"), process.path("former")).unwrap();
    std::fs::rename(process.path("next"), process.path("etc")).unwrap();
    until_served(address, "/second/twin/sample").await;
    place("elsewhere", "third");
    symlink("../elsewhere/proxy.toml", process.path("etc/proxy.toml.new")).unwrap();
    std::fs::rename(process.path("etc/proxy.toml.new"), process.path("etc/proxy.toml")).unwrap();
    until_served(address, "/third/twin/sample").await;
    place("elsewhere", "fourth");
    until_served(address, "/fourth/twin/sample").await;
}

#[tokio::test]
async fn a_hangup_reads_the_file_again() {
    let device = device();
    let process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    let address = server.address().await;
    server.signal("HUP").await;
    server.logs("taken over").await;
    assert_eq!(get(address, "/meter/twin/sample").await.status, 200);
}

#[tokio::test]
async fn a_log_in_json_is_json_line_by_line() {
    let device = device();
    let process = Process::new(&device.table("meter", ""))
        .with("KEYWARD_LOG_FORMAT", "json")
        .with("KEYWARD_LOG", "debug");
    let server = process.start(&["run"]);
    let address = server.address().await;
    get(address, "/meter/twin/sample").await;
    get(address, "/unknown/%1b[31m").await;
    server.signal("TERM").await;
    let ended = server.ends().await;
    for line in ended.err.lines() {
        let entry: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["level"].is_string() && entry["timestamp"].is_string(), "{line}");
        assert!(entry["fault"].is_null() || entry["caller"] == "127.0.0.1", "who was refused: {line}");
        assert!(entry["took_ms"].is_null() || entry["took_ms"].is_u64(), "{line}");
    }
    assert!(ended.err.contains("unknown_device") && ended.err.contains("took_ms"), "{}", ended.err);
    assert!(!ended.err.contains('\u{1b}'), "a caller writes escape sequences into the log");
}

#[tokio::test]
async fn what_is_to_be_written_is_shown_line_by_line() {
    let process = Process::new("");
    let server = process.start(&["run"]);
    let log = server.logs("[devices.meter]").await;
    assert!(log.contains("there is no device yet") && !log.contains("\\n"), "{log}");
}
