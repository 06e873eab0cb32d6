//! What HTTP says of keeping an answer (RFC 9111), and what devices mean by it.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, request};
use http_cache_semantics::{CacheOptions, CachePolicy};

use super::MOST;
use crate::clock::Timestamp;
use crate::config::Freshness;
use crate::fields;
use crate::gateway::route::Hop;
use crate::upstream::{is_event_stream, is_of_type};
use crate::vendor::cookie_name;

/// Dates in a response, whose forms of the last century our library does not read.
const DATES: [HeaderName; 3] = [header::DATE, header::EXPIRES, header::LAST_MODIFIED];

/// More seconds than anything is good for (RFC 9111 section 1.2.2), and as old as one is taken to be that says it
/// illegibly.
const LONGEST: Duration = Duration::from_secs(1 << 31);

/// What an answer says of itself that no other may take its place for (RFC 9111 section 4.2.4).
const NEVER_STALE: [&str; 4] = ["must-revalidate", "no-cache", "proxy-revalidate", "s-maxage"];

/// What a caller says to us, or on a site of the device's own with nothing in it: no device decides by it.
const NOT_FOR_DEVICES: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::HOST];

/// One picture after the other, without end, as cameras send them.
const PICTURES: &[u8] = b"multipart/x-mixed-replace";

/// The directives of a header such as `Cache-Control`, names in lower case, values without their quotes. Each is read by
/// itself: what is no text in one says nothing of the others.
pub(super) fn directives<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
) -> impl Iterator<Item = (String, Option<Cow<'a, str>>)> + use<'a> {
    parts(headers, header).map(|directive| {
        let mut halves = directive.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let value = halves.next().map(|value| String::from_utf8_lossy(unquoted(value.trim_ascii())));
        (String::from_utf8(name).unwrap_or_default(), value)
    })
}

/// What stands between the commas of a header.
fn parts<'a>(headers: &'a HeaderMap, header: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers.get_all(header).into_iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
}

fn unquoted(mut value: &[u8]) -> &[u8] {
    while let [b'"', rest @ ..] | [rest @ .., b'"'] = value {
        value = rest;
    }
    value
}

/// Whether an answer says this of itself.
pub(super) fn says(headers: &HeaderMap, directive: &str) -> bool {
    directives(headers, &header::CACHE_CONTROL).any(|(name, _)| name == directive)
}

/// Whether the answer for one is an answer for all who ask the same.
pub(super) fn is_shareable(hop: &Hop, headers: &HeaderMap) -> bool {
    let is_personal = |line: &HeaderValue| {
        let name = line.to_str().map(cookie_name).unwrap_or_default();
        !hop.device.vendor.carriers().cookies.has(name)
    };
    !is_event_stream(headers)
        && !is_of_type(headers, PICTURES)
        && length(headers).is_none_or(|length| length <= MOST as u64)
        && !headers.get_all(header::SET_COOKIE).iter().any(is_personal)
        && !varying(headers).any(|name| name == "*")
}

/// Whether answers of this status may be kept: where the device decides for how long, redirections too.
pub(super) fn is_keepable(status: StatusCode, freshness: Freshness) -> bool {
    let is_as_told = freshness == Freshness::AsTold && (status.is_success() || status.is_redirection());
    let is_of_another = [StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    status == StatusCode::OK || is_as_told && !is_of_another
}

/// The length that an answer says it has.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The names in `Vary`.
fn varying(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let names = parts(headers, &header::VARY).filter_map(|name| str::from_utf8(name.trim_ascii()).ok());
    names.filter(|name| !name.is_empty())
}

/// The headers of the request that an answer depends on, as they were.
#[derive(Debug)]
pub(super) struct Varied(Vec<(HeaderName, Vec<HeaderValue>)>);

impl Varied {
    pub(super) fn of(asked: &request::Parts, headers: &HeaderMap) -> Self {
        let names = varying(headers).filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        let told = names.map(|name| {
            let told = values(asked, &name).map(fields::apart).collect();
            (name, told)
        });
        Self(told.collect())
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let value = |(name, values): &(HeaderName, Vec<HeaderValue>)| {
            name.as_str().len() + values.iter().map(HeaderValue::len).sum::<usize>()
        };
        self.0.iter().map(value).sum()
    }

    /// Whether another request says the same.
    pub(super) fn suits(&self, asked: &request::Parts) -> bool {
        self.0.iter().all(|(name, told)| values(asked, name).eq(told))
    }
}

fn values<'a>(
    asked: &'a request::Parts,
    name: &HeaderName,
) -> impl Iterator<Item = &'a HeaderValue> + use<'a> {
    asked.headers.get_all(name).into_iter()
}

/// A policy of RFC 9111 for an answer, as a shared cache has it.
pub(super) fn policy(
    hop: &Hop,
    asked: &request::Parts,
    status: StatusCode,
    headers: &HeaderMap,
    now: Timestamp,
) -> CachePolicy {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = fields::all_apart(&tamed(headers));
    let age = HeaderValue::from(initial_age(headers, now).as_secs());
    response.headers_mut().insert(header::AGE, age);
    let mut request = seen(hop, asked);
    // It keeps all of it, and asks for no more than this.
    let asked_for: Vec<_> = [header::CACHE_CONTROL, header::PRAGMA]
        .into_iter()
        .chain(varying(headers).filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()))
        .collect();
    let kept = request.headers().iter().filter(|(name, _)| asked_for.contains(name));
    *request.headers_mut() = kept.map(|(name, value)| (name.clone(), fields::apart(value))).collect();
    CachePolicy::new_options(&request, &response, wall(now), CacheOptions::default())
}

/// The request as a policy is to see it: wherever the caller found us, it is the device that was asked.
pub(super) fn seen(hop: &Hop, asked: &request::Parts) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = asked.method.clone();
    *request.uri_mut() = hop.target.clone();
    *request.headers_mut() = asked.headers.clone();
    for name in NOT_FOR_DEVICES {
        request.headers_mut().remove(name);
    }
    plain_directives(request.headers_mut());
    request
}

/// Whether the answer forbids that it is given when it is stale.
pub(super) fn is_never_stale(headers: &HeaderMap) -> bool {
    NEVER_STALE.iter().any(|directive| says(headers, directive))
}

pub(super) fn wall(now: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + now.since(Timestamp::from_millis(0))
}

/// How old an answer is when it arrives (RFC 9111 section 4.2.3), after caches between the device and us. One that
/// says it twice or illegibly may be of any age.
pub(super) fn initial_age(headers: &HeaderMap, now: Timestamp) -> Duration {
    let mut lines = headers.get_all(header::AGE).iter();
    let told = match (lines.next(), lines.next()) {
        (None, _) => Duration::ZERO,
        (Some(age), None) => age_of(age).unwrap_or(LONGEST),
        (Some(_), Some(_)) => LONGEST,
    };
    let date = headers.get(header::DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let apparent = date.map_or(Duration::ZERO, |date| now.since(Timestamp::from(date)));
    told.max(apparent).min(LONGEST)
}

fn age_of(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// Whether the device's "not modified" is about this answer: it names the same validator, or none, since it was asked
/// about this one alone (RFC 9111 section 4.3.4).
pub(super) fn is_about(told: &HeaderMap, stored: &HeaderMap) -> bool {
    let strength = |tag: &HeaderValue| tag.as_bytes().strip_prefix(b"W/").unwrap_or(tag.as_bytes()).to_vec();
    match (told.get(header::ETAG), told.get(header::LAST_MODIFIED)) {
        (Some(tag), _) => stored.get(header::ETAG).map(strength) == Some(strength(tag)),
        (None, Some(date)) => stored.get(header::LAST_MODIFIED).is_none_or(|stored| stored == date),
        (None, None) => true,
    }
}

/// How old an answer says it is.
pub(super) fn told_age(headers: &HeaderMap) -> Duration {
    headers.get(header::AGE).and_then(age_of).unwrap_or_default().min(LONGEST)
}

/// Headers as our library can read them: all dates in the one form that is written today (RFC 9110 section 5.6.7), and
/// no number of seconds that it would stumble over (RFC 9111 section 1.2.2).
pub(super) fn tamed(headers: &HeaderMap) -> HeaderMap {
    let mut tamed = headers.clone();
    for name in DATES {
        let read = headers.get(&name).and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok());
        if let Some(date) = read
            && let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(date))
        {
            tamed.insert(name, value);
        }
    }
    let is_long =
        |value: &str| value.parse().map_or(value.len() > 9, |seconds: u64| seconds > LONGEST.as_secs());
    let is_wild = |value: &str| value.bytes().all(|byte| byte.is_ascii_digit()) && is_long(value);
    plain_directives(&mut tamed);
    if directives(&tamed, &header::CACHE_CONTROL).any(|(_, value)| value.is_some_and(|it| is_wild(&it))) {
        let written = directives(&tamed, &header::CACHE_CONTROL).map(|(name, value)| match value {
            Some(value) if is_wild(&value) => format!("{name}={}", LONGEST.as_secs()),
            Some(value) => format!("{name}=\"{value}\""),
            None => name,
        });
        let written = written.collect::<Vec<_>>().join(", ");
        tamed.remove(header::CACHE_CONTROL);
        tamed.extend(HeaderValue::from_str(&written).ok().map(|value| (header::CACHE_CONTROL, value)));
    }
    tamed
}

/// Directives in lower case and without what is not ASCII: they mean the same in any case (RFC 9111 section 5.2), but not
/// to our library, which also passes over a whole line for one letter.
fn plain_directives(headers: &mut HeaderMap) {
    let plain = |byte: &u8| if byte.is_ascii() { byte.to_ascii_lowercase() } else { b'?' };
    if let header::Entry::Occupied(mut lines) = headers.entry(header::CACHE_CONTROL) {
        for line in lines.iter_mut() {
            let bytes: Vec<_> = line.as_bytes().iter().map(plain).collect();
            if let Ok(plain) = HeaderValue::from_bytes(&bytes) {
                *line = plain;
            }
        }
    }
}
