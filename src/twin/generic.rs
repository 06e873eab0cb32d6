//! Devices of no particular make: a fixed credential, or none, and the common routes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::face::Face;
use super::gate::{Gate, Refusal, bad_request, guard, sole};
use super::{Journal, Twin, answer, line, token};
use crate::secret::Secret;

/// The header that carries the key of [`Scheme::Header`].
pub const HEADER: &str = "X-Api-Key";

/// The query pair that carries the key of [`Scheme::Query`].
pub const QUERY: &str = "apikey";

/// The user of [`Scheme::Basic`].
const USER: &str = "admin";

/// How a credential travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer`.
    Bearer,
    /// `Authorization: Basic`.
    Basic,
    /// A header of the device's own.
    Header,
    /// A pair of the query.
    Query,
    /// Not at all: everybody may.
    Open,
}

/// A simulated device with a fixed credential.
pub struct Generic {
    scheme: Scheme,
    credential: Secret,
    journal: Journal,
    locked: AtomicBool,
    /// How many requests it refused.
    refused: AtomicUsize,
}

impl Generic {
    /// A device with a random credential.
    pub fn new(scheme: Scheme) -> Arc<Self> {
        // Only a password may hold what no header can.
        let credential = match scheme {
            Scheme::Basic => token::password(),
            _ => Secret::new(token::random::<20>()),
        };
        Self::with(scheme, credential)
    }

    /// A device with this credential: Basic's password, else the whole of it.
    pub fn with(scheme: Scheme, credential: Secret) -> Arc<Self> {
        let (journal, locked) = (Journal::default(), AtomicBool::new(false));
        Arc::new(Self { scheme, credential, journal, locked, refused: AtomicUsize::new(0) })
    }

    /// How many requests it refused.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Acquire)
    }

    /// User and password as Basic sends them.
    fn pair(&self) -> String {
        STANDARD.encode(format!("{USER}:{}", self.credential.expose()))
    }

    /// Whether the one credential that a request shows is right.
    fn right(&self, head: &Parts) -> Result<bool, Refusal> {
        let expected = self.credential.expose();
        let shown = match self.scheme {
            Scheme::Open => return Ok(true),
            Scheme::Query => {
                let query = head.uri.query().unwrap_or_default();
                let pairs = form_urlencoded::parse(query.as_bytes());
                let mut found = pairs.filter(|(name, _)| name == QUERY).map(|(_, value)| value);
                return match (found.next(), found.next()) {
                    (_, Some(_)) => Err(bad_request()),
                    (value, None) => Ok(value.is_some_and(|value| value == expected)),
                };
            }
            Scheme::Header => return Ok(sole(&head.headers, HEADER)? == Some(expected)),
            Scheme::Bearer | Scheme::Basic => sole(&head.headers, AUTHORIZATION.as_str())?,
        };
        let (name, shown) = shown.unwrap_or_default().split_once(' ').unwrap_or_default();
        Ok(match self.scheme {
            Scheme::Basic => name.eq_ignore_ascii_case("Basic") && shown == self.pair(),
            _ => name.eq_ignore_ascii_case("Bearer") && shown == expected,
        })
    }
}

impl Gate for Generic {
    fn admit(&self, head: &Parts) -> Result<HeaderMap, Refusal> {
        let right = self.right(head)?;
        if right && !self.locked.load(Ordering::Acquire) {
            return Ok(HeaderMap::new());
        }
        self.refused.fetch_add(1, Ordering::AcqRel);
        Err(Box::new(match self.scheme {
            Scheme::Basic => {
                (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"twin\"")]).into_response()
            }
            Scheme::Bearer => (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response(),
            _ => StatusCode::UNAUTHORIZED.into_response(),
        }))
    }
}

impl Twin for Generic {
    fn vendor(&self) -> &'static str {
        match self.scheme {
            Scheme::Bearer => "bearer",
            Scheme::Basic => "basic",
            Scheme::Header => "header",
            Scheme::Query => "query",
            Scheme::Open => "open",
        }
    }

    fn face(self: Arc<Self>) -> Router {
        guard(self.clone(), Face::of(self).at("/", get, |_, ()| answer::front()).router())
    }

    fn stanza(&self) -> String {
        let credential = self.credential.expose();
        match self.scheme {
            Scheme::Bearer => line("token", credential),
            Scheme::Basic => line("username", USER) + &line("password", credential),
            Scheme::Header => line("name", HEADER) + &line("value", credential),
            Scheme::Query => line("name", QUERY) + &line("value", credential),
            Scheme::Open => String::new(),
        }
    }

    fn sample(&self) -> &'static str {
        "/twin/sample"
    }

    fn forbidden(&self) -> Option<&'static str> {
        Some("/twin/status?code=403")
    }

    /// Nothing lapses.
    fn lapse(&self) {}

    /// Nothing is forgotten.
    fn reboot(&self) {}

    /// Open devices stay open.
    fn lock_out(&self) {
        self.locked.store(self.scheme != Scheme::Open, Ordering::Release);
    }

    fn readmit(&self) {
        self.locked.store(false, Ordering::Release);
    }

    fn logins(&self) -> usize {
        0
    }

    fn renewable(&self) -> bool {
        false
    }

    fn secrets(&self) -> Vec<Secret> {
        match self.scheme {
            Scheme::Open => Vec::new(),
            Scheme::Basic => vec![self.credential.clone(), Secret::new(self.pair())],
            _ => vec![self.credential.clone()],
        }
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}
