//! Certificates made at run time: what devices show, and what an impostor would.

mod first;

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

/// How long a certificate is good that nobody gave dates to.
const YEAR: Duration = Duration::days(365);

/// A certificate and the key it is served with.
#[derive(Clone)]
pub struct Certificate {
    der: CertificateDer<'static>,
    key: Arc<KeyPair>,
    at_most_tls12: bool,
}

impl Certificate {
    /// A self-signed certificate as devices have it, with a name that means nothing, good for a year.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn self_signed() -> io::Result<Self> {
        let now = now();
        Self::named("device", now - Duration::DAY, now + YEAR, None)
    }

    /// A self-signed certificate of this common name and these dates, of a new key or of that of another one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn named(
        name: &str,
        not_before: OffsetDateTime,
        not_after: OffsetDateTime,
        key_of: Option<&Self>,
    ) -> io::Result<Self> {
        let key = key(key_of)?;
        let made = dated(name, &[], not_before, not_after)?.self_signed(&*key).map_err(io::Error::other)?;
        Ok(Self { der: made.into(), key, at_most_tls12: false })
    }

    /// A self-signed certificate for these names or addresses that calls itself an authority, as `openssl req -x509`
    /// makes them.
    ///
    /// # Errors
    /// When one of them is no name, or the system has no randomness.
    pub fn authority(
        names: &[&str],
        not_before: OffsetDateTime,
        not_after: OffsetDateTime,
    ) -> io::Result<Self> {
        let key = key(None)?;
        let mut params = dated(names.first().unwrap_or(&"device"), names, not_before, not_after)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let made = params.self_signed(&*key).map_err(io::Error::other)?;
        Ok(Self { der: made.into(), key, at_most_tls12: false })
    }

    /// A self-signed X.509 certificate of version 1, which has no extensions and which most libraries refuse.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn version_one(
        name: &str,
        not_before: OffsetDateTime,
        not_after: OffsetDateTime,
        key_of: Option<&Self>,
    ) -> io::Result<Self> {
        let key = key(key_of)?;
        let der = first::self_signed(name, not_before, not_after, &key)?;
        Ok(Self { der: der.into(), key, at_most_tls12: false })
    }

    /// The same certificate in the hands of somebody who does not have its key: it is public, after all.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn stolen(&self) -> io::Result<Self> {
        Ok(Self { key: key(None)?, ..self.clone() })
    }

    /// The same, on a device that knows no later TLS than 1.2.
    #[must_use]
    pub fn at_most_tls12(self) -> Self {
        Self { at_most_tls12: true, ..self }
    }

    /// The certificate itself.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The SHA-256 of the certificate, in lower-case hex without colons.
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.der))
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        pem(&self.der)
    }

    /// What a TLS server needs to show it.
    ///
    /// # Errors
    /// When the key can't sign.
    pub fn server_config(&self) -> io::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let key = ring::sign::any_supported_type(&key).map_err(io::Error::other)?;
        // Not `with_single_cert`: it reads the certificate first, and refuses version 1 and foreign keys.
        let shown = SingleCertAndKey::from(CertifiedKey::new(vec![self.der.clone()], key));
        let versions: &[_] =
            if self.at_most_tls12 { &[&rustls::version::TLS12] } else { rustls::DEFAULT_VERSIONS };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        Ok(Arc::new(config))
    }
}

/// A small certificate authority.
pub struct Authority {
    der: CertificateDer<'static>,
    issuer: rcgen::Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new(name: &str) -> io::Result<Self> {
        let now = now();
        let mut params = dated(name, &[], now - Duration::DAY, now + YEAR)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let made = params.self_signed(&key).map_err(io::Error::other)?;
        Ok(Self { der: made.into(), issuer: rcgen::Issuer::new(params, key) })
    }

    /// Its own certificate in PEM.
    pub fn pem(&self) -> String {
        pem(&self.der)
    }

    /// A certificate for these names or addresses, good for a year.
    ///
    /// # Errors
    /// When one of them is no name, or the system has no randomness.
    pub fn leaf(&self, names: &[&str]) -> io::Result<Certificate> {
        let now = now();
        self.leaf_until(names, now - Duration::DAY, now + YEAR)
    }

    /// A certificate for these names or addresses, of these dates.
    ///
    /// # Errors
    /// When one of them is no name, or the system has no randomness.
    pub fn leaf_until(
        &self,
        names: &[&str],
        not_before: OffsetDateTime,
        not_after: OffsetDateTime,
    ) -> io::Result<Certificate> {
        let key = key(None)?;
        let params = dated(names.first().unwrap_or(&"device"), names, not_before, not_after)?;
        let made = params.signed_by(&*key, &self.issuer).map_err(io::Error::other)?;
        Ok(Certificate { der: made.into(), key, at_most_tls12: false })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates are dated by the wall clock, as their readers are"
)]
fn now() -> OffsetDateTime {
    std::time::SystemTime::now().into()
}

fn key(of: Option<&Certificate>) -> io::Result<Arc<KeyPair>> {
    match of {
        Some(other) => Ok(Arc::clone(&other.key)),
        None => KeyPair::generate().map(Arc::new).map_err(io::Error::other),
    }
}

fn dated(
    name: &str,
    names: &[&str],
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
) -> io::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = not_before;
    params.not_after = not_after;
    Ok(params)
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::from("-----BEGIN CERTIFICATE-----\n");
    for (index, digit) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            lines.push('\n');
        }
        lines.push(digit);
    }
    lines.push_str("\n-----END CERTIFICATE-----\n");
    lines
}
