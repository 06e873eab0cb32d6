//! Any bytes at all, and anybody.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request};
use proptest::prelude::*;

use super::admit::{Arrival, Peer};
use super::{Gateway, House, RequestId, front, promise};
use crate::clock::Clock;
use crate::config::{self, Environment};
use crate::metrics::Metrics;
use crate::server::build_house;
use crate::vendor::Registry;

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    let config =
        config::parse(promise::DEVICES, Path::new(&file), &Environment::default(), &Registry).unwrap();
    build_house(config, Clock::system()).unwrap_or_else(|error| panic!("{error}"))
}

/// What paths are made of, and what makes them lead elsewhere.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 46] = [
        "meter",
        "meter10",
        "lights",
        "house",
        "3",
        "api",
        "key=x",
        "/",
        "/",
        "/",
        "//",
        "\\",
        ".",
        "..",
        "...",
        "%",
        "%2e",
        "%2E",
        "%2f",
        "%5c",
        "%3b",
        "%00",
        "%252e",
        "%25",
        "%c0%ae",
        "%e0%80%ae",
        "%c0%af",
        ";",
        ";a=b",
        "?",
        "&",
        "=",
        "#",
        ":",
        "@",
        "http:",
        "https:",
        "//10.0.0.1",
        "//localhost",
        "//door.example:8480",
        "//door.example",
        "//elsewhere.example",
        "\t",
        " ",
        "é",
        "k%65y=1",
    ];
    prop_oneof![
        9 => prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ]
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..9).prop_map(|pieces| pieces.concat())
}

/// Each of them often enough to come upon what is wrong with a hasty rule in seconds.
fn often() -> ProptestConfig {
    ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() }
}

/// A path below each kind of device.
const ASKED: [&str; 4] = ["/meter/", "/meter/a/b?c", "/meter10/x", "/lights/a//b/"];

#[test]
fn a_request_goes_below_the_base_path_of_the_device_it_names_or_nowhere() {
    let house = house();
    let targets = (prop::sample::select(vec!["", "/", "/meter/", "/meter10/", "/lights/"]), pieces());
    proptest!(often(), |((start, rest) in targets)| {
        promise::route(&house, &[start.as_bytes(), &rest].concat());
    });
}

#[test]
fn a_device_sends_nobody_to_another_prefix() {
    let house = house();
    proptest!(often(), |(asked in prop::sample::select(&ASKED[..]), told in pieces())| {
        promise::location(&house, asked, &told);
    });
}

/// A request of this caller, by the first door.
fn from(caller: [u8; 4], gateway: &Gateway) -> Arrival {
    let peer = Peer {
        remote: SocketAddr::new(IpAddr::from(caller), 1),
        local: SocketAddr::from(([192, 168, 1, 1], 8480)),
        door: Arc::new(gateway.house.load().doors[0].id.clone()),
        secure: false,
        ending: gateway.closing.clone(),
    };
    Arrival { peer: Arc::new(peer), id: RequestId::new() }
}

/// Callers of the loopback are always let in, so others are made up here.
#[tokio::test]
async fn a_stranger_who_wants_a_tunnel_or_an_echo_is_told_that_it_is_one() {
    let gateway = Gateway::new(house(), Arc::new(Metrics::new()), Clock::system());
    for (caller, status) in [([203, 0, 113, 2], 403), ([192, 168, 1, 2], 405)] {
        for (method, target) in [(Method::CONNECT, "evil.example:443"), (Method::TRACE, "/meter/")] {
            let asked = Request::builder().method(method).uri(target).header("host", "localhost");
            let (mut asked, body) = asked.body(Body::empty()).unwrap().into_parts();
            let arrival = from(caller, &gateway);
            let answered = front::front(Arc::clone(&gateway)).answer(&mut asked, body, &arrival).await;
            assert_eq!(answered.status(), status, "{caller:?} {target}");
        }
    }
}

/// Who can stand in for a device must not accept that on its behalf.
#[tokio::test]
async fn a_neighbour_without_a_key_accepts_no_certificate() {
    let gateway = Gateway::new(house(), Arc::new(Metrics::new()), Clock::system());
    let form = format!("device=meter&sha256={}", "AB".repeat(32));
    for (caller, fault) in
        [([192, 168, 1, 2], "http_request_denied"), ([127, 0, 0, 1], "tls_certificate_error")]
    {
        let asked =
            Request::post("/-/trust").header("host", "192.168.1.1").header("origin", "http://192.168.1.1");
        let arrival = from(caller, &gateway);
        let front = front::front(Arc::clone(&gateway));
        let (mut asked, body) = asked.body(Body::from(form.clone())).unwrap().into_parts();
        let answered = front.answer(&mut asked, body, &arrival).await;
        let told = answered.headers()["proxy-status"].to_str().unwrap();
        assert!(told.contains(fault), "{caller:?}: {told}");
    }
}
