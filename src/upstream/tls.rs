//! Whose certificate a device may show.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::certificate::{Certificate, fingerprint};
use super::chain::Chain;
use super::pin::Pin;
use crate::config::{CaName, Trust};

/// The cryptography of every connection: ring, passed explicitly.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The roots that browsers trust.
pub(crate) fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// How the certificate of a device is judged.
#[derive(Debug)]
pub(super) enum Policy {
    /// The first one seen, then only its public key. `follow`: a re-issued one may take over.
    Pin { pin: Arc<Pin>, follow: bool },
    /// The one with this fingerprint.
    Sha256([u8; 32]),
    /// Whatever is shown.
    Any,
    /// One that is signed by whom it has to be.
    Chain(Chain),
}

/// The certificate is not the one that is trusted: the text says what was expected and what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Untrusted(pub(super) String);

impl Policy {
    /// What a device's `trust` asks for. `follow`: a re-issued certificate may take over from the pinned one.
    pub(super) fn of(trust: &Trust, pin: &Arc<Pin>, follow: bool) -> Result<Self, String> {
        Ok(match trust {
            Trust::Pin => Self::Pin { pin: Arc::clone(pin), follow },
            Trust::PinStrict => Self::Pin { pin: Arc::clone(pin), follow: false },
            Trust::Sha256(expected) => Self::Sha256(*expected),
            Trust::Any => Self::Any,
            Trust::Public => Self::Chain(Chain::public()),
            Trust::Ca { file, certificates, name } => {
                Self::Chain(Chain::of(file, certificates, *name != CaName::Unchecked)?)
            }
        })
    }

    /// Whether the signature of the handshake is checked with the bare key: certificates that are trusted for
    /// their key alone may be of X.509 version 1, which rustls does not read.
    fn goes_by_key(&self, certificate: &CertificateDer<'_>) -> bool {
        match self {
            Self::Chain(chain) => chain.lists(certificate),
            _ => true,
        }
    }
}

/// A TLS client for one device.
pub(super) fn client(policy: Policy) -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier = Verifier { policy, algorithms: provider.signature_verification_algorithms };
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // A resumed session is not shown a certificate, so a pin withdrawn meanwhile would go unnoticed.
    client.resumption = Resumption::disabled();
    Ok(client)
}

#[derive(Debug)]
struct Verifier {
    policy: Policy,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.policy {
            Policy::Any => {}
            Policy::Pin { pin, follow } => accept_pinned(pin, *follow, &read(end_entity)?)?,
            Policy::Sha256(expected) => {
                let shown = read(end_entity)?;
                if shown.sha256() != *expected {
                    return Err(untrusted(format!(
                        "the device shows a certificate with the SHA-256 fingerprint {}, `trust` asks for {}: \
                         if the device was replaced, write the new one there",
                        shown.fingerprint(),
                        fingerprint(expected)
                    )));
                }
            }
            Policy::Chain(chain) => chain
                .verify(end_entity, intermediates, server_name, now, &self.algorithms)
                .map_err(untrusted)?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !self.policy.goes_by_key(certificate) {
            return verify_tls12_signature(message, certificate, signed, &self.algorithms);
        }
        let shown = read(certificate)?;
        let key = shown.public_key();
        let key = webpki::RawPublicKeyEntity::try_from(&key).map_err(|_| bad_signature())?;
        let proven = self
            .algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok());
        self.conclude(proven, &shown)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !self.policy.goes_by_key(certificate) {
            return verify_tls13_signature(message, certificate, signed, &self.algorithms);
        }
        let shown = read(certificate)?;
        let key = shown.public_key();
        let proven =
            rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
                .is_ok();
        self.conclude(proven, &shown)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    fn conclude(&self, proven: bool, shown: &Certificate) -> Result<HandshakeSignatureValid, Error> {
        // ring checks no RSA key under 2048 bits. Who said "any" gets no worse than that word.
        let uncheckable =
            matches!(self.policy, Policy::Any) && shown.rsa_bits.is_some_and(|bits| bits < 2048);
        if proven || uncheckable { Ok(HandshakeSignatureValid::assertion()) } else { Err(bad_signature()) }
    }
}

fn accept_pinned(pin: &Pin, follow: bool, shown: &Certificate) -> Result<(), Error> {
    // It was looked at just before this handshake.
    let Some(pinned) = pin.remembered() else { return Ok(()) };
    if pinned.certificate.spki == shown.spki || (follow && pin.may_follow(&pinned, shown)) {
        pin.note_refused(None);
        return Ok(());
    }
    pin.note_refused(Some(shown));
    Err(untrusted(format!(
        "the device shows another certificate than the one pinned: if you replaced or reset it, compare the one shown with \
         the device's own and accept it by `keyward trust {}`; if not, somebody may stand in between, and nothing was sent \
         there (pinned {}, shown {})",
        pin.device(),
        pinned.certificate.fingerprint(),
        shown.fingerprint()
    )))
}

fn read(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::read(certificate).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn untrusted(text: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Untrusted(text)))))
}

fn bad_signature() -> Error {
    Error::InvalidCertificate(CertificateError::BadSignature)
}
