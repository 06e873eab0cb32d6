//! The pages that a browser asks for.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, request};

use crate::fields;
use crate::gateway::fault::{Fault, Kind, cut};

/// How browsers call a door, and so where its own pages are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Site {
    /// By `http` and the `Host` they name.
    Plain,
    /// By `https` and the `Host` they name.
    Tls,
    /// As Home Assistant is called: it says by which host. By which scheme it does not always know.
    Ingress,
}

impl Site {
    /// That of a door that speaks TLS, or does not.
    pub(super) fn of(secure: bool) -> Self {
        if secure { Self::Tls } else { Self::Plain }
    }

    /// What the caller's browser has in its address bar before the path, but for the scheme: nothing where that is not
    /// known for certain.
    pub(in crate::gateway) fn authority(self, headers: &HeaderMap) -> &[u8] {
        let name = if self == Self::Ingress { FORWARDED_HOST } else { header::HOST };
        let mut hosts = fields::all(headers, name);
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.as_bytes(),
            _ => b"",
        }
    }

    /// How its origins begin, and the port that they leave out.
    fn schemes(self) -> &'static [(&'static [u8], &'static [u8])] {
        const SCHEMES: [(&[u8], &[u8]); 2] = [(b"http://", b":80"), (b"https://", b":443")];
        let [plain, tls] = SCHEMES.each_ref().map(std::slice::from_ref);
        match self {
            Self::Plain => plain,
            Self::Tls => tls,
            Self::Ingress => &SCHEMES,
        }
    }
}

/// The host by which the browser asked whoever passed the request on.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Where a browser says that the page is from which it asks (Fetch Metadata Request Headers).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets in what no page of another origin has a browser ask. Gives the origin whose pages may read the answer although it
/// is not ours.
///
/// # Errors
/// [`Kind::OriginNotAllowed`], with the line of configuration that would allow the page.
pub(super) fn admit(
    asked: &request::Parts,
    site: Site,
    listed: &[String],
) -> Result<Option<HeaderValue>, Fault> {
    let is_listed =
        |origin: &HeaderValue| listed.iter().any(|it| origin.as_bytes().eq_ignore_ascii_case(it.as_bytes()));
    let mut guest = None;
    for origin in fields::all(&asked.headers, header::ORIGIN) {
        if is_listed(origin) {
            guest = Some(origin.clone());
        } else if !is_own_origin(&asked.headers, site, origin.as_bytes()) {
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
    site: Site,
    is_own_site: bool,
    device: &str,
    is_known: bool,
) -> Result<(), Fault> {
    let headers = &asked.headers;
    let is_browser = headers
        .get(header::USER_AGENT)
        .is_some_and(|agent| agent.as_bytes().windows(8).any(|window| window == b"Mozilla/"));
    let referred =
        headers.get(header::REFERER).is_some_and(|referer| is_own_referer(headers, site, referer.as_bytes()));
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
    fields::first(headers, SEC_FETCH_SITE)?.to_str().ok()
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

/// Whether the browser says that the page which asks is of this door's own origin. Who says nothing is no such page.
pub(super) fn is_proven(asked: &request::Parts, site: Site) -> bool {
    match asked.headers.get(header::ORIGIN) {
        Some(origin) => is_own_origin(&asked.headers, site, origin.as_bytes()),
        None => sec_fetch_site(&asked.headers) == Some("same-origin"),
    }
}

/// Whether this `Origin` is that of the door the request came by.
pub(in crate::gateway) fn is_own_origin(headers: &HeaderMap, site: Site, origin: &[u8]) -> bool {
    let host = site.authority(headers);
    !host.is_empty()
        && site.schemes().iter().any(|(scheme, usual_port)| {
            let plain = |authority: &[u8]| {
                authority.strip_suffix(*usual_port).unwrap_or(authority).to_ascii_lowercase()
            };
            strip_prefix_ignoring_case(origin, scheme)
                .is_some_and(|authority| plain(authority) == plain(host))
        })
}

/// Whether this `Referer` is a page of ours.
pub(in crate::gateway) fn is_own_referer(headers: &HeaderMap, site: Site, referer: &[u8]) -> bool {
    site.schemes().iter().any(|(scheme, _)| {
        let Some(rest) = strip_prefix_ignoring_case(referer, scheme) else { return false };
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        is_own_origin(headers, site, referer.get(..scheme.len() + end).unwrap_or_default())
    })
}

fn strip_prefix_ignoring_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}
