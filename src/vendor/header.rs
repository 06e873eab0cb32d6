//! Any device that takes a fixed credential in a header of its own.
//!
//! ```text
//! <name>: <value>
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderName, header, response};

use super::{Account, Asked, Carriers, Cookies, Refusal, Session, Stamp, Vendor, Verdict, Visit, fixed};
use crate::config::{SecretSource, Section};

struct Header {
    name: HeaderName,
    value: SecretSource,
}

pub(super) fn build(section: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    let name = section.required_text("name").and_then(|name| fixed::carrier(section, "name", &name));
    let value = section.required_header_secret("value");
    Some(Arc::new(Header { name: name?, value: value? }))
}

#[async_trait]
impl Vendor for Header {
    fn account(&self) -> Account<'_> {
        Account { who: vec![self.name.as_str()], proofs: vec![&self.value], ..Account::default() }
    }

    fn carriers(&self) -> Carriers<'_> {
        // Which cookie it is stands in its value.
        let cookies = if self.name == header::COOKIE { Cookies::Every } else { Cookies::default() };
        Carriers { headers: vec![self.name.as_str()], cookies, ..Carriers::default() }
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        let value = visit.secret(&self.value).await?;
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
