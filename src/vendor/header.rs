//! Any device that takes a fixed credential in a header of its own.
//!
//! ```text
//! <name>: <value>
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderName, response};

use super::{Account, Asked, Carriers, Refusal, Session, Stamp, Vendor, Verdict, Visit, fixed};
use crate::config::{SecretSource, Section};

/// Headers that frame or route a message: whoever sends it sets them anew.
const NOT_OURS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

struct Header {
    name: String,
    value: SecretSource,
}

pub(super) fn build(section: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    let name = section.required_text("name").and_then(|name| carrier(section, "name", &name));
    let value = section.required_secret("value");
    Some(Arc::new(Header { name: name?, value: value? }))
}

/// A header's name in lower case, if that header can carry a credential.
pub(super) fn carrier(section: &mut Section<'_>, key: &'static str, name: &str) -> Option<String> {
    let Ok(name) = name.parse::<HeaderName>() else {
        section.refuse(key, "this is no header name; such names are of letters, digits and `-`");
        return None;
    };
    if NOT_OURS.contains(&name.as_str()) {
        section.refuse(key, format!("`{name}` belongs to the connection and can't carry a credential"));
        return None;
    }
    Some(name.to_string())
}

#[async_trait]
impl Vendor for Header {
    fn account(&self) -> Account<'_> {
        Account { who: vec![&self.name], proofs: vec![&self.value] }
    }

    fn carriers(&self) -> Carriers<'_> {
        Carriers { headers: vec![&self.name], query: Vec::new() }
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        let value = visit.secret(&self.value)?;
        Ok(Session::fixed(vec![Stamp::Header(self.name.clone(), value)]))
    }

    fn judge(&self, _: &Session, _: &Asked<'_>, answered: &response::Parts) -> Verdict {
        let name = &self.name;
        fixed::judge(
            answered,
            &format!("the device refuses what it gets as {name}: set `value`, or another `name`"),
        )
    }
}
