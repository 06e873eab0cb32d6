//! The server's routes: XML unless `Accept` says JSON.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Api, Enlighted};
use crate::twin::answer;
use crate::twin::face::Face;
use crate::twin::readings::{Readings, whole};

/// Where people log in.
pub(super) const LOGIN: &str = "/ems/login.jsp";

/// The one sensor that never answers.
const OFFLINE: u32 = 13;

pub(super) fn routes(server: Arc<Enlighted>) -> Router {
    let base = match server.settings.api {
        Api::FourFive => "/ems/api",
        Api::Two | Api::Three => "/ems/api/org",
    };
    let api = |path: &str| format!("{base}{path}");
    Face::of(server)
        .at(&api("/em/v1/energy"), get, energy)
        .at(&api("/facility/v1/energy/{id}"), get, facility)
        .at(&api("/floor/list"), get, |_, asked| floors(&asked))
        .at(&api("/sensor/v1/details/{id}"), get, sensor)
        .at(&api("/fixture/v1/op/dim/ABS/{level}"), post, |_, asked| dim(asked))
        .at(&api("/switch/v1/op/applyScene/{switch}/{scene}"), post, |_, asked| scene(asked))
        .at(&api("/user/list"), get, |_, asked| users(&asked))
        .at("/", get, |_, ()| answer::front())
        .at(LOGIN, get, |_, ()| answer::html(StatusCode::OK, "Enlighted Manage"))
        .at("/ems/home.action", get, |_, ()| answer::html(StatusCode::OK, "Energy Manager"))
        .router()
}

fn reply(asked: &HeaderMap, status: StatusCode, root: &str, body: &Value) -> Response {
    if answer::accepts(asked, "application/json") {
        answer::json(status, body)
    } else {
        answer::typed(status, "application/xml", answer::xml(root, body))
    }
}

fn energy(server: &Enlighted, asked: HeaderMap) -> Response {
    let readings = Readings::at(server.now());
    let power = whole(readings.house * 12.0);
    let body = json!({
        "timestamp": readings.seconds,
        "power": power,
        "basePower": power * 2,
        "savedPower": power,
        "energy": readings.taken,
    });
    reply(&asked, StatusCode::OK, "energy", &body)
}

fn facility(server: &Enlighted, (Path(id), asked): (Path<u32>, HeaderMap)) -> Response {
    let readings = Readings::at(server.now());
    let body = json!({ "id": id, "power": whole(readings.house * 3.0), "energy": readings.taken / 4 });
    reply(&asked, StatusCode::OK, "energy", &body)
}

fn floors(asked: &HeaderMap) -> Response {
    let body = json!({ "floor": [{ "id": 1, "name": "Ground" }, { "id": 2, "name": "First & Second" }] });
    reply(asked, StatusCode::OK, "floors", &body)
}

fn sensor(server: &Enlighted, (Path(id), asked): (Path<u32>, HeaderMap)) -> Response {
    if id == OFFLINE {
        let body = json!({ "status": 1, "msg": "sensor is offline" });
        return reply(&asked, StatusCode::INTERNAL_SERVER_ERROR, "response", &body);
    }
    let power = whole(Readings::at(server.now()).house / 40.0);
    let body = json!({ "id": id, "power": power, "temperature": 71, "occupancy": power % 2 });
    reply(&asked, StatusCode::OK, "sensor", &body)
}

/// Dims the fixtures that the body names, in XML or JSON by its type.
fn dim((Path(level), asked, body): (Path<u32>, HeaderMap, Bytes)) -> Response {
    let kind = asked.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let understood = match kind.split(';').next().unwrap_or_default() {
        "application/json" => serde_json::from_slice::<Value>(&body).is_ok(),
        "application/xml" | "text/xml" => body.trim_ascii_start().starts_with(b"<"),
        _ => false,
    };
    if !understood || level > 100 {
        let body = json!({ "status": 1, "msg": "Bad request" });
        return reply(&asked, StatusCode::BAD_REQUEST, "response", &body);
    }
    reply(&asked, StatusCode::OK, "response", &json!({ "status": 0 }))
}

fn scene((Path((switch, scene)), asked): (Path<(u32, u32)>, HeaderMap)) -> Response {
    let body = json!({ "status": 0, "switch": switch, "scene": scene });
    reply(&asked, StatusCode::OK, "response", &body)
}

/// What the account may not see.
fn users(asked: &HeaderMap) -> Response {
    let body = json!({ "status": 1, "msg": "Access denied" });
    reply(asked, StatusCode::FORBIDDEN, "response", &body)
}
