//! Enlighted Manage, the server of a lighting system (vendor's developer pages).
//!
//! ```text
//! api "3"     ApiKey: <username>   ts: <ms>   Authorization: <SHA1(username + api_key + ts)>
//! api "4.5"   UserId: <username>              Authorization: apikey <api_key>
//! api "2"     UserId: <username>   ts: <ms>   AuthenticationToken: <SHA1(username + ts + api_key)>
//!
//! 401         who asks is not known; on paths of the web pages a redirect to their login
//! 408         `ts` is too far from the server's clock, or not later than that of the last call of this path
//! ```

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderName, StatusCode, request, response};
use sha1::{Digest, Sha1};

use super::key::{Key, secret, text};
use super::{
    Account, Asked, Carriers, Cookies, Moment, Refusal, Session, Stamp, Vendor, Verdict, Visit, fixed, visit,
};
use crate::config::{SecretSource, Section};
use crate::secret::Secret;

/// In the order of [`Api`]'s use today.
const APIS: &[&str] = &["3", "4.5", "2"];

pub(super) const KEYS: &[Key] = &[
    text("username", "Username, as under API access of the server"),
    secret("api_key", "API key of that user"),
    text("api", "Version of the API (4.5 from Manage 4.5 on, 2 about 2015)").among(APIS, "3"),
];

const WRONG: &str = "wrong username or api_key: set those of the server, and `api` as its version has it";
const BUSY: &str = "the server says twice that the request comes too late or repeats another (408): \
                    is something else using the same `username` and `api_key`?";
/// `Date` leaves out the fraction of a second, and a clock that is behind is the one that fails.
const FRACTION: Duration = Duration::from_secs(1);
/// The server counts from when it answered the last call, up to some 350 ms after the time that call bore.
const WAIT: Duration = Duration::from_millis(400);
/// In a session's memo.
const API_KEY: &str = "api_key";

/// How the server wants to be convinced.
#[derive(Clone, Copy)]
enum Api {
    Two,
    Three,
    FourFive,
}

struct Enlighted {
    api: Api,
    username: String,
    api_key: SecretSource,
}

pub(super) fn build(section: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    let username = section.required_header_text("username");
    let api = match section.choice("api", APIS) {
        Some("4.5") => Api::FourFive,
        Some("2") => Api::Two,
        _ => Api::Three,
    };
    let api_key = match api {
        Api::FourFive => section.required_header_secret("api_key"),
        Api::Two | Api::Three => section.required_secret("api_key"),
    };
    Some(Arc::new(Enlighted { api, username: username?, api_key: api_key? }))
}

#[async_trait]
impl Vendor for Enlighted {
    fn account(&self) -> Account<'_> {
        Account { who: vec![&self.username], proofs: vec![&self.api_key], ..Account::default() }
    }

    fn carriers(&self) -> Carriers<'_> {
        Carriers {
            headers: vec!["apikey", "authenticationtoken", "ts", "userid"],
            // Each call makes one that ends with it.
            cookies: Cookies::Named(&["JSESSIONID"]),
            ..Carriers::default()
        }
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        let key = visit.secret(&self.api_key).await?;
        Ok(Session { memo: [(API_KEY.to_owned(), key)].into(), ..Session::default() })
    }

    fn sign(&self, held: &Session, moment: Moment<'_>, head: &mut request::Parts) -> Result<(), Refusal> {
        let key = held.memo.get(API_KEY).map_or("", Secret::expose);
        let (name, time) = (self.username.as_str(), (moment.time)().as_millis().to_string());
        let header =
            |name: &'static str, value: &str| Stamp::Header(HeaderName::from_static(name), value.into());
        let stamps = match self.api {
            Api::Three => vec![
                header("apikey", name),
                header("authorization", &signature([name, key, &time])),
                header("ts", &time),
            ],
            Api::FourFive => vec![header("userid", name), header("authorization", &format!("apikey {key}"))],
            Api::Two => vec![
                header("userid", name),
                header("authenticationtoken", &signature([name, &time, key])),
                header("ts", &time),
            ],
        };
        Session::fixed(stamps).stamp(head)
    }

    fn judge(&self, _: &Session, _: &Asked<'_>, answered: &response::Parts) -> Verdict {
        let is_login = |path: &str| path.to_ascii_lowercase().contains("login");
        if fixed::redirected_to(answered).is_some_and(is_login) {
            return Verdict::Refused(WRONG.to_owned());
        }
        match (self.api, answered.status) {
            // Nothing of such a request bears a time: the server means something else.
            (Api::FourFive, StatusCode::REQUEST_TIMEOUT) => Verdict::Pass,
            (_, StatusCode::REQUEST_TIMEOUT) => Verdict::Again {
                clock: visit::date(&answered.headers).map(|date| date.plus(FRACTION)),
                wait: WAIT,
                busy: BUSY.to_owned(),
            },
            _ => fixed::judge(answered, WRONG),
        }
    }

    fn path_interval(&self) -> Duration {
        match self.api {
            Api::FourFive => Duration::ZERO,
            Api::Two | Api::Three => WAIT,
        }
    }

    fn probe(&self) -> &'static str {
        match self.api {
            Api::FourFive => "/ems/api/em/v1/energy",
            Api::Two | Api::Three => "/ems/api/org/em/v1/energy",
        }
    }
}

/// SHA-1 over the parts with nothing between, in lower-case hex.
fn signature(parts: [&str; 3]) -> String {
    hex::encode(Sha1::digest(parts.concat()))
}
