//! Sessions and rests on disk: a file per device, old or new but never half, and for nobody else to read.

mod form;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub(crate) use form::{decode, encode};

use crate::clock::Timestamp;
use crate::disk::{Folder, plain};
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
    /// When they were refused though they had been accepted before.
    pub refused_at: Option<Timestamp>,
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
    /// Nothing better than the session in use was to be had.
    Enough,
}

/// The folder of saved sessions.
#[derive(Debug)]
pub struct Store {
    folder: Arc<Folder>,
}

impl Store {
    /// The store in this folder.
    pub fn new(folder: Arc<Folder>) -> Self {
        Self { folder }
    }

    /// What was saved for a device; what can't be used is set aside, and the error says so.
    ///
    /// # Errors
    /// There is something that can't be used: in words for a person, with what was done about it.
    pub fn load(&self, device: &str) -> Result<Option<Record>, String> {
        self.read(device).map_err(|why| {
            let name = name(device);
            let file = self.folder.path().join(&name);
            let done = match self.folder.set_aside(&name) {
                Ok(aside) => format!("it was set aside as {}", aside.display()),
                Err(error) => format!("it can't be set aside ({})", plain(&error)),
            };
            format!(
                "the saved session {} can't be used ({why}): {done}, and keyward logs in anew",
                file.display()
            )
        })
    }

    fn read(&self, device: &str) -> Result<Option<Record>, String> {
        let text = self.folder.read(&name(device), MAX_FILE).map_err(|error| plain(&error))?;
        let Some(text) = text else { return Ok(None) };
        decode(&text).map(Some)
    }

    /// Saves what is to outlive this process, whole or not at all. Says whether that worked.
    pub fn save(&self, device: &str, record: &Record) -> bool {
        // It has no value that JSON could not hold.
        let Ok(text) = encode(record) else { return false };
        self.folder.write(&name(device), &Zeroizing::new(text))
    }
}

fn name(device: &str) -> String {
    format!("{device}.json")
}
