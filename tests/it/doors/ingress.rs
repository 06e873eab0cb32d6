//! The door for Home Assistant's ingress. Nobody but it has its address, so callers are made up here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use keyward::gateway::RequestId;
use keyward::gateway::admit::{Arrival, Peer};
use tokio_util::sync::CancellationToken;

use super::Building;
use crate::support::Ask;

const INGRESS: &str = "[[listeners]]\nlisten = \"127.0.0.1:0\"\ningress = true\n";
const SUPERVISOR: &str = "172.30.32.2";
const BASE: &str = "/api/hassio_ingress/aB-9_x";
/// What Home Assistant tells with every request.
const TOLD: [(&str, &str); 6] = [
    ("Host", "a0d7b954-keyward:8099"),
    ("X-Ingress-Path", BASE),
    ("X-Forwarded-Host", "ha.example:8123"),
    ("X-Hass-Source", "core.ingress"),
    ("X-Remote-User-Name", "bob"),
    ("X-Remote-User-Id", "0123"),
];

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn at_ingress(more: &str) -> Building {
    Building::with("acts_on_get = [\"/act\"]\n", &format!("{INGRESS}{more}")).await
}

/// Asks by the door of the ingress, from this address.
async fn ask_from(building: &Building, caller: &str, ask: &Ask, told: &[(&str, &str)]) -> Answer {
    let house = building.lab.house();
    let door = house.doors.iter().find(|door| door.ingress).unwrap();
    let peer = Peer {
        remote: SocketAddr::new(caller.parse::<IpAddr>().unwrap(), 40_000),
        local: "172.30.33.5:8099".parse().unwrap(),
        door: Arc::new(door.id.clone()),
        secure: false,
        ending: CancellationToken::new(),
    };
    let request = Request::builder().method(ask.method().clone()).uri(ask.target());
    let lines = told.iter().copied().chain(ask.lines());
    let request = lines.fold(request, |request, (name, value)| request.header(name, value));
    let request = request.body(Body::from(ask.body().clone())).unwrap();
    let arrival = Arrival { peer: Arc::new(peer), id: RequestId::new() };
    let (mut asked, body) = request.into_parts();
    let (head, body) = building.lab.front().answer(&mut asked, body, &arrival).await.into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        text: String::from_utf8_lossy(&text).into_owned(),
    }
}

async fn ask(building: &Building, ask: &Ask) -> Answer {
    ask_from(building, SUPERVISOR, ask, &TOLD).await
}

#[tokio::test]
async fn nobody_but_the_ingress_is_let_in_by_its_door_and_it_under_any_name() {
    let building = at_ingress("").await;
    for (caller, status) in [
        (SUPERVISOR, 200),
        ("::ffff:172.30.32.2", 200),
        ("172.30.32.1", 403),
        ("172.30.33.2", 403),
        ("192.168.1.2", 403),
        ("127.0.0.1", 403),
        ("::1", 403),
    ] {
        for path in ["/", "/-/devices", "/meter/twin/echo"] {
            let answer = ask_from(&building, caller, &Ask::get(path), &TOLD).await;
            assert_eq!(answer.status, status, "{caller} {path}: {}", answer.text);
            assert!(status == 200 || answer.text.contains("client_not_allowed"), "{}", answer.text);
        }
        // A health check comes from wherever it does.
        assert_eq!(ask_from(&building, caller, &Ask::get("/healthz"), &TOLD).await.status, 200, "{caller}");
    }
    // It is this machine's address by which the real one is asked.
    assert_eq!(building.lab.send_by(1, &Ask::get("/")).await.fault(), "client_not_allowed");
    for name in ["evil.example", "meter.localhost"] {
        assert_eq!(
            ask_from(&building, SUPERVISOR, &Ask::get("/"), &[("Host", name)]).await.status,
            200,
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_page_is_below_the_path_of_the_ingress_and_may_be_framed_there() {
    let building = at_ingress("").await;
    let page = ask(&building, &Ask::get("/")).await;
    assert!(page.text.contains(&format!("<base href=\"{BASE}/\">")), "{}", page.text);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("frame-ancestors 'self'") && !policy.contains("'none'; frame"), "{policy}");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let html = Ask::get("/nowhere/").with("Accept", "text/html");
    let refused = ask(&building, &html).await;
    assert!(refused.header("content-security-policy").contains("frame-ancestors 'self'"));
    // At another door it is what it was, whatever a caller tells.
    let elsewhere = building.lab.send(&Ask::get("/").with("X-Ingress-Path", BASE)).await;
    assert!(!elsewhere.text().contains("<base"), "{}", elsewhere.text());
    assert!(elsewhere.header("content-security-policy").contains("frame-ancestors 'none'"));
    for told in ["/\"><script>alert(1)</script>", "//evil.example", "https://evil.example", "/a/../b"] {
        let page =
            ask_from(&building, SUPERVISOR, &Ask::get("/"), &[TOLD[0], ("X-Ingress-Path", told)]).await;
        assert_eq!(page.status, 200, "{told}");
        assert!(
            !page.text.contains("<base") && !page.text.contains("evil") && !page.text.contains("<script>")
        );
    }
}

#[tokio::test]
async fn what_leads_back_here_leads_below_the_path_of_the_ingress() {
    let building = at_ingress("").await;
    let slash = ask(&building, &Ask::get("/meter?a=b")).await;
    assert_eq!((slash.status, slash.header("location")), (308, format!("{BASE}/meter/?a=b").as_str()));
    let device = building.meter.url();
    for (told, led) in [
        (format!("{device}/x?y"), format!("{BASE}/meter/x?y")),
        ("/x".to_owned(), format!("{BASE}/meter/x")),
        ("x".to_owned(), "x".to_owned()),
        ("https://elsewhere.example/x".to_owned(), "https://elsewhere.example/x".to_owned()),
        // Another device below the same ingress, and Home Assistant itself.
        (format!("http://ha.example:8123{BASE}/other/x"), format!("{device}{BASE}/other/x")),
        ("https://ha.example:8123/api/config".to_owned(), format!("{device}/api/config")),
    ] {
        let to: String = form_urlencoded::byte_serialize(told.as_bytes()).collect();
        let answer = ask(&building, &Ask::get(format!("/meter/twin/redirect?to={to}"))).await;
        assert_eq!(answer.header("location"), led, "{told}");
    }
}

#[tokio::test]
async fn only_pages_of_the_host_that_home_assistant_is_asked_by_may_act() {
    let building = at_ingress("[access]\norigins = [\"http://dash.lan\"]\n").await;
    let post = |lines: &[(&str, &str)]| Ask::post("/meter/twin/upload", "x").with_all(lines);
    for (lines, status) in [
        (&[("Origin", "https://ha.example:8123")][..], 200),
        (&[("Origin", "http://ha.example:8123")], 200),
        (&[("Origin", "HTTPS://HA.example:8123")], 200),
        (&[], 200),
        (&[("Sec-Fetch-Site", "same-origin")], 200),
        (&[("Origin", "https://ha.example")], 403),
        (&[("Origin", "https://ha.example:8124")], 403),
        (&[("Origin", "https://evil.example")], 403),
        (&[("Origin", "http://a0d7b954-keyward:8099")], 403),
        // What is listed is for the other doors.
        (&[("Origin", "http://dash.lan")], 403),
        (&[("Origin", "null")], 403),
        (&[("Sec-Fetch-Site", "cross-site")], 403),
    ] {
        let answer = ask(&building, &post(lines)).await;
        assert_eq!(answer.status, status, "{lines:?}: {}", answer.text);
        assert!(status == 200 || answer.text.contains("origin_not_allowed"), "{}", answer.text);
    }
    // Who does not say by which host it was asked, or says two, has no pages.
    let own = [("Origin", "https://ha.example:8123")];
    for told in [&TOLD[..1], &[TOLD[0], TOLD[2], ("X-Forwarded-Host", "evil.example")]] {
        assert_eq!(ask_from(&building, SUPERVISOR, &post(&own), told).await.status, 403, "{told:?}");
    }
    let usual = [("Host", "x"), ("X-Forwarded-Host", "ha.example")];
    for origin in ["https://ha.example", "http://ha.example", "https://ha.example:443"] {
        let answer = ask_from(&building, SUPERVISOR, &post(&[("Origin", origin)]), &usual).await;
        assert_eq!(answer.status, 200, "{origin}");
    }
    // A GET that acts is for who says where it comes from.
    let act =
        |lines: &[(&str, &str)]| Ask::get("/meter/act").with("User-Agent", "Mozilla/5.0").with_all(lines);
    assert_eq!(ask(&building, &act(&[])).await.status, 403);
    let referred = format!("https://ha.example:8123{BASE}/meter/page");
    assert_ne!(ask(&building, &act(&[("Referer", &referred)])).await.status, 403);
}

#[tokio::test]
async fn a_device_is_told_nothing_of_home_assistant() {
    let building = at_ingress("").await;
    let lines = [
        ("Origin", "https://ha.example:8123".to_owned()),
        ("Referer", format!("https://ha.example:8123{BASE}/meter/page?x")),
        ("Cookie", "ingress_session=secret".to_owned()),
        ("X-Other", "stays".to_owned()),
    ];
    let post =
        lines.iter().fold(Ask::post("/meter/twin/upload", "x"), |ask, (name, value)| ask.with(name, value));
    assert_eq!(ask(&building, &post).await.status, 200);
    let arrival = building.meter.twin.arrivals().pop().unwrap();
    let device = building.meter.url();
    assert_eq!(arrival.headers.get("origin").unwrap(), device.as_str());
    assert_eq!(arrival.headers.get("referer").unwrap(), format!("{device}/page?x").as_str());
    assert_eq!(arrival.headers.get("x-other").unwrap(), "stays");
    let told = format!("{:?}", arrival.headers);
    for secret in ["hassio", "ha.example", "bob", "core.ingress", "ingress_session", "x-remote", "0123"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

#[tokio::test]
async fn a_certificate_is_accepted_and_changes_are_told_below_the_ingress() {
    let mut building = at_ingress("").await;
    assert_eq!(ask(&building, &Ask::get("/meter/twin/echo")).await.status, 200);
    building.meter.shows(keyward::twin::Certificate::self_signed().unwrap()).await;
    assert_eq!(ask(&building, &Ask::get("/meter/twin/echo")).await.status, 502);
    let form = format!("device=meter&sha256={}", building.meter.certificate.sha256());
    let post = |origin: &str| Ask::post("/-/trust", form.clone()).with("Origin", origin);
    assert_eq!(ask(&building, &post("https://evil.example")).await.status, 403);
    let accepted = ask(&building, &post("https://ha.example:8123")).await;
    // Where it leads is for the browser to say, which knows where it is.
    assert_eq!((accepted.status, accepted.header("location")), (303, "../"), "{}", accepted.text);
    assert_eq!(ask(&building, &Ask::get("/meter/twin/echo")).await.status, 200);
    let head = ask(&building, &Ask::new(Method::HEAD, "/-/live")).await;
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
}

#[tokio::test]
async fn keys_hold_there_too_unless_the_door_does_without() {
    const KEY: &str = "[access.keys.me]\nkey = \"0123456789abcdefghij\"\n";
    let asked = at_ingress(KEY).await;
    assert_eq!(ask(&asked, &Ask::get("/")).await.status, 401);
    let shown = Ask::get("/").with("X-API-Key", "0123456789abcdefghij");
    let page = ask(&asked, &shown).await;
    assert!(page.status == 200 && page.text.contains("keys = false beside ingress = true"), "{}", page.text);
    let free = at_ingress(&format!("keys = false\n{KEY}")).await;
    let page = ask(&free, &Ask::get("/")).await;
    assert!(page.status == 200 && !page.text.contains("keys = false"), "{}", page.text);
}
