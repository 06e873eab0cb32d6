//! A Yombo gateway: a key in one of four places, and commands that are sent by GET.

mod face;

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::header::{ACCEPT, SERVER};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;
use serde_json::json;

use super::gate::{Gate, Refusal, cookie, guard, sole};
use super::{Journal, Twin, answer, line, token};
use crate::clock::Clock;
use crate::secret::Secret;

/// The cookie of those who logged in on the page.
const SESSION: &str = "yombo_session";

/// How a gateway that is still starting answers everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starting {
    /// 200 with a page, as 0.24 does.
    Html,
    /// 503 with JSON, as 0.23 does.
    Json,
}

/// What a gateway is set to.
#[derive(Clone)]
pub struct YomboSettings {
    /// The key.
    pub auth_key: Secret,
    /// How it answers while it starts; `None`: it has started.
    pub starting: Option<Starting>,
}

impl Default for YomboSettings {
    fn default() -> Self {
        Self { auth_key: Secret::new(token::random::<20>()), starting: None }
    }
}

/// A simulated Yombo gateway.
pub struct Yombo {
    settings: YomboSettings,
    clock: Clock,
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    auth_key: Secret,
    session: Secret,
    handed: Vec<Secret>,
    starting: Option<Starting>,
    commands: Vec<String>,
}

impl Yombo {
    /// A gateway that was just switched on.
    pub fn new(settings: YomboSettings) -> Arc<Self> {
        let state = State {
            auth_key: settings.auth_key.clone(),
            session: Secret::new(token::random::<16>()),
            handed: Vec::new(),
            starting: settings.starting,
            commands: Vec::new(),
        };
        let (clock, journal) = (Clock::of_runtime(), Journal::default());
        Arc::new(Self { settings, clock, journal, state: Mutex::new(state) })
    }

    /// From now on it is starting in this way, or has started.
    pub fn start(&self, starting: Option<Starting>) {
        self.state.lock().starting = starting;
    }

    /// The commands that arrived, `device/command` each, in order.
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().commands.clone()
    }

    /// Whether the credential that the gateway looks at is right: the first of the places that has one.
    fn knows(&self, head: &Parts) -> Result<bool, Refusal> {
        let headers = &head.headers;
        let query = head.uri.query().unwrap_or_default();
        let pair = |name: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(shown, _)| shown == name).map(|(_, value)| value)
        };
        let state = self.state.lock();
        let (key, session) = (state.auth_key.expose(), state.session.expose());
        // Each is looked at, so that a doubled one is refused wherever it stands.
        let named = (sole(headers, "x-auth-key")?, sole(headers, "x-api-auth")?);
        if let Some(shown) = named.0.or(named.1) {
            return Ok(shown == key);
        }
        if let Some(shown) = pair("_auth_key").or_else(|| pair("_api_auth")) {
            return Ok(shown == key);
        }
        Ok(cookie(headers, SESSION)? == Some(session))
    }
}

/// What `Accept` gets below `/api/`.
enum Form {
    Data,
    Page,
    Nothing,
}

fn form(asked: &HeaderMap) -> Form {
    let data =
        ["application/json", "application/vnd.api+json", "application/msgpack", "application/x-msgpack"];
    if !asked.contains_key(ACCEPT) {
        Form::Nothing
    } else if data.iter().any(|kind| answer::accepts(asked, kind)) {
        Form::Data
    } else if answer::accepts(asked, "*/*") || answer::accepts(asked, "text/html") {
        Form::Page
    } else {
        Form::Nothing
    }
}

impl Gate for Yombo {
    fn admit(&self, head: &Parts) -> Result<HeaderMap, Refusal> {
        let path = head.uri.path();
        let starting = self.state.lock().starting;
        match starting {
            Some(Starting::Html) => {
                return Err(Box::new(answer::html(StatusCode::OK, "The gateway is starting")));
            }
            Some(Starting::Json) => {
                let body = json!({ "errors": [{ "code": "booting", "title": "Starting" }] });
                return Err(Box::new(answer::json(StatusCode::SERVICE_UNAVAILABLE, &body)));
            }
            None => {}
        }
        if path == face::LOGIN || self.knows(head)? {
            if path.starts_with("/api/") {
                return face::suited(&head.headers);
            }
            return Ok(HeaderMap::new());
        }
        Err(Box::new(if path.starts_with("/api/") {
            let error = json!({
                "code": "unauthorized-401",
                "title": "Unauthorized",
                "detail": "The request needs a valid key.",
                "links": { "about": "https://yombo.net/" },
            });
            answer::json(StatusCode::UNAUTHORIZED, &json!({ "errors": [error] }))
        } else {
            answer::redirect(StatusCode::FOUND, face::LOGIN)
        }))
    }

    fn finish(&self, _asked: &HeaderMap, mut response: Response) -> Response {
        let marks = [(SERVER, "Apache/2.4.41 (Unix)"), (HeaderName::from_static("x-powered-by"), "YGW")];
        response.headers_mut().extend(marks.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response
    }
}

impl Twin for Yombo {
    fn vendor(&self) -> &'static str {
        "yombo"
    }

    fn face(self: Arc<Self>) -> Router {
        guard(self.clone(), face::routes(self))
    }

    fn stanza(&self) -> String {
        line("auth_key", self.settings.auth_key.expose())
    }

    fn sample(&self) -> &'static str {
        "/api/v1/lib/devices"
    }

    /// The page's sessions; a key does not lapse.
    fn lapse(&self) {
        self.state.lock().session = Secret::new(token::random::<16>());
    }

    fn reboot(&self) {
        self.lapse();
    }

    fn lock_out(&self) {
        self.state.lock().auth_key = Secret::new(token::random::<20>());
    }

    fn readmit(&self) {
        self.state.lock().auth_key = self.settings.auth_key.clone();
    }

    fn logins(&self) -> usize {
        0
    }

    fn renewable(&self) -> bool {
        false
    }

    fn secrets(&self) -> Vec<Secret> {
        let state = self.state.lock();
        let fixed = [&self.settings.auth_key, &state.session];
        fixed.into_iter().chain(&state.handed).cloned().collect()
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}

#[cfg(test)]
mod tests;
