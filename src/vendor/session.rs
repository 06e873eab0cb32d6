//! What a login yields.

use std::collections::BTreeMap;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request;

use super::Refusal;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// What a login yields, as data, so that any store can keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// What goes onto every request.
    pub stamps: Vec<Stamp>,
    /// When it ends by our clock, where that is known.
    pub expires_at: Option<Timestamp>,
    /// What else the make has to remember.
    pub memo: BTreeMap<String, Secret>,
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

/// The value of a cookie that a device or cloud hands out; one that it takes back has none.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let mut given = headers.get_all(header::SET_COOKIE).iter().filter_map(|line| {
        let (given, value) = line.to_str().ok()?.split(';').next()?.split_once('=')?;
        (given.trim() == name).then(|| value.trim().trim_matches('"'))
    });
    given.next_back().filter(|value| !value.is_empty()).map(Secret::from)
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
