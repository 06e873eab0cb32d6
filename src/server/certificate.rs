//! The certificates that our own doors show.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::ListenerTls;

/// A chain, and the key of its first certificate.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Where our own certificate is kept, and made if need be.
pub(super) struct OwnCertificate {
    folder: PathBuf,
    hostname: String,
    /// Where the folder can't be written: clients that pinned it should not see another before the next start.
    unsaved: Mutex<Option<Arc<[String; 2]>>>,
}

impl OwnCertificate {
    /// The one in `own` below the folder of certificates, for a machine of this name.
    pub(super) fn new(certs: &Path, hostname: &str) -> Self {
        Self { folder: certs.join("own"), hostname: hostname.to_owned(), unsaved: Mutex::default() }
    }

    /// What a door needs to speak TLS: HTTP/1.1 over TLS 1.2 or 1.3.
    ///
    /// # Errors
    /// What can't be used, and what to do.
    pub(super) fn settings(&self, tls: &ListenerTls) -> Result<Arc<ServerConfig>, String> {
        let (cert, key) = match tls {
            ListenerTls::SelfSigned => (self.folder.join("cert.pem"), self.folder.join("key.pem")),
            ListenerTls::Files { cert, key } => (cert.clone(), key.clone()),
        };
        let unusable = |error: &dyn std::fmt::Display| {
            let hint = match tls {
                ListenerTls::SelfSigned => "remove both, and keyward makes new ones",
                ListenerTls::Files { .. } => "both are PEM, the key belongs to the first certificate",
            };
            format!("{} and {} can't be used ({error}): {hint}", cert.display(), key.display())
        };
        let identity = match tls {
            ListenerTls::SelfSigned => self.own(&cert, &key).map_err(|error| unusable(&error))?,
            ListenerTls::Files { .. } => read(&cert, &key).map_err(|error| unusable(&error))?,
        };
        let mut settings = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_single_cert(identity.0, identity.1)
            .map_err(|error| unusable(&error))?;
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(settings))
    }

    /// Whether a door could speak TLS: nothing is made for this.
    ///
    /// # Errors
    /// See [`Self::settings`].
    pub(super) fn examine(&self, tls: &ListenerTls) -> Result<(), String> {
        let is_to_be_made = *tls == ListenerTls::SelfSigned && !self.folder.join("cert.pem").exists();
        if is_to_be_made { Ok(()) } else { self.settings(tls).map(drop) }
    }

    /// The saved one; without one, a new one is made.
    fn own(&self, cert: &Path, key: &Path) -> Result<Identity, String> {
        // The certificate is written last: without it nobody has ever seen the key.
        if cert.try_exists().map_err(|error| error.to_string())? {
            return read(cert, key);
        }
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        if unsaved.is_none() {
            let made = self.make().map_err(|error| error.to_string())?;
            match self.save(&made, cert, key) {
                Ok(()) => return read(cert, key),
                Err(error) => {
                    tracing::warn!(
                        folder = %self.folder.display(),
                        %error,
                        "our own certificate can't be saved: clients that trust it meet another after a restart"
                    );
                    *unsaved = Some(Arc::new(made));
                }
            }
        }
        let made = unsaved.as_deref().ok_or("it could not be made")?;
        parse(made[0].as_bytes(), made[1].as_bytes())
    }

    /// A certificate and its key in PEM.
    fn make(&self) -> Result<[String; 2], rcgen::Error> {
        let own = self.hostname.as_str();
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !own.is_empty() && own != "localhost" {
            names.extend([own.to_owned(), format!("{own}.local")]);
        }
        let mut wanted = CertificateParams::new(names)?;
        wanted.distinguished_name = DistinguishedName::new();
        wanted.distinguished_name.push(DnType::CommonName, format!("keyward on {own}"));
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // A machine without a clock at boot may make it, and clients pin it: so it is good always.
        wanted.not_before = date_time_ymd(2000, 1, 1);
        wanted.not_after = date_time_ymd(2049, 12, 31);
        let key = KeyPair::generate()?;
        Ok([wanted.self_signed(&key)?.pem(), key.serialize_pem()])
    }

    fn save(&self, [made_cert, made_key]: &[String; 2], cert: &Path, key: &Path) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        for (text, file) in [(made_key, key), (made_cert, cert)] {
            // Its mode is 0600 from the start.
            let mut whole = tempfile::NamedTempFile::new_in(&self.folder)?;
            whole.write_all(text.as_bytes())?;
            whole.as_file().sync_all()?;
            whole.persist(file)?;
        }
        File::open(&self.folder)?.sync_all()
    }
}

fn read(cert: &Path, key: &Path) -> Result<Identity, String> {
    let bytes = |file: &Path| fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
    parse(&bytes(cert)?, &bytes(key)?)
}

fn parse(cert: &[u8], key: &[u8]) -> Result<Identity, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
    let chain = chain.map_err(|error| format!("the certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key: {error}"))?;
    if chain.is_empty() { Err("no certificate is in there".to_owned()) } else { Ok((chain, key)) }
}
