//! The meter's routes, as its WebAPI has them.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post, put};
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::{Egauge, Login};
use crate::twin::answer;
use crate::twin::face::Face;
use crate::twin::gate::asks;
use crate::twin::readings::{Readings, whole};
use crate::twin::serve::Connection;

/// What a meter sends when it is told to leave HTTP out: the body alone.
const HEADLESS: &[u8] = b"{\"ts\":\"0\",\"registers\":[]}\n";

pub(super) fn routes(meter: Arc<Egauge>) -> Router {
    Face::of(meter)
        .at("/", get, |_, ()| answer::front())
        .at("/api/auth/unauthorized", get, unauthorized)
        .slow("/api/auth/login", post, |meter, asked| Box::pin(login(meter, asked)))
        .at("/api/auth/logout", get, logout)
        .at("/api/auth/rights", get, rights)
        .at("/api/register", get, register)
        .at("/api/sys", get, |_, ()| ok(&json!({ "result": { "sn": "TWIN0001" } })))
        .at("/api/capture", get, capture)
        .at("/api/cmd", any, |_, ()| ok(&json!({ "result": "OK" })))
        .at("/api/config/{*path}", get, config)
        .at("/api/config/{*path}", put, configure)
        .at("/cgi-bin/egauge", get, |meter, ()| legacy(meter))
        .before(|_, request, next| Box::pin(headless(request, next)))
        .router()
}

fn ok(body: &Value) -> Response {
    answer::json(StatusCode::OK, body)
}

async fn headless(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    if asks(&head, "noHTTP")
        && let Some(connection) = head.extensions.get::<Connection>()
    {
        connection.answer_raw(Bytes::from_static(HEADLESS));
    }
    next.run(Request::from_parts(head, body)).await
}

fn unauthorized(meter: &Egauge, headers: HeaderMap) -> Response {
    match meter.shown(&headers) {
        Ok(Some(_)) => ok(&json!({ "status": "You are logged in." })),
        Ok(None) => meter.challenge(),
        Err(refusal) => *refusal,
    }
}

fn rights(meter: &Egauge, headers: HeaderMap) -> Response {
    match meter.shown(&headers) {
        Ok(Some(_)) => ok(&json!({ "rights": meter.settings.rights })),
        Ok(None) => meter.challenge(),
        Err(refusal) => *refusal,
    }
}

async fn login(meter: Arc<Egauge>, (headers, body): (HeaderMap, Bytes)) -> Response {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let login = serde_json::from_slice::<Login>(&body).ok();
    let (true, Some(login)) = (kind.starts_with("application/json"), login) else {
        return answer::json(StatusCode::BAD_REQUEST, &json!({ "error": "Bad Request" }));
    };
    tokio::time::sleep(meter.settings.login_delay).await;
    match meter.login(&login) {
        Ok(token) => ok(&json!({ "jwt": token, "rights": meter.settings.rights })),
        // A refusal is a 200, too.
        Err(error) => ok(&json!({ "error": error })),
    }
}

fn logout(meter: &Egauge, headers: HeaderMap) -> Response {
    match meter.shown(&headers) {
        Ok(Some(token)) => {
            meter.state.lock().tokens.remove(token);
            ok(&json!({ "status": "OK" }))
        }
        Ok(None) => meter.challenge(),
        Err(refusal) => *refusal,
    }
}

/// Registers: their names, with `rate` what they show, with `time` what they counted.
fn register(meter: &Egauge, head: Parts) -> Response {
    let readings = Readings::at(meter.now());
    let (solar, house) = (readings.solar, readings.house);
    let shown = [
        ("Grid", "P", readings.grid(), readings.taken - readings.yielded),
        ("Solar", "P", solar, readings.yielded),
        ("House", "P", house, readings.taken),
        ("L1 Voltage", "V", readings.volts, readings.seconds),
    ];
    let rate = asks(&head, "rate") || asks(&head, "inst");
    let registers: Vec<_> = (0_u32..)
        .zip(&shown)
        .map(|(index, (name, kind, value, _))| {
            let mut register = json!({ "name": name, "type": kind, "idx": index, "did": index });
            if let (true, Some(register)) = (rate, register.as_object_mut()) {
                register.insert("rate".to_owned(), json!(value));
            }
            register
        })
        .collect();
    let moment = format!("{}.{:03}", readings.seconds, meter.now().as_millis().rem_euclid(1000));
    let mut body = json!({ "ts": moment, "registers": registers });
    if let (true, Some(body)) = (asks(&head, "time"), body.as_object_mut()) {
        // Counters are watt-seconds in decimal strings: they outgrow what a float holds.
        let row: Vec<_> = shown.iter().map(|(.., count)| count.saturating_mul(3600).to_string()).collect();
        let range = json!({ "ts": readings.seconds.to_string(), "delta": 1.0, "rows": [row] });
        body.insert("ranges".to_owned(), json!([range]));
    }
    ok(&body)
}

/// Samples of the wave; `R` starts a new capture, GET as it is.
fn capture(meter: &Egauge, head: Parts) -> Response {
    if asks(&head, "R") {
        return ok(&json!({ "state": "armed" }));
    }
    let volts = Readings::at(meter.now()).volts;
    ok(&json!({ "state": "full", "samples": [whole(volts * 1.414), 0, whole(volts * -1.414)] }))
}

fn config(meter: &Egauge, (Path(path), headers): (Path<String>, HeaderMap)) -> Response {
    let (version, value) = kept(meter, &path);
    let tag = tag(version);
    let known = headers.get(IF_NONE_MATCH) == Some(&tag);
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { ok(&json!({ "result": value })) };
    response.headers_mut().insert(ETAG, tag);
    response
}

/// Takes a new value, unless `If-Match` says that it was made from another version.
fn configure(
    meter: &Egauge,
    (Path(path), method, headers, body): (Path<String>, Method, HeaderMap, Bytes),
) -> Response {
    let (version, _) = kept(meter, &path);
    if headers.get(IF_MATCH).is_some_and(|seen| *seen != tag(version) && seen != "*") {
        return answer::json(StatusCode::PRECONDITION_FAILED, &json!({ "error": "Precondition failed." }));
    }
    let Ok(value) = serde_json::from_slice::<Value>(&body) else {
        // A mistake is a 200 with an error here as everywhere.
        return ok(&json!({ "error": format!("Invalid {method} body.") }));
    };
    meter.state.lock().config.insert(path, (version + 1, value));
    let mut response = ok(&json!({ "status": "OK" }));
    response.headers_mut().insert(ETAG, tag(version + 1));
    response
}

fn kept(meter: &Egauge, path: &str) -> (u64, Value) {
    meter.state.lock().config.get(path).cloned().unwrap_or_else(|| (1, json!({ "name": path })))
}

fn tag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn legacy(meter: &Egauge) -> Response {
    let readings = Readings::at(meter.now());
    let body = json!({ "ts": readings.seconds, "r": [whole(readings.grid()), whole(readings.solar)] });
    answer::typed(StatusCode::OK, "text/xml", answer::xml("data", &body))
}
