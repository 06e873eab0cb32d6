//! The routes below `/twin/` that every make has: each asks for one thing that a gateway can get wrong.

mod flow;

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json as object};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::answer::{html, json, redirect, typed};
use super::face::{Answer, Face};
use super::gate::Gate;
use super::journal::target;
use super::readings::Readings;
use super::serve::Connection;
use crate::clock::Clock;

pub use flow::noise;

/// Makes the key of a WebSocket's handshake into its answer (RFC 6455 section 1.3).
const WEBSOCKET: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// How long the document at `/twin/range` is.
const DOCUMENT: usize = 1000;

/// What answers carry at `/twin/cookies`: a gateway keeps each of these to itself.
const PRIVATE: [(&str, &str); 17] = [
    ("set-cookie", "twin=crumb; Path=/; HttpOnly"),
    ("set-cookie", "sessionid=stale; Domain=twin.local"),
    ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ("www-authenticate", "Basic realm=\"twin\""),
    ("proxy-authenticate", "Basic realm=\"twin\""),
    ("authentication-info", "nextnonce=\"twin\""),
    ("alt-svc", "h3=\":443\""),
    ("clear-site-data", "\"*\""),
    ("service-worker-allowed", "/"),
    ("nel", "{\"report_to\":\"twin\",\"max_age\":1}"),
    ("report-to", "{\"group\":\"twin\",\"max_age\":1,\"endpoints\":[]}"),
    ("reporting-endpoints", "twin=\"https://twin.local/\""),
    ("access-control-allow-origin", "*"),
    ("access-control-allow-credentials", "true"),
    ("connection", "x-hop"),
    ("x-hop", "one hop only"),
    ("keep-alive", "timeout=5"),
];

pub(super) fn routes(gate: Arc<dyn Gate>) -> Router {
    let clock = Clock::of_runtime();
    let echoes = |gate, request| -> Answer { Box::pin(echo(gate, request)) };
    let uploads = |_, request| -> Answer { Box::pin(upload(request)) };
    let face = Face::of(gate)
        .slow("/twin/sample", get, move |_, ()| Box::pin(ready(sample(clock))))
        .slow("/twin/echo", any, echoes)
        .slow("/twin/echo/", any, echoes)
        .slow("/twin/echo/{*rest}", any, echoes)
        .slow("/twin/upload", post, uploads)
        .slow("/twin/upload", put, uploads)
        .at("/twin/redirect", any, |_, asked| moved(asked))
        .at("/twin/status", any, |_, asked| status(asked))
        .at("/twin/etag", get, tagged)
        .at("/twin/range", get, |_, headers| ranged(&headers))
        .at("/twin/html", get, |_, ()| html(StatusCode::OK, "Twin"))
        .at("/twin/websocket", get, |_, request| websocket(request))
        .at("/twin/cookies", get, |_, ()| private())
        .at("/twin/raw", any, |_, asked| raw(asked));
    flow::routes(face).router()
}

fn sample(clock: Clock) -> Response {
    let readings = Readings::at(clock.now());
    let body = object!({ "time": readings.seconds, "watts": readings.house, "volts": readings.volts });
    json(StatusCode::OK, &body)
}

/// What arrived, as JSON. Secrets are blotted out, so that a hunt for them in answers finds only what leaked.
async fn echo(gate: Arc<dyn Gate>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (length, digest) = match measure(body).await {
        Ok(measured) => measured,
        Err(refusal) => return refusal,
    };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    let body = object!({
        "method": head.method.as_str(),
        "target": target(&head),
        "headers": headers,
        "length": length,
        "sha256": digest,
    });
    let blotted = gate.secrets().iter().fold(body.to_string(), |body, secret| {
        if secret.is_empty() { body } else { body.replace(secret.expose(), "[secret]") }
    });
    typed(StatusCode::OK, "application/json", blotted)
}

async fn upload(request: Request) -> Response {
    match measure(request.into_body()).await {
        Ok((length, digest)) => {
            let body = object!({ "length": length, "sha256": digest });
            json(StatusCode::OK, &body)
        }
        Err(refusal) => refusal,
    }
}

/// The length and the hash of a body that is never held as a whole.
async fn measure(mut body: Body) -> Result<(usize, String), Response> {
    let mut length = 0_usize;
    let mut digest = Sha256::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST.into_response())?;
        if let Some(data) = frame.data_ref() {
            length = length.saturating_add(data.len());
            digest.update(data);
        }
    }
    Ok((length, hex::encode(digest.finalize())))
}

type Asked = Query<BTreeMap<String, String>>;

fn moved(Query(asked): Asked) -> Response {
    redirect(StatusCode::MOVED_PERMANENTLY, asked.get("to").map_or("/", String::as_str))
}

fn status(Query(asked): Asked) -> Response {
    let code = asked.get("code").and_then(|code| StatusCode::from_bytes(code.as_bytes()).ok());
    match code {
        None => StatusCode::BAD_REQUEST.into_response(),
        // Neither may have a body, nor a type without one.
        Some(code @ (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)) => code.into_response(),
        Some(code) => json(code, &object!({ "status": code.as_u16() })),
    }
}

/// A document with a validator. `control` and `vary` become `Cache-Control` and `Vary`.
fn tagged(gate: &dyn Gate, (Query(asked), headers): (Asked, HeaderMap)) -> Response {
    const TAG: &str = "\"twin-1\"";
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fresh = known.is_some_and(|known| known.split(',').any(|tag| matches!(tag.trim(), TAG | "*")));
    let mut response = if fresh {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        // The count tells an answer of the device from one of a cache.
        json(StatusCode::OK, &object!({ "arrivals": gate.journal().total() }))
    };
    response.headers_mut().insert(header::ETAG, HeaderValue::from_static(TAG));
    for (name, value) in [(header::CACHE_CONTROL, asked.get("control")), (header::VARY, asked.get("vary"))] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn ranged(headers: &HeaderMap) -> Response {
    let whole = [(header::ACCEPT_RANGES, "bytes")];
    let asked = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let Some(asked) = asked.and_then(|asked| asked.strip_prefix("bytes=")) else {
        return (whole, noise(0, DOCUMENT)).into_response();
    };
    let (first, last) = asked.split_once('-').unwrap_or((asked, ""));
    let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, last.min(DOCUMENT - 1)),
        (Ok(first), Err(_)) => (first, DOCUMENT - 1),
        (Err(_), Ok(tail)) => (DOCUMENT.saturating_sub(tail), DOCUMENT - 1),
        (Err(_), Err(_)) => return (whole, noise(0, DOCUMENT)).into_response(),
    };
    if first > last {
        let range = [(header::CONTENT_RANGE, format!("bytes */{DOCUMENT}"))];
        return (StatusCode::RANGE_NOT_SATISFIABLE, range).into_response();
    }
    let range = [(header::CONTENT_RANGE, format!("bytes {first}-{last}/{DOCUMENT}"))];
    let part = noise(u64::try_from(first).unwrap_or(0), last - first + 1);
    (StatusCode::PARTIAL_CONTENT, whole, range, part).into_response()
}

/// The handshake of a WebSocket; after it every byte comes back as it was, framed or not.
fn websocket(request: Request) -> Response {
    let key = request.headers().get("sec-websocket-key").cloned();
    let asked = request.headers().get(header::UPGRADE);
    let asked = asked.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let connection = request.extensions().get::<Connection>().cloned();
    let (true, Some(key), Some(connection)) = (asked, key, connection) else {
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")]).into_response();
    };
    let accept = STANDARD.encode(Sha1::new().chain_update(key.as_bytes()).chain_update(WEBSOCKET).finalize());
    connection.spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let (mut from, mut to) = tokio::io::split(TokioIo::new(upgraded));
            // It ends when either side leaves, which is no fault.
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
    });
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (HeaderName::from_static("sec-websocket-accept"), accept.as_str()),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

fn private() -> Response {
    let mut response = json(StatusCode::OK, &Value::from("cookies"));
    for (name, value) in PRIVATE {
        response.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// Answers with the bytes of `text` instead of HTTP's.
fn raw((Query(asked), head): (Asked, Parts)) -> Response {
    let text = asked.get("text").cloned().unwrap_or_default();
    if let Some(connection) = head.extensions.get::<Connection>() {
        connection.answer_raw(Bytes::from(text));
    }
    StatusCode::OK.into_response()
}
