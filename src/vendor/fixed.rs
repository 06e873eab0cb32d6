//! What makes have in common whose credential is what it is: nothing to log in for, nothing to renew.

use http::{HeaderName, StatusCode, header, response};

use super::Verdict;
use crate::config::Section;

/// Headers that frame or route a message: whoever sends it sets them anew.
const NOT_OURS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// A header's name, if that header can carry a credential.
pub(super) fn carrier(section: &mut Section<'_>, key: &'static str, name: &str) -> Option<HeaderName> {
    let Ok(name) = name.parse::<HeaderName>() else {
        section.refuse(key, "this is no header name; such names are of letters, digits and `-`");
        return None;
    };
    if NOT_OURS.contains(&name.as_str()) {
        section.refuse(key, format!("`{name}` belongs to the connection and can't carry a credential"));
        return None;
    }
    Some(name)
}

/// A 401 to a credential that can't be renewed means that it is wrong; `advice` says what to do.
pub(super) fn judge(answered: &response::Parts, advice: &str) -> Verdict {
    if answered.status == StatusCode::UNAUTHORIZED {
        Verdict::Refused(advice.to_owned())
    } else {
        Verdict::Pass
    }
}

/// The path that a redirect leads to, without its query.
pub(super) fn redirected_to(answered: &response::Parts) -> Option<&str> {
    let moved =
        matches!(answered.status, StatusCode::FOUND | StatusCode::SEE_OTHER | StatusCode::TEMPORARY_REDIRECT);
    let location = answered.headers.get(header::LOCATION).filter(|_| moved)?.to_str().ok()?;
    let plain = location.split(['?', '#']).next()?;
    match plain.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)),
        None => Some(plain),
    }
}
