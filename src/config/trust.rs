//! Whose certificate a device may show.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use toml::Spanned;
use toml::de::DeValue;

use super::section::Section;
use super::url::is_name;
use super::{Malformed, certificates};
use crate::disk::{self, Links, plain};

/// No bundle of certificates is larger.
const MAX_FILE: u64 = 1024 * 1024;

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
        /// What is in it. Where that changes, it is another trust.
        certificates: Vec<CertificateDer<'static>>,
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
    let read = file.as_ref().map(|file| read_certificates(file)).transpose();
    let certificates = read.unwrap_or_else(|why| {
        table.refuse("ca", why);
        None
    });
    let name = match table.take("name").map(Spanned::get_ref) {
        None => Some(CaName::FromUrl),
        Some(DeValue::Boolean(false)) => Some(CaName::Unchecked),
        Some(DeValue::String(name)) if is_name(name) => Some(CaName::Other(name.to_ascii_lowercase())),
        Some(_) => table.wrong("name", "the host name to check, or false to check none"),
    };
    Some(Trust::Ca { file: file?, certificates: certificates?, name: name? })
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = disk::read(file, MAX_FILE, Links::Followed);
    let bytes = bytes.map_err(|error| format!("cannot read the certificates: {}", plain(&error)))?;
    let found = certificates(&bytes).map_err(|why| format!("this file {why}"))?;
    match found.iter().any(|found| webpki::anchor_from_trusted_cert(found).is_err()) {
        true => Err("this file holds a certificate that can't be read: copy it anew".to_owned()),
        false => Ok(found),
    }
}

fn read_fingerprint(table: &mut Section<'_>) -> Option<Trust> {
    table.parsed("sha256").map(|Fingerprint(digest)| Trust::Sha256(digest))
}

/// A SHA-256 fingerprint as people paste it: hex digits in any case, colons between, and what openssl prints before
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl FromStr for Fingerprint {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let digits = text.rsplit('=').next().unwrap_or_default();
        let digits: String = digits.chars().filter(|sign| *sign != ':' && !sign.is_whitespace()).collect();
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| {
            Malformed("expected the 64 hex digits of a SHA-256 fingerprint; colons may be between them")
        })?;
        Ok(Self(digest))
    }
}

/// As openssl prints it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&pairs.join(":"))
    }
}
