//! What goes out to a device and what comes back from it: our credential once, the caller's never, the device's
//! never.

use axum::Router;
use http::StatusCode;
use keyward::twin::{Certificate, every, serve};

use super::Bench;
use crate::support::{Act, Ask, Device, Lab, Scripted};

/// What a caller says that means to be somebody else.
const FORGED: &str = "mallory";

/// The header and query names with which the makes tell who asks.
fn carriers(make: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match make {
        "enlighted" => (&["ApiKey", "ts", "UserId", "AuthenticationToken"], &[]),
        "yombo" => (&["x-auth-key", "x-api-auth"], &["_auth_key", "_api_auth"]),
        "header" => (&["X-Api-Key"], &[]),
        "query" => (&[], &["apikey"]),
        _ => (&[], &[]),
    }
}

#[tokio::test]
async fn a_callers_credentials_never_arrive_and_ours_do_exactly_once() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        let (headers, queries) = carriers(bench.make());
        let usual =
            ["Authorization", "Cookie", "Cookie2", "Proxy-Authorization", "X-Forwarded-For", "Forwarded"];
        let mut ask = Ask::get(format!(
            "/it/twin/echo?a=1{}",
            queries.iter().fold(String::new(), |query, name| {
                let encoded = format!("%{:02x}{}", name.as_bytes()[0], &name[1..]);
                format!("{query}&{name}={FORGED}&{encoded}={FORGED}&{name}&b={name}")
            })
        ));
        for name in usual.iter().chain(headers) {
            for name in [(*name).to_owned(), name.to_lowercase(), name.replace('-', "_")] {
                ask = ask.with(&name, &format!("twin={FORGED}"));
            }
        }
        // The twin answers 400 to a credential that comes twice, or under a name that differs in underscores only.
        let reply = bench.lab.send(&ask.with("Accept", "application/json")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let arrival = bench.arrivals("/twin/echo").pop().unwrap();
        assert!(
            !format!("{} {:?}", arrival.target, arrival.headers).contains(FORGED),
            "{:?}",
            arrival.headers
        );
        assert!(arrival.target.starts_with("/twin/echo?a=1"), "{}", arrival.target);
    }
}

#[tokio::test]
async fn a_caller_cannot_have_our_credential_dropped_by_nominating_it() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        let (headers, _) = carriers(bench.make());
        let nominated = headers
            .iter()
            .fold("Authorization, Cookie, close".to_owned(), |all, name| format!("{all}, {name}"));
        let reply = bench.lab.send(&bench.sample().with("Connection", &nominated)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

#[tokio::test]
async fn what_a_device_means_for_browsers_and_connections_never_leaves() {
    const KEPT: [&str; 16] = [
        "set-cookie",
        "strict-transport-security",
        "www-authenticate",
        "proxy-authenticate",
        "authentication-info",
        "alt-svc",
        "clear-site-data",
        "service-worker-allowed",
        "nel",
        "report-to",
        "reporting-endpoints",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "connection",
        "x-hop",
        "keep-alive",
    ];
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        for target in ["/it/twin/cookies".to_owned(), format!("/it{}", bench.twin.sample())] {
            let reply = bench.lab.send(&Ask::get(target).with("Accept", "application/json")).await;
            assert_eq!(reply.status, StatusCode::OK);
            let left: Vec<_> = KEPT.into_iter().filter(|name| reply.headers.contains_key(*name)).collect();
            // A device that everybody may ask speaks for itself.
            let open: &[&str] = if bench.make() == "open" { &["www-authenticate"] } else { &[] };
            assert!(left.iter().all(|name| open.contains(name)), "{left:?}");
        }
    }
}

#[tokio::test]
async fn the_bytes_of_a_path_and_query_arrive_as_they_are() {
    const TARGETS: [&str; 6] = [
        "?inst&tot",
        "?rate&delta&time=now,now-3600:60+x",
        "?a={1,2}&b=%7B3%7d&&c=&d",
        "?z=1&a=2&z=1;y|'~[]",
        "/x//y/%7Euser/a+b;v=1/",
        "/@:!$&'()*,;=?/?:@",
    ];
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        for target in TARGETS {
            let ask = Ask::get(format!("/it/twin/echo{target}")).with("Accept", "application/json");
            let reply = bench.lab.send(&ask).await;
            assert_eq!(reply.status, 200, "{target}: {reply:?}");
            let arrived = bench.twin.arrivals().pop().unwrap().target;
            let ours = arrived.strip_prefix(&format!("/twin/echo{target}"));
            // A make whose key travels in the query has it there, after everything else.
            let appended = |rest: &str| {
                bench.make() == "query" && rest.trim_start_matches(['?', '&']).starts_with("apikey=")
            };
            assert!(ours.is_some_and(|rest| rest.is_empty() || appended(rest)), "{target} became {arrived}");
        }
    }
}

#[tokio::test]
async fn the_path_of_the_url_goes_before_every_path() {
    for twin in every().await.unwrap().into_iter().filter(|twin| twin.vendor() != "digest") {
        let bench = Bench::of(twin).await;
        let below = Router::new().nest("/house/3", std::sync::Arc::clone(&bench.twin).face());
        let certificate = Certificate::self_signed().unwrap();
        let served = serve(below, Some(certificate), "127.0.0.1:0".parse().unwrap()).unwrap();
        let table =
            bench.device.table("it", "").replace(&bench.device.url(), &format!("{}/house/3", served.url()));
        let lab = Lab::new(&table).await;
        let reply = lab.send(&bench.sample()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(lab.get("/it/twin/sample/../../x").await.fault(), "bad_path");
    }
}

#[tokio::test]
async fn a_digest_covers_the_path_of_the_url_too() {
    let twin = keyward::twin::digest::Digest::new(keyward::twin::digest::DigestSettings::default());
    let device = Device::new(twin);
    let url = device.url();
    let lab = Lab::new(&device.table("it", "").replace(&url, &format!("{url}/twin"))).await;
    assert_eq!(lab.get("/it/sample").await.status, 200);
    assert_eq!(device.twin.arrivals().pop().unwrap().target, "/twin/sample");
}

#[tokio::test]
async fn logins_that_callers_insist_on_are_answered_here_and_end_nothing() {
    /// Make, request, status, and what the answer holds.
    fn logins() -> Vec<(&'static str, Ask, u16, &'static str)> {
        const VALID: &str = "<!DOCTYPE html><h2>Valid token.</h2>\n";
        let claimed = r#"{"rlm":"r","usr":"mallory","nnc":"n","cnnc":"c","hash":"h"}"#;
        let bearer = |ask: Ask| ask.with("Authorization", "Bearer mallory");
        vec![
            ("egauge", Ask::get("/it/api/auth/unauthorized"), 401, "\"nnc\":"),
            ("egauge", Ask::post("/it/api/auth/login", claimed), 200, "\"jwt\":"),
            ("egauge", bearer(Ask::get("/it/api/auth/logout")), 200, "status"),
            ("enphase", bearer(Ask::get("/it/auth/check_jwt")), 200, VALID),
            ("enphase", bearer(Ask::post("/it/auth/check_jwt", "")), 200, VALID),
        ]
    }
    for twin in every()
        .await
        .unwrap()
        .into_iter()
        .filter(|twin| logins().iter().any(|(make, ..)| *make == twin.vendor()))
    {
        let bench = Bench::of(twin).await;
        for (_, ask, status, holds) in logins().iter().filter(|(make, ..)| *make == bench.make()) {
            let reply = bench.lab.send(ask).await;
            assert_eq!(reply.status, *status, "{reply:?}");
            assert!(reply.text().contains(holds), "{reply:?}");
        }
        assert_eq!(bench.twin.journal().total(), 0, "a caller's login arrived");
        bench.reads().await;
        let arrived = bench.twin.journal().total();
        for (_, ask, ..) in logins().iter().filter(|(make, ..)| *make == bench.make()) {
            bench.lab.send(ask).await;
        }
        assert_eq!(bench.twin.journal().total(), arrived, "a caller's login arrived");
        bench.reads().await;
        bench.has_logged_in(1);
    }
}

#[tokio::test]
async fn the_token_that_a_caller_gets_of_a_meter_has_the_claims_of_its_sheet() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for twin in every().await.unwrap().into_iter().filter(|twin| twin.vendor() == "egauge") {
        let bench = Bench::of(twin).await;
        let outcome = bench.lab.send(&Ask::post("/it/api/auth/login", "{}")).await.json();
        let token = outcome["jwt"].as_str().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        for name in ["rlm", "usr", "prv", "beg", "ltm", "gen"] {
            assert!(claims.get(name).is_some(), "{claims} lacks {name}");
        }
        assert!(claims.get("exp").is_none());
        let reply = bench.lab.send(&bench.sample().with("Authorization", &format!("Bearer {token}"))).await;
        assert_eq!(reply.status, 200);
    }
}

#[tokio::test]
async fn a_credential_in_the_query_leaves_by_no_header_and_under_no_twin_of_its_name() {
    const LINES: &str = "Refresh: 0; url=/next?a=1&api-key=s3cret%26val\r\nLink: </x?api_key=s3cret%26val>; rel=next\r\n\
        X-Asked: GET /x?b=2;api-key=s3cret\r\nX-Other: /x?a=1&b=2\r\n";
    let device = Scripted::new(|_| {
        Act::Answer(format!("HTTP/1.1 200 OK\r\n{LINES}Content-Length: 2\r\n\r\n{{}}").into())
    })
    .await;
    let lab = Lab::new(
        &device
            .table("meter", "")
            .replace("\"open\"", "\"query\"\nname = \"api-key\"\nvalue = \"s3cret&val\""),
    )
    .await;
    let reply = lab.get("/meter/x?api_key=mine&a=1&API%5Fkey=2&api-key=3&api%5fkey=4").await;
    assert_eq!(reply.status, 200);
    assert_eq!(device.heard()[0].target(), "/x?a=1&API%5Fkey=2&api-key=s3cret%26val");
    assert_eq!(reply.header("x-other"), "/x?a=1&b=2");
    assert!(reply.headers.values().all(|value| !value.to_str().unwrap().contains("s3cret")), "{reply:?}");
}

#[tokio::test]
async fn a_credential_in_a_cookie_header_is_the_only_one_there() {
    let device = Scripted::new(|_| {
        Act::Answer(b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=next\r\nContent-Length: 2\r\n\r\n{}".to_vec())
    })
    .await;
    let lab = Lab::new(
        &device
            .table("meter", "hosts = [\"meter.example\"]\n")
            .replace("\"open\"", "\"header\"\nname = \"Cookie\"\nvalue = \"sid=ours\""),
    )
    .await;
    let reply = lab.send(&Ask::get("/x").with("Host", "meter.example").with("Cookie", "sid=mine; b=c")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(device.heard()[0].values("cookie"), ["sid=ours"]);
    assert!(!reply.headers.contains_key("set-cookie"), "{reply:?}");
}
