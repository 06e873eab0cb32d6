//! What the fuzz targets in `fuzz/` call, each with the bytes of one case. Compiled for them alone.

use std::path::Path;
use std::sync::LazyLock;

use crate::clock::{Clock, Timestamp};
use crate::config::{self, Environment};
use crate::gateway::{House, promise};
use crate::keeper::store;
use crate::server::build_house;
use crate::vendor::{self, Registry};

/// What no message may show.
const MARKER: &str = "MarkerOfASecret";
/// How the parts of a case are told apart.
const BETWEEN: u8 = 0xFF;

static HOUSE: LazyLock<Option<House>> = LazyLock::new(|| {
    // There is no such folder, so that nothing is written.
    let text =
        format!("state = \"/nonexistent/state\"\ncerts = \"/nonexistent/certs\"\n{}", promise::DEVICES);
    let read = config::parse(&text, Path::new("/nonexistent/proxy.toml"), &Environment::default(), &Registry);
    build_house(read.ok()?, Clock::system()).ok()
});

/// Request targets.
pub fn route(target: &[u8]) {
    let Some(house) = &*HOUSE else { unreachable!("the configuration above is right") };
    promise::route(house, target);
}

/// What a device says in `Location`.
pub fn location(bytes: &[u8]) {
    let Some(house) = &*HOUSE else { unreachable!("the configuration above is right") };
    for asked in ["/meter/", "/meter10/a/b?c", "/lights/a//b/"] {
        promise::location(house, asked, bytes);
    }
}

/// What a device says in `WWW-Authenticate` and `Authentication-Info`.
pub fn challenge(bytes: &[u8]) {
    let (asks, announces) = halves(bytes);
    vendor::fuzzed::challenge(asks, announces);
}

/// A configuration with a secret where secrets stand, and anything before and behind it.
pub fn configuration(bytes: &[u8]) {
    let (before, behind) = halves(bytes);
    let (Ok(before), Ok(behind)) = (str::from_utf8(before), str::from_utf8(behind)) else { return };
    let text = format!(
        "{before}\n[devices.m]\nvendor = \"digest\"\nurl = \"https://m.local\"\nusername = \"owner\"\n\
         password = \"{MARKER}\"\n{behind}"
    );
    let environment = Environment::from_iter([("METER_PASSWORD", MARKER)]);
    let said = match config::parse(&text, Path::new("proxy.toml"), &environment, &Registry) {
        Ok(config) => config.warnings.join("\n"),
        Err(errors) => format!("{errors} {errors:?}"),
    };
    assert!(!said.contains(MARKER), "{said}");
}

/// A file of the state folder: what is read is written as it was.
pub fn saved_state(bytes: &[u8]) {
    let Ok(record) = store::decode(bytes) else { return };
    let written = store::encode(&record).unwrap_or_default();
    assert_eq!(store::decode(&written), Ok(record));
}

/// A token: of its claims the bytes are those of the case, or it is the case.
pub fn claims(bytes: &[u8]) {
    use base64::Engine;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let now = Timestamp::from_seconds(1_700_000_000);
    vendor::fuzzed::claims(&format!("e30.{claims}.c2ln"), "121935144671", now);
    if let Ok(text) = str::from_utf8(bytes) {
        vendor::fuzzed::claims(text, "121935144671", now);
    }
}

fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == BETWEEN);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}
