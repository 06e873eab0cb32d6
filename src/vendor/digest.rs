//! Any device that asks for HTTP Digest (RFC 7616, and RFC 2069 where there is no `qop`).
//!
//! ```text
//! GET /       401, WWW-Authenticate: Digest realm, nonce, qop, opaque, algorithm
//! GET /path   Authorization: Digest username, realm, nonce, uri, response, nc, cnonce, …
//!             401 with stale=true          the nonce is over: the same again with the new one
//!             401 with another nonce       the same, where a device does not say so; or what is below
//!             401                          wrong user or password, or no right to this
//!             Authentication-Info: nextnonce
//! ```

mod challenge;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header, request, response};

#[cfg(fuzzing)]
pub(super) use challenge::octets;
pub(super) use challenge::{Challenge, Credentials};

use super::{Account, Asked, Moment, Refusal, Session, Vendor, Verdict, Visit};
use crate::config::{SecretSource, Section};
use crate::secret::Secret;

/// What a session's memo holds.
const CHALLENGE: &str = "challenge";
const CNONCE: &str = "cnonce";
const PASSWORD: &str = "password";

const WRONG: &str = "wrong username or password: set the device's as `username` and `password`";

struct Digest {
    username: String,
    password: SecretSource,
}

pub(super) fn build(section: &mut Section<'_>) -> Option<Arc<dyn Vendor>> {
    let username = section.required_header_text("username");
    let password = section.required_secret("password");
    Some(Arc::new(Digest { username: username?, password: password? }))
}

#[async_trait]
impl Vendor for Digest {
    fn account(&self) -> Account<'_> {
        Account { who: vec![&self.username], proofs: vec![&self.password], ..Account::default() }
    }

    /// Proves nothing yet: that costs a request, and the first one that a caller makes proves as much.
    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        let password = visit.secret(&self.password).await?;
        let cnonce = hex::encode(rand::random::<[u8; 16]>());
        let memo = [(PASSWORD.to_owned(), password), (CNONCE.to_owned(), cnonce.into())].into();
        let session = Session { memo, ..Session::default() };
        let answer = visit.ask(self.probe(), &Session::default()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(session);
        }
        match Challenge::of(answer.headers()) {
            Some(challenge) => Ok(facing(&session, &challenge)),
            None => Err(Refusal::Odd(
                "the device asks for something else than HTTP Digest with MD5 or SHA-256: another `vendor` may fit"
                    .to_owned(),
            )),
        }
    }

    fn sign(&self, held: &Session, moment: Moment<'_>, head: &mut request::Parts) -> Result<(), Refusal> {
        let Some(challenge) = challenge(held) else { return Ok(()) };
        let cnonce = held.memo.get(CNONCE).map_or("", Secret::expose);
        let password = held.memo.get(PASSWORD).cloned().unwrap_or_default();
        let credentials = Credentials { username: &self.username, password: &password, cnonce };
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let answer = challenge.answer(&credentials, head.method.as_str(), target, (moment.nth)());
        let mut value = HeaderValue::from_bytes(&challenge::octets(&answer))
            .map_err(|error| Refusal::Odd(error.to_string()))?;
        value.set_sensitive(true);
        head.headers.append(header::AUTHORIZATION, value);
        Ok(())
    }

    /// However many were challenged with a nonce, and whenever: `nc` says how many requests there were with it
    /// (RFC 7616 section 3.4).
    fn counted_by(&self, held: &Session) -> Option<String> {
        challenge(held).map(Challenge::into_nonce)
    }

    fn judge(&self, held: &Session, asked: &Asked<'_>, answered: &response::Parts) -> Verdict {
        let known = challenge(held);
        if answered.status != StatusCode::UNAUTHORIZED {
            let next = known.and_then(|known| known.followed_by(&answered.headers));
            return next.map_or(Verdict::Pass, |next| Verdict::Rotated(facing(held, &next)));
        }
        let Some(fresh) = Challenge::of(&answered.headers) else { return Verdict::Doubt };
        let standing = asked.standing;
        match known {
            Some(known) if !fresh.stale => {
                // With a nonce that nobody has used before, only user and password can be wrong.
                if !standing.is_proven && (standing.is_first || standing.is_answer) && fresh.is_where(&known)
                {
                    return Verdict::Refused(WRONG.to_owned());
                }
                // Nonces end without a word (RFC 2069 has none for it), and so they do with a device that starts anew;
                // another realm is another nonce's.
                if standing.is_answer || !fresh.is_other_than(&known) {
                    return Verdict::Doubt;
                }
                Verdict::Challenged(facing(held, &fresh))
            }
            _ => Verdict::Challenged(facing(held, &fresh)),
        }
    }

    /// What nobody asked us to prove proves nothing.
    fn proves(&self, held: &Session, _: &Asked<'_>, answered: &response::Parts) -> bool {
        answered.status.is_success() && held.memo.contains_key(CHALLENGE)
    }

    /// A nonce can lapse without a word, so what is asked is whether a fresh one serves.
    async fn verify(&self, visit: &Visit<'_>, held: &Session) -> Result<Verdict, Refusal> {
        let fresh = self.login(visit).await?;
        let Some(nonce) = self.counted_by(&fresh) else {
            // The probed path is open to all, so nobody is to be asked.
            let said = challenge(held).is_some();
            return Ok(if said { Verdict::Refused(WRONG.to_owned()) } else { Verdict::Pass });
        };
        let (mut head, body) = Request::new(Bytes::new()).into_parts();
        // What is proven covers the target as it goes out.
        head.uri = visit.device.locate(self.probe())?;
        self.sign(&fresh, Moment { nth: &|| visit.count.next(&nonce), time: &|| visit.now }, &mut head)?;
        let status = visit.device.ask(Request::from_parts(head, body), visit.within).await?.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(Refusal::Rejected(WRONG.to_owned()));
        }
        Ok(Verdict::Rotated(fresh))
    }
}

/// What the device wants proven, as far as it has said.
fn challenge(held: &Session) -> Option<Challenge> {
    Challenge::read(held.memo.get(CHALLENGE)?.expose())
}

/// The session with another challenge.
fn facing(held: &Session, challenge: &Challenge) -> Session {
    let mut session = held.clone();
    session.memo.insert(CHALLENGE.to_owned(), challenge.to_string().into());
    session
}
