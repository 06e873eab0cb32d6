//! The certificates that our own doors show.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use time::OffsetDateTime;

use crate::clock::{Clock, EARLIEST, Timestamp};
use crate::config::{ListenerTls, identity};
use crate::disk::{self, Folder, Links, plain};
use crate::upstream::Certificate;

/// A chain, and the key of its first certificate.
type Identity = Arc<CertifiedKey>;

/// Apple's clients accept no certificate of a longer life than 825 days, whoever made it.
const LONGEST: Duration = Duration::from_secs(825 * 86_400);
/// Of ours.
const LIFE: Duration = Duration::from_secs(820 * 86_400);
/// It begins before it is made: the clocks of clients may be behind.
const HEAD_START_S: i64 = 86_400;
/// A new one is made when less than this is left: nothing but a start or a reload looks.
const LAST_DAYS: Duration = Duration::from_secs(120 * 86_400);

/// The files of our own certificate.
const CERT: &str = "cert.pem";
const KEY: &str = "key.pem";
/// No chain and no key is larger.
const MAX_FILE: u64 = 256 * 1024;

/// Where our own certificate is kept, and made if need be.
pub(super) struct OwnCertificate {
    folder: Folder,
    names: Vec<String>,
    clock: Clock,
    /// Where the folder can't be written: clients that pinned it should not see another before the next start.
    unsaved: Mutex<Option<Arc<[String; 2]>>>,
}

impl OwnCertificate {
    /// The one in `own` below the folder of certificates, for a machine that has these names and addresses.
    pub(super) fn new(certs: &Path, names: Vec<String>, clock: Clock) -> Self {
        let loss = "clients that trust our own certificate meet another after a restart";
        Self { folder: Folder::new(certs.join("own"), loss), names, clock, unsaved: Mutex::default() }
    }

    /// What a door needs to speak TLS: HTTP/1.1 over TLS 1.2 or 1.3. Makes or renews our own certificate if need be.
    ///
    /// # Errors
    /// What can't be used, and what to do.
    pub(super) fn settings(&self, tls: &ListenerTls) -> Result<Arc<ServerConfig>, String> {
        let identity = match tls {
            ListenerTls::SelfSigned => self.own().map_err(|why| self.unusable(&why))?,
            ListenerTls::Files { cert, key } => of_files(cert, key)?,
        };
        let mut settings = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(settings))
    }

    /// Whether a door could speak TLS: nothing is made for this.
    ///
    /// # Errors
    /// See [`Self::settings`].
    pub(super) fn examine(&self, tls: &ListenerTls) -> Result<(), String> {
        match tls {
            ListenerTls::SelfSigned => self.saved().map(drop).map_err(|why| self.unusable(&why)),
            ListenerTls::Files { cert, key } => of_files(cert, key).map(drop),
        }
    }

    fn unusable(&self, why: &str) -> String {
        let [cert, key] = [CERT, KEY].map(|name| self.folder.path().join(name));
        format!(
            "{} and {} can't be used ({why}): remove both, and keyward makes new ones",
            cert.display(),
            key.display()
        )
    }

    /// The saved one, with its key in PEM.
    fn saved(&self) -> Result<Option<(Identity, String)>, String> {
        let read = |name: &str| {
            self.folder.read(name, MAX_FILE).map_err(|error| format!("{name}: {}", plain(&error)))
        };
        if self.folder.path().is_symlink() {
            return Err("their folder is a symbolic link".to_owned());
        }
        // The certificate is written last: without it nobody has ever seen the key.
        let Some(cert) = read(CERT)? else { return Ok(None) };
        let key = read(KEY)?.ok_or_else(|| format!("{KEY} is not there"))?;
        let identity = identity(&cert, &key).map_err(|unusable| unusable.to_string())?;
        Ok(Some((identity, String::from_utf8_lossy(&key).into_owned())))
    }

    /// The saved one; without one a new one is made, and one that ends soon is renewed.
    fn own(&self) -> Result<Identity, String> {
        let saved = self.saved()?;
        if let Some((identity, _)) = &saved
            && self.serves_on(identity)
        {
            return Ok(Arc::clone(identity));
        }
        let mut unsaved = self.unsaved.lock();
        let made = match &*unsaved {
            Some(made) => Arc::clone(made),
            None => {
                let key = saved.as_ref().map(|(_, key)| key.as_str());
                Arc::new(self.make(key).map_err(|error| error.to_string())?)
            }
        };
        let [cert, key] = &*made;
        self.folder.prepare();
        self.folder.clean();
        let saved = self.folder.write(KEY, key.as_bytes()) && self.folder.write(CERT, cert.as_bytes());
        *unsaved = if saved { None } else { Some(Arc::clone(&made)) };
        identity(cert.as_bytes(), key.as_bytes()).map_err(|unusable| unusable.to_string())
    }

    /// Whether the saved one is shown on: it lasts for a while, and no longer than clients accept.
    fn serves_on(&self, identity: &CertifiedKey) -> bool {
        let Some(Ok(saved)) = identity.cert.first().map(Certificate::read) else { return true };
        let ends_soon = saved.not_after.since(self.now()) < LAST_DAYS;
        let lasts_too_long = saved.not_after.since(saved.not_before) > LONGEST;
        if ends_soon || lasts_too_long {
            tracing::info!(
                until = %saved.not_after,
                "our own certificate is renewed with the same key; who was given {} gets it anew",
                self.folder.path().join(CERT).display()
            );
        }
        !ends_soon && !lasts_too_long
    }

    /// A certificate and its key in PEM, the key being that of a former one where there is one.
    fn make(&self, key: Option<&str>) -> Result<[String; 2], rcgen::Error> {
        let mut wanted = CertificateParams::default();
        wanted.subject_alt_names = self.names.iter().filter_map(|name| alternative_name(name)).collect();
        wanted.distinguished_name = DistinguishedName::new();
        wanted.distinguished_name.push(DnType::CommonName, "keyward");
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let begins = Timestamp::from_seconds(self.now().as_seconds() - HEAD_START_S);
        wanted.not_before = moment(begins);
        wanted.not_after = moment(begins.plus(LIFE));
        let key = match key {
            Some(key) => KeyPair::from_pem(key)?,
            None => KeyPair::generate()?,
        };
        Ok([wanted.self_signed(&key)?.pem(), key.serialize_pem()])
    }

    /// What time it is at least: a machine without a clock has not learnt it yet when it makes its certificate.
    fn now(&self) -> Timestamp {
        self.clock.now().max(EARLIEST)
    }
}

/// The certificate and key of two files.
fn of_files(cert: &Path, key: &Path) -> Result<Identity, String> {
    let read = |file: &Path| {
        let bytes = disk::read(file, MAX_FILE, Links::Followed);
        bytes.map_err(|error| format!("{} cannot be read: {}", file.display(), plain(&error)))
    };
    identity(&read(cert)?, &read(key)?).map_err(|unusable| {
        let file = if unusable.of == "key" { key } else { cert };
        format!("{} {}", file.display(), unusable.why)
    })
}

fn moment(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A name or an address as a certificate has it; what is neither is left out.
fn alternative_name(name: &str) -> Option<SanType> {
    match name.parse() {
        Ok(address) => Some(SanType::IpAddress(address)),
        Err(_) => Some(SanType::DnsName(name.try_into().ok()?)),
    }
}
