//! keyward's own endpoints. They answer from memory: no device is asked, nobody is logged in.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::admit::{Admitted, Arrival};
use super::condition::condition;
use super::fault::Fault;
use super::problem::with_type;
use super::{Device, Gateway, page, refuse};

/// Where they are.
const PATHS: [&str; 12] = [
    "/",
    "/-/devices",
    "/-/icon.svg",
    "/-/live",
    "/-/page.css",
    "/-/page.js",
    "/-/trust",
    "/favicon.ico",
    "/healthz",
    "/metrics",
    "/readyz",
    "/robots.txt",
];
/// What most of them know.
const READING: &str = "GET, HEAD";

/// Whether a path is one of ours.
pub(super) fn has(path: &str) -> bool {
    PATHS.contains(&path)
}

/// Our endpoints. Who asks for them has been admitted.
pub(super) fn endpoints() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/", own(get(page::first)))
        .route("/-/live", own(get(page::live)))
        .route("/-/page.css", own(get(page::style)))
        .route("/-/page.js", own(get(page::script)))
        .route("/-/icon.svg", own(get(page::icon)))
        .route("/-/trust", known(post(page::accept), "POST"))
        .route("/metrics", own(get(metrics)))
        .route("/-/devices", own(get(list)))
        // Browsers and crawlers ask for these by themselves; it is no mistake of theirs.
        .route("/favicon.ico", own(get(async || StatusCode::NO_CONTENT)))
        .route("/robots.txt", own(get(async || with_type("text/plain", "User-agent: *\nDisallow: /\n"))))
        .layer(Extension(page::Streams::default()))
        .route_layer(middleware::from_fn(permit))
        .route("/readyz", own(get(ready)))
        .route("/healthz", own(get(async || with_type("text/plain; charset=utf-8", "ok\n"))))
}

/// A route that knows GET and HEAD.
fn own(route: MethodRouter<Arc<Gateway>>) -> MethodRouter<Arc<Gateway>> {
    known(route, READING)
}

/// A route that knows these methods.
fn known(route: MethodRouter<Arc<Gateway>>, methods: &'static str) -> MethodRouter<Arc<Gateway>> {
    route.fallback(async move |Extension(arrival): Extension<Arrival>, request: Request| {
        let (head, _) = request.into_parts();
        refuse(&Fault::method(methods), &head, &arrival)
    })
}

/// A key may open less than what tells of all devices.
async fn permit(
    Extension(admitted): Extension<Admitted>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(fault) = admitted.shown.permit_own(request.method()) {
        let (head, _) = request.into_parts();
        return refuse(&fault, &head, &arrival);
    }
    next.run(request).await
}

/// Whether this process is ready is no secret; what it is ready for is, where keys are set.
async fn ready(
    State(gateway): State<Arc<Gateway>>,
    Extension(admitted): Extension<Admitted>,
    method: Method,
) -> Response {
    let house = gateway.house.load();
    let is_configured = house.welcome.is_none();
    let ready = is_configured && !gateway.closing.is_cancelled() && gateway.is_open.load(Ordering::Relaxed);
    let device = |device: &Arc<Device>| json!({ "name": device.name, "state": condition(device).name });
    let mut response = as_json(&match admitted.shown.permit_own(&method) {
        Ok(()) => {
            let devices: Vec<_> = house.devices.iter().map(device).collect();
            json!({ "ready": ready, "devices": devices })
        }
        Err(_) => json!({ "ready": ready }),
    });
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    for device in &gateway.house.load().devices {
        device.figures.session_ends(device.keeper.snapshot().expires_at);
        device.figures.taken_over(device.upstream.pinned().and_then(|pinned| pinned.taken_over_at));
    }
    match gateway.metrics.text() {
        Ok(text) => with_type("text/plain; version=0.0.4; charset=utf-8", text),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn list(State(gateway): State<Arc<Gateway>>) -> Response {
    let devices: Vec<_> = gateway.house.load().devices.iter().map(|device| describe(device)).collect();
    as_json(&json!({ "devices": devices }))
}

fn as_json(value: &Value) -> Response {
    let mut response = with_type("application/json", Body::from(format!("{value}\n")));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn describe(device: &Device) -> Value {
    let how = condition(device);
    let session = device.keeper.snapshot();
    let pinned = device.upstream.pinned();
    let shown =
        device.upstream.certificate().or_else(|| pinned.as_ref().map(|pinned| pinned.certificate.clone()));
    let (requests, errors, logins) = device.figures.totals();
    let (hits, misses) = device.figures.recalls();
    json!({
        "name": device.name,
        "vendor": device.make.name,
        "url": device.url.to_string(),
        "prefix": format!("/{}/", device.name),
        "state": how.name,
        "fault": how.fault,
        "detail": how.detail,
        "session": { "expires_at": session.expires_at, "renewed_at": session.renewed_at },
        "certificate": {
            "sha256": shown.as_ref().map(crate::upstream::Certificate::fingerprint),
            "subject": shown.as_ref().map(|shown| &shown.subject),
            "not_after": shown.as_ref().map(|shown| shown.not_after),
            "pinned_at": pinned.map(|pinned| pinned.pinned_at),
        },
        "requests": requests,
        "errors": errors,
        "logins": logins,
        "cache": { "hits": hits, "misses": misses },
    })
}
