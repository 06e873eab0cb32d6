//! Any device that asks for HTTP Basic (RFC 7617).
//!
//! ```text
//! Authorization: Basic <base64(username:password)>        in UTF-8
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{header, response};

use super::{Account, Asked, Refusal, Session, Stamp, Vendor, Verdict, Visit, fixed};
use crate::config::{SecretSource, Section};

struct Basic {
    username: String,
    password: SecretSource,
}

pub(super) fn build(section: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    let username = section.required_text("username");
    let password = section.required_secret("password");
    if username.as_ref().is_some_and(|name| name.contains(':')) {
        section.refuse("username", "a colon ends the user name in HTTP Basic; it can't be part of it");
    }
    Some(Arc::new(Basic { username: username?, password: password? }))
}

#[async_trait]
impl Vendor for Basic {
    fn account(&self) -> Account<'_> {
        Account { who: vec![&self.username], proofs: vec![&self.password], ..Account::default() }
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        let password = visit.secret(&self.password).await?;
        let pair = STANDARD.encode(format!("{}:{}", self.username, password.expose()));
        let value = format!("Basic {pair}");
        Ok(Session::fixed(vec![Stamp::Header(header::AUTHORIZATION, value.into())]))
    }

    fn judge(&self, _: &Session, _: &Asked<'_>, answered: &response::Parts) -> Verdict {
        fixed::judge(answered, "wrong username or password: set the device's as `username` and `password`")
    }
}
