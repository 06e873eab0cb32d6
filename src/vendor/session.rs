//! What a login yields.

use std::collections::HashMap;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request;

use super::Refusal;
use super::visit::date;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// The start of 2010: whoever shows no clock and sets a cookie that ended before takes it back.
const LONG_PAST: Timestamp = Timestamp::from_seconds(1_262_304_000);

/// What a login yields, as data, so that any store can keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// What goes onto every request.
    pub stamps: Vec<Stamp>,
    /// When it ends by our clock, where that is known.
    pub expires_at: Option<Timestamp>,
    /// What else the make has to remember.
    pub memo: HashMap<String, Secret>,
    /// Whether it outlives this process. Fixed credentials are in the configuration already.
    pub lasts: bool,
}

/// One thing that goes onto every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// A header of this name.
    Header(HeaderName, Secret),
    /// A cookie.
    Cookie(String, Secret),
    /// A query parameter, appended to those of the caller.
    Query(String, Secret),
}

impl Session {
    /// A session of fixed credentials: it neither ends nor is saved.
    pub fn fixed(stamps: Vec<Stamp>) -> Self {
        Self { stamps, ..Self::default() }
    }

    /// Puts every stamp onto a request, all or none.
    ///
    /// # Errors
    /// When a stamp can't stand in a request.
    pub fn stamp(&self, head: &mut request::Parts) -> Result<(), Refusal> {
        // What most makes have needs no list.
        if let [Stamp::Header(name, value)] = self.stamps.as_slice() {
            head.headers.append(name.clone(), header_value(value)?);
            return Ok(());
        }
        let mut headers = Vec::new();
        let mut cookies = Vec::new();
        let mut query = None;
        for stamp in &self.stamps {
            match stamp {
                Stamp::Header(name, value) => headers.push((name.clone(), header_value(value)?)),
                Stamp::Cookie(name, value) => cookies.push(format!("{name}={}", value.expose())),
                Stamp::Query(name, value) => {
                    query
                        .get_or_insert_with(|| form_urlencoded::Serializer::new(String::new()))
                        .append_pair(name, value.expose());
                }
            }
        }
        if !cookies.is_empty() {
            // They go into one line with those of the caller (RFC 6265 section 5.4).
            let others = head.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
            let all: Vec<_> = others.chain(cookies.iter().map(String::as_str)).collect();
            headers.push((header::COOKIE, header_value(&Secret::new(all.join("; ")))?));
        }
        if let Some(mut query) = query {
            let uri = &head.uri;
            let separator = if uri.query().is_some() { "&" } else { "?" };
            let target = uri.path_and_query().map_or("/", |target| target.as_str());
            head.uri = format!("{target}{separator}{}", query.finish())
                .parse()
                .map_err(|_| Refusal::Odd("the query parameter can't stand in a request".to_owned()))?;
        }
        for (name, value) in headers {
            match name {
                header::COOKIE => drop(head.headers.insert(name, value)),
                _ => drop(head.headers.append(name, value)),
            }
        }
        Ok(())
    }
}

/// The value of a cookie that a device or cloud hands out, unless it takes it back in the same answer.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let mut given = headers.get_all(header::SET_COOKIE).iter().filter_map(|line| {
        let (pair, attributes) = line.to_str().ok()?.split_once(';').unwrap_or((line.to_str().ok()?, ""));
        let (given, value) = pair.split_once('=')?;
        (given.trim() == name).then(|| (value.trim().trim_matches('"'), attributes))
    });
    let (value, attributes) = given.next_back()?;
    let is_given = !["", "deleted"].contains(&value) && !has_ended(attributes, headers);
    is_given.then(|| Secret::from(value))
}

/// Whether a cookie with these attributes is to be forgotten (RFC 6265 sections 3.1, 5.3), by the clock of whoever sets it.
fn has_ended(attributes: &str, headers: &HeaderMap) -> bool {
    let attribute = |name: &str| {
        let all = attributes.split(';').filter_map(|attribute| attribute.split_once('='));
        let mut given = all.filter(|(given, _)| given.trim().eq_ignore_ascii_case(name));
        given.next_back().map(|(_, value)| value.trim())
    };
    if let Some(seconds) = attribute("max-age").and_then(|seconds| seconds.parse::<i64>().ok()) {
        return seconds <= 0;
    }
    // Many write the day with dashes, as the first cookies had it.
    let end = attribute("expires").map(|end| end.replace('-', " "));
    let end = end.and_then(|end| httpdate::parse_http_date(&end).ok()).map(Timestamp::from);
    end.is_some_and(|end| end <= date(headers).unwrap_or(LONG_PAST))
}

/// The name of a cookie in a `Cookie` or `Set-Cookie` (RFC 6265 section 4).
pub fn cookie_name(pair: &str) -> &str {
    pair.split(';').next().and_then(|pair| pair.split('=').next()).unwrap_or_default().trim()
}

/// A sensitive header value of a secret.
pub(super) fn header_value(secret: &Secret) -> Result<HeaderValue, Refusal> {
    secret
        .header_value()
        .map_err(|_| Refusal::Person("a credential holds a character that no header can carry".to_owned()))
}
