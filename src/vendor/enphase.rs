//! Enphase IQ Gateways (Envoy) from firmware 7 on; [`enlighten`] has the way to a token.
//!
//! ```text
//! GET /info             <sn>, for anybody
//! GET /auth/check_jwt   Authorization: Bearer <token>
//!                       200 and Set-Cookie: sessionId=…, or 401
//! GET /…                Authorization: Bearer <token> and Cookie: sessionId=…
//!                       401: the cookie or the token is void, or it is a matter of rights;
//!                       any other answer may bring a new sessionId
//! ```
//!
//! Checking a token is dear for the gateway and its sessions are few: hence the cookie, which the first firmware of
//! version 7 wants beside the token anyhow.

mod enlighten;
mod info;
mod seat;
mod token;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, response};

use enlighten::Enlighten;
pub(super) use info::introduced;
use seat::{SESSION, TOKEN, is_refused, outdoes, seat, seated, session, unseated};
pub(super) use token::Token;

use super::key::{Key, Traces, secret, text};
use super::session::cookie;
use super::visit::{odd, plain};
use super::{Account, Asked, Carriers, Cookies, Refusal, Session, Vendor, Verdict, Visit};
use crate::clock::Timestamp;
use crate::config::{SecretSource, Section};
use crate::upstream::{Answer, Introduction};

const CHECK: &str = "/auth/check_jwt";
/// What the gateway says of a good token; a client library compares it to the byte.
const VALID: &str = "<!DOCTYPE html><h2>Valid token.</h2>\n";
const NEW_TOKEN: &str =
    "set a new one from entrez.enphaseenergy.com as `token`, or set `username` and `password`";

pub(super) const KEYS: &[Key] = &[
    text("serial", "Serial number, as on the gateway's label"),
    text("username", "E-mail address of the Enphase account").unless(TOKEN),
    secret("password", "Password of that account").unless(TOKEN),
    secret(TOKEN, "Token from entrez.enphaseenergy.com").seldom(),
    text("login_url", "Where the cloud logs in").url().seldom(),
    text("token_url", "Where the cloud gives tokens").url().seldom(),
    text("auth_token_url", "Where the cloud gives tokens otherwise").url().seldom(),
];

/// A second gateway on one network becomes `envoy-2`.
pub(super) const TRACES: Traces = Traces {
    services: &["_enphase-envoy._tcp"],
    names: &["envoy", "envoy-2"],
    stem: None,
    told: &[("serialnum", "serial")],
};

struct Enphase {
    serial: String,
    token: Option<SecretSource>,
    enlighten: Option<Enlighten>,
}

pub(super) fn build(section: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    let serial = section.required_text("serial");
    let token = section.secret("token");
    // That it has ended is no mistake: it was right once, and one of the account may take its place.
    let read =
        token.as_ref().zip(serial.as_ref()).and_then(|(token, serial)| Some((token.read().ok()?, serial)));
    if let Some(Err(why)) = read.map(|(token, serial)| Token::read(token.expose(), serial)) {
        section.refuse("token", format!("it is of no use: {why}; {NEW_TOKEN}"));
    }
    let is_alone = section.has("token");
    let enlighten = enlighten::build(section, is_alone);
    Some(Arc::new(Enphase { serial: serial?, token, enlighten }))
}

#[async_trait]
impl Vendor for Enphase {
    fn account(&self) -> Account<'_> {
        let owner = self.enlighten.as_ref();
        let proofs = self.token.iter().chain(owner.map(|owner| &owner.password));
        // A token is one for this serial, whoever asked the cloud for it and wherever the gateway is.
        Account {
            who: vec![&self.serial],
            asks_as: owner.map(|owner| owner.username.as_str()),
            roams: true,
            proofs: proofs.collect(),
        }
    }

    fn carriers(&self) -> Carriers<'_> {
        Carriers { cookies: Cookies::Named(&[SESSION]), ..Carriers::default() }
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        self.obtain(visit, None).await
    }

    /// There is no cheaper way than that of a login.
    async fn renew(&self, visit: &Visit<'_>, old: &Session) -> Result<Option<Session>, Refusal> {
        self.obtain(visit, Some(old)).await.map(Some)
    }

    fn judge(&self, held: &Session, _: &Asked<'_>, answered: &response::Parts) -> Verdict {
        if answered.status == StatusCode::UNAUTHORIZED {
            return Verdict::Doubt;
        }
        match cookie(&answered.headers, SESSION) {
            Some(given) if Some(&given) != seat(held) => Verdict::Rotated(seated(held, given)),
            _ => Verdict::Pass,
        }
    }

    async fn verify(&self, visit: &Visit<'_>, held: &Session) -> Result<Verdict, Refusal> {
        // With its cookie first: a token that comes alone takes another of the gateway's few sessions.
        if let Some(seat) = seat(held) {
            let answer = visit.ask(CHECK, held).await?;
            match (answer.status(), cookie(answer.headers(), SESSION)) {
                (StatusCode::OK, Some(given)) if given == *seat => return Ok(Verdict::Pass),
                (StatusCode::OK, Some(given)) => return Ok(Verdict::Rotated(seated(held, given))),
                (StatusCode::OK | StatusCode::UNAUTHORIZED, _) => {}
                _ => return Err(undecided(&answer, visit.now)),
            }
        }
        let answer = visit.ask(CHECK, &unseated(held)).await?;
        match (answer.status(), cookie(answer.headers(), SESSION)) {
            (StatusCode::OK, Some(given)) => Ok(Verdict::Rotated(seated(held, given))),
            (StatusCode::OK, None) => Ok(Verdict::Pass),
            (StatusCode::UNAUTHORIZED, _) => Ok(Verdict::Expired),
            _ => Err(undecided(&answer, visit.now)),
        }
    }

    /// Clients show a token of their own, or none; what they get is the gateway's answer to ours.
    fn answer(&self, asked: &Asked<'_>, _: &dyn Fn() -> Timestamp) -> Option<Answer> {
        if asked.path != CHECK {
            return None;
        }
        if !matches!(*asked.method, Method::GET | Method::HEAD | Method::POST) {
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            return Some(answer);
        }
        let mut answer = Response::new(Bytes::from_static(VALID.as_bytes()));
        let kind = HeaderValue::from_static("application/octet-stream");
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        Some(answer)
    }

    /// The token says for which gateway it is, and no other is to get it.
    fn introduction(&self) -> Option<Introduction> {
        let serial = self.serial.clone();
        Some(Introduction { path: "/info", check: Box::new(move |answer| introduced(&serial, answer)) })
    }

    async fn describe(&self, visit: &Visit<'_>, _: &Session) -> Vec<(&'static str, String)> {
        // It tells everybody.
        let Ok(answer) = visit.ask("/info", &Session::default()).await else { return Vec::new() };
        let text = String::from_utf8_lossy(answer.body());
        let told = [("serial", info::element(&text, "sn")), ("firmware", info::element(&text, "software"))];
        told.into_iter().filter_map(|(what, value)| Some((what, plain(value?)?))).collect()
    }

    fn probe(&self) -> &'static str {
        CHECK
    }
}

impl Enphase {
    /// A session with the token that lasts longest, of the configured one and one of the cloud.
    async fn obtain(&self, visit: &Visit<'_>, old: Option<&Session>) -> Result<Session, Refusal> {
        let configured = self.configured(visit).await;
        let shortfall = match &configured {
            Ok(token) if is_refused(visit, token) => refused_before_its_end(token),
            Ok(token) if old.is_none_or(|old| outdoes(token, old)) => {
                let session = session(token, Some(token), old);
                match check(visit, session).await {
                    Ok(Checked::Good(session)) => return Ok(session),
                    Ok(Checked::Refused) => refused_before_its_end(token),
                    Err(refusal) => return Err(refusal),
                }
            }
            Ok(token) => Refusal::Person(format!("`token` lasts until {}: {NEW_TOKEN}", token.ends_at)),
            Err(refusal) => refusal.clone(),
        };
        let Some(enlighten) = &self.enlighten else { return Err(shortfall) };
        let fetched = enlighten.fetch(visit, &self.serial).await?;
        if let Some(old) = old
            && (old.memo.get(TOKEN) == Some(&fetched.text) || old.expires_at > Some(fetched.ends_at))
        {
            let detail = "the cloud gives no token that lasts longer than the one in use; that one serves on";
            return Err(Refusal::Enough(detail.to_owned()));
        }
        if is_refused(visit, &fetched) {
            return Err(refused_though_new());
        }
        let unchecked = session(&fetched, configured.as_ref().ok(), old);
        match check(visit, unchecked.clone()).await {
            Ok(Checked::Good(session)) => Ok(session),
            Ok(Checked::Refused) => Err(refused_though_new()),
            // A login at the cloud must not be repeated only because the gateway is off or busy just now.
            Err(_) => Ok(unchecked),
        }
    }

    /// The configured token as it is now.
    async fn configured(&self, visit: &Visit<'_>) -> Result<Token, Refusal> {
        let Some(source) = &self.token else {
            return Err(Refusal::Person(format!("there is no `token`: {NEW_TOKEN}")));
        };
        let text = visit.secret(source).await?;
        let token = Token::read(text.expose(), &self.serial)
            .map_err(|why| Refusal::Person(format!("`token` is of no use: {why}; {NEW_TOKEN}")))?;
        if token.ends_at <= visit.now {
            return Err(Refusal::Person(format!("`token` ended on {}: {NEW_TOKEN}", token.ends_at)));
        }
        Ok(token)
    }
}

/// What the gateway says of a token.
enum Checked {
    Good(Session),
    Refused,
}

async fn check(visit: &Visit<'_>, session: Session) -> Result<Checked, Refusal> {
    let answer = visit.ask(CHECK, &session).await?;
    match answer.status() {
        StatusCode::OK => Ok(Checked::Good(match cookie(answer.headers(), SESSION) {
            Some(given) => seated(&session, given),
            None => session,
        })),
        StatusCode::UNAUTHORIZED => Ok(Checked::Refused),
        _ => Err(undecided(&answer, visit.now)),
    }
}

fn refused_before_its_end(token: &Token) -> Refusal {
    Refusal::Rejected(format!(
        "the gateway refuses `token`, though it lasts until {}: {NEW_TOKEN}",
        token.ends_at
    ))
}

/// As with a wrong password the first rest is short: a gateway that has just come back may not know the time yet, and
/// then takes every new token for one of the future.
fn refused_though_new() -> Refusal {
    let detail = "the gateway refuses a token that was fetched just now: see that this account is the owner of the \
                  gateway with this `serial`, and that the gateway shows the right time";
    Refusal::Rejected(detail.to_owned())
}

/// The gateway does not say whether a token is good.
fn undecided(answer: &Answer, now: Timestamp) -> Refusal {
    let detail = match answer.status() {
        StatusCode::NOT_FOUND => {
            "the gateway knows no tokens: firmware below 7 is for vendor = \"digest\" with the user `envoy`"
                .to_owned()
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            "the gateway has no session left to give: ask again in a while".to_owned()
        }
        other => format!("the gateway answers {other} when asked whether a token is good"),
    };
    odd(answer, now, detail)
}
