//! Who may ask: names, pages and methods.

use http::Method;

use crate::support::{Ask, Door};

#[tokio::test]
async fn a_name_that_nobody_can_point_here_is_answered_in_any_spelling() {
    const NAMES: [&str; 18] = [
        "localhost",
        "LocalHost",
        "localhost.",
        "localhost:8480",
        "127.0.0.1:1",
        "192.168.1.7",
        "[::1]",
        "[::1]:8480",
        "[FE80::1]:80",
        "keyward",
        "keyward:",
        "meter.localhost",
        "keyward.local",
        "KEYWARD.LAN.:80",
        "keyward.home",
        "keyward.internal",
        "keyward.home.arpa",
        "box.listed.example",
    ];
    let door = Door::with("[access]\nhosts = [\"*.listed.example\"]\n").await;
    for name in NAMES {
        assert_eq!(door.lab.send(&Ask::get("/").with("Host", name)).await.status, 200, "{name}");
        door.passes(&Ask::get("/meter/twin/echo").with("Host", name)).await;
    }
}

#[tokio::test]
async fn any_other_name_is_refused_everywhere_but_at_healthz() {
    const NAMES: [&str; 16] = [
        "rebound.example",
        "rebound.example:8480",
        "rebound.example.",
        "localhost.rebound.example",
        "127.0.0.1.rebound.example",
        "listed.example",
        "notlisted.example",
        "localhost, rebound.example",
        "localhost rebound.example",
        "me@localhost",
        "localhost:http",
        "localhost:99999",
        "localhost:-1",
        "[::1",
        "[localhost]",
        "0x7f.0.0.1",
    ];
    let door = Door::with("[access]\nhosts = [\"*.listed.example\"]\n").await;
    for name in NAMES {
        for path in [
            "/",
            "/readyz",
            "/metrics",
            "/-/devices",
            "/meter/twin/echo",
            "/meter",
            "/meter/../x",
            "/unknown",
        ] {
            let problem = door.stops(&Ask::get(path).with("Host", name)).await.problem();
            assert_eq!(problem.fault, "host_not_allowed", "{path} of {name}");
            // Of what is no name at all nothing is repeated: it may hold a password.
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:".contains(&byte))
                && !name.contains("http")
                && !name.contains("99999");
            assert_eq!(problem.detail.contains("hosts = ["), is_name, "{}", problem.detail);
            assert_eq!(problem.detail.contains("is no name and no address"), !is_name, "{}", problem.detail);
        }
        assert_eq!(door.lab.send(&Ask::get("/healthz").with("Host", name)).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn a_request_without_one_clear_host_gets_a_bare_400() {
    let door = Door::new().await;
    for lines in [
        "",
        "Host:\r\n",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost\r\nhost: rebound.example\r\n",
    ] {
        let mut line = door.lab.connect().await;
        line.write(format!("GET /meter/twin/echo HTTP/1.1\r\n{lines}\r\n")).await;
        let reply = line.reply(&Method::GET).await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.body.len()), (400, 0), "{lines:?}");
        assert!(line.rest().await.unwrap().is_empty(), "and the connection ends");
    }
    assert_eq!(door.arrived(), 0);
}

#[tokio::test]
async fn an_absolute_target_needs_an_allowed_authority() {
    let door = Door::new().await;
    let arrival = door.passes(&Ask::get("http://localhost:8480/meter/twin/echo?a")).await;
    assert_eq!(arrival.target, "/twin/echo?a");
    assert_eq!(arrival.headers["host"], door.device.authority());
    let foreign = Ask::get("http://rebound.example/meter/twin/echo");
    assert_eq!(door.stops(&foreign).await.fault(), "host_not_allowed");
    let mixed = Ask::get("http://localhost/meter/twin/echo").with("Host", "rebound.example");
    assert_eq!(door.stops(&mixed).await.fault(), "host_not_allowed");
    let secure = door.passes(&Ask::get("HTTPS://localhost/meter/twin/echo")).await;
    assert_eq!(secure.target, "/twin/echo");
    // Another scheme is another protocol.
    for target in
        ["ftp://localhost/meter/twin/echo", "ws://localhost/meter/twin/echo", "ftp://localhost/healthz"]
    {
        let reply = door.stops(&Ask::get(target)).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (400, 0), "{target}");
    }
}

#[tokio::test]
async fn methods_that_ask_for_a_tunnel_or_an_echo_are_405() {
    let door = Door::new().await;
    for (method, target) in
        [(Method::CONNECT, "localhost:443"), (Method::TRACE, "/meter/twin/echo"), (Method::TRACE, "/")]
    {
        let reply = door.stops(&Ask::new(method.clone(), target)).await;
        assert_eq!(reply.fault(), "method_not_allowed", "{method} {target}");
        assert!(reply.header("allow").contains("GET"));
    }
    // Wherever a tunnel is to lead, and whatever is said of it.
    for host in ["localhost", "evil.example:443"] {
        let ask = Ask::new(Method::CONNECT, "evil.example:443").with("Host", host);
        assert_eq!(door.stops(&ask).await.fault(), "method_not_allowed", "{host}");
    }
    // But a caller that would be refused whatever it asked is refused.
    for (name, value, fault) in [
        ("Host", "me@localhost", "host_not_allowed"),
        ("Host", "localhost, evil.example", "host_not_allowed"),
        ("Origin", "http://evil.example", "origin_not_allowed"),
    ] {
        let ask = Ask::new(Method::CONNECT, "localhost:443").with(name, value);
        assert_eq!(door.stops(&ask).await.fault(), fault, "{value}");
    }
    let echo = Ask::new(Method::TRACE, "/").with("Host", "evil.example");
    assert_eq!(door.stops(&echo).await.fault(), "host_not_allowed");
    let asterisk = door.stops(&Ask::new(Method::OPTIONS, "*")).await;
    assert!(asterisk.status.is_success() && asterisk.header("allow").contains("OPTIONS"));
}

/// What a browser sends with a request, and whether the request is from a page of ours.
type Browser = (Method, &'static str, &'static [(&'static str, &'static str)], bool);

const OURS: (&str, &str) = ("Origin", "http://localhost:8480");
const AGENT: (&str, &str) = ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)");
const ACT: &str = "/meter/twin/slow";
const READ: &str = "/meter/twin/echo";

#[tokio::test]
async fn a_page_of_another_origin_gets_nothing_and_a_page_of_ours_everything() {
    let cases: Vec<Browser> = vec![
        (Method::GET, READ, &[], true),
        (Method::POST, READ, &[], true),
        (Method::POST, READ, &[OURS], true),
        (Method::POST, READ, &[("Origin", "HTTP://LOCALHOST:8480")], true),
        (Method::GET, READ, &[("Origin", "http://evil.example")], false),
        (Method::POST, READ, &[("Origin", "http://evil.example")], false),
        (Method::POST, READ, &[("Origin", "null")], false),
        (Method::POST, READ, &[("Origin", "")], false),
        (Method::POST, READ, &[("Origin", "https://localhost:8480")], false),
        (Method::POST, READ, &[("Origin", "http://localhost")], false),
        (Method::POST, READ, &[("Origin", "http://localhost:8480.evil.example")], false),
        (Method::GET, READ, &[("Sec-Fetch-Site", "same-origin")], true),
        (Method::GET, READ, &[("Sec-Fetch-Site", "none")], true),
        (Method::GET, READ, &[("Sec-Fetch-Site", "same-site")], true),
        (Method::GET, READ, &[("Sec-Fetch-Site", "cross-site")], false),
        (Method::POST, READ, &[("Sec-Fetch-Site", "same-site")], false),
        (Method::DELETE, READ, &[("Sec-Fetch-Site", "same-site")], false),
        (Method::POST, READ, &[("Sec-Fetch-Site", "cross-site")], false),
        (
            Method::GET,
            READ,
            &[
                ("Sec-Fetch-Site", "cross-site"),
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
            ],
            false,
        ),
        // A GET that acts, from a browser that sends a plain-http address in the LAN no proof of anything.
        (Method::GET, ACT, &[], true),
        (Method::GET, ACT, &[("User-Agent", "curl/8.1")], true),
        (Method::GET, READ, &[AGENT], true),
        (Method::GET, ACT, &[AGENT], false),
        (Method::HEAD, ACT, &[AGENT], false),
        (Method::GET, ACT, &[AGENT, ("Referer", "http://evil.example/")], false),
        (Method::GET, ACT, &[AGENT, ("Referer", "http://localhost:8480.evil.example/")], false),
        (Method::GET, ACT, &[AGENT, ("Referer", "http://localhost:8480/meter/")], true),
        (Method::GET, ACT, &[AGENT, OURS], true),
        (Method::GET, ACT, &[AGENT, ("Sec-Fetch-Site", "same-origin")], true),
        (Method::GET, ACT, &[("Sec-Fetch-Site", "same-site")], false),
        (Method::GET, ACT, &[("Sec-Fetch-Site", "cross-site")], false),
        // A WebSocket asks like everybody else.
        (
            Method::GET,
            READ,
            &[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Origin", "http://evil.example")],
            false,
        ),
    ];
    let door = Door::with("acts_on_get = [\"/twin/slow\"]\n").await;
    for (method, path, headers, is_ours) in cases {
        let ask = Ask::new(method.clone(), path).with("Host", "localhost:8480").with_all(headers);
        if is_ours {
            door.passes(&ask).await;
        } else {
            let reply = door.stops(&ask).await;
            assert_eq!(reply.status, 403, "{method} {path} {headers:?}");
            if method != Method::HEAD {
                assert_eq!(reply.fault(), "origin_not_allowed", "{method} {path} {headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_person_may_follow_a_link_to_the_first_page_and_no_further() {
    let door = Door::new().await;
    let visit = |path: &str| {
        let navigation = [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ];
        Ask::get(path).with_all(&navigation)
    };
    assert_eq!(door.stops(&visit("/")).await.status, 200);
    for path in ["/metrics", "/-/devices", "/meter/", "/meter/twin/echo"] {
        assert_eq!(door.stops(&visit(path)).await.fault(), "origin_not_allowed", "{path}");
    }
    let frame = Ask::get("/").with_all(&[
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "iframe"),
    ]);
    assert_eq!(door.stops(&frame).await.fault(), "origin_not_allowed");
}

#[tokio::test]
async fn a_device_that_may_only_be_read_is_only_read() {
    let door = Door::with("access = \"read\"\nacts_on_get = [\"/twin/slow\", \"/twin/*/act\"]\n").await;
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        door.passes(&Ask::new(method, READ)).await;
    }
    let writing =
        [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::from_bytes(b"BREW").unwrap()];
    let acting = ["/meter/twin/slow", "/meter/twin/slow/x?y", "/meter//twin/sl%6fw", "/meter/twin/7/act"]
        .map(Ask::get);
    for ask in writing.into_iter().map(|method| Ask::new(method, READ)).chain(acting) {
        let problem = door.stops(&ask).await.problem();
        assert_eq!((problem.fault.as_str(), problem.device.as_deref()), ("read_only", Some("meter")));
        assert!(
            problem.detail.contains("access = \"full\"") && problem.detail.contains("[devices.meter]"),
            "{}",
            problem.detail
        );
    }
    door.passes(&Ask::get("/meter/twin/status?code=200&slow")).await;
}

#[tokio::test]
async fn what_would_become_a_websocket_does_not_only_read_and_what_would_not_does() {
    let door = Door::with("access = \"read\"\nacts_on_get = []\n").await;
    let upgrade = |connection: &str, protocol: &str| {
        Ask::get(READ).with("Connection", connection).with("Upgrade", protocol)
    };
    let problem = door.stops(&upgrade("keep-alive, Upgrade", "WebSocket")).await.problem();
    assert_eq!(problem.fault, "read_only");
    assert!(problem.detail.contains("WebSocket"), "{}", problem.detail);
    // Clients that also speak HTTP/2 offer it with a GET like any other.
    let offer = upgrade("Upgrade, HTTP2-Settings", "h2c").with("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA");
    for ask in [offer, upgrade("keep-alive", "websocket"), upgrade("Upgrade", "h2c, websocket")] {
        let arrival = door.passes(&ask).await;
        assert!(!arrival.headers.contains_key("upgrade"), "{:?}", arrival.headers);
    }
}
