//! The vendor's cloud, from which owners get tokens.
//!
//! ```text
//! POST login_url        user[email], user[password] as a form
//!                       200 {"session_id"} and Set-Cookie: _enlighten_4_session=…
//! POST token_url        {"session_id","serial_num","username"}
//!                       200 <the bare token>
//!   or, where that fails with a good session,
//! GET  auth_token_url?serial_num=…   Cookie: _enlighten_4_session=…
//!                       200 {"token"}
//! ```
//!
//! An account that is tried too often is locked, so what is a matter of credentials or of a person is told apart from
//! what passes.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::super::session::{cookie, header_value};
use super::super::visit::{date, retry_after};
use super::{Refusal, Token, Visit};
use crate::clock::Timestamp;
use crate::config::{SecretSource, Section};
use crate::secret::Secret;
use crate::upstream::Answer;

const LOGIN: &str = "https://enlighten.enphaseenergy.com/login/login.json";
const TOKENS: &str = "https://entrez.enphaseenergy.com/tokens";
const AUTH_TOKEN: &str = "https://enlighten.enphaseenergy.com/entrez-auth-token";
const SESSION: &str = "_enlighten_4_session";
const SECOND_FACTOR: &str = "login_otp_nonce";
/// Sessions of an account end by themselves, and until then no login helps.
const CROWDED: Duration = Duration::from_secs(5 * 60);
const WRONG: &str =
    "wrong email or password, or MFA is on: set those of the Enphase account as `username` and `password`";

/// An owner's account at the cloud.
pub(super) struct Enlighten {
    pub(super) username: String,
    pub(super) password: SecretSource,
    login_url: String,
    token_url: String,
    auth_token_url: String,
}

/// A login at the cloud.
struct Entered {
    session_id: Secret,
    cookie: Option<Secret>,
}

/// Why one way did not lead to a token.
enum Missed {
    /// No other way will either.
    Altogether(Refusal),
    /// Another may.
    Here(Refusal),
}

impl From<Refusal> for Missed {
    fn from(refusal: Refusal) -> Self {
        Self::Here(refusal)
    }
}

/// Reads the keys of an account; where there is none, `has_token` is to be.
pub(super) fn build(section: &mut Section<'_>, has_token: bool) -> Option<Enlighten> {
    let username = section.text("username");
    let password = section.secret("password");
    match (section.has("username"), section.has("password")) {
        (true, false) => {
            section.refuse("password", "missing; an Enphase account needs both, or set `token` alone");
        }
        (false, true) => {
            section.refuse("username", "missing; the email of the Enphase account, beside its `password`");
        }
        (false, false) if !has_token => {
            section
                .refuse("token", "missing; set `username` and `password` of the Enphase account, or `token`");
        }
        _ => {}
    }
    let mut endpoint =
        |key, usual: &str| section.url(key).map_or_else(|| usual.to_owned(), |address| address.to_string());
    let login_url = endpoint("login_url", LOGIN);
    let token_url = endpoint("token_url", TOKENS);
    let auth_token_url = endpoint("auth_token_url", AUTH_TOKEN);
    Some(Enlighten { username: username?, password: password?, login_url, token_url, auth_token_url })
}

impl Enlighten {
    /// A token for this gateway, whose end is by our clock.
    pub(super) async fn fetch(&self, visit: &Visit<'_>, serial: &str) -> Result<Token, Refusal> {
        let entered = self.enter(visit).await?;
        let first = match self.by_session(visit, &entered, serial).await {
            Ok(token) => return Ok(token),
            Err(Missed::Altogether(refusal)) => return Err(refusal),
            Err(Missed::Here(refusal)) => refusal,
        };
        let Some(cookie) = entered.cookie else { return Err(first) };
        self.by_cookie(visit, cookie, serial).await.map_err(|missed| match missed {
            Missed::Altogether(refusal) => refusal,
            // The first way is the usual one: what is wrong there is more telling.
            Missed::Here(_) => first,
        })
    }

    async fn enter(&self, visit: &Visit<'_>) -> Result<Entered, Refusal> {
        let password = visit.secret(&self.password).await?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("user[email]", &self.username)
            .append_pair("user[password]", password.expose())
            .finish();
        let request = Request::post(&self.login_url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        entered(&visit.cloud(finish(request, form)?).await?, visit.now)
    }

    async fn by_session(&self, visit: &Visit<'_>, entered: &Entered, serial: &str) -> Result<Token, Missed> {
        let wanted = json!({
            "session_id": entered.session_id.expose(), "serial_num": serial, "username": self.username,
        });
        let request = Request::post(&self.token_url).header(header::CONTENT_TYPE, "application/json");
        token(&visit.cloud(finish(request, wanted.to_string())?).await?, serial, visit.now)
    }

    async fn by_cookie(&self, visit: &Visit<'_>, session: Secret, serial: &str) -> Result<Token, Missed> {
        let wanted =
            form_urlencoded::Serializer::new(String::new()).append_pair("serial_num", serial).finish();
        let cookie = header_value(&format!("{SESSION}={}", session.expose()).into())?;
        let request = Request::get(format!("{}?{wanted}", self.auth_token_url))
            .header(header::COOKIE, cookie)
            .header(header::ACCEPT, "application/json");
        token(&visit.cloud(finish(request, String::new())?).await?, serial, visit.now)
    }
}

/// What the cloud says to a login.
fn entered(answer: &Answer, now: Timestamp) -> Result<Entered, Refusal> {
    let said: Option<Value> = serde_json::from_slice(answer.body()).ok().filter(Value::is_object);
    let field = |name: &str| said.as_ref().and_then(|said| said.get(name));
    let is_set = |name: &str| field(name).and_then(Value::as_bool) == Some(true);
    if let Some(refusal) = crowded(answer) {
        return Err(refusal);
    }
    if is_set("isBlocked") {
        let detail = "the Enphase account is blocked: see enlighten.enphaseenergy.com, or set `token`";
        return Err(Refusal::Person(detail.to_owned()));
    }
    if is_set("requires_mfa") || cookie(answer.headers(), SECOND_FACTOR).is_some() {
        return Err(second_factor());
    }
    if let Some(refusal) = trouble(answer, now) {
        return Err(refusal);
    }
    if said.is_none() {
        return Err(bot_wall());
    }
    let session_id = field("session_id").and_then(Value::as_str).filter(|session| !session.is_empty());
    match session_id {
        Some(session) => {
            Ok(Entered { session_id: session.into(), cookie: cookie(answer.headers(), SESSION) })
        }
        None => Err(second_factor()),
    }
}

/// What the cloud says when asked for a token, either way.
fn token(answer: &Answer, serial: &str, now: Timestamp) -> Result<Token, Missed> {
    if let Some(refusal) = crowded(answer) {
        return Err(Missed::Altogether(refusal));
    }
    match trouble(answer, now) {
        Some(refusal @ Refusal::Rejected(_)) => return Err(Missed::Altogether(refusal)),
        Some(refusal) => return Err(Missed::Here(refusal)),
        None => {}
    }
    let text = String::from_utf8_lossy(answer.body());
    let token = Token::read(&text, serial)
        .map_err(|why| {
            Refusal::Odd(format!(
                "what the cloud gives is no token of use ({why}): see that this account owns the gateway with this `serial`, \
                 or set `token`"
            ))
        })?;
    // The cloud's clock and the token's are one; ours may be years off.
    let since = date(answer.headers()).or(token.issued_at).unwrap_or(now);
    if token.ends_at <= since {
        let ended = format!("the cloud gives a token that ended on {}", token.ends_at);
        return Err(Missed::Here(Refusal::Odd(ended)));
    }
    Ok(Token { ends_at: now.plus(token.ends_at.since(since)), ..token })
}

fn crowded(answer: &Answer) -> Option<Refusal> {
    let text = String::from_utf8_lossy(answer.body()).to_lowercase();
    text.contains("too many active sessions").then(|| Refusal::Unavailable {
        detail:
            "the Enphase account has too many active sessions: log out elsewhere, or wait for them to end"
                .to_owned(),
        retry_after: Some(CROWDED),
    })
}

fn trouble(answer: &Answer, now: Timestamp) -> Option<Refusal> {
    let status = answer.status();
    match status {
        StatusCode::OK => None,
        StatusCode::UNAUTHORIZED => Some(Refusal::Rejected(WRONG.to_owned())),
        StatusCode::NOT_ACCEPTABLE => Some(bot_wall()),
        _ if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
            Some(Refusal::Unavailable {
                detail: match status {
                    StatusCode::TOO_MANY_REQUESTS => "the cloud of Enphase is asked too often (429): wait, it is asked again \
                                                      by itself; what else uses this account may ask less, or set `token`"
                        .to_owned(),
                    _ => format!("the cloud of Enphase answers {status}: wait, it is asked again by itself, or set `token`"),
                },
                retry_after: retry_after(answer.headers(), now),
            })
        }
        other => Some(Refusal::Odd(format!(
            "the cloud of Enphase answers {other}, which says nothing: it is asked again by itself; if that stays, set \
             `token`"
        ))),
    }
}

fn second_factor() -> Refusal {
    Refusal::Person("the Enphase account asks for a second factor: turn MFA off, or set `token`".to_owned())
}

fn bot_wall() -> Refusal {
    let detail = "the cloud of Enphase takes this for a robot and shows a page: that passes, or set `token`";
    Refusal::Unavailable { detail: detail.to_owned(), retry_after: None }
}

fn finish(request: http::request::Builder, body: String) -> Result<Request<Bytes>, Refusal> {
    request
        .body(Bytes::from(body))
        .map_err(|_| Refusal::Odd("the cloud can't be asked at this address".to_owned()))
}
