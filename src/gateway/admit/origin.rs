//! The pages that a browser asks for.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, request};

use crate::gateway::fault::{Fault, Kind, cut};

/// Lets in what no page of another origin has a browser ask. `secure`: the door speaks TLS. Gives the origin whose
/// pages may read the answer although it is not ours.
///
/// # Errors
/// [`Kind::OriginNotAllowed`], with the line of configuration that would allow the page.
pub(super) fn admit(
    asked: &request::Parts,
    secure: bool,
    listed: &[String],
) -> Result<Option<HeaderValue>, Fault> {
    let is_listed =
        |origin: &HeaderValue| listed.iter().any(|it| origin.as_bytes().eq_ignore_ascii_case(it.as_bytes()));
    let mut guest = None;
    for origin in asked.headers.get_all(header::ORIGIN) {
        if is_listed(origin) {
            guest = Some(origin.clone());
        } else if !is_own_origin(&asked.headers, secure, origin.as_bytes()) {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            return Err(foreign(&format!("pages of {:?}", cut(&origin)), Some(&origin)));
        }
    }
    if guest.is_some() {
        return Ok(guest);
    }
    match sec_fetch_site(&asked.headers) {
        Some("cross-site") if is_visit_of_first_page(asked) => Ok(None),
        Some("cross-site") => Err(foreign("pages of another site", None)),
        Some("same-site") if !asked.method.is_safe() => {
            Err(foreign("pages of another host of this site", None))
        }
        _ => Ok(None),
    }
}

/// A GET that changes something is guarded like a POST, although a browser sends it without an `Origin`. `device` is
/// asked; where that is a site of its own, `is_own_site`, a person may open its first page, though not with a query,
/// which could be an order. To a plain-http address in the LAN browsers don't say that it is a person who does so; of a
/// page that asks for it without a `Referer` nothing is known either, and it has no more than that page fetched.
/// `is_known`: its make says which paths act.
///
/// # Errors
/// [`Kind::OriginNotAllowed`] for a browser that does not prove to be on a page of ours.
pub(in crate::gateway) fn admit_acting_get(
    asked: &request::Parts,
    secure: bool,
    is_own_site: bool,
    device: &str,
    is_known: bool,
) -> Result<(), Fault> {
    let headers = &asked.headers;
    let is_browser = headers
        .get(header::USER_AGENT)
        .is_some_and(|agent| agent.as_bytes().windows(8).any(|window| window == b"Mozilla/"));
    let referred = headers
        .get(header::REFERER)
        .is_some_and(|referer| is_own_referer(headers, secure, referer.as_bytes()));
    // An origin that is neither ours nor listed has not come so far.
    let names_origin = headers.contains_key(header::ORIGIN);
    let proven = names_origin
        || sec_fetch_site(headers) == Some("same-origin")
        || referred
        || (is_own_site && asked.uri.query().is_none() && is_first_page(asked));
    if proven || (sec_fetch_site(headers) != Some("same-site") && !is_browser) {
        return Ok(());
    }
    let detail = match is_known {
        // Whoever switches this guard off for a make's own list has any page of the web switch the lights.
        true => format!(
            "a GET of this path changes something at {device}, so a browser is answered only on a page of this address: \
             ask from one, or with something else than a browser"
        ),
        false => format!(
            "a GET of this path may change something, so a browser is answered only on a page of this address: if it \
             changes nothing, tell keyward which paths do, under [devices.{device}] in proxy.toml: acts_on_get = [\"/path\"], \
             or [] if none does"
        ),
    };
    Err(Fault::new(Kind::OriginNotAllowed, detail))
}

fn foreign(whom: &str, origin: Option<&str>) -> Fault {
    // What is sandboxed has no origin to list.
    let way = match origin {
        Some("null") => {
            "a document of a device below its prefix has no rights: give the device a name of its own, under \
                         [devices.<name>] in proxy.toml: hosts = [\"<name>.localhost\"]"
                .to_owned()
        }
        _ => {
            let is_one = |origin: &&str| origin.contains("://") && cut(origin) == *origin;
            let origin = origin.filter(is_one).unwrap_or("https://its.address");
            format!(
                "open keyward itself in the address bar; to let scripts of that page ask, add it under [access] in \
                 proxy.toml: origins = [{origin:?}]"
            )
        }
    };
    Fault::new(Kind::OriginNotAllowed, format!("keyward does not answer {whom}: {way}"))
}

fn sec_fetch_site(headers: &HeaderMap) -> Option<&str> {
    headers.get("sec-fetch-site")?.to_str().ok()
}

/// Whether a browser says that a person opens the first page.
fn is_visit_of_first_page(asked: &request::Parts) -> bool {
    let is = |name: &str, expected: &str| asked.headers.get(name).is_some_and(|value| value == expected);
    asks_for_first_page(asked) && is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

/// The same, or that a browser says nothing of where the request for the first page comes from.
fn is_first_page(asked: &request::Parts) -> bool {
    let tells = |name: &HeaderName| name.as_str().starts_with("sec-fetch-") || *name == header::REFERER;
    is_visit_of_first_page(asked) || (asks_for_first_page(asked) && !asked.headers.keys().any(tells))
}

fn asks_for_first_page(asked: &request::Parts) -> bool {
    asked.method == Method::GET && asked.uri.path() == "/"
}

/// Whether this `Origin` is that of the door the request came by.
pub(in crate::gateway) fn is_own_origin(headers: &HeaderMap, secure: bool, origin: &[u8]) -> bool {
    let host = headers.get(header::HOST).map_or(&b""[..], header::HeaderValue::as_bytes);
    let (scheme, usual_port) = scheme(secure);
    let Some(authority) = strip_prefix_ignoring_case(origin, scheme) else { return false };
    let plain =
        |authority: &[u8]| authority.strip_suffix(usual_port).unwrap_or(authority).to_ascii_lowercase();
    !host.is_empty() && plain(authority) == plain(host)
}

/// Whether this `Referer` is a page of ours.
pub(in crate::gateway) fn is_own_referer(headers: &HeaderMap, secure: bool, referer: &[u8]) -> bool {
    let (scheme, _) = scheme(secure);
    let Some(rest) = strip_prefix_ignoring_case(referer, scheme) else { return false };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    is_own_origin(headers, secure, referer.get(..scheme.len() + end).unwrap_or_default())
}

/// How the origins of a door begin, and the port that they leave out.
fn scheme(secure: bool) -> (&'static [u8], &'static [u8]) {
    if secure { (b"https://", b":443") } else { (b"http://", b":80") }
}

fn strip_prefix_ignoring_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}
