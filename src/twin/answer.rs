//! Answers that more than one make gives.

use std::fmt::Write as _;

use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

/// A body of a type, both as given; no type at all where it is empty.
pub(crate) fn typed(status: StatusCode, kind: &'static str, body: impl Into<String>) -> Response {
    let mut response = (status, body.into()).into_response();
    if kind.is_empty() {
        response.headers_mut().remove(CONTENT_TYPE);
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

/// JSON.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    typed(status, "application/json", body.to_string())
}

/// A short page.
pub(crate) fn html(status: StatusCode, title: &str) -> Response {
    let page = format!(
        "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    );
    typed(status, "text/html; charset=utf-8", page)
}

/// A front page for a make that no recording shows one of, so that a visitor of the demo finds something.
pub(crate) fn front() -> Response {
    html(StatusCode::OK, "A simulated device: its readings are at twin/sample")
}

/// A redirect to `location`, written as it is.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => (status, [(LOCATION, location)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// JSON as plain XML: a member becomes an element, a list's item one of the list's name.
pub(crate) fn xml(root: &str, body: &Value) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>");
    element(&mut text, root, body);
    text
}

fn element(text: &mut String, name: &str, value: &Value) {
    if let Value::Array(items) = value {
        items.iter().for_each(|item| element(text, name, item));
        return;
    }
    // Writing to a string can't fail.
    let _ = write!(text, "<{name}>");
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| element(text, name, value)),
        Value::String(words) => {
            text.push_str(&words.replace('&', "&amp;").replace('<', "&lt;"));
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
    let _ = write!(text, "</{name}>");
}

/// Whether `Accept` names this media type.
pub(crate) fn accepts(asked: &HeaderMap, kind: &str) -> bool {
    let lines = asked.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .any(|range| range.split(';').next().is_some_and(|range| range.trim().eq_ignore_ascii_case(kind)))
}
