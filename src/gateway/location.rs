//! Where a device sends its callers, in terms of this door.
//!
//! A reference is read as browsers read it (the URL standard of the WHATWG), since it is they who could be led from
//! one device to another: to them a backslash is a slash, a tab is nothing, `%2e` is a dot and `http:x` is relative.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request;
use url::Url;

use super::route::{self, Hop};

/// The fields that refer to where something is (RFC 9110 sections 8.7 and 10.2.2).
pub(super) const REWRITTEN: [HeaderName; 2] = [header::LOCATION, header::CONTENT_LOCATION];

/// Rewrites a reference to the device, or to `localhost` as some say, to where the device is behind this door. One that
/// leads there by itself stays as it is, and so does one to elsewhere, unless that is another device's.
pub(super) fn rewrite(hop: &Hop, asked: &request::Parts, value: &HeaderValue) -> HeaderValue {
    let told = String::from_utf8_lossy(value.as_bytes());
    let rewritten = at_door(hop, asked, &told);
    rewritten.and_then(|location| HeaderValue::from_str(&location).ok()).unwrap_or_else(|| value.clone())
}

/// The fields, beside those that are [rewritten](rewrite), in which a device quotes the credential that it got in its
/// query: by `Refresh`, `Link` or a name of its own it would go where it leads.
pub(super) fn quoting(hop: &Hop, told: &HeaderMap) -> Vec<HeaderName> {
    let carriers = hop.device.vendor.carriers().query;
    if carriers.is_empty() {
        return Vec::new();
    }
    let quotes = |value: &HeaderValue| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.split('?').skip(1).any(|query| route::without(query, &carriers) != query)
    };
    let quoting = told.iter().filter(|(name, value)| !REWRITTEN.contains(name) && quotes(value));
    quoting.map(|(name, _)| name.clone()).collect()
}

fn at_door(hop: &Hop, asked: &request::Parts, told: &str) -> Option<String> {
    let page = Url::parse(&format!("{}{}", hop.device.origin(), hop.target)).ok()?;
    let doors = doors(hop, asked);
    let meant = page.join(&without_backslashes(told)).or_else(|_| page.join(told)).ok();
    if let Some(meant) = meant.filter(|meant| is_on_device(hop, &page, meant)) {
        let rewritten = below_prefix(hop, &meant).unwrap_or_else(|| beside(hop, &meant));
        let leads_there = |door: &Url| door.join(told) == door.join(&rewritten);
        let stays = !doors.is_empty() && doors.iter().all(leads_there);
        return (!stays).then_some(rewritten);
    }
    let led =
        doors.iter().find_map(|door| door.join(told).ok().filter(|led| led.origin() == door.origin()))?;
    // Another device of this door is not this one's to send anybody to.
    below(led.path(), &format!("{}{}", hop.base, hop.prefix())).is_none().then(|| beside(hop, &led))
}

/// To a browser a backslash is a slash, to others a letter: encoded it is a letter to all.
fn without_backslashes(told: &str) -> String {
    let (path, rest) = told.split_at(told.find(['?', '#']).unwrap_or(told.len()));
    path.replace('\\', "%5C") + rest
}

/// What was asked for, as the caller's browser calls it; there may be TLS before this door, whether it speaks it or not.
fn doors(hop: &Hop, asked: &request::Parts) -> Vec<Url> {
    let host = str::from_utf8(hop.site.authority(&asked.headers)).unwrap_or_default();
    let (base, target) = (&hop.base, asked.uri.path_and_query().map_or("/", |target| target.as_str()));
    let doors = ["http", "https"].map(|scheme| Url::parse(&format!("{scheme}://{host}{base}{target}")));
    doors.into_iter().flatten().collect()
}

fn is_on_device(hop: &Hop, page: &Url, meant: &Url) -> bool {
    if !["http", "https"].contains(&meant.scheme()) {
        return false;
    }
    // Another port may be another service; none is what a device says that knows nothing of its own.
    let is_device =
        meant.host() == page.host() && meant.port().is_none_or(|port| port == hop.device.url.port());
    is_device || meant.host_str() == Some("localhost")
}

fn below_prefix(hop: &Hop, meant: &Url) -> Option<String> {
    let rest = below(meant.path(), hop.device.url.path())?;
    let before = match rest {
        // Two slashes at the start would make a host of what follows (RFC 3986 section 4.2).
        host if hop.is_own_site() && host.starts_with("//") => "/.",
        _ => hop.prefix(),
    };
    let slash = if rest.is_empty() { "/" } else { "" };
    let base = &hop.base;
    Some(format!("{base}{before}{rest}{slash}{}", after_path(hop, meant)))
}

/// What lies beside the base path is not behind this door.
fn beside(hop: &Hop, meant: &Url) -> String {
    format!("{}{}{}", hop.device.origin(), meant.path(), after_path(hop, meant))
}

fn below<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Query and fragment, without the credential that a device may have got in its query.
fn after_path(hop: &Hop, meant: &Url) -> String {
    let query = meant.query().map(|query| route::without(query, &hop.device.vendor.carriers().query));
    let query = query.filter(|query| !query.is_empty()).map(|query| format!("?{query}")).unwrap_or_default();
    let fragment = meant.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
    format!("{query}{fragment}")
}
