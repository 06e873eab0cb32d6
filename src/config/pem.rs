//! Certificates and keys in PEM (RFC 7468), and what is wrong with them in words of ours.

use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Of a certificate and its key, which of the two can't be used and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {of} {why}")]
pub struct Unusable {
    /// `cert` or `key`.
    pub of: &'static str,
    /// What is wrong with it and what would be right.
    pub why: &'static str,
}

/// All certificates, one at least.
///
/// # Errors
/// Why there is none, or not every one can be read.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err("has no certificate in it: it is to be PEM, with a line -----BEGIN CERTIFICATE-----")
        }
        Ok(found) => Ok(found),
        Err(_) => {
            Err("is broken PEM: copy it anew, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----")
        }
    }
}

/// A chain, and the key of its first certificate.
///
/// # Errors
/// What can't be used, or that the two do not belong together.
pub fn identity(cert: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, Unusable> {
    let unusable = |of, why| Unusable { of, why };
    let chain = certificates(cert).map_err(|why| unusable("cert", why))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        unusable(
            "key",
            "has no private key in it: it is to be PEM without a password, -----BEGIN PRIVATE KEY-----",
        )
    })?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map(Arc::new).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            unusable("key", "belongs to another certificate than the first one of `cert`")
        }
        rustls::Error::InvalidCertificate(_) => {
            unusable("cert", "begins with a certificate that can't be read")
        }
        _ => unusable("key", "is none that TLS can use: RSA of 2048 bits or more, ECDSA or Ed25519"),
    })
}
