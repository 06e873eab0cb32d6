//! Whose certificate a device may show.

use std::fs::File;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::section::Section;
use super::url::is_name;

/// Whose certificate is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The first one seen, and what its make re-issues within bounds.
    #[default]
    Pin,
    /// The first one seen, and no other.
    PinStrict,
    /// One that chains to the public roots.
    Public,
    /// Whatever is shown.
    Any,
    /// One that chains to the certificates of a file.
    Ca {
        /// The file, in PEM.
        file: PathBuf,
        /// The name it must be for.
        name: CaName,
    },
    /// The one with this SHA-256 fingerprint.
    Sha256([u8; 32]),
}

/// The name that a certificate under [`Trust::Ca`] must be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaName {
    /// The host of the device's URL.
    FromUrl,
    /// Another than the URL's host.
    Other(String),
    /// Any name.
    Unchecked,
}

/// What `trust` may be, for whoever wrote something else.
const FORMS: &str = "\"pin\", { pin = \"strict\" }, \"public\", \"any\", { ca = \"file.pem\" } \
                     or { sha256 = \"fingerprint\" }";

/// Reads the key `trust` of a device.
pub(super) fn read(device: &mut Section<'_>) -> Option<Trust> {
    if !device.take("trust")?.get_ref().is_table() {
        return match device.text("trust")?.as_str() {
            "pin" => Some(Trust::Pin),
            "public" => Some(Trust::Public),
            "any" => Some(Trust::Any),
            _ => device.wrong("trust", FORMS),
        };
    }
    let mut table = device.section("trust");
    let trust = if table.has("pin") {
        table.choice("pin", &["strict"]).map(|_| Trust::PinStrict)
    } else if table.has("ca") {
        read_ca(&mut table)
    } else if table.has("sha256") {
        read_fingerprint(&mut table)
    } else {
        return device.wrong("trust", FORMS);
    };
    table.finish(&[], true);
    trust
}

fn read_ca(table: &mut Section<'_>) -> Option<Trust> {
    let file = table.path("ca");
    if let Some(Err(error)) = file.as_ref().map(File::open) {
        table.refuse("ca", format!("cannot read the certificates: {error}"));
    }
    let name = match table.take("name").map(Spanned::get_ref) {
        None => Some(CaName::FromUrl),
        Some(DeValue::Boolean(false)) => Some(CaName::Unchecked),
        Some(DeValue::String(name)) if is_name(name) => Some(CaName::Other(name.to_ascii_lowercase())),
        Some(_) => table.wrong("name", "the host name to check, or false to check none"),
    };
    Some(Trust::Ca { file: file?, name: name? })
}

fn read_fingerprint(table: &mut Section<'_>) -> Option<Trust> {
    let digest = fingerprint(&table.text("sha256")?);
    if digest.is_none() {
        table.refuse(
            "sha256",
            "expected the 64 hex digits of a SHA-256 fingerprint; colons may be between them",
        );
    }
    digest.map(Trust::Sha256)
}

/// The digest in what people paste: hex digits in any case, colons between, and what openssl prints before
/// it.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits = text.rsplit('=').next()?;
    let digits: String = digits.chars().filter(|sign| *sign != ':' && !sign.is_whitespace()).collect();
    let mut digest = [0; 32];
    hex::decode_to_slice(digits, &mut digest).ok()?;
    Some(digest)
}
