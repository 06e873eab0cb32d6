//! The Enphase cloud: a login, two ways to a token, and everything that goes wrong with them.

mod face;
mod form;
mod trouble;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::{Arrival, Journal, token};
use crate::clock::Clock;
use crate::secret::Secret;

pub use trouble::{Stage, Trouble};

/// What an account may do at a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It reads, and its tokens live long.
    Owner,
    /// It may do more, and its tokens live for a shift.
    Installer,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Installer => "installer",
        }
    }

    fn lifetime(self) -> Duration {
        match self {
            Self::Owner => Duration::from_secs(365 * 86_400),
            Self::Installer => Duration::from_secs(12 * 3600),
        }
    }
}

/// What the cloud is set to.
#[derive(Clone)]
pub struct CloudSettings {
    /// The account's email.
    pub username: String,
    /// The account's password.
    pub password: Secret,
    /// What the account may do.
    pub role: Role,
    /// The serials of the account's gateways. Empty: it has every gateway.
    pub serials: Vec<String>,
    /// How long a token lives; `None`: as the role has it.
    pub token_lifetime: Option<Duration>,
    /// How long a login takes.
    pub login_delay: Duration,
    /// What 429 and 503 say in `Retry-After`.
    pub retry_after: Duration,
    /// The status of too many active sessions.
    pub crowded: StatusCode,
}

impl Default for CloudSettings {
    fn default() -> Self {
        Self {
            username: "owner@example.com".to_owned(),
            password: token::password(),
            role: Role::Owner,
            serials: Vec::new(),
            token_lifetime: None,
            login_delay: Duration::ZERO,
            retry_after: Duration::from_secs(120),
            // Of all that is seen, the one that is easiest taken for a wrong password.
            crowded: StatusCode::UNAUTHORIZED,
        }
    }
}

/// A simulated Enphase cloud, for one account.
pub struct Cloud {
    settings: CloudSettings,
    clock: Clock,
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    password: Secret,
    /// What logins brought: the `session_id` and the cookie with it.
    sessions: Vec<(String, String)>,
    minted: HashMap<String, Minted>,
    troubles: BTreeMap<Stage, Trouble>,
    handed: Vec<Secret>,
    logins: usize,
    fetches: usize,
}

/// What the makers of a token know about it.
struct Minted {
    serial: String,
    role: Role,
    ends: Instant,
    shown: bool,
    void: bool,
}

impl Cloud {
    /// A cloud where nobody is logged in.
    pub fn new(settings: CloudSettings) -> Arc<Self> {
        let state = State {
            password: settings.password.clone(),
            sessions: Vec::new(),
            minted: HashMap::new(),
            troubles: BTreeMap::new(),
            handed: Vec::new(),
            logins: 0,
            fetches: 0,
        };
        let (clock, journal) = (Clock::of_runtime(), Journal::default());
        Arc::new(Self { settings, clock, journal, state: Mutex::new(state) })
    }

    /// Its HTTP face.
    pub fn face(self: Arc<Self>) -> Router {
        face::routes(self)
    }

    /// From now on this goes wrong there, or nothing does.
    pub fn set(&self, stage: Stage, trouble: Option<Trouble>) {
        let mut state = self.state.lock();
        match trouble {
            Some(trouble) => state.troubles.insert(stage, trouble),
            None => state.troubles.remove(&stage),
        };
    }

    /// From now on this goes wrong wherever it can.
    pub fn strike(&self, trouble: Trouble) {
        Stage::ALL
            .into_iter()
            .filter(|stage| trouble.befalls(*stage))
            .for_each(|stage| self.set(stage, Some(trouble)));
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        self.state.lock().troubles.clear();
    }

    /// A token that nobody asked for, as a person would fetch one from the web page; `None`: as the settings have it.
    pub fn mint(&self, serial: &str, lifetime: Option<Duration>) -> Secret {
        Secret::new(self.minted(serial, lifetime, false))
    }

    /// Every token that was shown to this gateway is refused from now on, whatever its `exp`. One that is still on its
    /// way there is not.
    pub fn void(&self, serial: &str) {
        let mut state = self.state.lock();
        let shown = state.minted.values_mut().filter(|known| known.shown && known.serial == serial);
        shown.for_each(|known| known.void = true);
    }

    /// The password is another one.
    pub fn lock_out(&self) {
        self.state.lock().password = token::password();
    }

    /// The password is what it was.
    pub fn readmit(&self) {
        self.state.lock().password = self.settings.password.clone();
    }

    /// How often somebody tried to log in.
    pub fn logins(&self) -> usize {
        self.state.lock().logins
    }

    /// How often somebody asked for a token, either way.
    pub fn fetches(&self) -> usize {
        self.state.lock().fetches
    }

    /// The password, and every session, cookie and token that was handed out.
    pub fn secrets(&self) -> Vec<Secret> {
        let state = self.state.lock();
        std::iter::once(&self.settings.password).chain(&state.handed).cloned().collect()
    }

    /// What arrived, and a way to wait for it.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What arrived, in order.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.journal.arrivals()
    }

    pub(super) fn settings(&self) -> &CloudSettings {
        &self.settings
    }

    /// What the holder of this token may do at this gateway; `None`: it is no good there.
    pub(super) fn judge(&self, token: &str, serial: &str) -> Option<Role> {
        let mut state = self.state.lock();
        let known = state.minted.get_mut(token)?;
        known.shown = true;
        let good = !known.void && known.serial == serial && Instant::now() < known.ends;
        good.then_some(known.role)
    }

    fn minted(&self, serial: &str, lifetime: Option<Duration>, expired: bool) -> String {
        let role = self.settings.role;
        let lifetime = lifetime.or(self.settings.token_lifetime).unwrap_or(role.lifetime());
        let now = self.clock.now();
        let ends = if expired { now.as_seconds() - 3600 } else { now.plus(lifetime).as_seconds() };
        let claims = json!({
            "aud": serial,
            "iss": "Entrez",
            "enphaseUser": role.name(),
            "exp": ends,
            "iat": now.as_seconds() - if expired { 7200 } else { 0 },
            "jti": token::random::<16>(),
            "username": self.settings.username,
        });
        let token = token::jwt("ES256", &claims);
        let ends = Instant::now() + lifetime;
        let known = Minted { serial: serial.to_owned(), role, ends, shown: false, void: expired };
        let mut state = self.state.lock();
        state.minted.insert(token.clone(), known);
        state.handed.push(Secret::new(token.clone()));
        token
    }
}

#[cfg(test)]
mod tests;
