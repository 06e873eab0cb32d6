//! The form of a saved session: the one place where secrets are written down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cause, Record, SavedRest};
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::vendor::{Session, Stamp};

/// Version of the form. Another one is set aside.
const VERSION: u32 = 1;

/// A record as it stands in its file.
pub(crate) fn encode(record: &Record) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Saved::from(record))
}

/// What stands in a file, or why it is none of ours.
pub(crate) fn decode(text: &[u8]) -> Result<Record, String> {
    // Another form may be another in everything else.
    let form = serde_json::from_slice::<Form>(text);
    if let Some(version) = form.ok().map(|form| form.version).filter(|version| *version != VERSION) {
        return Err(format!(
            "it is from another version of keyward: its form is {version}, and {VERSION} is known here"
        ));
    }
    // The parser's message could repeat what stands there.
    let saved: Saved = serde_json::from_slice(text)
        .map_err(|error| format!("it is broken at line {}, column {}", error.line(), error.column()))?;
    saved.try_into()
}

/// What every form has.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

/// A [`Record`] as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u32,
    account: String,
    credentials: String,
    salt: String,
    proven: bool,
    /// Files of earlier versions lack it, and earlier versions know it not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused_at_ms: Option<i64>,
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
            refused_at_ms: record.refused_at.map(Timestamp::as_millis),
            rejections: record.rejections,
            rest,
            session,
        }
    }
}

impl TryFrom<Saved> for Record {
    type Error = String;

    fn try_from(saved: Saved) -> Result<Self, String> {
        let rest = saved.rest.map(|rest| SavedRest {
            until: Timestamp::from_millis(rest.until_ms),
            cause: rest.cause,
            detail: rest.detail,
        });
        let session = saved.session.map(|entry| {
            let session = Session {
                stamps: entry.stamps.into_iter().map(read_stamp).collect::<Result<_, _>>()?,
                expires_at: entry.expires_at_ms.map(Timestamp::from_millis),
                memo: entry.memo.into_iter().map(|(name, text)| (name, Secret::new(text))).collect(),
                lasts: true,
            };
            Ok::<_, String>((session, Timestamp::from_millis(entry.renewed_at_ms)))
        });
        Ok(Self {
            account: saved.account,
            credentials: saved.credentials,
            salt: saved.salt,
            proven: saved.proven,
            refused_at: saved.refused_at_ms.map(Timestamp::from_millis),
            rejections: saved.rejections,
            rest,
            session: session.transpose()?,
        })
    }
}

fn write_stamp(stamp: &Stamp) -> (Carrier, String, String) {
    let (carrier, name, secret) = match stamp {
        Stamp::Header(name, secret) => (Carrier::Header, name.as_str(), secret),
        Stamp::Cookie(name, secret) => (Carrier::Cookie, name.as_str(), secret),
        Stamp::Query(name, secret) => (Carrier::Query, name.as_str(), secret),
    };
    (carrier, name.to_owned(), secret.expose().to_owned())
}

fn read_stamp((carrier, name, text): (Carrier, String, String)) -> Result<Stamp, String> {
    Ok(match carrier {
        Carrier::Header => {
            let name = name.parse().map_err(|_| "a credential in it stands in no header".to_owned())?;
            Stamp::Header(name, text.into())
        }
        Carrier::Cookie => Stamp::Cookie(name, text.into()),
        Carrier::Query => Stamp::Query(name, text.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_an_earlier_version_is_read_and_one_without_news_is_as_it_was() {
        let file = r#"{"version":1,"account":"a","credentials":"c","salt":"s","proven":true,"rejections":2,"rest":null,"session":null}"#;
        let record = decode(file.as_bytes()).unwrap();
        assert_eq!((record.proven, record.rejections, record.refused_at), (true, 2, None));
        assert_eq!(encode(&record).unwrap(), file.as_bytes());
        let refused = Record { refused_at: Some(Timestamp::from_seconds(7)), ..record };
        assert_eq!(decode(&encode(&refused).unwrap()), Ok(refused));
    }

    #[test]
    fn a_header_that_can_be_none_is_refused_without_what_it_would_carry() {
        let file = |name| {
            format!(
                r#"{{"version":1,"account":"a","credentials":"c","salt":"s","proven":true,"rejections":0,"rest":null,"session":{{"stamps":[["header","{name}","s3cret"]],"expires_at_ms":null,"renewed_at_ms":7,"memo":{{}}}}}}"#
            )
        };
        let record = decode(file("x-key").as_bytes()).unwrap();
        assert_eq!(encode(&record).unwrap(), file("x-key").as_bytes());
        let refused = decode(file("x key").as_bytes()).unwrap_err();
        assert_eq!(refused, "a credential in it stands in no header");
    }
}
