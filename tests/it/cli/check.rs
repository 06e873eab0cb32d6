//! `keyward check`.

use keyward::twin::Certificate;
use keyward::twin::cloud::CloudSettings;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use keyward::twin::generic::{Generic, Scheme};

use super::SECRETLESS;
use crate::support::{Act, Ask, Device, Line, Port, Process, Scripted};

#[tokio::test]
async fn every_device_has_its_line_and_one_that_fails_fails_the_check() {
    let fine = Device::new(Generic::new(Scheme::Bearer));
    let locked = Device::new(Egauge::new(EgaugeSettings::default()));
    locked.twin.lock_out();
    let changed = Device::new(Generic::new(Scheme::Basic));
    let mut off = Device::new(Generic::new(Scheme::Header));
    off.leave().await;
    let other = Enphase::with_cloud(EnphaseSettings::default(), CloudSettings::default()).await.unwrap();
    other.become_serial("202500000001");
    let other = Device::new(other);
    let devices =
        [("fine", &fine), ("locked", &locked), ("changed", &changed), ("off", &off), ("other", &other)];
    let process = Process::new(&devices.map(|(name, device)| device.table(name, "")).concat());
    std::fs::create_dir(process.path("certs")).unwrap();
    std::fs::write(process.path("certs/changed.pem"), Certificate::self_signed().unwrap().pem()).unwrap();
    let ended = process.carry_out(&["check"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = [
        ("fine", "ok", "pinned"),
        ("locked", "FAIL", "username or password"),
        ("changed", "FAIL", "keyward trust changed"),
        ("off", "FAIL", "refuses connections"),
        ("other", "FAIL", "202500000001"),
    ];
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{}", ended.out);
    for (line, (name, verdict, words)) in lines.iter().zip(expected) {
        assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), [verdict, name], "{line}");
        assert!(line.contains(words), "{line}");
    }
    assert!(ended.err.contains("4 of 5"), "{}", ended.err);
    for secret in devices.iter().flat_map(|(_, device)| device.twin.secrets()) {
        assert!(!format!("{ended:?}").contains(secret.expose()));
    }
    assert_eq!(locked.twin.logins(), 1);
    assert_eq!(process.carry_out(&["check"]).await.code, Some(1));
    assert_eq!(locked.twin.logins(), 1, "an unchanged credential was tried again");
}

#[tokio::test]
async fn a_check_beside_a_running_server_uses_its_sessions() {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    let process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    let address = server.address().await;
    let sample = Ask::get(format!("/meter{}", device.twin.sample()));
    assert_eq!(Line::to(address).await.ask(&sample).await.unwrap().status, 200);
    let ended = process.carry_out(&["check"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(device.twin.logins(), 1);
}

#[tokio::test]
async fn a_server_that_is_stuck_keeps_no_command_waiting() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", ""));
    let server = process.start(&["run"]);
    // Once it answers, its control socket is there.
    let mut line = Line::to(server.address().await).await;
    assert_eq!(line.ask(&Ask::get("/healthz")).await.unwrap().status, 200);
    server.signal("STOP").await;
    for command in [&["check"][..], &["trust", "meter", "--yes"]] {
        let ended = process.carry_out(command).await;
        let told = format!("{}{}", ended.out, ended.err);
        let words = "the running keyward does not answer: it is there and says nothing for 3s: end it";
        assert!(ended.code == Some(1) && told.contains(words), "{command:?}: {ended:?}");
    }
    server.signal("CONT").await;
    assert_eq!(process.carry_out(&["check"]).await.code, Some(0));
}

#[tokio::test]
async fn a_state_folder_whose_path_is_too_long_for_a_socket_is_no_running_servers() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&format!("state = {:?}\n{}", "s".repeat(120), device.table("meter", "")));
    let ended = process.carry_out(&["check"]).await;
    assert!(ended.code == Some(0) && ended.out.contains("pinned"), "{ended:?}");
}

#[tokio::test]
async fn a_missing_secret_is_told_with_its_line_and_exit_2() {
    for command in [&["check"][..], &["check", "--offline"], &["run"]] {
        let ended = Process::new(SECRETLESS).carry_out(command).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("NOT_SET") && ended.err.contains("proxy.toml:5"), "{}", ended.err);
    }
}

#[tokio::test]
async fn what_is_no_file_of_a_configuration_holds_no_command_up() {
    let process = Process::new("");
    let made = std::process::Command::new("mkfifo").arg(process.path("pipe")).status().unwrap();
    assert!(made.success());
    std::fs::File::create(process.path("huge")).unwrap().set_len(1 << 40).unwrap();
    for (file, words) in [
        ("/dev/zero", "/dev/zero: cannot be read: it is not a regular file"),
        ("pipe", "pipe: cannot be read: it is not a regular file"),
        ("huge", "huge: cannot be read: it is larger than"),
    ] {
        for command in [
            &["run"][..],
            &["check"],
            &["check", "--offline"],
            &["trust", "meter", "--yes"],
            &["health"],
            &["add", "meter", "--vendor", "open", "--url", "http://127.0.0.1:9", "--yes"],
        ] {
            let ended = process.carry_out(&[command, &["--config", file]].concat()).await;
            assert!(ended.code == Some(2) && ended.err.contains(words), "{command:?} {file}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_fails_the_check() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    for (keys, folder) in [("", "state"), ("certs = \"file/certs/below\"\n", "certs")] {
        let process = Process::new(&format!("{keys}{}", device.table("meter", "")));
        std::fs::write(process.path(if keys.is_empty() { "state" } else { "file" }), "no folder").unwrap();
        for command in [&["check"][..], &["check", "--offline"]] {
            let ended = process.carry_out(command).await;
            assert_eq!(ended.code, Some(1), "{command:?}: {ended:?}");
            assert!(ended.err.contains(folder) && ended.err.contains("can't be written"), "{}", ended.err);
        }
    }
}

#[tokio::test]
async fn folders_that_cannot_be_written_are_all_named_and_the_devices_visited_all_the_same() {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    let process =
        Process::new(&format!("state = \"file/state\"\ncerts = \"certs\"\n{}", device.table("meter", "")));
    for name in ["file", "certs"] {
        std::fs::write(process.path(name), "no folder").unwrap();
    }
    for (nth, command) in
        [&["check", "--offline"][..], &["check"], &["check", "--report"]].into_iter().enumerate()
    {
        let ended = process.carry_out(command).await;
        assert_eq!(ended.code, Some(1), "{command:?}: {ended:?}");
        for folder in ["file/state", "certs"] {
            let told = format!("the folder {folder} can't be written");
            assert_eq!(ended.err.matches(&told).count(), 1, "{command:?}: {ended:?}");
        }
        assert_eq!(device.twin.logins(), nth, "{ended:?}");
        assert_eq!(ended.out.contains("meter"), nth > 0, "{ended:?}");
        assert!(!ended.out.contains("FAIL"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_full_disk_fails_the_check_which_calls_nothing_pinned_that_is_not() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    // Whatever is written to a file fails, as if there were no room; what is written to a pipe does not.
    let process = Process::new(&device.table("meter", "")).after("trap '' XFSZ; ulimit -f 0");
    for command in [&["check", "--offline"][..], &["check"], &["check"]] {
        let ended = process.carry_out(command).await;
        assert_eq!(ended.code, Some(1), "{command:?}: {ended:?}");
        assert_eq!(ended.err.matches("can't be written").count(), 2, "{command:?}: {ended:?}");
        assert!(command.contains(&"--offline") || ended.out.starts_with("ok    meter"), "{ended:?}");
        let is_told = ended.out.contains("its pin can't be saved") && !ended.out.contains("pinned");
        assert_eq!(is_told, !command.contains(&"--offline"), "{ended:?}");
    }
    let ended = process.carry_out(&["trust", "meter", "--yes"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!ended.out.contains("pinned now") && ended.err.contains("nothing is changed"), "{ended:?}");
    assert!(!process.path("certs/meter.pem").exists());
}

#[tokio::test]
async fn a_check_that_asks_no_device_makes_no_folder() {
    let process = Process::new(&Device::new(Generic::new(Scheme::Bearer)).table("meter", ""));
    assert_eq!(process.carry_out(&["check", "--offline"]).await.code, Some(0));
    assert!(!process.path("state").exists() && !process.path("certs").exists());
}

#[tokio::test]
async fn a_secret_that_can_never_serve_is_told_with_its_line_and_exit_2() {
    let table = |keys: &str| format!("[devices.meter]\nurl = \"http://127.0.0.1:9\"\n{keys}\n");
    for (keys, place) in [
        (
            "vendor = \"header\"\nname = \"x-key\"\nvalue = \"p4ss\\nX: y\"",
            "proxy.toml:6:9: devices.meter.value",
        ),
        ("vendor = \"bearer\"\ntoken = { file = \"key\" }", "proxy.toml:5:9: devices.meter.token"),
        ("vendor = \"enphase\"\nserial = \"1\"\ntoken = \"p4ss\"", "proxy.toml:6:9: devices.meter.token"),
    ] {
        let process = Process::new(&table(keys));
        std::fs::write(process.path("key"), "p4ss\n\n").unwrap();
        let ended = process.carry_out(&["check", "--offline"]).await;
        assert_eq!(ended.code, Some(2), "{keys}: {ended:?}");
        assert!(ended.err.contains(place) && !ended.err.contains("p4ss"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_device_that_answers_with_an_error_of_its_own_fails_the_check() {
    let broken = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
    let device = Scripted::saying(&broken[..]).await;
    let ended = Process::new(&device.table("meter", "")).carry_out(&["check"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("FAIL  meter") && ended.out.contains("502 Bad Gateway to GET /"), "{ended:?}");
}

#[tokio::test]
async fn a_device_that_asks_for_a_credential_which_its_vendor_has_not_is_told_of_those_that_have() {
    for (status, challenge, code, words) in [
        (
            "401 Unauthorized",
            "WWW-Authenticate: Digest realm=\"x\"\r\n",
            1,
            "vendor \"digest\" is for such devices",
        ),
        ("401 Unauthorized", "", 1, "vendors that take one are bearer, basic"),
        ("403 Forbidden", "", 0, "if every path answers so, it asks for a credential"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\n{challenge}Content-Length: 0\r\n\r\n");
        let device = Scripted::saying(answer.as_bytes()).await;
        let process = Process::new(&device.table("meter", ""));
        let ended = process.carry_out(&["check"]).await;
        assert!(ended.code == Some(code) && ended.out.contains(words), "{ended:?}");
        assert!(ended.err.is_empty(), "its line says all: {ended:?}");
        let table: toml::Table = device.table("meter", "").parse().unwrap();
        let url = table["devices"]["meter"]["url"].as_str().unwrap();
        let init = ["init", "--config", "new.toml", "--vendor", "open", "--url", url];
        let ended = process.carry_out(&init).await;
        assert!(
            ended.code == Some(code) && format!("{ended:?}").contains(&words.replace('"', "\\\"")),
            "{ended:?}"
        );
        assert!(!ended.out.contains("It works"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_suggested_command_means_the_configuration_that_was_named() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let process = Process::new(&device.table("meter", ""));
    std::fs::create_dir(process.path("certs")).unwrap();
    std::fs::write(process.path("certs/meter.pem"), Certificate::self_signed().unwrap().pem()).unwrap();
    std::fs::copy(process.path("proxy.toml"), process.path("my own.toml")).unwrap();
    for (arguments, command) in [
        (&["check"][..], "`keyward trust meter`"),
        (&["check", "--config", "proxy.toml"], "`keyward trust meter`"),
        (&["check", "--config", "my own.toml"], "`keyward trust meter --config 'my own.toml'`"),
    ] {
        let ended = process.carry_out(arguments).await;
        assert!(ended.out.contains(command) && ended.out.contains("nothing was sent there"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_device_that_refuses_every_session_that_it_gives_out_fails_the_check() {
    let device = Scripted::new(|nth| {
        let (status, body) = match nth % 4 {
            1 => ("200 OK", "{\"jwt\":\"a.b.c\"}"),
            _ => ("401 Unauthorized", "{\"rlm\":\"r\",\"nnc\":\"n\"}"),
        };
        Act::Answer(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    })
    .await;
    let table = device.table("meter", "username = \"owner\"\npassword = \"s3cret\"");
    let ended = Process::new(&table.replace("\"open\"", "\"egauge\"")).carry_out(&["check"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("just given out: see that nothing else logs in"), "{ended:?}");
}

#[tokio::test]
async fn a_device_whose_url_leads_back_here_is_called_a_loop() {
    let port = Port::new();
    let address = port.address();
    let table = |below: &str| format!("[devices.me]\nvendor = \"open\"\nurl = \"http://{address}{below}\"\n");
    let process = Process::new(&table("/me")).with("KEYWARD_LISTEN", address.to_string());
    let server = process.start(&["run"]);
    server.address().await;
    let ended = process.carry_out(&["check"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("FAIL  me") && ended.out.contains("a loop: `url` leads back"), "{ended:?}");
    process.write(&table("/nobody"));
    server.logs("taken over").await;
    let ended = process.carry_out(&["check"]).await;
    assert!(ended.code == Some(1) && ended.out.contains("a keyward answers there"), "{ended:?}");
}

#[tokio::test]
async fn what_should_not_be_left_so_is_warned_of_by_a_check_and_at_the_start() {
    let table = |name: &str, url: &str, more: &str| {
        format!("[devices.{name}]\nvendor = \"bearer\"\nurl = \"{url}\"\ntoken = \"a-token\"\n{more}")
    };
    let process = Process::new(
        &[
            table("plain", "http://192.0.2.7", ""),
            table("anybody", "https://192.0.2.8", "trust = \"any\"\n"),
            table("here", "http://127.0.0.1:9", ""),
            table("pinned", "https://192.0.2.9", ""),
            "[devices.keyless]\nvendor = \"open\"\nurl = \"http://192.0.2.10\"\n".to_owned(),
        ]
        .concat(),
    );
    let checked = process.carry_out(&["check", "--offline"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let server = process.start(&["run"]);
    // The devices are told of after what is wrong with them.
    let log = server.logs("/keyless/ leads to").await;
    for (told, mark) in [(checked.err, "warning: "), (log, "WARN")] {
        let warnings =
            |words: &str| told.lines().filter(|line| line.contains(mark) && line.contains(words)).count();
        assert_eq!(warnings("devices.plain.url is http://: its credentials"), 1, "{told}");
        assert_eq!(warnings("devices.anybody.trust = \"any\" accepts whoever answers"), 1, "{told}");
        let fine = ["here", "pinned", "keyless"];
        let silent = |name: &&str| warnings(&format!("devices.{name}.url is")) == 0;
        assert!(fine.iter().all(silent) && warnings("accepts whoever answers") == 1, "{told}");
    }
}

#[tokio::test]
async fn a_certificate_that_no_door_could_show_is_a_mistake_in_the_configuration() {
    let door = "[[listeners]]\nlisten = \"127.0.0.1:0\"\ntls = ";
    let device = "[devices.meter]\nvendor = \"open\"\nurl = \"http://127.0.0.1:1\"\n";
    let [mine, other] =
        [(); 2].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let process = Process::new(&format!("{device}{door}{{ cert = \"cert.pem\", key = \"key.pem\" }}\n"));
    for (cert, key, is_fine) in [
        (mine.cert.pem(), mine.signing_key.serialize_pem(), true),
        (mine.cert.pem(), other.signing_key.serialize_pem(), false),
        ("nothing".to_owned(), mine.signing_key.serialize_pem(), false),
    ] {
        std::fs::write(process.path("cert.pem"), cert).unwrap();
        std::fs::write(process.path("key.pem"), key).unwrap();
        let ended = process.carry_out(&["check", "--offline"]).await;
        assert_eq!(ended.code, Some(if is_fine { 0 } else { 2 }), "{ended:?}");
        assert!(is_fine || ended.err.contains("proxy.toml:7:"), "{ended:?}");
        assert!(is_fine || ended.err.contains("listeners[0].tls."), "{ended:?}");
    }
    process.write(&format!("{device}{door}\"self-signed\"\n"));
    assert_eq!(process.carry_out(&["check", "--offline"]).await.code, Some(0));
    assert!(!process.path("certs/own").exists(), "a check makes nothing");
}
