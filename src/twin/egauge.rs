//! An eGauge meter: nonce, hash, and a token that is dated by the meter's own clock.

mod face;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::desk::Desk;
use super::gate::{Gate, Refusal, guard, sole};
use super::{Journal, Twin, answer, line, token};
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;

/// The realm of every meter.
pub const REALM: &str = "eGauge Administration";

/// How long a nonce may wait for its login.
const NONCE_LIFETIME: Duration = Duration::from_secs(60);

/// How a token states its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ltm {
    /// As a number.
    Number,
    /// As a number in quotes.
    Text,
    /// Not at all.
    Absent,
}

/// What a meter is set to.
#[derive(Clone)]
pub struct EgaugeSettings {
    /// Its user.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// What the user may do beside reading.
    pub rights: Vec<&'static str>,
    /// How long a token is good.
    pub token_lifetime: Duration,
    /// How a token says so.
    pub ltm: Ltm,
    /// How far the meter's clock is ahead of ours.
    pub clock_offset_seconds: i64,
    /// How long a login takes.
    pub login_delay: Duration,
}

impl Default for EgaugeSettings {
    fn default() -> Self {
        Self {
            username: "owner".to_owned(),
            password: token::password(),
            rights: vec!["save"],
            token_lifetime: Duration::from_secs(600),
            ltm: Ltm::Number,
            clock_offset_seconds: 0,
            login_delay: Duration::ZERO,
        }
    }
}

/// A simulated eGauge meter.
pub struct Egauge {
    settings: EgaugeSettings,
    clock: Clock,
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    password: Secret,
    /// Counts changes of the password, as the tokens' `gen` does.
    generation: u64,
    nonces: HashMap<String, Instant>,
    tokens: HashMap<String, Instant>,
    handed: Vec<Secret>,
    logins: usize,
    /// What `/api/config/` keeps, with the version that its ETag tells.
    config: HashMap<String, (u64, Value)>,
    /// The older API below `/cgi-bin/` asks for a digest of the same user.
    legacy: Desk,
}

/// What a client posts to log in.
#[derive(Deserialize)]
struct Login {
    rlm: String,
    usr: String,
    nnc: String,
    cnnc: String,
    hash: String,
}

impl Egauge {
    /// A meter that was just switched on.
    pub fn new(settings: EgaugeSettings) -> Arc<Self> {
        let state = State {
            password: settings.password.clone(),
            generation: 1,
            nonces: HashMap::new(),
            tokens: HashMap::new(),
            handed: Vec::new(),
            logins: 0,
            config: HashMap::new(),
            legacy: Desk::new(REALM),
        };
        Arc::new(Self {
            settings,
            clock: Clock::of_runtime(),
            journal: Journal::default(),
            state: Mutex::new(state),
        })
    }

    /// How many tokens are good now.
    pub fn live_tokens(&self) -> usize {
        let now = Instant::now();
        self.state.lock().tokens.values().filter(|ends| now < **ends).count()
    }

    fn now(&self) -> Timestamp {
        let ahead = self.settings.clock_offset_seconds.saturating_mul(1000);
        Timestamp::from_millis(self.clock.now().as_millis().saturating_add(ahead))
    }

    /// The 401 of every occasion: it always brings a nonce, and never says what was wrong.
    fn challenge(&self) -> Response {
        let mut state = self.state.lock();
        let claims = json!({ "beg": self.now().as_seconds(), "ltm": NONCE_LIFETIME.as_secs(), "gen": state.generation });
        let nonce = token::jwt("HS256", &claims);
        let now = Instant::now();
        state.nonces.retain(|_, ends| now < *ends);
        state.nonces.insert(nonce.clone(), now + NONCE_LIFETIME);
        let body = json!({ "rlm": REALM, "nnc": nonce, "error": "Authentication required." });
        answer::json(StatusCode::UNAUTHORIZED, &body)
    }

    /// The token, or why there is none.
    fn login(&self, login: &Login) -> Result<String, &'static str> {
        let mut state = self.state.lock();
        state.logins += 1;
        let now = Instant::now();
        // It is spent now, whatever comes of it.
        if state.nonces.remove(&login.nnc).is_none_or(|ends| ends <= now) {
            return Err("Nonce expired.");
        }
        let right = proof(&login.usr, REALM, state.password.expose(), &login.nnc, &login.cnnc);
        if login.rlm != REALM || login.usr != self.settings.username || login.hash != right {
            return Err("Invalid login.");
        }
        let mut claims = json!({
            "rlm": REALM,
            "usr": self.settings.username,
            "prv": self.settings.rights,
            "beg": self.now().as_seconds(),
            "gen": state.generation,
        });
        let seconds = self.settings.token_lifetime.as_secs();
        if let Some(claims) = claims.as_object_mut() {
            let stated = match self.settings.ltm {
                Ltm::Number => Some(Value::from(seconds)),
                Ltm::Text => Some(Value::from(seconds.to_string())),
                Ltm::Absent => None,
            };
            claims.extend(stated.map(|stated| ("ltm".to_owned(), stated)));
        }
        let token = token::jwt("HS256", &claims);
        state.tokens.insert(token.clone(), now + self.settings.token_lifetime);
        state.handed.push(Secret::new(token.clone()));
        Ok(token)
    }

    /// The good token that a request shows.
    fn shown<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, Refusal> {
        let shown = sole(headers, AUTHORIZATION.as_str())?.and_then(|value| value.strip_prefix("Bearer "));
        let state = self.state.lock();
        Ok(shown.filter(|token| state.tokens.get(*token).is_some_and(|ends| Instant::now() < *ends)))
    }

    /// Whether the account's rights cover this request.
    fn may(&self, head: &Parts) -> bool {
        let has = |right| self.settings.rights.contains(&right);
        let path = head.uri.path();
        match path.strip_prefix("/api/").unwrap_or_default().split('/').collect::<Vec<_>>().as_slice() {
            ["config", "users", ..] => has("admin"),
            ["config", ..] => head.method.is_safe() || has("save"),
            ["cmd", ..] => has("control"),
            _ => true,
        }
    }
}

/// What proves the password: MD5 of MD5 of it, the meter's nonce and the client's.
fn proof(user: &str, realm: &str, password: &str, nonce: &str, client_nonce: &str) -> String {
    let hash = |text: String| hex::encode(Md5::digest(text));
    let first = hash(format!("{user}:{realm}:{password}"));
    hash(format!("{first}:{nonce}:{client_nonce}"))
}

impl Gate for Egauge {
    fn admit(&self, head: &Parts) -> Result<HeaderMap, Refusal> {
        let path = head.uri.path();
        // The login has its own words for everything.
        if path.starts_with("/api/auth/") {
            return Ok(HeaderMap::new());
        }
        if path.starts_with("/cgi-bin/") {
            let mut state = self.state.lock();
            let password = state.password.clone();
            state.legacy.check(head, &self.settings.username, &password)?;
            return Ok(HeaderMap::new());
        }
        let good = self.shown(&head.headers)?.is_some();
        if good && self.may(head) { Ok(HeaderMap::new()) } else { Err(Box::new(self.challenge())) }
    }
}

impl Twin for Egauge {
    fn vendor(&self) -> &'static str {
        "egauge"
    }

    fn face(self: Arc<Self>) -> Router {
        guard(self.clone(), face::routes(self))
    }

    fn stanza(&self) -> String {
        line("username", &self.settings.username) + &line("password", self.settings.password.expose())
    }

    fn sample(&self) -> &'static str {
        "/api/register?rate"
    }

    fn forbidden(&self) -> Option<&'static str> {
        Some("/api/config/users")
    }

    fn lapse(&self) {
        let mut state = self.state.lock();
        state.tokens.clear();
        state.legacy.lapse();
    }

    fn reboot(&self) {
        let mut state = self.state.lock();
        state.tokens.clear();
        state.nonces.clear();
        state.legacy.forget();
    }

    fn lock_out(&self) {
        let mut state = self.state.lock();
        state.password = token::password();
        state.generation += 1;
        state.tokens.clear();
        state.legacy.forget();
    }

    fn readmit(&self) {
        let mut state = self.state.lock();
        state.password = self.settings.password.clone();
        state.generation += 1;
    }

    fn logins(&self) -> usize {
        self.state.lock().logins
    }

    fn renewable(&self) -> bool {
        true
    }

    fn secrets(&self) -> Vec<Secret> {
        let state = self.state.lock();
        std::iter::once(&self.settings.password).chain(&state.handed).cloned().collect()
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}

#[cfg(test)]
mod tests;
