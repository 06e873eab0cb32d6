//! What the page is drawn and kept up to date with.

use axum::response::Response;
use http::header::{self, HeaderValue};

use crate::gateway::problem::with_type;

/// How the page looks.
pub(in crate::gateway) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("page.css"))
}

/// What keeps it up to date.
pub(in crate::gateway) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("page.js"))
}

/// What it is known by among others.
pub(in crate::gateway) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("icon.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let mut response = with_type(kind, text);
    // Another version of keyward has others at the same place.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
