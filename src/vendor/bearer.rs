//! Any device that takes a fixed bearer token (RFC 6750).
//!
//! ```text
//! Authorization: Bearer <token>
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use http::{header, response};

use super::{Account, Asked, Refusal, Session, Stamp, Vendor, Verdict, Visit, fixed};
use crate::config::{SecretSource, Section};

struct Bearer {
    token: SecretSource,
}

pub(super) fn build(section: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    let token = section.required_header_secret("token")?;
    Some(Arc::new(Bearer { token }))
}

#[async_trait]
impl Vendor for Bearer {
    fn account(&self) -> Account<'_> {
        Account { who: Vec::new(), proofs: vec![&self.token], ..Account::default() }
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        let token = visit.secret(&self.token).await?;
        let value = format!("Bearer {}", token.expose());
        Ok(Session::fixed(vec![Stamp::Header(header::AUTHORIZATION, value.into())]))
    }

    fn judge(&self, _: &Session, _: &Asked<'_>, answered: &response::Parts) -> Verdict {
        fixed::judge(answered, "the device refuses this token: set one that it knows as `token`")
    }
}
