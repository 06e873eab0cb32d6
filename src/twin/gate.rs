//! What stands before the routes of every make: note the arrival, check the credential, answer or refuse.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::EXPECT;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;

use super::face::Face;
use super::{Twin, common};

/// How much of a refused request's body is read before the refusal goes out.
const DRAINED: usize = 8 << 20;

/// A refusal, in the make's own words.
pub(crate) type Refusal = Box<Response>;

/// The check that a make does before any of its routes.
pub(crate) trait Gate: Twin {
    /// Lets a request pass, with headers that its answer is to carry, or refuses it.
    ///
    /// # Errors
    /// The refusal.
    fn admit(&self, head: &Parts) -> Result<HeaderMap, Refusal>;

    /// Finishes every answer, refusals too.
    fn finish(&self, _asked: &HeaderMap, response: Response) -> Response {
        response
    }
}

/// Puts the gate before the make's routes and the common ones.
pub(crate) fn guard(gate: Arc<dyn Gate>, routes: Router) -> Router {
    let routes = routes.merge(common::routes(Arc::clone(&gate)));
    Face::over(gate, routes).before(|gate, request, next| Box::pin(pass(gate, request, next))).router()
}

async fn pass(gate: Arc<dyn Gate>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let asked = head.headers.clone();
    let progress = gate.journal().enter(&head);
    let body = progress.count(body);
    let response = match gate.admit(&head) {
        Ok(carried) => {
            let mut response = next.run(Request::from_parts(head, body)).await;
            for (name, value) in &carried {
                response.headers_mut().append(name, value.clone());
            }
            response
        }
        Err(refusal) => {
            if !asked.contains_key(EXPECT) {
                drain(body).await;
            }
            *refusal
        }
    };
    let response = gate.finish(&asked, response);
    progress.answered(response.status());
    response
}

/// Reads a body to its end. Who answers before the end cuts the caller off mid-sentence, and the answer may be lost.
async fn drain(mut body: Body) {
    let mut left = DRAINED;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, bytes::Bytes::len);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}

/// The one value of a credential's header, or `None` when it is missing.
///
/// # Errors
/// 400 when it came twice, is not text, or came under a name that differs in underscores only: what servers make
/// of those differs, so none may ever arrive.
pub(crate) fn sole<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let same = |shown: &str| shown.len() == name.len() && shown.replace('_', "-").eq_ignore_ascii_case(name);
    let mut found = headers.iter().filter(|(shown, _)| same(shown.as_str()));
    let Some((shown, value)) = found.next() else { return Ok(None) };
    if found.next().is_some() || shown.as_str().contains('_') {
        return Err(bad_request());
    }
    value.to_str().map(Some).map_err(|_| bad_request())
}

/// The value of a cookie that came once.
///
/// # Errors
/// 400 when a cookie of that name came twice.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let lines = headers.get_all(http::header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(shown, _)| *shown == name).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(bad_request()),
        (value, None) => Ok(value),
    }
}

/// Whether the query has this pair's name, with or without a value.
pub(crate) fn asks(head: &Parts, name: &str) -> bool {
    let query = head.uri.query().unwrap_or_default();
    query.split('&').any(|pair| pair.split('=').next() == Some(name))
}

/// 400: this credential is not one credential.
pub(crate) fn bad_request() -> Refusal {
    Box::new((StatusCode::BAD_REQUEST, "exactly one credential is expected\n").into_response())
}
