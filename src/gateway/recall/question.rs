//! Which requests may be answered from memory or together with others, and what tells one from another.

use std::time::Duration;

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;

use super::semantics::directives;
use crate::config::Freshness;
use crate::fields;
use crate::gateway::connection::nominated;
use crate::gateway::{Trip, permit};

/// What makes a request one of its kind: it has a body, asks for a part, on a condition, for another protocol, for
/// trailers.
const PARTICULAR: [HeaderName; 10] = [
    header::CONTENT_LENGTH,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Words in the names of headers by which a device may know its caller, or take a GET for something else.
/// `Authorization`, which is among the usual, reaches none.
const TELLING: [&str; 6] = ["auth", "key", "method", "secret", "session", "token"];

/// What every client sends, so that its name need not be looked through.
const USUAL: [HeaderName; 8] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::HOST,
    header::USER_AGENT,
];

/// What may change an answer without the device saying so.
const ACCEPTS: [HeaderName; 3] = [header::ACCEPT, header::ACCEPT_ENCODING, header::ACCEPT_LANGUAGE];

/// What is asked for, and in which form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    target: Option<PathAndQuery>,
    accepts: [Option<HeaderValue>; 3],
}

impl Key {
    /// What this asks for.
    pub(super) fn of(trip: &Trip) -> Self {
        Self {
            target: trip.hop.target.path_and_query().cloned(),
            accepts: accepts(trip).map(Option::<&HeaderValue>::cloned),
        }
    }

    /// The same in memory of its own.
    pub(super) fn apart(&self) -> Self {
        let accepts = self.accepts.each_ref().map(|accept| accept.as_ref().map(fields::apart));
        Self { target: self.target.clone(), accepts }
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let accepts = self.accepts.iter().flatten().map(HeaderValue::len).sum::<usize>();
        self.target.as_ref().map_or(0, |target| target.as_str().len()) + accepts
    }
}

/// Whether both of these, which are [questions](question), have the same [`Key`].
pub(super) fn are_same(one: &Trip, other: &Trip) -> bool {
    one.hop.target.path_and_query() == other.hop.target.path_and_query() && accepts(one) == accepts(other)
}

/// A GET that may be answered from memory, or together with others.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Question {
    /// How long the answer may be given from memory.
    pub(super) freshness: Freshness,
    /// Whether the caller takes what others got or are getting.
    pub(super) shares: bool,
    /// Of what age at the most.
    pub(super) most_age: Option<Duration>,
    /// Whether the answer may be kept.
    pub(super) is_kept: bool,
}

/// What this request asks for, if it is a GET like others: what changes something or is particular is left alone.
pub(in crate::gateway) fn question(Trip { head: asked, hop, .. }: &Trip) -> Option<Question> {
    let headers = &asked.headers;
    let is_telling = |name: &HeaderName| TELLING.iter().any(|word| name.as_str().contains(word));
    let is_particular =
        |name: &HeaderName| !USUAL.contains(name) && (PARTICULAR.contains(name) || is_telling(name));
    // On a site of its own a device may know the caller by a cookie.
    let is_personal = || hop.is_own_site() && fields::has(headers, header::COOKIE);
    if asked.method != Method::GET
        || headers.keys().any(is_particular)
        || !nominated(headers).is_empty()
        || hop.device.private.iter().any(|pattern| hop.falls_under(pattern))
        || is_personal()
        || permit::is_acting_get(hop, asked)
        // Whoever sends two lines of one name is left alone.
        || ACCEPTS.into_iter().any(|name| fields::all(headers, name).nth(1).is_some())
    {
        return None;
    }
    let rules = &hop.device.recall.rules().cache;
    let rule = rules.rules.iter().find(|(pattern, _)| hop.falls_under(pattern));
    let freshness = rule.map_or(rules.default, |(_, freshness)| *freshness);
    let mut question = Question { freshness, shares: true, most_age: None, is_kept: true };
    if fields::has(headers, header::CACHE_CONTROL) || fields::has(headers, header::PRAGMA) {
        question.heed(headers);
    }
    Some(question)
}

impl Question {
    /// What the caller says of memory (RFC 9111 section 5.2.1; 5.4 of `Pragma`).
    fn heed(&mut self, headers: &HeaderMap) {
        let is_plain = !fields::has(headers, header::CACHE_CONTROL);
        if is_plain && directives(headers, &header::PRAGMA).any(|(name, _)| name == "no-cache") {
            self.shares = false;
        }
        for (name, value) in directives(headers, &header::CACHE_CONTROL) {
            match name.as_str() {
                "no-cache" => self.shares = false,
                "no-store" => self.is_kept = false,
                "max-age" => match value.and_then(|value| value.parse().ok()) {
                    Some(0) | None => self.shares = false,
                    Some(seconds) => self.most_age = Some(Duration::from_secs(seconds)),
                },
                _ => {}
            }
        }
    }
}

/// In which form it is asked for.
fn accepts(trip: &Trip) -> [Option<&HeaderValue>; 3] {
    ACCEPTS.map(|name| fields::first(&trip.head.headers, name))
}
