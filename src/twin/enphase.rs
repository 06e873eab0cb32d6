//! An Enphase IQ Gateway: tokens of the cloud, sessions in seats, and old firmware with Digest.

mod face;
mod seats;
mod settings;

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use bytes::Bytes;
use http::header::{AUTHORIZATION, SERVER, SET_COOKIE, STRICT_TRANSPORT_SECURITY, X_FRAME_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::Mutex;

use super::cloud::{Cloud, CloudSettings, Role};
use super::desk::Desk;
use super::gate::{Gate, Refusal, cookie, guard, sole};
use super::serve::Connection;
use super::{Journal, Served, Twin, answer, line, serve};
use crate::clock::Clock;
use crate::secret::Secret;
use seats::Seats;

pub use settings::{EnphaseSettings, Firmware};

/// The realm of firmware below 7.
const REALM: &str = "enphaseenergy.com";

/// The user that firmware below 7 has for owners.
const USER: &str = "envoy";

/// The cookie of a session.
const SESSION: &str = "sessionId";

/// A simulated Enphase IQ Gateway.
pub struct Enphase {
    settings: EnphaseSettings,
    cloud: Arc<Cloud>,
    cloud_url: String,
    /// The cloud's port, where the gateway brought its own.
    _served: Option<Served>,
    clock: Clock,
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    serial: String,
    seats: Seats,
    refusing: bool,
    handed: Vec<Secret>,
    desk: Desk,
    desk_open: bool,
    /// The connections that already carried a request.
    used: HashSet<u64>,
}

impl Enphase {
    /// A gateway that was just switched on. Its tokens come from this cloud, which is served at this base URL.
    pub fn new(settings: EnphaseSettings, cloud: Arc<Cloud>, cloud_url: impl Into<String>) -> Arc<Self> {
        Self::made(settings, cloud, cloud_url.into(), None)
    }

    /// A gateway with a cloud of its own, served on a free port of the loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn with_cloud(settings: EnphaseSettings, cloud: CloudSettings) -> io::Result<Arc<Self>> {
        let cloud = Cloud::new(cloud);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let served = serve(Arc::clone(&cloud).face(), None, address)?;
        Ok(Self::made(settings, cloud, served.url(), Some(served)))
    }

    fn made(
        settings: EnphaseSettings,
        cloud: Arc<Cloud>,
        cloud_url: String,
        served: Option<Served>,
    ) -> Arc<Self> {
        let state = State {
            serial: settings.serial.clone(),
            seats: Seats::new(settings.max_sessions, settings.session_lifetime, settings.rotate_every),
            refusing: false,
            handed: Vec::new(),
            desk: Desk::new(REALM),
            desk_open: true,
            used: HashSet::new(),
        };
        let (clock, journal) = (Clock::of_runtime(), Journal::default());
        Arc::new(Self {
            settings,
            cloud,
            cloud_url,
            _served: served,
            clock,
            journal,
            state: Mutex::new(state),
        })
    }

    /// The cloud that its tokens come from.
    pub fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    /// Another device answers here from now on: `/info` shows this serial, and only its tokens are good.
    pub fn become_serial(&self, serial: &str) {
        self.state.lock().serial = serial.to_owned();
    }

    /// Whether it refuses every token from now on, fresh ones too.
    pub fn refuse_tokens(&self, refusing: bool) {
        self.state.lock().refusing = refusing;
    }

    /// Its tokens are refused before their `exp`; fresh ones are good.
    pub fn void_tokens(&self) {
        self.cloud.void(&self.state.lock().serial);
    }

    /// How many sessions it holds now.
    pub fn sessions(&self) -> usize {
        self.state.lock().seats.taken()
    }

    /// Who shows a good token.
    fn bearer(&self, headers: &HeaderMap) -> Result<Option<Role>, Refusal> {
        let shown = sole(headers, AUTHORIZATION.as_str())?.and_then(|value| value.strip_prefix("Bearer "));
        let state = self.state.lock();
        Ok(shown.filter(|_| !state.refusing).and_then(|token| self.cloud.judge(token, &state.serial)))
    }

    /// A new session's cookie, or 503 when there is no seat.
    fn seat(&self) -> Result<HeaderMap, Refusal> {
        let mut state = self.state.lock();
        let session = state.seats.open().ok_or_else(|| {
            Box::new(answer::html(StatusCode::SERVICE_UNAVAILABLE, "503 Service Temporarily Unavailable"))
        })?;
        state.handed.push(Secret::new(session.clone()));
        Ok(set_cookie(&session))
    }

    /// Uses a session: `None` when it is unknown, else its new name if it got one.
    fn resume(&self, session: &str) -> Option<Option<String>> {
        let mut state = self.state.lock();
        let fresh = state.seats.touch(session)?;
        state.handed.extend(fresh.as_deref().map(Secret::from));
        Some(fresh)
    }

    /// Firmware below 7.
    fn admit_digest(&self, head: &Parts) -> Result<HeaderMap, Refusal> {
        let mut state = self.state.lock();
        if let Some(connection) = head.extensions.get::<Connection>() {
            let fresh = state.used.insert(connection.number());
            if self.settings.resets_reused && !fresh && head.headers.contains_key(AUTHORIZATION) {
                connection.answer_raw(Bytes::new());
            }
        }
        let password = if state.desk_open { self.settings.pin() } else { Secret::new("") };
        state.desk.check(head, USER, &password)?;
        Ok(HeaderMap::new())
    }
}

fn set_cookie(session: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("{SESSION}={session}; Path=/; Secure; HttpOnly"));
    value.map(|value| (SET_COOKIE, value)).into_iter().collect()
}

/// A void token, a lost session and a lack of rights look alike.
fn unauthorized() -> Refusal {
    Box::new(answer::html(StatusCode::UNAUTHORIZED, "401 Authorization Required"))
}

impl Gate for Enphase {
    fn admit(&self, head: &Parts) -> Result<HeaderMap, Refusal> {
        let path = head.uri.path();
        if path == "/info" || path == face::CHECK {
            return Ok(HeaderMap::new());
        }
        if self.settings.firmware == Firmware::Five {
            return self.admit_digest(head);
        }
        let role = self.bearer(&head.headers)?.ok_or_else(unauthorized)?;
        let carried = match cookie(&head.headers, SESSION)? {
            Some(session) => {
                let fresh = self.resume(session).ok_or_else(unauthorized)?;
                fresh.as_deref().map(set_cookie).unwrap_or_default()
            }
            None if self.settings.firmware == Firmware::Seven => return Err(unauthorized()),
            None => self.seat()?,
        };
        let installers = path.starts_with("/installer/") || path.starts_with("/stream/");
        if installers && role == Role::Owner { Err(unauthorized()) } else { Ok(carried) }
    }

    fn finish(&self, _asked: &HeaderMap, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(SERVER, HeaderValue::from_static("openresty/1.17.8.2"));
        let strict = HeaderValue::from_static("max-age=63072000; includeSubdomains");
        headers.insert(STRICT_TRANSPORT_SECURITY, strict);
        // Some headers come twice.
        headers.append(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.append(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        response
    }
}

impl Twin for Enphase {
    fn vendor(&self) -> &'static str {
        "enphase"
    }

    fn face(self: Arc<Self>) -> Router {
        guard(self.clone(), face::routes(self))
    }

    fn stanza(&self) -> String {
        let serial = line("serial", &self.settings.serial);
        if self.settings.firmware == Firmware::Five {
            let pin = self.settings.pin();
            return serial + &line("username", USER) + &line("password", pin.expose());
        }
        let account = self.cloud.settings();
        let url = |key: &str, path: &str| line(key, &format!("{}{path}", self.cloud_url));
        serial
            + &line("username", &account.username)
            + &line("password", account.password.expose())
            + &url("login_url", "/login/login.json")
            + &url("token_url", "/tokens")
            + &url("auth_token_url", "/entrez-auth-token")
    }

    fn sample(&self) -> &'static str {
        "/production.json"
    }

    fn forbidden(&self) -> Option<&'static str> {
        let owner = self.cloud.settings().role == Role::Owner;
        (owner && self.settings.firmware != Firmware::Five).then_some("/installer/agf/index.json")
    }

    /// The tokens end, and with them the sessions.
    fn lapse(&self) {
        self.void_tokens();
        let mut state = self.state.lock();
        state.seats.clear();
        state.desk.lapse();
    }

    /// The sessions are gone; tokens are still good.
    fn reboot(&self) {
        let mut state = self.state.lock();
        state.seats.clear();
        state.desk.forget();
    }

    /// The account's password changes at the cloud, which ends its tokens.
    fn lock_out(&self) {
        self.cloud.lock_out();
        self.lapse();
        self.state.lock().desk_open = false;
    }

    fn readmit(&self) {
        self.cloud.readmit();
        self.state.lock().desk_open = true;
    }

    fn logins(&self) -> usize {
        if self.settings.firmware == Firmware::Five {
            return self.state.lock().desk.challenges();
        }
        self.cloud.logins()
    }

    fn renewable(&self) -> bool {
        true
    }

    fn secrets(&self) -> Vec<Secret> {
        let mut secrets = self.cloud.secrets();
        secrets.extend(self.state.lock().handed.iter().cloned());
        secrets
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}

#[cfg(test)]
mod tests;
