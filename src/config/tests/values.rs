//! Single values: addresses, URLs, patterns, quantities, trust, and what is said of wrong ones.

use super::*;
use crate::config::quantity;

#[test]
fn addresses() {
    for (text, host, port, shown) in [
        ("127.0.0.1:8480", "127.0.0.1", 8480, "127.0.0.1:8480"),
        ("0.0.0.0:8480", "0.0.0.0", 8480, "0.0.0.0:8480"),
        ("[::1]:0", "::1", 0, "[::1]:0"),
        ("LocalHost:1", "localhost", 1, "localhost:1"),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
        assert_eq!(address.to_string(), shown);
    }
    for text in [
        "",
        "8480",
        ":8480",
        "::1:8480",
        "[::1]",
        "[::1:8480",
        "a:65536",
        "a:-1",
        "a b:1",
        "http://a:1",
        "a/b:1",
    ] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}

#[test]
fn base_urls() {
    for (text, tls, host, port, authority, path) in [
        ("https://10.0.40.2", true, "10.0.40.2", 443, "10.0.40.2", ""),
        ("https://10.0.40.2:8443/base", true, "10.0.40.2", 8443, "10.0.40.2:8443", "/base"),
        ("http://Meter.local/", false, "meter.local", 80, "meter.local", ""),
        ("HTTP://a:443/a//b/", false, "a", 443, "a:443", "/a//b"),
        ("https://a:443", true, "a", 443, "a", ""),
        ("https://[FE80::1]", true, "fe80::1", 443, "[fe80::1]", ""),
        ("https://[::1]:444/a%20b", true, "::1", 444, "[::1]:444", "/a%20b"),
        ("http://a_b.lan.:81", false, "a_b.lan.", 81, "a_b.lan.:81", ""),
    ] {
        let url: BaseUrl = text.parse().unwrap();
        assert_eq!((url.is_tls(), url.host(), url.port()), (tls, host, port), "{text}");
        assert_eq!((url.authority().as_str(), url.path()), (authority, path), "{text}");
        let scheme = if tls { "https" } else { "http" };
        assert_eq!(url.to_string(), format!("{scheme}://{authority}{path}"));
    }
    for text in [
        "",
        "10.0.40.2",
        "//a",
        "ftp://a",
        "https://",
        "https:///a",
        "https://a?",
        "https://a/#",
        "https://bob@a",
        "https://bob:x@a/",
        "https://a:0",
        "https://a:",
        "https://a:65536",
        "https://a:b",
        "https://10.0.40",
        "https://10.0.40.300",
        "https://[::1",
        "https://[::g]",
        "https://[fe80::1%25eth0]",
        "https://a..b",
        "https://a b",
        "https://a/b c",
        "https://a/..",
        "https://a/./b",
        "https://a/%2e%2E/b",
        "https://a/.%2e;x/b",
        "https://a/b%2f..%5cc",
        "https://exämple.org",
    ] {
        assert!(text.parse::<BaseUrl>().is_err(), "{text}");
    }
}

#[test]
fn no_spelling_of_a_path_gets_around_a_pattern() {
    let all = [
        "/api/cmd",
        "/api/cmd/",
        "/api/cmd/x",
        "//api//cmd",
        "/api/%63md",
        "/api/%2563md",
        "/api%2Fcmd",
        "/api%2fcmd%2Fx",
        "\\api\\cmd",
        "/api%5ccmd",
        "/api/./cmd",
        "/api/x/../cmd",
        "/x/%2e%2E/api/cmd",
        "/../api/cmd",
        "/api/cmd/..",
        "/api/cmd/%2e%2e/harmless",
        "/api/cmd;v=1",
        "/api;v=1/cmd;v=1/x",
        "/api/x/..;/cmd",
        "/api/cmd%3fx=1",
        "/api/cmd%00.html",
        "/api/cmd%20",
        "/api/%20cmd",
    ];
    let pattern: PathPattern = "/api/cmd".parse().unwrap();
    for path in all {
        assert!(pattern.matches(path), "{path}");
    }
    for path in ["", "/", "/api", "/api/cmdline", "/api/CMD", "/x/api/cmd", "/apicmd", "/api/c", "/api/xcmd"]
    {
        assert!(!pattern.matches(path), "{path}");
    }
}

#[test]
fn patterns() {
    for (pattern, path, expected) in [
        ("/", "", true),
        ("/", "/x/y", true),
        ("/api/cmd/", "/api/cmd", true),
        ("/api/%63md", "/api/cmd", true),
        ("/api/*/set", "/api/relay/set", true),
        ("/api/*/set", "/api/relay%2Fx/set", true),
        ("/api/*/set", "/api/a/b/set", false),
        ("/api/*/set", "/api//set", false),
        ("/api/*/set", "/api/relay/get", false),
        ("/api/cmd*", "/api/cmdline/x", true),
        ("/a*b*c", "/abc", true),
        ("/a*b*c", "/a-b-b-c", true),
        ("/a*b*c", "/a-c-b", false),
        ("/a*a", "/a", false),
        ("/*.cgi", "/reboot.cgi;x", true),
        ("/*.cgi", "/reboot.cg", false),
    ] {
        let parsed: PathPattern = pattern.parse().unwrap();
        assert_eq!(parsed.matches(path), expected, "{pattern} {path}");
    }
    for pattern in ["", "api", "/a?b", "/a#b", "/a/**", "/a/../b", "/./a", "/%2e%2e"] {
        assert!(pattern.parse::<PathPattern>().is_err(), "{pattern}");
    }
}

#[test]
fn quantities() {
    for (text, milliseconds) in
        [("500ms", 500), ("2s", 2000), ("5m", 300_000), ("1h", 3_600_000), ("30d", 2_592_000_000), ("0s", 0)]
    {
        assert_eq!(quantity::duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in [
        "",
        "5",
        "s",
        "5 s",
        " 5s",
        "1.5s",
        "-5s",
        "+5s",
        "5S",
        "5sec",
        "1h30m",
        "366d",
        "18446744073709551615d",
        "99999999999999999999s",
    ] {
        assert_eq!(quantity::duration(text), None, "{text}");
    }
    for (text, bytes) in [("1B", 1), ("64KiB", 65_536), ("10MB", 10_000_000), ("1GiB", 1 << 30)] {
        assert_eq!(quantity::size(text), Some(bytes), "{text}");
    }
    for text in ["1", "1 MB", "1M", "1mb", "18446744073709551615GiB"] {
        assert_eq!(quantity::size(text), None, "{text}");
    }
}

#[test]
fn trust_in_all_its_forms() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let made = rcgen::generate_simple_self_signed(["meter".to_owned()]).unwrap();
    std::fs::write(&file, made.cert.pem()).unwrap();
    let path = file.display();
    let certificates = vec![made.cert.der().clone()];
    let ca = |name| Trust::Ca { file: file.clone(), certificates: certificates.clone(), name };
    let digits = "AB:".repeat(31) + "ab";
    for (text, expected) in [
        (r#""pin""#.to_owned(), Trust::Pin),
        (r#"{ pin = "strict" }"#.to_owned(), Trust::PinStrict),
        (r#""public""#.to_owned(), Trust::Public),
        (r#""any""#.to_owned(), Trust::Any),
        (format!("{{ ca = '{path}' }}"), ca(CaName::FromUrl)),
        (format!("{{ ca = '{path}', name = 'Inside.lan' }}"), ca(CaName::Other("inside.lan".to_owned()))),
        (format!("{{ ca = '{path}', name = false }}"), ca(CaName::Unchecked)),
        (format!("{{ sha256 = '{digits}' }}"), Trust::Sha256([0xab; 32])),
        (format!("{{ sha256 = 'sha256 Fingerprint={digits}' }}"), Trust::Sha256([0xab; 32])),
    ] {
        let config = read(&format!("{METER}trust = {text}\n")).unwrap();
        assert_eq!(config.devices[0].trust, expected, "{text}");
    }
}

#[test]
fn what_is_said_of_a_wrong_value_says_what_is_right() {
    for (line, expected) in [
        ("trust = \"strict\"", "trust: expected \"pin\", { pin = \"strict\" }, \"public\""),
        ("trust = {}", "trust: expected \"pin\""),
        ("trust = { pin = \"loose\" }", "trust.pin: expected \"strict\", got \"loose\""),
        ("trust = { ca = \"Cargo.toml\" }", "trust.ca: this file has no certificate in it"),
        ("trust = { sha256 = \"ab\" }", "trust.sha256: expected the 64 hex digits"),
        ("trust = { ca = \"no/such.pem\" }", "trust.ca: cannot read the certificates: No such file"),
        (
            "trust = { ca = \"Cargo.toml\", name = true }",
            "trust.name: expected the host name to check, or false",
        ),
        ("trust = { pin = \"strict\", ca = \"x\" }", "trust.ca: unknown key; known here: `pin`"),
        ("access = \"raed\"", "access: expected \"full\" or \"read\", got \"raed\"; did you mean \"read\"?"),
        ("acts_on_get = \"/x\"", "acts_on_get: expected an array of strings, got \"/x\""),
        (
            "acts_on_get = [\"/x\", \"y\", 3]",
            ":6:22: devices.meter.acts_on_get: a path prefix begins with `/`",
        ),
        ("acts_on_get = [\"/x\", \"y\", 3]", ":6:27: devices.meter.acts_on_get: expected a string"),
        (
            "timeout = \"5 s\"",
            ":6:11: devices.meter.timeout: expected a duration such as \"5s\", got \"5 s\"",
        ),
        ("timeout = 5.5", "expected a duration such as \"5s\", got 5.5"),
        ("timeout = \"0s\"", "timeout: nothing can be done in no time"),
        ("connect_timeout = true", "expected a duration such as \"5s\", got true"),
        ("idle_timeout = 1979-05-27", "expected a duration such as \"5s\", got a datetime"),
        ("max_body = 0", "max_body: expected a number of bytes such as 65536 or \"10MiB\", got 0"),
        ("max_body = -1", "got -1"),
        ("max_body = 99999999999999999999999", "got 99999999999999999999999"),
        ("max_connections = 0", "max_connections: expected a number from 1 to 10000, got 0"),
        ("max_waiting = \"3\"", "max_waiting: expected a number from 1 to 10000, got \"3\""),
        ("max_streams = 10001", "max_streams: expected a number from 0 to 10000, got 10001"),
        (
            "cache = 5",
            "cache: expected a duration such as \"5s\", or \"rfc9111\", or a table of path prefixes",
        ),
        ("cache = \"rfc7234\"", "got \"rfc7234\""),
        ("cache = { \"/api\" = \"soon\" }", "devices.meter.cache.\"/api\": expected a duration"),
        (
            "cache = { api = \"5s\" }",
            "a path prefix begins with `/`, such as \"/api/cmd\"; or `default` for all else",
        ),
        ("min_interval = \"1\"", "min_interval: expected a duration such as \"5s\", got \"1\""),
        ("stale_after = \"0s\"", "stale_after: nothing can be done in no time"),
        ("stale_if_error = true", "stale_if_error: expected a duration such as \"5s\", got true"),
        ("api = \"5\"", "api: expected \"3\" or \"4.5\" or \"2\", got \"5\""),
        ("api = 3", "api: expected a string, got 3"),
        ("login_url = \"http://cloud.example.org\"", "credentials go there, so it begins with https://"),
        ("\"a b\" = 1", "devices.meter.\"a b\": unknown key; known here: "),
        (
            "[access]\nallow = [\"10.0.0.0/33\"]",
            "access.allow: expected a network such as \"192.168.0.0/16\"",
        ),
        ("[access]\nhosts = [\"a:80\"]", "access.hosts: expected a host name without port"),
        ("[access]\nhosts = [\"*\"]", "access.hosts: expected a host name without port"),
        ("[limits]\nconnections = 0", "limits.connections: expected a number from 1 to 65536, got 0"),
        ("[limits]\nkeepalive = \"5s\"", "limits.keepalive: unknown key; did you mean `keep_alive`?"),
        ("[log]\nlevel = \"inof\"", "log.level: expected error, warn, info, debug or trace"),
        ("[log]\nlevel = \"keyward=lots\"", "log.level: "),
        ("[log]\nformat = \"xml\"", "log.format: expected \"text\" or \"json\", got \"xml\""),
        ("[devices.healthz]\n", "devices.healthz: this name is taken"),
        ("[devices.-x]\n", "devices.-x: a device's name is of a-z"),
        ("[devices.\"x.\"]\n", "devices.\"x.\": a device's name is of a-z"),
        ("[devices.other]\n", ":6:1: devices.other.vendor: missing; one of `egauge`, `header`"),
        ("[devices.other]\n", ":6:1: devices.other.url: missing; the device's base URL"),
        (
            "[devices.other]\nvendor = \"header\"",
            ":6:1: devices.other.value: missing; this key is required: { env",
        ),
        ("[devices.other]\nvendor = \"x\"", "unknown vendor `x`; known are `egauge`, `header`"),
    ] {
        let said = said_of(line);
        assert!(said.contains(expected), "{line}\n{said}");
    }
    let plain_http = METER.replace("https", "http") + "trust = \"pin\"\n";
    assert!(said(&plain_http).contains(":6:9: devices.meter.trust: there is no certificate on http://"));
    let generic = METER.replace("egauge\"", "header\"") + "name = \"x\"\nvalue = \"y\"\naccess = \"read\"\n";
    assert!(
        said(&generic).contains(":8:10: devices.meter.access: of this vendor it is not known which GETs")
    );
    for key in ["cache", "stale_if_error"] {
        let generic = generic.replace("access = \"read\"", &format!("{key} = \"5s\""));
        assert!(said(&generic).contains(&format!("devices.meter.{key}: of this vendor")), "{key}");
        assert!(!said(&format!("{generic}acts_on_get = []\n")).contains("of this vendor"));
    }
}

#[test]
fn credentials_go_over_plain_http_on_loopback_alone() {
    for host in ["127.0.0.1:81", "[::1]:81", "localhost"] {
        let config = read(&format!("{METER}login_url = \"http://{host}/login\"\n")).unwrap();
        let Driver::Meter { login: Some(login), .. } = &config.devices[0].driver else { panic!("{host}") };
        assert_eq!(login.path(), "/login");
    }
}
