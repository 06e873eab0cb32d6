//! A device that asks for HTTP Digest and has nothing but the common routes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::HeaderMap;
use http::request::Parts;
use parking_lot::Mutex;

use super::desk::Desk;
use super::face::Face;
use super::gate::{Gate, Refusal, guard};
use super::{Journal, Twin, answer, line, token};
use crate::secret::Secret;

pub use super::desk::Algorithm;

/// What a digest device is set to.
#[derive(Clone)]
pub struct DigestSettings {
    /// Its user.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// The realm of its challenge.
    pub realm: String,
    /// The hash of its challenge.
    pub algorithm: Algorithm,
    /// Whether its challenge has `qop="auth"`; without it, it is RFC 2069's.
    pub qop: bool,
    /// How long a nonce is good.
    pub nonce_lifetime: Duration,
    /// Whether there is one nonce for everybody at a time, whose counts may come in any order, or one for each challenge,
    /// in order.
    pub shares_nonce: bool,
    /// Whether it keeps to itself that only the nonce was wrong.
    pub is_silent: bool,
}

impl Default for DigestSettings {
    fn default() -> Self {
        Self {
            username: "admin".to_owned(),
            password: token::password(),
            realm: "twin".to_owned(),
            algorithm: Algorithm::Md5,
            qop: true,
            nonce_lifetime: Duration::from_secs(300),
            shares_nonce: false,
            is_silent: false,
        }
    }
}

/// A simulated device that asks for Digest and has nothing but the common routes.
pub struct Digest {
    settings: DigestSettings,
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    password: Secret,
    desk: Desk,
}

impl Digest {
    /// A device that was just switched on.
    pub fn new(settings: DigestSettings) -> Arc<Self> {
        let desk = Desk::with(&settings.realm, settings.algorithm, settings.qop, settings.nonce_lifetime);
        let desk = desk.sharing(settings.shares_nonce).silent(settings.is_silent);
        let state = State { password: settings.password.clone(), desk };
        Arc::new(Self { settings, journal: Journal::default(), state: Mutex::new(state) })
    }

    /// How often a count came again with its nonce, which is somebody's replay.
    pub fn repeats(&self) -> usize {
        self.state.lock().desk.repeats()
    }
}

impl Gate for Digest {
    fn admit(&self, head: &Parts) -> Result<HeaderMap, Refusal> {
        let mut state = self.state.lock();
        let password = state.password.clone();
        state.desk.check(head, &self.settings.username, &password)?;
        Ok(HeaderMap::new())
    }
}

impl Twin for Digest {
    fn vendor(&self) -> &'static str {
        "digest"
    }

    fn face(self: Arc<Self>) -> Router {
        guard(self.clone(), Face::of(self).at("/", get, |_, ()| answer::front()).router())
    }

    fn stanza(&self) -> String {
        line("username", &self.settings.username) + &line("password", self.settings.password.expose())
    }

    fn sample(&self) -> &'static str {
        "/twin/sample"
    }

    fn forbidden(&self) -> Option<&'static str> {
        Some("/twin/status?code=403")
    }

    fn lapse(&self) {
        self.state.lock().desk.lapse();
    }

    fn reboot(&self) {
        self.state.lock().desk.forget();
    }

    fn lock_out(&self) {
        self.state.lock().password = token::password();
    }

    fn readmit(&self) {
        self.state.lock().password = self.settings.password.clone();
    }

    /// Challenges: a digest login is asking for one.
    fn logins(&self) -> usize {
        self.state.lock().desk.challenges()
    }

    fn renewable(&self) -> bool {
        true
    }

    fn secrets(&self) -> Vec<Secret> {
        vec![self.settings.password.clone()]
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}
