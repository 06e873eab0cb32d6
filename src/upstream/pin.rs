//! The pinned certificate of one device: `certs/<device>.pem`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::certificate::Certificate;
use crate::clock::{Clock, Timestamp};

/// A pinned certificate in its last days may be replaced by its successor.
const LAST_DAYS: Duration = Duration::from_secs(90 * 86_400);
/// A make that re-issues yearly has no reason to do it twice within this time.
const BETWEEN_TAKE_OVERS: Duration = Duration::from_secs(180 * 86_400);
/// Larger than any certificate with its notes.
const MAX_FILE: u64 = 256 * 1024;

/// What is pinned, since when, and whether it succeeded an earlier one by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The certificate whose public key is accepted.
    pub certificate: Certificate,
    /// When it was pinned.
    pub pinned_at: Timestamp,
    /// When it took over from its predecessor without a person's word.
    pub taken_over_at: Option<Timestamp>,
}

/// The pin of one device, in its file and in memory.
#[derive(Debug)]
pub struct Pin {
    file: PathBuf,
    device: String,
    clock: Clock,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    pinned: Option<Pinned>,
    /// Whether the file has ever held it: only then can somebody have removed it.
    on_disk: bool,
}

impl Pin {
    /// The pin of `device` in the folder `certs`.
    pub fn new(certs: &Path, device: &str, clock: Clock) -> Self {
        Self {
            file: certs.join(format!("{device}.pem")),
            device: device.to_owned(),
            clock,
            memory: Mutex::default(),
        }
    }

    /// Whose pin it is.
    pub(super) fn device(&self) -> &str {
        &self.device
    }

    /// What is pinned now.
    ///
    /// # Errors
    /// When there is a file and no certificate in it: what was pinned is not known, so nothing may be accepted.
    pub fn current(&self) -> Result<Option<Pinned>, String> {
        let mut memory = self.lock();
        match read(&self.file) {
            Ok(Some(pinned)) => *memory = Memory { pinned: Some(pinned), on_disk: true },
            // A file that was removed is a pin that was withdrawn. One that could not be written is not.
            Ok(None) if memory.on_disk => *memory = Memory::default(),
            Ok(None) => {}
            Err(error) => {
                return Err(format!(
                    "{} holds no usable certificate ({error}): remove it, or run `keyward trust {}`",
                    self.file.display(),
                    self.device
                ));
            }
        }
        Ok(memory.pinned.clone())
    }

    /// What was pinned when it was last looked at.
    pub fn remembered(&self) -> Option<Pinned> {
        self.lock().pinned.clone()
    }

    /// Pins the first certificate seen. Of two that are seen at once the second is held against the first.
    pub(super) fn pin_first(&self, certificate: &Certificate) -> Result<Pinned, String> {
        match self.current()? {
            Some(pinned) => Ok(pinned),
            None => {
                tracing::info!(
                    device = self.device,
                    sha256 = certificate.fingerprint(),
                    "certificate pinned on first contact: compare it with the device's, if you can"
                );
                Ok(self.set(certificate))
            }
        }
    }

    /// Pins a certificate by a person's word.
    pub fn set(&self, certificate: &Certificate) -> Pinned {
        self.keep(Pinned {
            certificate: certificate.clone(),
            pinned_at: self.clock.now(),
            taken_over_at: None,
        })
    }

    /// Lets a re-issued certificate take over.
    pub(super) fn take_over(&self, certificate: &Certificate) {
        let now = self.clock.now();
        self.keep(Pinned { certificate: certificate.clone(), pinned_at: now, taken_over_at: Some(now) });
    }

    /// Whether `new` may follow `old` without a person's word, as far as certificates can tell. Who answers
    /// must still prove to be the same device.
    pub(super) fn may_follow(&self, old: &Pinned, new: &Certificate) -> bool {
        let now = self.clock.now();
        let was = &old.certificate;
        was.is_valid_at(old.pinned_at)
            && now.plus(LAST_DAYS) >= was.not_after
            && new.names == was.names
            && new.is_valid_at(now)
            && new.not_after > was.not_after
            && old.taken_over_at.is_none_or(|taken| now.since(taken) >= BETWEEN_TAKE_OVERS)
    }

    fn keep(&self, pinned: Pinned) -> Pinned {
        let mut memory = self.lock();
        let written = self.write(&pinned).inspect_err(|error| {
            tracing::warn!(
                device = self.device,
                file = %self.file.display(),
                %error,
                "the certificate can't be saved: after a restart the first one seen is trusted anew"
            );
        });
        *memory = Memory { pinned: Some(pinned.clone()), on_disk: written.is_ok() };
        pinned
    }

    fn write(&self, pinned: &Pinned) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        if !folder.is_dir() {
            std::fs::create_dir(folder)?;
        }
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "# The certificate of {}, pinned by keyward.", self.device)?;
        writeln!(file, "# subject: {}", pinned.certificate.subject.escape_default())?;
        writeln!(file, "# sha256: {}", pinned.certificate.fingerprint())?;
        writeln!(file, "# pinned-at: {}", pinned.pinned_at)?;
        if let Some(taken) = pinned.taken_over_at {
            writeln!(file, "# taken-over-at: {taken}")?;
        }
        writeln!(file, "-----BEGIN CERTIFICATE-----")?;
        for line in STANDARD.encode(&pinned.certificate.der).as_bytes().chunks(64) {
            file.write_all(line)?;
            file.write_all(b"\n")?;
        }
        writeln!(file, "-----END CERTIFICATE-----")?;
        file.as_file().sync_all()?;
        file.persist(&self.file)?;
        std::fs::File::open(folder)?.sync_all()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(file: &Path) -> Result<Option<Pinned>, String> {
    let facts = match std::fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(facts) => facts,
    };
    if !facts.is_file() || facts.len() > MAX_FILE {
        return Err("not a regular file of a certificate's size".to_owned());
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let der = CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| error.to_string())?;
    // A file that a person put there has no notes; it was pinned when it was written.
    let written = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Some(Pinned {
        certificate: Certificate::read(&der)?,
        pinned_at: note(&text, "pinned-at").unwrap_or(written.into()),
        taken_over_at: note(&text, "taken-over-at"),
    }))
}

fn note(text: &str, name: &str) -> Option<Timestamp> {
    let value =
        text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": "))?;
    let moment = OffsetDateTime::parse(value, &Rfc3339).ok()?;
    Some(Timestamp::from_seconds(moment.unix_timestamp()))
}
