//! What a device wants to be proven by Digest, and the proof.

use std::fmt;

use http::{HeaderMap, header};
use http_auth::{ChallengeParser, ChallengeRef};
use md5::Md5;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// Devices send bytes that are no text, and want them back as they are; the parser takes ASCII alone. So it gets them
/// percent-encoded.
const NO_TEXT: &AsciiSet = &CONTROLS.remove(b'\t').add(b'%');

/// A challenge of the scheme Digest. Each char of its texts stands for one byte of the device's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vendor) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// `None`: it does not say, which means MD5.
    algorithm: Option<Algorithm>,
    /// Whether `qop=auth` is offered; without it RFC 2069 holds.
    counted: bool,
    /// Whether only the nonce of the last request was wrong.
    pub(in crate::vendor) stale: bool,
}

/// What proves who we are.
pub(in crate::vendor) struct Credentials<'a> {
    pub(in crate::vendor) username: &'a str,
    pub(in crate::vendor) password: &'a Secret,
    pub(in crate::vendor) cnonce: &'a str,
}

/// The weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Md5Session,
    Sha256,
    Sha256Session,
}

impl Challenge {
    /// The strongest challenge among those of a 401 that we can answer.
    pub(in crate::vendor) fn of(headers: &HeaderMap) -> Option<Self> {
        let challenges =
            headers.get_all(header::WWW_AUTHENTICATE).iter().flat_map(|value| all(value.as_bytes()));
        challenges.max_by_key(|challenge| challenge.algorithm)
    }

    /// The challenge of this text.
    pub(in crate::vendor) fn read(text: &str) -> Option<Self> {
        all(&octets(text)).into_iter().next()
    }

    /// Its nonce.
    pub(in crate::vendor) fn into_nonce(self) -> String {
        self.nonce
    }

    /// Whether it asks for a proof in the same place.
    pub(in crate::vendor) fn is_where(&self, other: &Self) -> bool {
        self.realm == other.realm
    }

    /// Whether a proof for the other one is of no use here.
    pub(in crate::vendor) fn is_other_than(&self, other: &Self) -> bool {
        self.nonce != other.nonce || !self.is_where(other)
    }

    /// This one with the nonce that an answer announces, if that is another.
    pub(in crate::vendor) fn followed_by(&self, headers: &HeaderMap) -> Option<Self> {
        let announced = percent_encode(headers.get("authentication-info")?.as_bytes(), NO_TEXT);
        // The parser knows challenges only, and this is one but for the name of the scheme.
        let announced = format!("Digest {announced}");
        let announced = ChallengeParser::new(&announced).next()?.ok()?;
        let nonce = parameter(&announced, "nextnonce").filter(|nonce| *nonce != self.nonce)?;
        Some(Self { nonce, ..self.clone() })
    }

    /// The value of `Authorization` for one request, in the same chars.
    pub(in crate::vendor) fn answer(
        &self,
        who: &Credentials<'_>,
        method: &str,
        target: &str,
        nth: u64,
    ) -> String {
        let Self { realm, nonce, .. } = self;
        let Credentials { username, password, cnonce } = who;
        let algorithm = self.algorithm.unwrap_or(Algorithm::Md5);
        let given = octets(nonce);
        let mut secret = algorithm.hash(&[username.as_bytes(), &octets(realm), password.expose().as_bytes()]);
        if algorithm.is_session() {
            secret = algorithm.hash(&[secret.as_bytes(), &given, cnonce.as_bytes()]);
        }
        let request = algorithm.hash(&[method.as_bytes(), target.as_bytes()]);
        let count = if self.counted { format!("{nth:08x}:{cnonce}:auth:{request}") } else { request };
        let response = algorithm.hash(&[secret.as_bytes(), &given, count.as_bytes()]);
        let mut text = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            Quoted(username),
            Quoted(realm),
            Quoted(nonce),
            Quoted(target)
        );
        if let Some(algorithm) = self.algorithm {
            text += &format!(", algorithm={}", algorithm.name());
        }
        if let Some(opaque) = &self.opaque {
            text += &format!(", opaque={}", Quoted(opaque));
        }
        if self.counted {
            text += &format!(", qop=auth, nc={nth:08x}");
        }
        if self.counted || algorithm.is_session() {
            text += &format!(", cnonce={}", Quoted(cnonce));
        }
        text
    }
}

/// As a device would write it, for [`Challenge::read`].
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", Quoted(&self.realm), Quoted(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", Quoted(opaque))?;
        }
        if let Some(algorithm) = self.algorithm {
            write!(f, ", algorithm={}", algorithm.name())?;
        }
        if self.counted { f.write_str(", qop=\"auth\"") } else { Ok(()) }
    }
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Md5, Self::Md5Session, Self::Sha256, Self::Sha256Session];

    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Session => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Session => "SHA-256-sess",
        }
    }

    fn is_session(self) -> bool {
        matches!(self, Self::Md5Session | Self::Sha256Session)
    }

    /// Of the parts with a colon between each two.
    fn hash(self, parts: &[&[u8]]) -> String {
        let whole = parts.join(&b':');
        match self {
            Self::Md5 | Self::Md5Session => hex::encode(Md5::digest(whole)),
            Self::Sha256 | Self::Sha256Session => hex::encode(Sha256::digest(whole)),
        }
    }
}

/// A quoted string (RFC 9110 section 5.6.4).
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// The bytes that a text of a challenge stands for.
pub(in crate::vendor) fn octets(text: &str) -> Vec<u8> {
    text.chars().filter_map(|char| u8::try_from(char).ok()).collect()
}

/// Every challenge in a header's value that we can answer.
fn all(value: &[u8]) -> Vec<Challenge> {
    let text = percent_encode(value, NO_TEXT).to_string();
    ChallengeParser::new(&text).map_while(Result::ok).filter_map(|challenge| one(&challenge)).collect()
}

fn one(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
    if !challenge.scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let algorithm = match parameter(challenge, "algorithm") {
        None => None,
        Some(name) => {
            Some(Algorithm::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(&name))?)
        }
    };
    let counted = match parameter(challenge, "qop") {
        None => false,
        Some(nothing) if nothing.trim().is_empty() => false,
        // `auth-int` alone would hash a body that is not at hand.
        Some(offers) => {
            offers.split(',').find(|offer| offer.trim().eq_ignore_ascii_case("auth")).map(|_| true)?
        }
    };
    Some(Challenge {
        realm: parameter(challenge, "realm")?,
        nonce: parameter(challenge, "nonce")?,
        opaque: parameter(challenge, "opaque"),
        algorithm,
        counted,
        stale: parameter(challenge, "stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
    })
}

fn parameter(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    let found = challenge.params.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    found.map(|(_, value)| percent_decode_str(&value.to_unescaped()).map(char::from).collect())
}
