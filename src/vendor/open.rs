//! Any device that asks for nothing, or for something that is between it and its callers.

use std::sync::Arc;

use async_trait::async_trait;
use http::response;

use super::{Account, Asked, Refusal, Session, Vendor, Verdict, Visit};
use crate::config::Section;

struct Open;

pub(super) fn build(_: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    Some(Arc::new(Open))
}

#[async_trait]
impl Vendor for Open {
    fn account(&self) -> Account<'_> {
        Account::default()
    }

    async fn login(&self, _: &Visit<'_>) -> Result<Session, Refusal> {
        Ok(Session::default())
    }

    fn judge(&self, _: &Session, _: &Asked<'_>, _: &response::Parts) -> Verdict {
        Verdict::Pass
    }
}
