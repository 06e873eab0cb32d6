//! An Enlighted Manage server: a key that signs the time, or travels as it is.

mod face;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::response::Response;
use http::header::{AUTHORIZATION, DATE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::Mutex;
use serde_json::json;
use sha1::{Digest as _, Sha1};

use super::gate::{Gate, Refusal, guard, sole};
use super::{Journal, Twin, answer, line, token};
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;

/// How far a request's time may be from the server's.
const WINDOW: Duration = Duration::from_secs(300);

/// How many of the cookies that every answer brings are remembered as secrets.
const REMEMBERED: usize = 1000;

/// Which of the three logins the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `"2"`, about 2015: `AuthenticationToken` signs name, time and key.
    Two,
    /// `"3"`, to Manage 4.4: `Authorization` signs name, key and time.
    Three,
    /// `"4.5"`: the key itself, and paths without `/org/`.
    FourFive,
}

impl Api {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Two => "2",
            Self::Three => "3",
            Self::FourFive => "4.5",
        }
    }
}

/// What a server is set to.
#[derive(Clone)]
pub struct EnlightedSettings {
    /// Which login it has.
    pub api: Api,
    /// Its user.
    pub username: String,
    /// The user's key.
    pub api_key: Secret,
    /// How far the server's clock is ahead of ours.
    pub clock_offset_seconds: i64,
    /// How many milliseconds a request may be signed before the last call of the same path arrived. Below nothing:
    /// so many it has to be signed after it.
    pub replay_grace: i64,
}

impl Default for EnlightedSettings {
    fn default() -> Self {
        Self {
            api: Api::Three,
            username: "bob".to_owned(),
            api_key: Secret::new(token::random::<32>()),
            clock_offset_seconds: 0,
            replay_grace: 350,
        }
    }
}

/// A simulated Enlighted Manage server.
pub struct Enlighted {
    settings: EnlightedSettings,
    clock: Clock,
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    api_key: Secret,
    /// Per path, when it was last called and the times that its calls were signed with.
    calls: HashMap<String, Calls>,
    cookies: Vec<Secret>,
}

#[derive(Default)]
struct Calls {
    last: i64,
    signed: BTreeSet<i64>,
}

impl Enlighted {
    /// A server that was just switched on.
    pub fn new(settings: EnlightedSettings) -> Arc<Self> {
        let state = State { api_key: settings.api_key.clone(), calls: HashMap::new(), cookies: Vec::new() };
        let (clock, journal) = (Clock::of_runtime(), Journal::default());
        Arc::new(Self { settings, clock, journal, state: Mutex::new(state) })
    }

    fn now(&self) -> Timestamp {
        let ahead = self.settings.clock_offset_seconds.saturating_mul(1000);
        Timestamp::from_millis(self.clock.now().as_millis().saturating_add(ahead))
    }

    /// Whether the request is signed with the key; with it the time that it was signed at, if it needs one.
    fn signed(&self, headers: &HeaderMap) -> Result<Option<Option<i64>>, Refusal> {
        let key = self.state.lock().api_key.clone();
        let (key, name) = (key.expose(), &self.settings.username);
        let authorization = sole(headers, AUTHORIZATION.as_str())?;
        let stamp = sole(headers, "ts")?.unwrap_or_default();
        let (shown, proof, expected) = match self.settings.api {
            Api::Two => {
                let proof = sole(headers, "authenticationtoken")?;
                (sole(headers, "userid")?, proof, sign(&[name, stamp, key]))
            }
            Api::Three => (sole(headers, "apikey")?, authorization, sign(&[name, key, stamp])),
            Api::FourFive => (sole(headers, "userid")?, authorization, format!("apikey {key}")),
        };
        if shown != Some(name) || proof != Some(&expected) {
            return Ok(None);
        }
        Ok(match self.settings.api {
            Api::FourFive => Some(None),
            Api::Two | Api::Three => stamp.parse().ok().map(Some),
        })
    }

    /// Takes the call of a path, unless its time is too far off or looks like a replay.
    fn take(&self, path: &str, signed: i64) -> Result<(), Refusal> {
        let now = self.now().as_millis();
        let window = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
        let refuse = |words: &str| {
            let body = json!({ "status": 1, "msg": words });
            Err(Box::new(answer::json(StatusCode::REQUEST_TIMEOUT, &body)))
        };
        if now.abs_diff(signed) > window.unsigned_abs() {
            return refuse("Request received after time expired");
        }
        let mut state = self.state.lock();
        let calls = state.calls.entry(path.to_owned()).or_default();
        if signed.saturating_add(self.settings.replay_grace) <= calls.last || calls.signed.contains(&signed) {
            return refuse("Replay Attack Error");
        }
        // What the window refuses anyhow need not be known.
        calls.signed = calls.signed.split_off(&now.saturating_sub(window));
        calls.signed.insert(signed);
        calls.last = now;
        Ok(())
    }
}

/// SHA-1 of the parts with nothing between, in lower-case hex.
fn sign(parts: &[&str]) -> String {
    hex::encode(Sha1::digest(parts.concat()))
}

impl Gate for Enlighted {
    fn admit(&self, head: &Parts) -> Result<HeaderMap, Refusal> {
        let path = head.uri.path();
        if path == face::LOGIN {
            return Ok(HeaderMap::new());
        }
        match self.signed(&head.headers)? {
            // The server's pages send people to the login; its API does not.
            None if path.starts_with("/ems/") && !path.starts_with("/ems/api/") => {
                Err(Box::new(answer::redirect(StatusCode::FOUND, face::LOGIN)))
            }
            None => {
                let body = json!({ "status": 1, "msg": "Not authenticated" });
                Err(Box::new(answer::json(StatusCode::UNAUTHORIZED, &body)))
            }
            Some(None) => Ok(HeaderMap::new()),
            Some(Some(signed)) => self.take(path, signed).map(|()| HeaderMap::new()),
        }
    }

    /// Every call makes a session, ends it, and hands its cookie out all the same.
    fn finish(&self, _asked: &HeaderMap, mut response: Response) -> Response {
        let session = token::random::<16>().to_uppercase();
        let cookie = format!("JSESSIONID={session}; Path=/ems; Secure; HttpOnly");
        let millis = self.now().as_millis();
        let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since);
        let headers = response.headers_mut();
        headers.extend(HeaderValue::from_str(&cookie).map(|cookie| (SET_COOKIE, cookie)));
        headers.extend(HeaderValue::from_str(&date).map(|date| (DATE, date)));
        let mut state = self.state.lock();
        if state.cookies.len() < REMEMBERED {
            state.cookies.push(Secret::new(session));
        }
        response
    }
}

impl Twin for Enlighted {
    fn vendor(&self) -> &'static str {
        "enlighted"
    }

    fn face(self: Arc<Self>) -> Router {
        guard(self.clone(), face::routes(self))
    }

    fn stanza(&self) -> String {
        let (name, key) = (&self.settings.username, self.settings.api_key.expose());
        line("username", name) + &line("api_key", key) + &line("api", self.settings.api.name())
    }

    fn sample(&self) -> &'static str {
        match self.settings.api {
            Api::FourFive => "/ems/api/em/v1/energy",
            Api::Two | Api::Three => "/ems/api/org/em/v1/energy",
        }
    }

    fn forbidden(&self) -> Option<&'static str> {
        Some(match self.settings.api {
            Api::FourFive => "/ems/api/user/list",
            Api::Two | Api::Three => "/ems/api/org/user/list",
        })
    }

    /// A key does not lapse.
    fn lapse(&self) {}

    fn reboot(&self) {
        self.state.lock().calls.clear();
    }

    fn lock_out(&self) {
        self.state.lock().api_key = Secret::new(token::random::<32>());
    }

    fn readmit(&self) {
        self.state.lock().api_key = self.settings.api_key.clone();
    }

    fn logins(&self) -> usize {
        0
    }

    fn renewable(&self) -> bool {
        false
    }

    fn secrets(&self) -> Vec<Secret> {
        let state = self.state.lock();
        std::iter::once(&self.settings.api_key).chain(&state.cookies).cloned().collect()
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}

#[cfg(test)]
mod tests;
