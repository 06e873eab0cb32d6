//! The pinned certificate of one device: `certs/<device>.pem`.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::{Mutex, MutexGuard};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::certificate::Certificate;
use crate::clock::{Clock, Timestamp};
use crate::config::certificates;
use crate::disk::{Folder, plain};

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
    folder: Arc<Folder>,
    device: String,
    clock: Clock,
    memory: Mutex<Memory>,
    /// Who reads or writes the file. Held over its reading and writing, so never on a thread that serves.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Memory {
    pinned: Option<Pinned>,
    /// What the file held when it was last looked at. Only what has changed there since was changed by somebody.
    on_disk: Option<Pinned>,
    /// What was shown last, if it was refused.
    refused: Option<Certificate>,
}

impl Pin {
    /// The pin of `device` in the folder `certs`.
    pub fn new(certs: Arc<Folder>, device: &str, clock: Clock) -> Self {
        Self {
            folder: certs,
            device: device.to_owned(),
            clock,
            memory: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    /// Whose pin it is.
    pub(super) fn device(&self) -> &str {
        &self.device
    }

    /// What was pinned when it was last looked at.
    pub fn remembered(&self) -> Option<Pinned> {
        self.memory.lock().pinned.clone()
    }

    /// What the device showed last, if it was refused since something else is pinned. Its key need not be proven.
    pub fn refused(&self) -> Option<Certificate> {
        self.memory.lock().refused.clone()
    }

    /// The device has shown this, which is not what is pinned; or nothing of the kind any more.
    pub fn note_refused(&self, shown: Option<&Certificate>) {
        self.memory.lock().refused = shown.cloned();
    }

    /// Whether a restart forgets what is pinned.
    pub(super) fn is_unsaved(&self) -> bool {
        let memory = self.memory.lock();
        memory.pinned.is_some() && memory.pinned != memory.on_disk
    }

    /// What is pinned now. Reads the file: see [`Pin::apart`].
    ///
    /// # Errors
    /// When there is a file and no certificate in it: what was pinned is not known, so nothing may be accepted.
    pub(super) fn current(&self) -> Result<Option<Pinned>, String> {
        let turn = self.turn.lock();
        self.look(&turn)
    }

    /// Carries out what reads or writes the file on a thread that may wait for a disk.
    ///
    /// # Errors
    /// When it panics.
    pub(super) async fn apart<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, String> {
        let pin = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&pin)).await;
        done.map_err(|_| format!("an error of keyward's own about the pin of {}", self.device))
    }

    fn look(&self, _turn: &MutexGuard<'_, ()>) -> Result<Option<Pinned>, String> {
        let found = self.read().map_err(|error| {
            format!(
                "{} holds no usable certificate ({error}): remove it, or run `keyward trust {}`",
                self.folder.path().join(self.name()).display(),
                self.device
            )
        })?;
        let mut memory = self.memory.lock();
        // A file that was removed is a pin that was withdrawn. One that could not be written is not.
        if found != memory.on_disk {
            *memory = Memory { pinned: found.clone(), on_disk: found, refused: None };
        }
        Ok(memory.pinned.clone())
    }

    /// What is pinned once a peer has shown this certificate, and proven its key: the first one seen, and a re-issued one
    /// where it may `follow`. What is pinned is looked at anew, since a handshake takes as long as the peer likes: of two
    /// that are seen at once the second is held against the first.
    pub(super) fn meet(&self, certificate: &Certificate, follow: bool) -> Result<Pinned, String> {
        let turn = self.turn.lock();
        if let Some(pinned) = self.look(&turn)? {
            let is_other = pinned.certificate.spki != certificate.spki;
            if !(is_other && follow && self.may_follow(&pinned, certificate)) {
                return Ok(pinned);
            }
            tracing::warn!(
                device = self.device,
                sha256 = certificate.fingerprint(),
                "the device re-issued its certificate; the new one is pinned now"
            );
            return Ok(self.keep(&turn, certificate, Some(self.clock.now())));
        }
        tracing::info!(
            device = self.device,
            sha256 = certificate.fingerprint(),
            "certificate pinned on first contact: compare it with the device's, if you can"
        );
        Ok(self.keep(&turn, certificate, None))
    }

    /// Pins a certificate by a person's word.
    pub(super) fn set(&self, certificate: &Certificate) {
        self.keep(&self.turn.lock(), certificate, None);
    }

    /// Saves what could not be saved before.
    pub(super) fn save_again(&self) {
        let turn = self.turn.lock();
        // Somebody may have changed the file in the meantime: then that counts.
        if self.look(&turn).is_ok()
            && self.is_unsaved()
            && let Some(pinned) = self.remembered()
        {
            self.save(&turn, pinned);
        }
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

    fn keep(
        &self,
        turn: &MutexGuard<'_, ()>,
        certificate: &Certificate,
        taken_over_at: Option<Timestamp>,
    ) -> Pinned {
        let pinned = Pinned { certificate: certificate.clone(), pinned_at: self.clock.now(), taken_over_at };
        {
            let mut memory = self.memory.lock();
            memory.pinned = Some(pinned.clone());
            memory.refused = None;
        }
        self.save(turn, pinned.clone());
        pinned
    }

    fn save(&self, _turn: &MutexGuard<'_, ()>, pinned: Pinned) {
        if self.folder.write(&self.name(), self.text(&pinned).as_bytes()) {
            self.memory.lock().on_disk = Some(pinned);
        }
    }

    fn name(&self) -> String {
        format!("{}.pem", self.device)
    }

    /// The file: notes for a person and for us, and the certificate (RFC 7468).
    fn text(&self, pinned: &Pinned) -> String {
        let mut text = format!(
            "# The certificate of {}, pinned by keyward.\n# subject: {}\n# sha256: {}\n# pinned-at: {}\n",
            self.device,
            pinned.certificate.subject.escape_default(),
            pinned.certificate.fingerprint(),
            pinned.pinned_at
        );
        if let Some(taken) = pinned.taken_over_at {
            text += &format!("# taken-over-at: {taken}\n");
        }
        text += "-----BEGIN CERTIFICATE-----\n";
        for line in STANDARD.encode(&pinned.certificate.der).as_bytes().chunks(64) {
            text += &String::from_utf8_lossy(line);
            text.push('\n');
        }
        text + "-----END CERTIFICATE-----\n"
    }

    fn read(&self) -> Result<Option<Pinned>, String> {
        let bytes = self.folder.read(&self.name(), MAX_FILE).map_err(|error| plain(&error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let text = str::from_utf8(&bytes).map_err(|_| "it is no text")?;
        let found = certificates(text.as_bytes()).map_err(|why| format!("it {why}"))?;
        let der = found.first().ok_or("it has no certificate in it")?;
        // A file that a person put there has no notes; it was pinned when it was written.
        let written = || std::fs::symlink_metadata(self.folder.path().join(self.name()))?.modified();
        Ok(Some(Pinned {
            certificate: Certificate::read(der)?,
            pinned_at: note(text, "pinned-at")
                .unwrap_or_else(|| written().unwrap_or(SystemTime::UNIX_EPOCH).into()),
            taken_over_at: note(text, "taken-over-at"),
        }))
    }
}

fn note(text: &str, name: &str) -> Option<Timestamp> {
    let value =
        text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": "))?;
    let moment = OffsetDateTime::parse(value, &Rfc3339).ok()?;
    Some(Timestamp::from_seconds(moment.unix_timestamp()))
}
