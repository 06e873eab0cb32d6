//! Any bytes at all.

use std::path::Path;

use proptest::prelude::*;

use super::{House, promise};
use crate::clock::Clock;
use crate::config::{self, Environment};
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
