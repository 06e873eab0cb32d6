//! eGauge meters: the WebAPI below `/api` (vendor's OpenAPI, github.com/egauge/webapi-doc).
//!
//! ```text
//! GET  /api/auth/unauthorized   401 {"rlm","nnc","error"}             a nonce, good for a minute
//! POST /api/auth/login          {"rlm","usr","nnc","cnnc","hash"}     hash = MD5(MD5(usr:rlm:pwd):nnc:cnnc)
//!                               200 {"jwt","rights"}  or  200 {"error"}
//! GET  /api/…                   Authorization: Bearer <jwt>
//! GET  /api/auth/logout         revokes that token
//! ```

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, response};
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::json;

use super::key::{Key, Traces, secret, text};
use super::visit::{odd, plain};
use super::{Account, Asked, Refusal, Session, Stamp, Vendor, Verdict, Visit};
use crate::clock::Timestamp;
use crate::config::{SecretSource, Section};
use crate::secret::Secret;
use crate::upstream::Answer;

/// GETs that change something: commands to the meter, and waveform captures (`R` in the query starts one).
pub(super) const ACTS_ON_GET: &[&str] = &["/api/cmd", "/api/capture"];

pub(super) const KEYS: &[Key] =
    &[text("username", "Username of a user of the meter"), secret("password", "Password of that user")];

/// They announce no service of their own; their names are `eGauge` and a number.
pub(super) const TRACES: Traces =
    Traces { services: &[], names: &["egauge"], stem: Some("egauge"), told: &[] };

const REALM: &str = "eGauge Administration";
/// A token's life where its claims do not say.
const LIFETIME: u64 = 600;
/// The meter counts from when it made the token, we from when we got it.
const MARGIN: u64 = 5;
/// A nonce can lapse between the two requests of a login; more often than this it did not.
const ATTEMPTS: usize = 2;

struct Egauge {
    username: String,
    password: SecretSource,
}

pub(super) fn build(section: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    let username = section.required_text("username");
    let password = section.required_secret("password");
    Some(Arc::new(Egauge { username: username?, password: password? }))
}

#[derive(Deserialize)]
struct Challenge {
    rlm: String,
    nnc: String,
}

#[derive(Deserialize)]
struct Outcome {
    jwt: Option<Secret>,
    error: Option<String>,
}

#[async_trait]
impl Vendor for Egauge {
    fn account(&self) -> Account<'_> {
        Account { who: vec![&self.username], proofs: vec![&self.password], ..Account::default() }
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        let password = visit.secret(&self.password).await?;
        for _ in 0..ATTEMPTS {
            let challenge = challenge(visit).await?;
            let cnonce = hex::encode(rand::random::<[u8; 16]>());
            let hash = answer_to(&self.username, &challenge.rlm, &password, &challenge.nnc, &cnonce);
            let form = json!({
                "rlm": challenge.rlm, "usr": self.username, "nnc": challenge.nnc, "cnnc": cnonce, "hash": hash,
            });
            let answer = visit.device(post_json("/api/auth/login", &form)?).await?;
            let outcome: Outcome = read(&answer, visit.now)?;
            match (outcome.jwt, outcome.error) {
                (Some(token), None) => return Ok(session(&token, visit.now)),
                (_, Some(error)) if error.to_lowercase().contains("nonce") => {}
                (_, Some(_)) if answer.status().is_success() => {
                    return Err(Refusal::Rejected("the meter refuses this username or password: set those of a user of the meter as `username` and `password`".to_owned()));
                }
                (_, _) => {
                    let detail = format!("the meter answers the login with {}", answer.status());
                    return Err(odd(&answer, visit.now, detail));
                }
            }
        }
        Err(Refusal::Odd("the meter finds every nonce expired that it has just given out".to_owned()))
    }

    fn judge(&self, _: &Session, _: &Asked<'_>, answered: &response::Parts) -> Verdict {
        if answered.status == StatusCode::UNAUTHORIZED { Verdict::Doubt } else { Verdict::Pass }
    }

    async fn verify(&self, visit: &Visit<'_>, held: &Session) -> Result<Verdict, Refusal> {
        let answer = visit.ask("/api/auth/unauthorized", held).await?;
        match answer.status() {
            StatusCode::OK => Ok(Verdict::Pass),
            StatusCode::UNAUTHORIZED => Ok(Verdict::Expired),
            other => {
                let detail = format!("the meter answers {other} when asked whether a token is good");
                Err(odd(&answer, visit.now, detail))
            }
        }
    }

    /// Client libraries that insist on logging in check neither what they are given nor where it comes from.
    fn answer(&self, asked: &Asked<'_>, now: &dyn Fn() -> Timestamp) -> Option<Answer> {
        let (status, body) = match (asked.path, asked.method) {
            ("/api/auth/unauthorized", &(Method::GET | Method::HEAD)) => (
                StatusCode::UNAUTHORIZED,
                json!({ "rlm": REALM, "nnc": self.token(now(), 60), "error": "Authentication required." }),
            ),
            ("/api/auth/login", &Method::POST) => {
                (StatusCode::OK, json!({ "jwt": self.token(now(), LIFETIME), "rights": ["save", "control"] }))
            }
            ("/api/auth/logout", &(Method::GET | Method::POST | Method::HEAD)) => {
                (StatusCode::OK, json!({ "status": "OK" }))
            }
            ("/api/auth/unauthorized" | "/api/auth/login" | "/api/auth/logout", _) => {
                (StatusCode::METHOD_NOT_ALLOWED, json!({ "error": "Method not allowed." }))
            }
            _ => return None,
        };
        let mut answer = Response::new(Bytes::from(body.to_string()));
        *answer.status_mut() = status;
        answer
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        Some(answer)
    }

    fn probe(&self) -> &'static str {
        "/api/auth/unauthorized"
    }

    async fn describe(&self, visit: &Visit<'_>, held: &Session) -> Vec<(&'static str, String)> {
        let Ok(answer) = visit.ask("/api/sys", held).await else { return Vec::new() };
        let told: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let serial = told.pointer("/result/sn").and_then(serde_json::Value::as_str).and_then(plain);
        serial.map(|serial| ("serial", serial)).into_iter().collect()
    }

    async fn logout(&self, visit: &Visit<'_>, held: &Session) -> bool {
        visit.ask("/api/auth/logout", held).await.is_ok()
    }
}

impl Egauge {
    /// Something of the form of the meter's tokens. It opens nothing: the meter never gets to see it.
    fn token(&self, now: Timestamp, lifetime: u64) -> String {
        let claims = json!({
            "rlm": REALM, "usr": self.username, "prv": 7, "beg": now.as_seconds(), "ltm": lifetime, "gen": 1,
        });
        let part = |text: String| URL_SAFE_NO_PAD.encode(text);
        let signature = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        format!(
            "{}.{}.{signature}",
            part(json!({ "typ": "JWT", "alg": "HS256" }).to_string()),
            part(claims.to_string())
        )
    }
}

async fn challenge(visit: &Visit<'_>) -> Result<Challenge, Refusal> {
    let answer = visit.ask("/api/auth/unauthorized", &Session::default()).await?;
    if answer.status() != StatusCode::UNAUTHORIZED {
        let detail = format!(
            "the meter answers {} where a login begins: is `url` that of an eGauge meter, without a path? One of old \
             firmware has no such login; it may be a device of vendor = \"digest\"",
            answer.status()
        );
        return Err(odd(&answer, visit.now, detail));
    }
    read(&answer, visit.now)
}

/// The vendor's `hash`, in lower-case hex.
pub(super) fn answer_to(username: &str, realm: &str, password: &Secret, nonce: &str, cnonce: &str) -> String {
    let ha1 = hex::encode(Md5::digest(format!("{username}:{realm}:{}", password.expose())));
    hex::encode(Md5::digest(format!("{ha1}:{nonce}:{cnonce}")))
}

/// The token's clock is the meter's own and may be years off, so its `ltm` counts from now.
pub(super) fn session(token: &Secret, now: Timestamp) -> Session {
    let token = token.expose();
    let lifetime = lifetime(token).unwrap_or(LIFETIME).saturating_sub(MARGIN);
    Session {
        stamps: vec![Stamp::Header(header::AUTHORIZATION, format!("Bearer {token}").into())],
        expires_at: Some(now.plus(Duration::from_secs(lifetime))),
        lasts: true,
        ..Session::default()
    }
}

/// The claim `ltm` in seconds: a number, whole or not, or one in a string.
pub(super) fn lifetime(token: &str) -> Option<u64> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let lifetime = claims.get("ltm")?;
    let seconds = lifetime.as_f64().or_else(|| lifetime.as_str()?.parse().ok())?;
    Some(Duration::try_from_secs_f64(seconds).ok()?.as_secs()).filter(|seconds| *seconds > 0)
}

fn post_json(path: &'static str, body: &serde_json::Value) -> Result<Request<Bytes>, Refusal> {
    Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()))
        .map_err(|error| Refusal::Odd(error.to_string()))
}

fn read<T: for<'de> Deserialize<'de>>(answer: &Answer, now: Timestamp) -> Result<T, Refusal> {
    serde_json::from_slice(answer.body()).map_err(|_| {
        let detail =
            format!("the meter's login answers {} with something else than it should", answer.status());
        odd(answer, now, detail)
    })
}
