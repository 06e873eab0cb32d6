//! The gateway's routes. Below `/api/` the form of every answer is `Accept`'s choice.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};

use super::{Form, Yombo, form};
use crate::secret::Secret;
use crate::twin::face::Face;
use crate::twin::gate::Refusal;
use crate::twin::readings::{Readings, whole};
use crate::twin::{answer, noise, token};

/// Where people log in.
pub(super) const LOGIN: &str = "/user/login";

/// The longest answer that is made into a page.
const PAGE: usize = 1 << 20;

pub(super) fn routes(gateway: Arc<Yombo>) -> Router {
    Face::of(gateway)
        .at("/api/v1/lib/devices", get, |gateway, ()| devices(gateway))
        .at("/api/v1/lib/devices/{device}/command/{command}", get, command)
        .at("/api/v1/device/{device}/command/{command}", get, command)
        .at("/api/v1/lib/auth_keys", get, |_, ()| keys())
        .at("/api/v1/lib/auth_keys/{key}/rotate", get, rotate)
        .at("/api/v1/system/backup", get, |_, ()| noise(0, 4096).into_response())
        .before(|_, request, next| Box::pin(paged(request, next)))
        .at(LOGIN, get, |_, ()| answer::html(StatusCode::OK, "Log in"))
        .at("/", get, |_, ()| answer::html(StatusCode::OK, "Yombo gateway"))
        .router()
}

/// Refuses what asks for no form that there is.
pub(super) fn suited(asked: &HeaderMap) -> Result<HeaderMap, Refusal> {
    match form(asked) {
        Form::Data | Form::Page => Ok(HeaderMap::new()),
        Form::Nothing => {
            let body =
                json!({ "errors": [{ "code": "unsupported-415", "title": "Unsupported media type" }] });
            Err(Box::new(answer::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &body)))
        }
    }
}

/// Puts the JSON inside a page for who did not ask for JSON.
async fn paged(request: Request<Body>, next: Next) -> Response {
    let form = form(request.headers());
    let response = next.run(request).await;
    if !matches!(form, Form::Page) {
        return response;
    }
    let status = response.status();
    let body = to_bytes(response.into_body(), PAGE).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).replace('&', "&amp;").replace('<', "&lt;");
    let page = format!("<!DOCTYPE html>\n<html><body><pre>{body}</pre></body></html>\n");
    answer::typed(status, "text/html; charset=utf-8", page)
}

fn ok(kind: &str, data: &Value) -> Response {
    answer::json(StatusCode::OK, &json!({ "data": data, "meta": { "type": kind } }))
}

fn devices(gateway: &Yombo) -> Response {
    let readings = Readings::at(gateway.clock.now());
    let device = |id: &str, label: &str, state: i64| {
        let attributes = json!({ "label": label, "machine_state": state, "energy_usage": state * 9 });
        json!({ "type": "devices", "id": id, "attributes": attributes })
    };
    let dimmed = whole(readings.house / 30.0).min(100);
    let data = json!([
        device("kitchen", "Kitchen lamp", dimmed),
        device("heater", "Heater", i64::from(readings.house > 500.0)),
        device("meter", "House meter", whole(readings.house)),
    ]);
    ok("devices", &data)
}

/// A GET that switches something.
fn command(gateway: &Yombo, Path((device, command)): Path<(String, String)>) -> Response {
    gateway.state.lock().commands.push(format!("{device}/{command}"));
    let id = token::random::<8>();
    ok("device_commands", &json!({ "type": "device_commands", "id": id, "attributes": { "status": "sent" } }))
}

fn keys() -> Response {
    ok("auth_keys", &json!([{ "type": "auth_keys", "id": "main", "attributes": { "enabled": true } }]))
}

/// Replaces the key, whoever uses it.
fn rotate(gateway: &Yombo, Path(key): Path<String>) -> Response {
    let fresh = token::random::<20>();
    let mut state = gateway.state.lock();
    state.auth_key = Secret::new(fresh.clone());
    state.handed.push(Secret::new(fresh.clone()));
    ok("auth_keys", &json!({ "type": "auth_keys", "id": key, "attributes": { "auth_id": fresh } }))
}
