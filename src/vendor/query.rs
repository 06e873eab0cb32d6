//! Any device that takes a fixed credential as a query parameter.
//!
//! ```text
//! GET /path?<the caller's query>&<name>=<value>
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use http::response;

use super::{Account, Asked, Carriers, Refusal, Session, Stamp, Vendor, Verdict, Visit, fixed};
use crate::config::{SecretSource, Section};

struct Query {
    name: String,
    value: SecretSource,
}

pub(super) fn build(section: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    let name = section.required_text("name");
    let value = section.required_secret("value");
    Some(Arc::new(Query { name: name?, value: value? }))
}

#[async_trait]
impl Vendor for Query {
    fn account(&self) -> Account<'_> {
        Account { who: vec![&self.name], proofs: vec![&self.value], ..Account::default() }
    }

    fn carriers(&self) -> Carriers<'_> {
        Carriers { query: vec![&self.name], ..Carriers::default() }
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        let value = visit.secret(&self.value).await?;
        Ok(Session::fixed(vec![Stamp::Query(self.name.clone(), value)]))
    }

    fn judge(&self, _: &Session, _: &Asked<'_>, answered: &response::Parts) -> Verdict {
        let name = &self.name;
        fixed::judge(
            answered,
            &format!("the device refuses what it gets as {name}: set `value`, or another `name`"),
        )
    }
}
