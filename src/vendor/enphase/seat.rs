//! A session with the gateway: the token, and the cookie that is one of its few seats.

use http::header;
use sha2::{Digest, Sha256};

use super::super::{Session, Stamp, Visit};
use super::Token;
use crate::secret::Secret;

/// The cookie's name.
pub(super) const SESSION: &str = "sessionId";
/// What a session's memo holds: the token, and the hash of the configured one as it was then.
pub(super) const TOKEN: &str = "token";
const CONFIGURED: &str = "configured";

/// A session of this token, at the seat of an old one where there was one.
pub(super) fn session(token: &Token, configured: Option<&Token>, old: Option<&Session>) -> Session {
    let bearer = format!("Bearer {}", token.text.expose());
    let configured = configured.map(|configured| (CONFIGURED.to_owned(), hash(configured)));
    let session = Session {
        stamps: vec![Stamp::Header(header::AUTHORIZATION, bearer.into())],
        expires_at: Some(token.ends_at),
        memo: configured.into_iter().chain([(TOKEN.to_owned(), token.text.clone())]).collect(),
        lasts: true,
    };
    match old.and_then(seat) {
        Some(seat) => seated(&session, seat.clone()),
        None => session,
    }
}

/// The cookie that a session sends.
pub(super) fn seat(held: &Session) -> Option<&Secret> {
    held.stamps.iter().find_map(|stamp| match stamp {
        Stamp::Cookie(_, value) => Some(value),
        _ => None,
    })
}

pub(super) fn seated(held: &Session, cookie: Secret) -> Session {
    let mut session = unseated(held);
    session.stamps.push(Stamp::Cookie(SESSION.to_owned(), cookie));
    session
}

pub(super) fn unseated(held: &Session) -> Session {
    let mut session = held.clone();
    session.stamps.retain(|stamp| !matches!(stamp, Stamp::Cookie(..)));
    session
}

/// Whether a configured token is to take the place of what is held: it lasts longer, or somebody has just set it.
pub(super) fn outdoes(token: &Token, old: &Session) -> bool {
    Some(token.ends_at) > old.expires_at || old.memo.get(CONFIGURED) != Some(&hash(token))
}

pub(super) fn is_refused(visit: &Visit<'_>, token: &Token) -> bool {
    visit.refused.is_some_and(|refused| refused.memo.get(TOKEN) == Some(&token.text))
}

fn hash(token: &Token) -> Secret {
    hex::encode(Sha256::digest(token.text.expose())).into()
}
