//! The certificates that our own doors show.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::ListenerTls;
use crate::disk::{self, Folder, Links};

/// A chain, and the key of its first certificate.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The files of our own certificate.
const CERT: &str = "cert.pem";
const KEY: &str = "key.pem";
/// No chain and no key is larger.
const MAX_FILE: u64 = 256 * 1024;

/// Where our own certificate is kept, and made if need be.
pub(super) struct OwnCertificate {
    folder: Folder,
    names: Vec<String>,
    /// Where the folder can't be written: clients that pinned it should not see another before the next start.
    unsaved: Mutex<Option<Arc<[String; 2]>>>,
}

impl OwnCertificate {
    /// The one in `own` below the folder of certificates, for a machine that has these names and addresses.
    pub(super) fn new(certs: &Path, names: Vec<String>) -> Self {
        let loss = "clients that trust our own certificate meet another after a restart";
        Self { folder: Folder::new(certs.join("own"), loss), names, unsaved: Mutex::default() }
    }

    /// What a door needs to speak TLS: HTTP/1.1 over TLS 1.2 or 1.3.
    ///
    /// # Errors
    /// What can't be used, and what to do.
    pub(super) fn settings(&self, tls: &ListenerTls) -> Result<Arc<ServerConfig>, String> {
        let (cert, key) = match tls {
            ListenerTls::SelfSigned => (self.folder.path().join(CERT), self.folder.path().join(KEY)),
            ListenerTls::Files { cert, key } => (cert.clone(), key.clone()),
        };
        let unusable = |error: &str| {
            let hint = match tls {
                ListenerTls::SelfSigned => "remove both, and keyward makes new ones",
                ListenerTls::Files { .. } => "both have to be PEM, and the key that of the first certificate",
            };
            format!("{} and {} can't be used ({error}): {hint}", cert.display(), key.display())
        };
        let identity = match tls {
            ListenerTls::SelfSigned => self.own(),
            ListenerTls::Files { .. } => {
                let read = |file: &Path| {
                    let bytes = disk::read(file, MAX_FILE, Links::Followed);
                    bytes.map_err(|error| format!("{}: {error}", file.display()))
                };
                read(&cert).and_then(|cert| parse(&cert, &read(&key)?))
            }
        };
        let identity = identity.map_err(|error| unusable(&error))?;
        let mut settings = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_single_cert(identity.0, identity.1)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => unusable("the key belongs to another certificate"),
                other => unusable(&other.to_string()),
            })?;
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(settings))
    }

    /// Whether a door could speak TLS: nothing is made for this.
    ///
    /// # Errors
    /// See [`Self::settings`].
    pub(super) fn examine(&self, tls: &ListenerTls) -> Result<(), String> {
        let is_to_be_made = *tls == ListenerTls::SelfSigned && !self.folder.path().join(CERT).exists();
        if is_to_be_made { Ok(()) } else { self.settings(tls).map(drop) }
    }

    /// The saved one; without one, a new one is made.
    fn own(&self) -> Result<Identity, String> {
        let read = |name: &str| self.folder.read(name, MAX_FILE).map_err(|error| format!("{name}: {error}"));
        if self.folder.path().is_symlink() {
            return Err("their folder is a symbolic link".to_owned());
        }
        // The certificate is written last: without it nobody has ever seen the key.
        if let Some(cert) = read(CERT)? {
            return parse(&cert, &read(KEY)?.ok_or_else(|| format!("{KEY} is not there"))?);
        }
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match &*unsaved {
            Some(made) => Arc::clone(made),
            None => Arc::new(self.make().map_err(|error| error.to_string())?),
        };
        let [cert, key] = &*made;
        self.folder.prepare();
        self.folder.clean();
        let saved = self.folder.write(KEY, key.as_bytes()) && self.folder.write(CERT, cert.as_bytes());
        *unsaved = if saved { None } else { Some(Arc::clone(&made)) };
        parse(cert.as_bytes(), key.as_bytes())
    }

    /// A certificate and its key in PEM.
    fn make(&self) -> Result<[String; 2], rcgen::Error> {
        let mut wanted = CertificateParams::default();
        wanted.subject_alt_names = self.names.iter().filter_map(|name| alternative_name(name)).collect();
        wanted.distinguished_name = DistinguishedName::new();
        wanted.distinguished_name.push(DnType::CommonName, "keyward");
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // A machine without a clock at boot may make it, and clients pin it: so it is good always.
        wanted.not_before = date_time_ymd(2000, 1, 1);
        wanted.not_after = date_time_ymd(2049, 12, 31);
        let key = KeyPair::generate()?;
        Ok([wanted.self_signed(&key)?.pem(), key.serialize_pem()])
    }
}

/// A name or an address as a certificate has it; what is neither is left out.
fn alternative_name(name: &str) -> Option<SanType> {
    match name.parse() {
        Ok(address) => Some(SanType::IpAddress(address)),
        Err(_) => Some(SanType::DnsName(name.try_into().ok()?)),
    }
}

fn parse(cert: &[u8], key: &[u8]) -> Result<Identity, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
    let chain = chain.map_err(|error| format!("the certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key: {error}"))?;
    if chain.is_empty() { Err("no certificate is in there".to_owned()) } else { Ok((chain, key)) }
}
