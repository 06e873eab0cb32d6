//! What makes have in common whose credential is what it is: nothing to log in for, nothing to renew.

use http::{StatusCode, header, response};

use super::Verdict;

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
