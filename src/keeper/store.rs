//! Sessions and rests on disk: a file per device, old or new but never half, and for nobody else to read.

mod form;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

pub(crate) use form::{decode, encode};

use crate::clock::Timestamp;
use crate::vendor::Session;

/// Larger than any session.
const MAX_FILE: u64 = 256 * 1024;

/// What outlives a process for one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Salted hash of address and names.
    pub account: String,
    /// Salted hash of the credentials.
    pub credentials: String,
    /// The salt of both.
    pub salt: String,
    /// Whether these credentials were ever accepted.
    pub proven: bool,
    /// How often in a row they were rejected.
    pub rejections: u32,
    /// Until when they rest.
    pub rest: Option<SavedRest>,
    /// The session and when it was got.
    pub session: Option<(Session, Timestamp)>,
}

/// A rest that a restart does not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRest {
    /// Its end.
    pub until: Timestamp,
    /// What began it.
    pub cause: Cause,
    /// Why, in words for a person.
    pub detail: String,
}

/// What begins a rest that outlives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Wrong credentials.
    Rejected,
    /// A person has to act.
    Person,
    /// A cloud asked to be left alone.
    Asked,
}

/// The folder of saved sessions.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Whether the last save failed, so that a full disk is told once and not once a minute.
    failing: AtomicBool,
}

impl Store {
    /// The store in this folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), failing: AtomicBool::new(false) }
    }

    /// Makes the folder, for its owner alone.
    ///
    /// # Errors
    /// When it can't be made or written.
    pub fn prepare(&self) -> io::Result<()> {
        self.make_folder(true)?;
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700))?;
        tempfile::tempfile_in(&self.folder).map(drop)
    }

    /// `with_parents`: also the folders that it is in. Later on who has removed those has meant it.
    fn make_folder(&self, with_parents: bool) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(with_parents).mode(0o700).create(&self.folder)
    }

    /// What was saved for a device. What can't be used is named in the log and set aside.
    pub fn load(&self, device: &str) -> Option<Record> {
        let file = self.file(device);
        match read(&file) {
            Ok(record) => record,
            Err(Unusable::Unread(error)) => {
                tracing::warn!(device, file = %file.display(), %error, "the saved session can't be read");
                None
            }
            Err(Unusable::Broken(why)) => {
                let aside = file.with_extension("unusable");
                let moved = fs::rename(&file, &aside);
                tracing::warn!(
                    device,
                    file = %file.display(),
                    set_aside = moved.is_ok(),
                    "the saved session can't be used ({why}): starting with a login"
                );
                None
            }
        }
    }

    /// Saves what is to outlive this process, whole or not at all. Says whether that worked.
    pub fn save(&self, device: &str, record: &Record) -> bool {
        match self.write(device, record) {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(folder = %self.folder.display(), "sessions can be saved again");
                }
                true
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        folder = %self.folder.display(),
                        %error,
                        "sessions can't be saved: keyward serves on from memory and logs in anew after a restart"
                    );
                }
                false
            }
        }
    }

    fn write(&self, device: &str, record: &Record) -> io::Result<()> {
        self.make_folder(false)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&encode(record)?)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(self.file(device))?;
        fs::File::open(&self.folder)?.sync_all()
    }

    fn file(&self, device: &str) -> PathBuf {
        self.folder.join(format!("{device}.json"))
    }
}

/// Why a file is of no use.
enum Unusable {
    /// It may be good: it stays where it is.
    Unread(io::Error),
    /// It is not what we wrote.
    Broken(String),
}

fn read(file: &Path) -> Result<Option<Record>, Unusable> {
    let broken = |why: String| Err(Unusable::Broken(why));
    let facts = match fs::symlink_metadata(file) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unusable::Unread(error)),
    };
    if !facts.is_file() {
        return broken("it is not a regular file".to_owned());
    }
    if facts.len() > MAX_FILE {
        return broken(format!("it is larger than {MAX_FILE} bytes"));
    }
    let text = fs::read(file).map_err(Unusable::Unread)?;
    decode(&text).map(Some).map_err(Unusable::Broken)
}
