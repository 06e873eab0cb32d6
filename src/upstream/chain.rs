//! Certificates that are accepted because of who signed them, and why one is not, in words for a person.

use std::path::{Path, PathBuf};

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

use super::certificate::{Certificate, names};
use super::tls::public_roots;
use crate::clock::Timestamp;

/// Whose signature is trusted.
#[derive(Debug)]
pub(super) struct Chain {
    roots: RootCertStore,
    /// The certificates of the file: one that is shown itself need not be signed by another.
    listed: Vec<CertificateDer<'static>>,
    /// Where the roots are from; the public ones have no file.
    file: Option<PathBuf>,
    checks_name: bool,
}

impl Chain {
    /// The roots that browsers trust.
    pub(super) fn public() -> Self {
        Self { roots: public_roots(), listed: Vec::new(), file: None, checks_name: true }
    }

    /// The certificates of a file.
    pub(super) fn of(
        file: &Path,
        listed: &[CertificateDer<'static>],
        checks_name: bool,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in listed {
            roots.add(certificate.clone()).map_err(|_| {
                format!("{} holds a certificate that can't be read: copy it anew", file.display())
            })?;
        }
        Ok(Self { roots, listed: listed.to_vec(), file: Some(file.to_owned()), checks_name })
    }

    /// Whether this very certificate is in the file. Then its key is trusted and no signature on it.
    pub(super) fn lists(&self, certificate: &CertificateDer<'_>) -> bool {
        self.listed.iter().any(|listed| listed == certificate)
    }

    /// Whether a certificate is accepted from this peer.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(super) fn verify(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), String> {
        let signed = if self.lists(shown) {
            is_valid(shown, now)
        } else {
            ParsedCertificate::try_from(shown).and_then(|parsed| {
                let (roots, all) = (&self.roots, algorithms.all);
                verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, all)
            })
        };
        let named = || match self.checks_name {
            true => ParsedCertificate::try_from(shown).and_then(|parsed| verify_server_name(&parsed, name)),
            false => Ok(()),
        };
        signed.and_then(|()| named()).map_err(|error| {
            tracing::debug!(?error, "a certificate is not accepted");
            format!("the device's certificate is not accepted: {}", self.why(&error, shown, name, now))
        })
    }

    fn why(&self, error: &Error, shown: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> String {
        use CertificateError as C;
        let read = Certificate::read(shown).ok();
        let date = |date: fn(&Certificate) -> Timestamp| {
            read.as_ref().map(|read| date(read).to_string()).unwrap_or_default()
        };
        let now = Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        match error {
            Error::InvalidCertificate(C::UnknownIssuer) => self.unknown_issuer(read.as_ref()),
            // One of the chain above it may have ended, and then its own dates tell nothing.
            Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => format!(
                "it, or one that it depends on, has ended (its own end is {}, and here it is {now}): have the device make \
                 a new one, or set the clock here",
                date(|read| read.not_after)
            ),
            Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => format!(
                "it is not good yet (it begins on {}, and here it is {now}): set the clock here, or the device's and have \
                 it make a new one",
                date(|read| read.not_before)
            ),
            Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
                self.wrong_name(shown, name)
            }
            Error::InvalidCertificate(C::InvalidPurpose | C::InvalidPurposeContext { .. }) => format!(
                "it is made for something else than a server: have the device make another, or {}",
                self.otherwise()
            ),
            Error::InvalidCertificate(C::Other(other)) if is_ca_at_the_end(other) => match &self.file {
                Some(file) => format!(
                    "it is an authority's certificate (CA:TRUE) and shown as a device's: put this very certificate into \
                     {}, or {}",
                    file.display(),
                    self.otherwise()
                ),
                None => {
                    format!(
                        "it is an authority's certificate (CA:TRUE) and shown as a device's: {}",
                        self.otherwise()
                    )
                }
            },
            Error::InvalidCertificate(C::BadEncoding) => {
                format!("it can't be read: have the device make another, or {}", self.otherwise())
            }
            _ => format!(
                "how it is made or signed is too old or unknown to the checks of `trust`: have the device make another, or \
                 {}",
                self.otherwise()
            ),
        }
    }

    fn unknown_issuer(&self, read: Option<&Certificate>) -> String {
        let issuer = read.map(|read| format!(" (it says {:?})", read.issuer)).unwrap_or_default();
        match &self.file {
            Some(file) => format!(
                "no certificate of {} has signed it: put that of its issuer there{issuer}, or the device's own",
                file.display()
            ),
            None => format!("no public authority has signed it{issuer}: {}", self.otherwise()),
        }
    }

    fn wrong_name(&self, shown: &CertificateDer<'_>, name: &ServerName<'_>) -> String {
        let names = names(shown).into_iter().take(5).collect::<Vec<_>>();
        let names = if names.is_empty() { "no host at all".to_owned() } else { names.join(", ") };
        let wanted = name.to_str();
        match self.file {
            Some(_) => format!(
                "it is for {names}, not for {wanted}: beside `ca` in `trust`, write one of its names as \
                 name = \"…\", or name = false to check none"
            ),
            None => format!("it is for {names}, not for {wanted}: write one of its names in `url`"),
        }
    }

    fn otherwise(&self) -> &'static str {
        "write trust = \"pin\", which accepts the first one that is seen"
    }
}

/// Whether `now` lies within the validity of a certificate.
fn is_valid(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let read = Certificate::read(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let now = Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    if now < read.not_before {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if now > read.not_after { Err(Error::InvalidCertificate(CertificateError::Expired)) } else { Ok(()) }
}

fn is_ca_at_the_end(other: &rustls::OtherError) -> bool {
    matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
}
