//! Sessions and rests on disk: a file per device, old or new but never half, and for nobody else to read.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::disk::Folder;
use crate::secret::Secret;
use crate::vendor::{Session, Stamp};

/// Version of the files' form. Another one is set aside.
const VERSION: u32 = 1;
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
                Err(error) => format!("it can't be set aside ({error})"),
            };
            format!(
                "the saved session {} can't be used ({why}): {done}, and keyward logs in anew",
                file.display()
            )
        })
    }

    fn read(&self, device: &str) -> Result<Option<Record>, String> {
        let text = self.folder.read(&name(device), MAX_FILE).map_err(|error| error.to_string())?;
        let Some(text) = text else { return Ok(None) };
        // The parser's message could repeat what stands there.
        let saved: Saved = serde_json::from_slice(&text)
            .map_err(|error| format!("it is broken at line {}, column {}", error.line(), error.column()))?;
        if saved.version != VERSION {
            return Err(format!("it is of version {}", saved.version));
        }
        Ok(Some(saved.into()))
    }

    /// Saves what is to outlive this process, whole or not at all. Says whether that worked.
    pub fn save(&self, device: &str, record: &Record) -> bool {
        // It has no value that JSON could not hold.
        let Ok(text) = serde_json::to_vec(&Saved::from(record)) else { return false };
        self.folder.write(&name(device), &Zeroizing::new(text))
    }
}

fn name(device: &str) -> String {
    format!("{device}.json")
}

/// A [`Record`] as it stands in the file. The one place where secrets are written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u32,
    account: String,
    credentials: String,
    salt: String,
    proven: bool,
    rejections: u32,
    rest: Option<RestEntry>,
    session: Option<SessionEntry>,
}

#[derive(Serialize, Deserialize)]
struct RestEntry {
    until_ms: i64,
    cause: Cause,
    detail: String,
}

#[derive(Serialize, Deserialize)]
struct SessionEntry {
    stamps: Vec<(Carrier, String, String)>,
    expires_at_ms: Option<i64>,
    renewed_at_ms: i64,
    memo: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Carrier {
    Header,
    Cookie,
    Query,
}

impl From<&Record> for Saved {
    fn from(record: &Record) -> Self {
        let rest = record.rest.as_ref().map(|rest| RestEntry {
            until_ms: rest.until.as_millis(),
            cause: rest.cause,
            detail: rest.detail.clone(),
        });
        let session = record.session.as_ref().map(|(session, renewed_at)| SessionEntry {
            stamps: session.stamps.iter().map(write_stamp).collect(),
            expires_at_ms: session.expires_at.map(Timestamp::as_millis),
            renewed_at_ms: renewed_at.as_millis(),
            memo: session
                .memo
                .iter()
                .map(|(name, secret)| (name.clone(), secret.expose().to_owned()))
                .collect(),
        });
        Self {
            version: VERSION,
            account: record.account.clone(),
            credentials: record.credentials.clone(),
            salt: record.salt.clone(),
            proven: record.proven,
            rejections: record.rejections,
            rest,
            session,
        }
    }
}

impl From<Saved> for Record {
    fn from(saved: Saved) -> Self {
        let rest = saved.rest.map(|rest| SavedRest {
            until: Timestamp::from_millis(rest.until_ms),
            cause: rest.cause,
            detail: rest.detail,
        });
        let session = saved.session.map(|entry| {
            let session = Session {
                stamps: entry.stamps.into_iter().map(read_stamp).collect(),
                expires_at: entry.expires_at_ms.map(Timestamp::from_millis),
                memo: entry.memo.into_iter().map(|(name, text)| (name, Secret::new(text))).collect(),
                lasts: true,
            };
            (session, Timestamp::from_millis(entry.renewed_at_ms))
        });
        Self {
            account: saved.account,
            credentials: saved.credentials,
            salt: saved.salt,
            proven: saved.proven,
            rejections: saved.rejections,
            rest,
            session,
        }
    }
}

fn write_stamp(stamp: &Stamp) -> (Carrier, String, String) {
    let (carrier, name, secret) = match stamp {
        Stamp::Header(name, secret) => (Carrier::Header, name, secret),
        Stamp::Cookie(name, secret) => (Carrier::Cookie, name, secret),
        Stamp::Query(name, secret) => (Carrier::Query, name, secret),
    };
    (carrier, name.clone(), secret.expose().to_owned())
}

fn read_stamp((carrier, name, text): (Carrier, String, String)) -> Stamp {
    match carrier {
        Carrier::Header => Stamp::Header(name, text.into()),
        Carrier::Cookie => Stamp::Cookie(name, text.into()),
        Carrier::Query => Stamp::Query(name, text.into()),
    }
}
