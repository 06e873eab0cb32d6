//! What keyward reads from a certificate: enough to recognise it, to describe it and to check signatures with it.

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

use crate::clock::Timestamp;

/// A certificate that a device presented or that is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// DER, as on the wire.
    pub(super) der: Vec<u8>,
    /// The DER of its SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
    pub(super) spki: Vec<u8>,
    /// DER of subject and issuer, for comparing: what is printed may look the same.
    pub(super) names: [Vec<u8>; 2],
    /// Distinguished name of whom it names, as it may be printed.
    pub subject: String,
    /// Distinguished name of who signed it, likewise.
    pub issuer: String,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Modulus length of an RSA key, in bits.
    pub(super) rsa_bits: Option<usize>,
}

impl Certificate {
    /// Reads a certificate of any X.509 version.
    ///
    /// # Errors
    /// When these bytes are no certificate.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| {
            tracing::debug!(%error, "no certificate");
            "it is no certificate".to_owned()
        })?;
        let validity = parsed.validity();
        let rsa_bits = match parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Some(key.key_size()),
            _ => None,
        };
        Ok(Self {
            der: der.to_vec(),
            spki: parsed.public_key().raw.to_vec(),
            names: [parsed.subject().as_raw().to_vec(), parsed.issuer().as_raw().to_vec()],
            subject: printable(parsed.subject()),
            issuer: printable(parsed.issuer()),
            not_before: Timestamp::from_seconds(validity.not_before.timestamp()),
            not_after: Timestamp::from_seconds(validity.not_after.timestamp()),
            rsa_bits,
        })
    }

    /// Its key, as rustls takes bare keys.
    pub(super) fn public_key(&self) -> SubjectPublicKeyInfoDer<'_> {
        SubjectPublicKeyInfoDer::from(self.spki.as_slice())
    }

    /// SHA-256 of the DER as `openssl x509 -fingerprint -sha256` prints it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.sha256())
    }

    /// SHA-256 of the DER.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// Whether `moment` lies within its validity.
    pub fn is_valid_at(&self, moment: Timestamp) -> bool {
        self.not_before <= moment && moment <= self.not_after
    }
}

/// Whoever makes a certificate writes what they like into it, and a person reads it who is about to trust it: what moves
/// a terminal's cursor or turns its text around is spelled out.
fn printable(name: &X509Name<'_>) -> String {
    let text = name.to_string();
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\'' | '"' => printable.push(letter),
            _ => printable.extend(letter.escape_debug()),
        }
    }
    printable
}

/// The hosts that a certificate is for (RFC 5280 section 4.2.1.6), as a person would write them.
pub(super) fn names(der: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return Vec::new() };
    let listed = parsed.subject_alternative_name().ok().flatten();
    let names = listed.into_iter().flat_map(|listed| &listed.value.general_names);
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.escape_debug().to_string()),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(IpAddr::from([*a, *b, *c, *d]).to_string()),
            bytes => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        },
        _ => None,
    };
    names.filter_map(name).collect()
}

/// Upper-case hex with colons between the bytes.
pub(super) fn fingerprint(sha256: &[u8; 32]) -> String {
    sha256.map(|byte| format!("{byte:02X}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_moves_no_cursor_and_begins_no_line() {
        let mut parameters = rcgen::CertificateParams::default();
        let name = "O'Brien \u{fc}ber\nall is well\u{1b}[8m\u{202e}\u{85}";
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        let made = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let read = Certificate::read(made.der()).unwrap();
        assert_eq!(
            read.subject,
            r"CN=O'Brien \u{fc}ber\nall is well\u{1b}[8m\u{202e}\u{85}".replace(r"\u{fc}", "\u{fc}")
        );
        assert_eq!(read.issuer, read.subject);
    }
}
