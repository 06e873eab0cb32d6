//! The check of HTTP Digest: RFC 7616, and RFC 2069 where `qop` is missing.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use md5::Md5;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::gate::{Refusal, bad_request, sole};
use super::journal::target;
use super::token;
use crate::secret::Secret;

/// How many nonces are known before those that ended are forgotten.
const KNOWN: usize = 1000;

/// The hash that a digest is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5, which is what devices have.
    Md5,
    /// SHA-256, which RFC 7616 prefers.
    Sha256,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex::encode(Md5::digest(text)),
            Self::Sha256 => hex::encode(Sha256::digest(text)),
        }
    }
}

/// Hands out nonces and checks what is made of them.
pub(crate) struct Desk {
    realm: String,
    algorithm: Algorithm,
    qop: bool,
    lifetime: Duration,
    opaque: String,
    nonces: HashMap<String, Nonce>,
    challenges: usize,
    shares: bool,
    is_silent: bool,
    /// The nonce that was handed out last.
    latest: String,
    repeats: usize,
}

struct Nonce {
    ends: Instant,
    /// The highest `nc` that came with it, or all of them where it is for everybody.
    counts: BTreeSet<u64>,
}

impl Desk {
    /// A desk as most devices have it.
    pub(crate) fn new(realm: &str) -> Self {
        Self::with(realm, Algorithm::Md5, true, Duration::from_secs(300))
    }

    pub(crate) fn with(realm: &str, algorithm: Algorithm, qop: bool, lifetime: Duration) -> Self {
        Self {
            realm: realm.to_owned(),
            algorithm,
            qop,
            lifetime,
            opaque: token::random::<8>(),
            nonces: HashMap::new(),
            challenges: 0,
            shares: false,
            is_silent: false,
            latest: String::new(),
            repeats: 0,
        }
    }

    /// The same with one nonce at a time for everybody, whose counts may come in any order but each once.
    pub(crate) fn sharing(self, shares: bool) -> Self {
        Self { shares, ..self }
    }

    /// The same without a word of it where only the nonce was wrong.
    pub(crate) fn silent(self, is_silent: bool) -> Self {
        Self { is_silent, ..self }
    }

    /// How often a count came again.
    pub(crate) fn repeats(&self) -> usize {
        self.repeats
    }

    /// Every nonce reaches its end, and the desk still knows that it was one.
    pub(crate) fn lapse(&mut self) {
        let now = Instant::now();
        self.nonces.values_mut().for_each(|nonce| nonce.ends = now);
    }

    /// Every nonce is forgotten.
    pub(crate) fn forget(&mut self) {
        self.nonces.clear();
    }

    /// How often somebody was asked for a digest.
    pub(crate) fn challenges(&self) -> usize {
        self.challenges
    }

    /// Lets a request pass whose digest is right, fresh and its own.
    pub(crate) fn check(&mut self, head: &Parts, username: &str, password: &Secret) -> Result<(), Refusal> {
        let Some(shown) = sole(&head.headers, AUTHORIZATION.as_str())? else {
            return Err(self.challenge(false));
        };
        let shown = fields(shown).ok_or_else(bad_request)?;
        let field = |name: &str| shown.get(name).map_or("", String::as_str);
        let (nonce, count) = (field("nonce"), field("nc"));
        let counted = u64::from_str_radix(count, 16).ok().filter(|_| count.len() == 8);
        let algorithm = shown.get("algorithm").map_or("MD5", String::as_str);
        // The digest covers the target: one that is made for another target is another's.
        let ours = field("uri") == target(head)
            && field("opaque") == self.opaque
            && field("realm") == self.realm
            && algorithm == self.algorithm.name();
        let whole = !self.qop || field("qop") == "auth" && !field("cnonce").is_empty() && counted.is_some();
        if !ours || !whole {
            return Err(bad_request());
        }
        let sealed =
            if self.qop { format!("{nonce}:{count}:{}:auth", field("cnonce")) } else { nonce.to_owned() };
        let hash = |text: String| self.algorithm.hash(&text);
        let first = hash(format!("{username}:{}:{}", self.realm, password.expose()));
        let second = hash(format!("{}:{}", head.method, target(head)));
        if field("username") != username || field("response") != hash(format!("{first}:{sealed}:{second}")) {
            return Err(self.challenge(false));
        }
        match self.nonces.get_mut(nonce) {
            None => Err(self.challenge(false)),
            Some(known) if known.ends <= Instant::now() => Err(self.challenge(true)),
            Some(_) if !self.qop => Ok(()),
            Some(known) => {
                if counted.is_some_and(|count| known.takes(count, self.shares)) {
                    return Ok(());
                }
                self.repeats += 1;
                Err(self.challenge(!self.shares))
            }
        }
    }

    /// A nonce to prove something with. `stale` says that the password was right and only the nonce was not.
    fn challenge(&mut self, stale: bool) -> Refusal {
        let now = Instant::now();
        let goes_on = self.shares && self.nonces.get(&self.latest).is_some_and(|latest| now < latest.ends);
        let nonce = if goes_on { self.latest.clone() } else { self.open() };
        self.challenges += 1;
        let (realm, opaque, algorithm) = (&self.realm, &self.opaque, self.algorithm.name());
        let mut words = format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", opaque=\"{opaque}\"");
        if self.qop {
            words += ", qop=\"auth\"";
        }
        // RFC 2069 knows no other, so that MD5 goes without saying there.
        if self.qop || self.algorithm != Algorithm::Md5 {
            words = words + ", algorithm=" + algorithm;
        }
        if stale && !self.is_silent {
            words += ", stale=true";
        }
        let response: Response =
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, words)], "401\n").into_response();
        Box::new(response)
    }

    /// A fresh nonce.
    fn open(&mut self) -> String {
        let nonce = token::random::<16>();
        if self.nonces.len() >= KNOWN {
            let now = Instant::now();
            self.nonces.retain(|_, known| now < known.ends);
        }
        let ends = Instant::now() + self.lifetime;
        self.nonces.insert(nonce.clone(), Nonce { ends, counts: BTreeSet::new() });
        self.latest.clone_from(&nonce);
        nonce
    }
}

impl Nonce {
    /// Whether this count has not come yet: in order, or in any.
    fn takes(&mut self, count: u64, in_any_order: bool) -> bool {
        if !in_any_order {
            if self.counts.last().is_some_and(|last| count <= *last) {
                return false;
            }
            self.counts.clear();
        }
        self.counts.insert(count)
    }
}

/// The parameters of a `Digest` credential; `None` when it is none, or one of them came twice.
fn fields(shown: &str) -> Option<HashMap<String, String>> {
    let (scheme, mut rest) = shown.split_once(' ')?;
    let mut found = HashMap::new();
    while !rest.trim().is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = unquoted(quoted)?;
                (value, after.trim_start().strip_prefix(',').unwrap_or(after.trim_start()))
            }
            None => {
                let (value, after) = after.split_once(',').unwrap_or((after, ""));
                (value.trim().to_owned(), after)
            }
        };
        if found.insert(name.trim().to_ascii_lowercase(), value).is_some() {
            return None;
        }
        rest = after;
    }
    scheme.eq_ignore_ascii_case("Digest").then_some(found)
}

/// A quoted string, its backslashes resolved, and what follows its closing quote.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests;
