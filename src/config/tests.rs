//! Whole files, the environment, and finding the file.

mod doors;
mod messages;
mod secrets;
mod values;

use std::path::Path;
use std::time::Duration;

use super::*;

/// Two vendors: one whose acting GETs are known, and a generic one.
struct Fake;

#[derive(Debug, PartialEq)]
enum Driver {
    Meter { username: String, password: SecretSource, api: &'static str, login: Option<BaseUrl> },
    Header { name: String, value: SecretSource },
}

impl Makes for Fake {
    type Driver = Driver;

    fn names(&self) -> Vec<&'static str> {
        vec!["egauge", "header"]
    }

    fn defaults(&self, vendor: &str) -> Option<Defaults> {
        let usual = |name, acts_on_get| Defaults {
            name,
            connect_timeout: Duration::from_secs(5),
            max_connections: 4,
            acts_on_get,
        };
        match vendor {
            "egauge" => Some(usual("egauge", Some(&["/ctl", "/api/cmd*"]))),
            "header" => Some(usual("header", None)),
            _ => None,
        }
    }

    fn build(&self, vendor: &str, section: &mut Section<'_>) -> Option<Driver> {
        if vendor == "header" {
            let (name, value) = (section.required_text("name"), section.required_header_secret("value"));
            return Some(Driver::Header { name: name?, value: value? });
        }
        let username = section.required_text("username");
        let password = section.required_secret("password");
        let api = section.choice("api", &["3", "4.5", "2"]).unwrap_or("3");
        let login = section.url("login_url");
        Some(Driver::Meter { username: username?, password: password?, api, login })
    }
}

fn read_with(text: &str, environment: &Environment) -> Result<Config<Driver>, Errors> {
    parse(text, Path::new("proxy.toml"), environment, &Fake)
}

fn read(text: &str) -> Result<Config<Driver>, Errors> {
    read_with(text, &Environment::from_iter([("METER_PASSWORD", "env-hunter2")]))
}

/// What is said of a file that is wrong.
fn said(text: &str) -> String {
    match read(text) {
        Ok(config) => panic!("read without a word: {config:?}"),
        Err(errors) => errors.to_string(),
    }
}

/// What is said of a device that is right but for one line.
fn said_of(line: &str) -> String {
    said(&format!("{METER}{line}\n"))
}

const METER: &str = r#"[devices.meter]
vendor   = "egauge"
url      = "https://egauge67385.local"
username = "owner"
password = { env = "METER_PASSWORD" }
"#;

#[test]
fn without_optional_keys_all_is_as_documented() {
    let config = read(METER).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8480");
    assert_eq!((config.certs.as_path(), config.state.as_path()), (Path::new("certs"), Path::new("state")));
    assert_eq!(config.access, Access::default());
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.log, Log { level: "info".to_owned(), format: LogFormat::Text });
    assert!(config.warnings.is_empty());
    let device = &config.devices[0];
    assert_eq!((device.name.as_str(), device.vendor), ("meter", "egauge"));
    assert_eq!((&device.trust, device.access), (&Trust::Pin, Rights::Full));
    assert_eq!(device.acts_on_get, [PathPattern::of("/ctl"), PathPattern::of("/api/cmd*")]);
    let times = [device.connect_timeout, device.timeout, device.idle_timeout];
    assert_eq!(times, [5, 45, 60].map(Duration::from_secs));
    assert_eq!((device.max_body, device.max_connections), (None, 4));
    assert_eq!((device.max_waiting, device.max_streams), (64, 2));
    let password =
        SecretSource::variable("METER_PASSWORD", &[("METER_PASSWORD", "env-hunter2")].into_iter().collect());
    let expected =
        Driver::Meter { username: "owner".into(), password: password.unwrap(), api: "3", login: None };
    assert_eq!(device.driver, expected);
}

#[test]
fn every_key_is_read_and_devices_keep_their_order() {
    let config = read(
        r#"
        listen = "[::1]:0"
        certs = "/c"
        state = "s"
        devices.zoo = { vendor = "header", url = "http://zoo.lan:81/x/", name = "X-Key", value = "v" }
        [access]
        hosts = ["Meters.Example.org.", "*.example.net"]
        allow = ["10.1.2.3/8", "fd00::1", "::ffff:192.168.0.0/112"]
        [limits]
        connections = 5
        head_timeout = "1s"
        idle_timeout = "500ms"
        keep_alive = "1h"
        [log]
        level = "info,hyper=debug"
        format = "json"
        [devices."a.b"]
        vendor = "header"
        url = "https://a"
        name = "k"
        value = "v"
        access = "read"
        acts_on_get = []
        connect_timeout = "2m"
        max_body = "10MiB"
        max_connections = 0x10
        max_waiting = 1
        max_streams = 0
        [devices.a.trust]
        pin = "strict"
        [devices.a]
        vendor = "header"
        url = "https://a"
        name = "k"
        value = "v"
        "#,
    )
    .unwrap();
    assert_eq!(config.listen, Address { host: "::1".to_owned(), port: 0 });
    assert_eq!((config.certs.as_path(), config.state.as_path()), (Path::new("/c"), Path::new("s")));
    assert_eq!(config.access.hosts, ["meters.example.org", "*.example.net"]);
    let allow = ["10.0.0.0/8", "fd00::1/128", "192.168.0.0/16"].map(|net| net.parse().unwrap());
    assert_eq!(config.access.allow.as_deref(), Some(&allow[..]));
    assert_eq!((config.limits.connections, config.limits.idle_timeout.as_millis()), (5, 500));
    assert_eq!(config.log, Log { level: "info,hyper=debug".to_owned(), format: LogFormat::Json });
    assert_eq!(
        config.devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(),
        ["zoo", "a.b", "a"]
    );
    assert_eq!(config.devices[0].acts_on_get, [PathPattern::of("/")]);
    let device = &config.devices[1];
    assert_eq!((device.access, device.acts_on_get.len()), (Rights::Read, 0));
    assert_eq!((device.connect_timeout.as_secs(), device.max_body), (120, Some(10 << 20)));
    assert_eq!((device.max_connections, device.max_waiting, device.max_streams), (16, 1, 0));
    assert_eq!(config.devices[2].trust, Trust::PinStrict);
}

#[test]
fn overrides_of_the_environment_win_and_are_checked() {
    let environment = |name, value| Environment::from_iter([("METER_PASSWORD", "x"), (name, value)]);
    let read =
        |name, value| read_with(&format!("listen=\"a:1\"\nstate=\"s\"\n{METER}"), &environment(name, value));
    assert_eq!(read("KEYWARD_LISTEN", "0.0.0.0:1").unwrap().listen.to_string(), "0.0.0.0:1");
    assert_eq!(read("KEYWARD_STATE", "/data/state").unwrap().state, Path::new("/data/state"));
    assert_eq!(read("KEYWARD_CERTS", "/data/certs").unwrap().certs, Path::new("/data/certs"));
    assert_eq!(read("KEYWARD_LOG", "debug").unwrap().log.level, "debug");
    assert_eq!(read("KEYWARD_LOG", "").unwrap().log.level, "info");
    assert_eq!(read("KEYWARD_LOG_FORMAT", "json").unwrap().log.format, LogFormat::Json);
    let config = read("STATE_DIRECTORY", "/var/lib/keyward:/var/lib/other").unwrap();
    assert_eq!(
        (config.certs.as_path(), config.state.as_path()),
        (Path::new("/var/lib/keyward/certs"), Path::new("s"))
    );

    let said = |name, value| read(name, value).unwrap_err().to_string();
    assert!(
        said("KEYWARD_LISTEN", "8480")
            .starts_with("environment variable KEYWARD_LISTEN: got \"8480\"; expected `host:port`")
    );
    assert!(said("KEYWARD_LOG", "inof").ends_with("did you mean \"info\"?"));
    assert!(said("KEYWARD_LOG_FORMAT", "xml").contains("KEYWARD_LOG_FORMAT: got \"xml\"; expected"));
}

#[test]
fn a_device_s_source_changes_exactly_when_its_table_does() {
    let source = |text: &str| read(text).unwrap().devices[0].source.clone();
    let meter = source(METER);
    assert_eq!(meter, source(&format!("# comment\nlisten = \"a:1\"\n{}", METER.replace("  ", ""))));
    assert_ne!(meter, source(&METER.replace("owner", "guest")));
    assert_ne!(meter, source(&format!("{METER}timeout = \"45s\"\n")));
}

#[test]
fn a_named_file_that_is_missing_is_an_error_and_none_anywhere_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    let by_variable = Environment::from_iter([("KEYWARD_CONFIG", &file)]);
    assert_eq!(find(Some(&file), &Environment::default()).unwrap_err().named_by, "--config");
    assert_eq!(find(None, &by_variable).unwrap_err().named_by, "KEYWARD_CONFIG");
    std::fs::write(&file, METER).unwrap();
    assert_eq!(find(None, &by_variable).unwrap(), Some(file.clone()));
    assert_eq!(find(Some(&file), &by_variable).unwrap(), Some(file));
}

#[test]
fn a_running_keyward_is_found_whatever_has_become_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    let environment = Environment::from_iter([("KEYWARD_CONFIG", &file)]);
    let beside = folder.path().join("state");
    let found = || whereabouts(None, &environment);
    assert_eq!(found(), Whereabouts { state: beside.clone(), listen: Address::default() });
    for broken in
        ["", "[devices.meter\n", "[devices.meter]\npassword = { env = \"NOT_SET\" }\n", "x = 1\nx = 2\n"]
    {
        std::fs::write(&file, format!("listen = \"[::1]:1\"\nstate = \"saved\"\n{broken}")).unwrap();
        let expected = Whereabouts { state: folder.path().join("saved"), listen: "[::1]:1".parse().unwrap() };
        assert_eq!(found(), expected, "{broken}");
    }
    std::fs::write(&file, "listen = 8480\nstate = \"\"\n").unwrap();
    assert_eq!(found(), Whereabouts { state: beside, listen: Address::default() });
    let environment = Environment::from_iter([("STATE_DIRECTORY", "/lib"), ("KEYWARD_LISTEN", "0.0.0.0:1")]);
    let expected = Whereabouts { state: "/lib/state".into(), listen: "0.0.0.0:1".parse().unwrap() };
    assert_eq!(whereabouts(Some(&file), &environment), expected);
    let environment = Environment::from_iter([("STATE_DIRECTORY", "/lib"), ("KEYWARD_STATE", "/data/state")]);
    assert_eq!(whereabouts(Some(&file), &environment).state, Path::new("/data/state"));
}

#[test]
fn a_file_that_cannot_be_read_is_told_like_any_other_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    let said = || load(&file, &Environment::default(), &Fake).unwrap_err().to_string();
    assert!(said().contains("proxy.toml: is not there: put it back"), "{}", said());
    std::fs::write(&file, b"listen = \"a:1\"\nstate = \"\xff\"\n").unwrap();
    assert!(said().contains("proxy.toml:2:10: not UTF-8"), "{}", said());
    std::fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
    assert!(said().contains("proxy.toml: cannot be read: it is larger than"), "{}", said());
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(said().contains("proxy.toml: is a folder"), "{}", said());
}

#[test]
fn a_file_that_cannot_say_where_its_keyward_is_is_known_and_none_that_nobody_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    let environment = Environment::default();
    let by_variable = Environment::from_iter([("KEYWARD_CONFIG", &file)]);
    let said = || {
        let said = unusable(Some(&file), &environment);
        assert_eq!(unusable(None, &by_variable).is_some(), said.is_some());
        said.unwrap_or_default()
    };
    assert!(said().contains("there is no such file"), "{}", said());
    for (text, expected) in [
        ("listen = \"a:1\"\npassword = \"hunter2\n", "proxy.toml:2:"),
        ("x = 1\nx = 2\n", "proxy.toml:2:1: this name is there already"),
        ("surprise = 1\n", ""),
        ("", ""),
    ] {
        std::fs::write(&file, text).unwrap();
        assert!(said().contains(expected) && said().is_empty() == expected.is_empty(), "{text}: {}", said());
        assert!(!said().contains("hunter2"), "{}", said());
    }
    std::fs::write(&file, b"\xff").unwrap();
    assert!(said().contains("not UTF-8"), "{}", said());
}
