//! `keyward init` and `keyward add`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::generic::{Generic, Scheme};
use keyward::twin::{self, Twin};
use keyward::vendor::{Key, Kind, MAKES, Make};

use crate::support::{Ask, Device, Line, Process, address_in};

/// What keyward is told of a device on its command line, and the secrets that are in files for it.
struct Told {
    arguments: Vec<String>,
    secrets: Vec<String>,
}

fn make(twin: &dyn Twin) -> &'static Make {
    MAKES.iter().find(|make| make.name == twin.vendor()).unwrap()
}

/// All that a twin's stanza says, as flags.
fn flags(process: &Process, device: &Device) -> Told {
    let stanza: toml::Table = device.twin.stanza().parse().unwrap();
    let mut told = Told { arguments: Vec::new(), secrets: Vec::new() };
    told.arguments.extend(["--vendor", device.twin.vendor(), "--url", &device.url()].map(str::to_owned));
    for (name, value) in &stanza {
        let key: &Key = make(&*device.twin).keys.iter().find(|key| key.name == name).unwrap();
        let (flag, value) = (name.replace('_', "-"), value.as_str().unwrap());
        if key.kind == Kind::Secret {
            let file = process.path(format!("{}-{name}", device.twin.vendor()));
            std::fs::write(&file, value).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            told.arguments.extend([format!("--{flag}-file"), file.to_str().unwrap().to_owned()]);
            told.secrets.push(value.to_owned());
        } else {
            told.arguments.extend([format!("--{flag}"), value.to_owned()]);
        }
    }
    told
}

/// A command with the flags of a device.
fn words<'a>(command: &[&'a str], told: &'a Told) -> Vec<&'a str> {
    command.iter().copied().chain(told.arguments.iter().map(String::as_str)).collect()
}

/// A folder without a configuration in it.
fn home() -> Process {
    let process = Process::new("").with("KEYWARD_LISTEN", "127.0.0.1:0");
    std::fs::remove_file(process.path("proxy.toml")).unwrap();
    process
}

fn names(folder: impl AsRef<Path>) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "tmp")
        .collect()
}

fn mode(file: impl AsRef<Path>) -> u32 {
    file.as_ref().metadata().unwrap().permissions().mode() & 0o7777
}

/// A pipe that brings this and ends.
fn input(text: &str) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    reader.into()
}

fn meter() -> (Device, Arc<Egauge>) {
    let twin = Egauge::new(EgaugeSettings::default());
    (Device::new(twin.clone()), twin)
}

/// The password of a twin.
fn password(device: &Device) -> String {
    let stanza: toml::Table = device.twin.stanza().parse().unwrap();
    stanza["password"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_init_writes_for_each_make_serves_without_another_login() {
    for twin in twin::every().await.unwrap() {
        let device = Device::new(twin);
        let (vendor, name) = (device.twin.vendor(), make(&*device.twin).called);
        let process = home();
        let told = flags(&process, &device);
        let ended = process.carry_out(&words(&["init"], &told)).await;
        assert_eq!(ended.code, Some(0), "{vendor}: {ended:?}");
        let written = std::fs::read_to_string(process.path("proxy.toml")).unwrap();
        for secret in &told.secrets {
            assert!(!written.contains(secret) && !format!("{ended:?}").contains(secret), "{vendor}");
        }
        for words in ["It works", &device.certificate.sha256()[..2].to_uppercase(), "keyward run", name] {
            assert!(ended.out.contains(words), "{vendor}: {words}: {}", ended.out);
        }
        let shown = |line: &str| {
            line.strip_prefix('#')
                .filter(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()))
                .map(str::to_owned)
        };
        let lines: Vec<_> =
            written.lines().map(|line| shown(line).unwrap_or_else(|| line.to_owned())).collect();
        assert!(lines.iter().filter(|line| !written.contains(&format!("\n{line}"))).count() > 3, "{written}");
        std::fs::write(process.path("uncommented.toml"), lines.join("\n")).unwrap();
        let shown = process.carry_out(&["check", "--offline", "--config", "uncommented.toml"]).await;
        assert_eq!(shown.code, Some(0), "{vendor}: what it only shows is right too: {shown:?}");
        let checked = process.carry_out(&["check", "--offline"]).await;
        assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""), "{vendor}: {checked:?}");
        let logins = device.twin.logins();
        let server = process.start(&["run"]);
        let ask = Ask::get(format!("/{name}{}", device.twin.sample())).with("Accept", "application/json");
        let reply = Line::to(server.address().await).await.ask(&ask).await.unwrap();
        assert_eq!(reply.status, 200, "{vendor}: {reply:?}");
        // A digest's nonce is for one process.
        if vendor != "digest" {
            assert_eq!(device.twin.logins(), logins, "{vendor}: the trial's session was lost");
        }
    }
}

#[tokio::test]
async fn a_device_says_who_it_is() {
    for (twin, says) in twin::every().await.unwrap().into_iter().zip([
        "serial         TWIN0001",
        "",
        "",
        "firmware       D8.3.5286",
    ]) {
        let device = Device::new(twin);
        let process = home();
        let ended = process.carry_out(&words(&["init"], &flags(&process, &device))).await;
        assert!(ended.out.contains(says), "{ended:?}");
    }
}

#[tokio::test]
async fn a_secret_from_standard_input_gets_a_file_of_its_own_and_no_other_is_overwritten() {
    let (device, _) = meter();
    let secret = password(&device);
    let process = home().given(input(&format!("{secret}\n")));
    std::fs::write(process.path("gauge.password"), "somebody's").unwrap();
    let url = device.url();
    let arguments =
        ["init", "gauge", "--vendor", "egauge", "--url", &url, "--username", "owner", "--password-file", "-"];
    let ended = process.carry_out(&arguments).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!format!("{ended:?}").contains(&secret));
    assert_eq!(std::fs::read_to_string(process.path("gauge.password")).unwrap(), "somebody's");
    let file = process.path("gauge.password-2");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{secret}\n"));
    assert_eq!((mode(&file), mode(process.path("proxy.toml"))), (0o600, 0o644));
    let written = std::fs::read_to_string(process.path("proxy.toml")).unwrap();
    assert!(written.contains("password = { file = \"gauge.password-2\" }"), "{written}");
    assert_eq!(process.carry_out(&["check"]).await.code, Some(0));
}

#[tokio::test]
async fn a_secret_may_stand_in_a_variable_and_never_among_the_arguments() {
    let (device, _) = meter();
    let process = home().with("WORD", password(&device));
    let url = device.url();
    let told = ["init", "--vendor", "egauge", "--url", &url, "--username", "owner"];
    let plain = process.carry_out(&[&told[..], &["--password", "hunter2"]].concat()).await;
    assert_eq!(plain.code, Some(2), "{plain:?}");
    for words in ["never an argument", "--password-file", "--password-env", "`--password-file -`"] {
        assert!(plain.err.contains(words) && !plain.err.contains("hunter2"), "{words}: {}", plain.err);
    }
    assert_eq!(names(process.path("")), BTreeSet::new());
    let ended = process.carry_out(&[&told[..], &["--password-env", "WORD"]].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let written = std::fs::read_to_string(process.path("proxy.toml")).unwrap();
    assert!(written.contains("{ env = \"WORD\" }"), "{written}");
}

#[tokio::test]
async fn with_nobody_to_ask_all_that_is_missing_is_told_at_once() {
    let process = home();
    let ended = process.carry_out(&["init"]).await;
    assert!(
        ended.code == Some(2) && ended.err.contains("no terminal to ask at: add --vendor MAKE, --url URL"),
        "{ended:?}"
    );
    let ended =
        process.carry_out(&["init", "--vendor", "enphase", "--url", "https://127.0.0.1:9", "--yes"]).await;
    assert_eq!(ended.code, Some(2));
    for flag in [
        "--serial TEXT",
        "--username TEXT (or --token-file FILE)",
        "--password-file FILE (or --token-file FILE)",
    ] {
        assert!(ended.err.contains(flag), "{}", ended.err);
    }
    let odd = ["init", "--vendor", "open", "--url", "https://127.0.0.1:9", "--serial", "7"];
    let ended = process.carry_out(&odd).await;
    assert!(
        ended.code == Some(2) && ended.err.contains("--serial: `open` needs no credential; leave it out"),
        "{ended:?}"
    );
    let colon = [
        "init",
        "--vendor",
        "basic",
        "--url",
        "https://127.0.0.1:9",
        "--username",
        "a:b",
        "--password-env",
        "HOME",
    ];
    let ended = process.carry_out(&colon).await;
    assert!(ended.code == Some(2) && ended.err.contains("username: a colon ends the user name"), "{ended:?}");
    let dotted = process.carry_out(&[&["init", "cellar.meter"], &colon[1..]].concat()).await;
    assert!(dotted.err.starts_with("username: a colon"), "{dotted:?}");
    let elsewhere = process.carry_out(&["init", "--config", "nowhere/proxy.toml"]).await;
    assert!(elsewhere.code == Some(2) && elsewhere.err.contains("mkdir -p nowhere"), "{elsewhere:?}");
    for name in ["metrics", "Meter", "a/b"] {
        let ended = process.carry_out(&["init", name]).await;
        assert!(ended.code == Some(2) && ended.err.contains("name"), "{ended:?}");
    }
    assert_eq!(names(process.path("")), BTreeSet::new());
}

#[tokio::test]
async fn what_does_not_work_is_not_written_and_a_refused_password_is_not_tried_again() {
    let (device, twin) = meter();
    let process = home();
    let told = flags(&process, &device);
    let before = names(process.path(""));
    twin.lock_out();
    for _ in 0..3 {
        let ended = process.carry_out(&words(&["init"], &told)).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.err.contains("meter does not work: the meter refuses") && ended.out.is_empty(),
            "{ended:?}"
        );
        assert!(ended.err.contains("--untested") && !ended.err.contains("nothing is written"), "{ended:?}");
        assert!(ended.err.contains("state remembers that the login was refused"), "{ended:?}");
    }
    assert_eq!(twin.logins(), 1, "a loop of attempts would lock the account");
    let left: BTreeSet<_> = names(process.path("")).difference(&before).cloned().collect();
    assert_eq!(left, ["state".to_owned()].into(), "what was refused is remembered, and nothing else");
    let ended = process.carry_out(&words(&["init", "--untested", "--yes"], &told)).await;
    assert_eq!((ended.code, twin.logins()), (Some(0), 1), "{ended:?}");
}

#[tokio::test]
async fn a_device_that_is_off_leaves_nothing_behind() {
    let (mut device, _) = meter();
    device.leave().await;
    let process = home().given(input("word\n"));
    let url = device.url();
    let arguments =
        ["init", "--vendor", "egauge", "--url", &url, "--username", "owner", "--password-file", "-"];
    let ended = process.carry_out(&arguments).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("refuses connections"), "{}", ended.err);
    assert_eq!(names(process.path("")), BTreeSet::new());
}

#[tokio::test]
async fn init_overwrites_nothing() {
    let (device, twin) = meter();
    let process = Process::new(&device.table("meter", ""));
    let before = std::fs::read(process.path("proxy.toml")).unwrap();
    let told = flags(&process, &device);
    for command in [&["init"][..], &["init", "--yes", "--untested"], &["init", "--config", "proxy.toml"]] {
        let ended = process.carry_out(&words(command, &told)).await;
        assert!(ended.code == Some(2) && ended.err.contains("keyward add"), "{ended:?}");
    }
    symlink("nowhere", process.path("link.toml")).unwrap();
    let dangling = process.carry_out(&words(&["init", "--config", "link.toml"], &told)).await;
    assert_eq!(dangling.code, Some(2), "a link is something too: {dangling:?}");
    assert_eq!(std::fs::read(process.path("proxy.toml")).unwrap(), before);
    assert_eq!(twin.journal().total(), 0);
}

#[tokio::test]
async fn add_keeps_what_stands_with_its_mode_and_its_links() {
    let first = Device::new(Generic::new(Scheme::Bearer));
    let (second, _) = meter();
    let process = home();
    let text = format!(
        "# mine\r\nlisten = \"127.0.0.1:0\"  # any\r\n\r\n{}#token = \"…\"\r\n\r\n[log]\r\nlevel = \"info\" # so",
        first.table("heat", "").replace('\n', "\r\n")
    );
    std::fs::write(process.path("real.toml"), &text).unwrap();
    std::fs::set_permissions(process.path("real.toml"), std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.toml", process.path("proxy.toml")).unwrap();
    let told = flags(&process, &second);
    let ended = process.carry_out(&words(&["add", "heat"], &told)).await;
    assert!(ended.code == Some(2) && ended.err.contains("\"heat-2\" is free"), "{ended:?}");
    let ended = process.carry_out(&words(&["add", "cellar.meter"], &told)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let whole = std::fs::read_to_string(process.path("real.toml")).unwrap();
    assert!(whole.starts_with(&text) && whole.contains("[devices.\"cellar.meter\"]\r\n"), "{whole}");
    assert!(!whole.replace("\r\n", "").contains('\n'), "{whole:?}");
    assert_eq!(mode(process.path("real.toml")), 0o640);
    assert!(process.path("proxy.toml").symlink_metadata().unwrap().is_symlink());
    let checked = process.carry_out(&["check"]).await;
    assert!(checked.code == Some(0) && checked.out.contains("cellar.meter"), "{checked:?}");
}

#[tokio::test]
async fn add_gives_the_usual_name_to_a_device_that_nobody_has_named() {
    let first = Device::new(Generic::new(Scheme::Bearer));
    let (second, _) = meter();
    let process = Process::new(&first.table("meter", ""));
    let ended = process.carry_out(&words(&["add"], &flags(&process, &second))).await;
    assert!(ended.code == Some(0) && ended.out.contains("meter-2 is added to proxy.toml"), "{ended:?}");
    assert!(!names(process.path("")).contains("proxy.schema.json"), "it is the first file's");
}

#[tokio::test]
async fn add_needs_a_file_and_one_that_is_right() {
    let process = home();
    let ended = process.carry_out(&["add", "meter"]).await;
    assert!(ended.code == Some(2) && ended.err.contains("keyward init"), "{ended:?}");
    for text in ["[devices.meter]\nvendor = \"enphse\"\n", "[devices.meter\n"] {
        std::fs::write(process.path("proxy.toml"), text).unwrap();
        let ended = process.carry_out(&["add", "solar"]).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert_eq!(std::fs::read_to_string(process.path("proxy.toml")).unwrap(), text);
    }
}

#[tokio::test]
async fn a_running_server_takes_over_what_add_wrote() {
    let first = Device::new(Generic::new(Scheme::Bearer));
    let (second, _) = meter();
    let process = Process::new(&first.table("heat", ""));
    let server = process.start(&["run"]);
    let address = server.address().await;
    let told = flags(&process, &second);
    let ended = process.carry_out(&words(&["add", "meter"], &told)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("takes it over by itself"), "{}", ended.out);
    assert!(
        ended.out.contains(&format!("curl 'http://{address}/meter/api/register?rate'\n")),
        "{}",
        ended.out
    );
    server.logs("configuration taken over").await;
    let sample = Ask::get(format!("/meter{}", second.twin.sample()));
    assert_eq!(Line::to(address).await.ask(&sample).await.unwrap().status, 200);
    assert_eq!(second.twin.logins(), 1);
}

#[tokio::test]
async fn a_secret_lies_beside_the_file_that_a_link_leads_to_and_is_found_through_both() {
    let (device, _) = meter();
    let process = home().given(input(&format!("{}\n", password(&device))));
    for folder in ["link", "real"] {
        std::fs::create_dir(process.path(folder)).unwrap();
    }
    std::fs::write(process.path("real/proxy.toml"), "# mine\n").unwrap();
    symlink("../real/proxy.toml", process.path("link/proxy.toml")).unwrap();
    let url = device.url();
    let told = ["--vendor", "egauge", "--url", &url, "--username", "owner", "--password-file", "-"];
    let ended =
        process.carry_out(&[&["add", "meter", "--config", "link/proxy.toml"], &told[..]].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("real/proxy.toml, and beside it meter.password"), "{}", ended.out);
    assert!(names(process.path("real")).contains("meter.password"));
    assert!(!names(process.path("link")).contains("meter.password"));
    for file in ["link/proxy.toml", "real/proxy.toml"] {
        let checked = process.carry_out(&["check", "--config", file]).await;
        assert_eq!(checked.code, Some(0), "{file}: {checked:?}");
    }
}

#[tokio::test]
async fn an_old_pin_of_the_name_is_told_with_what_helps() {
    let (mut device, _) = meter();
    let process = home();
    let told = flags(&process, &device);
    assert_eq!(process.carry_out(&words(&["init"], &told)).await.code, Some(0));
    std::fs::remove_file(process.path("proxy.toml")).unwrap();
    device.shows(twin::Certificate::self_signed().unwrap()).await;
    let ended = process.carry_out(&words(&["init"], &told)).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for advice in ["remove certs/meter.pem", "another name", "--untested, and then", "`keyward trust meter`"]
    {
        assert!(ended.err.contains(advice), "{advice}: {}", ended.err);
    }
    assert!(!ended.err.contains("if you replaced or reset it"), "{}", ended.err);
    std::fs::remove_file(process.path("certs/meter.pem")).unwrap();
    let ended = process.carry_out(&words(&["init"], &told)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn where_to_look_next_is_a_url_for_every_kind_of_address() {
    for (listen, door) in [
        ("0.0.0.0:18999", "localhost:18999"),
        ("[::]:18999", "localhost:18999"),
        ("[fd00::1]:18999", "[fd00::1]:18999"),
    ] {
        let process = home().with("KEYWARD_LISTEN", listen);
        let told = ["init", "--untested", "--vendor", "open", "--url", "https://127.0.0.1:9"];
        let ended = process.carry_out(&told).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let url = format!("http://{door}/device/");
        let url = if door.starts_with('[') { format!("'{url}'") } else { url };
        assert!(ended.out.contains(&format!("curl {url}\n")), "{}", ended.out);
        let written = std::fs::read_to_string(process.path("proxy.toml")).unwrap();
        assert!(written.contains(&format!(", at http://{door}/")), "{written}");
    }
}

#[tokio::test]
async fn whoever_writes_a_first_file_beside_a_keyward_that_listens_there_is_not_sent_to_start_another() {
    let (device, _) = meter();
    let process = home();
    let told = flags(&process, &device);
    let demo = process.start(&["demo", "--listen", "127.0.0.1:0"]);
    let address = address_in(&demo.prints("Ctrl-C").await, "http://");
    let here = home().with("KEYWARD_LISTEN", address.to_string());
    let ended = here.carry_out(&words(&["init"], &told)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let free = format!("KEYWARD_LISTEN=127.0.0.1:{}", address.port().wrapping_add(1));
    for words in [
        &format!("A keyward listens at {address} already."),
        "whose page said what to write, it takes this over by itself",
        "Otherwise end it",
        &free,
        &format!("curl 'http://{address}/meter/api/register?rate'"),
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    assert!(!ended.out.contains("Next:"), "{}", ended.out);
    let named = words(&["init", "--config", "other.toml"], &told);
    let ended = here.carry_out(&named).await;
    assert!(ended.out.contains("End it") && !ended.out.contains("whose page"), "{}", ended.out);
    let again = "then `keyward run --config other.toml`";
    assert!(ended.code == Some(0) && ended.out.contains(again), "{ended:?}");
}

#[tokio::test]
async fn whoever_writes_another_file_is_told_that_the_keyward_that_runs_here_does_not_read_it() {
    let first = Device::new(Generic::new(Scheme::Bearer));
    let (second, _) = meter();
    let process = Process::new(&first.table("heat", ""));
    let server = process.start(&["run"]);
    let address = server.address().await;
    let process = process.with("KEYWARD_LISTEN", address.to_string());
    let told = flags(&process, &second);
    let ended = process.carry_out(&words(&["init", "--config", "other.toml"], &told)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let free = format!("another port (KEYWARD_LISTEN=127.0.0.1:{})", address.port().wrapping_add(1));
    for words in [
        &format!("The keyward that runs here reads {}, and", process.path("proxy.toml").display()),
        "a `state` of its own",
        &free,
        "then `keyward run --config other.toml`",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    assert!(!ended.out.contains("takes it over"), "{}", ended.out);
    std::fs::create_dir(process.path("etc")).unwrap();
    symlink("../proxy.toml", process.path("etc/link.toml")).unwrap();
    let state = process.path("state").display().to_string();
    let process = process.with("KEYWARD_STATE", state);
    let ended = process.carry_out(&words(&["add", "meter", "--config", "etc/link.toml"], &told)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("takes it over by itself"), "another name of the same file: {}", ended.out);
}

#[tokio::test]
async fn add_that_fails_says_that_the_file_is_as_it_was() {
    let first = Device::new(Generic::new(Scheme::Bearer));
    let (second, twin) = meter();
    twin.lock_out();
    let process = Process::new(&first.table("heat", ""));
    let ended = process.carry_out(&words(&["add", "meter"], &flags(&process, &second))).await;
    assert!(ended.code == Some(1) && ended.err.contains("proxy.toml stays as it is"), "{ended:?}");
    assert!(!ended.err.contains("no configuration"), "{ended:?}");
}

#[tokio::test]
async fn a_secret_that_others_may_read_is_told_without_a_line_that_is_not_written_yet() {
    let (device, _) = meter();
    let process = home();
    let told = flags(&process, &device);
    let file = process.path("egauge-password");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = process.carry_out(&words(&["init"], &told)).await;
    let expected = "warning: others may read egauge-password (mode 0644): `chmod 600 egauge-password`\n";
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), expected));
}
