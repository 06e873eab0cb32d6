//! The gateway's routes. Most of its JSON goes out without a type.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, delete, get, put};
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::{Enphase, Firmware, SESSION, set_cookie, unauthorized};
use crate::clock::Clock;
use crate::twin::answer;
use crate::twin::face::Face;
use crate::twin::gate::cookie;
use crate::twin::readings::{Readings, whole};

/// Where a token is shown to get a session.
pub(super) const CHECK: &str = "/auth/check_jwt";

/// Where a good token is told to be good, to the byte.
const VALID: &str = "<!DOCTYPE html><h2>Valid token.</h2>\n";

/// How many seconds apart most readings are.
const CADENCE: i64 = 300;

/// How many inverters are on the roof.
const INVERTERS: i64 = 24;

pub(super) fn routes(gateway: Arc<Enphase>) -> Router {
    Face::of(gateway)
        .at(CHECK, any, check)
        .at("/info", get, |gateway, ()| info(gateway))
        .slow("/production.json", get, |gateway, ()| Box::pin(production(gateway)))
        .at("/production", get, page)
        .at("/api/v1/production", get, |gateway, ()| totals(gateway))
        .at("/api/v1/production/inverters", get, |gateway, ()| inverters(gateway))
        .at("/ivp/meters", get, |_, ()| meters())
        .at("/ivp/meters/readings", get, |gateway, ()| readings(gateway))
        .at("/ivp/meters/reports/consumption", get, |gateway, ()| consumption(gateway))
        .at("/ivp/livedata/status", get, |gateway, ()| live(gateway))
        .at("/ivp/ss/gen_schedule", delete, |_, _: Bytes| StatusCode::NO_CONTENT.into_response())
        .at("/admin/lib/tariff", put, |_, asked| tariff(asked))
        .at("/installer/agf/index.json", get, |_, ()| untyped(&json!({ "profiles": [] })))
        .at("/stream/meter", get, |gateway, ()| meter_stream(gateway.clock))
        .at("/home", get, |_, ()| answer::html(StatusCode::OK, "Envoy"))
        .at("/", get, |_, ()| answer::redirect(StatusCode::MOVED_PERMANENTLY, "https://localhost/home"))
        .router()
}

fn untyped(body: &Value) -> Response {
    answer::typed(StatusCode::OK, "", body.to_string())
}

fn check(gateway: &Enphase, (method, headers): (Method, HeaderMap)) -> Response {
    if !matches!(method, Method::GET | Method::POST) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if gateway.settings.firmware == Firmware::Five {
        return StatusCode::NOT_FOUND.into_response();
    }
    let opened = gateway.bearer(&headers).and_then(|role| {
        role.ok_or_else(unauthorized)?;
        let known = cookie(&headers, SESSION)?;
        // Who has a session keeps it.
        match known.and_then(|session| Some((session, gateway.resume(session)?))) {
            Some((session, fresh)) => Ok(set_cookie(fresh.as_deref().unwrap_or(session))),
            None => gateway.seat(),
        }
    });
    match opened {
        Ok(carried) => {
            let valid = answer::typed(StatusCode::OK, "application/octet-stream", VALID);
            (carried, valid).into_response()
        }
        Err(refusal) => *refusal,
    }
}

fn info(gateway: &Enphase) -> Response {
    let serial = gateway.state.lock().serial.clone();
    let (software, tokens) = match gateway.settings.firmware {
        Firmware::Five => ("D5.0.62", false),
        Firmware::Seven => ("D7.0.88", true),
        Firmware::Eight => ("D8.3.5286", true),
    };
    let body = json!({
        "time": gateway.clock.now().as_seconds(),
        "device": {
            "sn": serial,
            "pn": "800-00555-r03",
            "software": software,
            "euaid": "4c8675",
            "seqnum": 0,
            "apiver": 1,
            "imeter": true,
        },
        "web-tokens": tokens,
    });
    answer::typed(StatusCode::OK, "text/xml", answer::xml("envoy_info", &body))
}

/// What the gateway read when it last read.
fn marked(gateway: &Enphase) -> Readings {
    let now = gateway.clock.now();
    let mut readings = Readings::at(now);
    readings.seconds -= readings.seconds.rem_euclid(CADENCE);
    readings
}

async fn production(gateway: Arc<Enphase>) -> Response {
    tokio::time::sleep(gateway.settings.production_delay).await;
    let now = Readings::at(gateway.clock.now());
    let eim = |kind: &str, watts: f64, ever: i64| {
        json!({
            "type": "eim",
            "activeCount": 1,
            "measurementType": kind,
            "readingTime": now.seconds,
            "wNow": watts,
            "whLifetime": ever,
            "whToday": ever % 20_000,
            "whLastSevenDays": ever % 140_000,
            "rmsVoltage": now.volts,
        })
    };
    let inverters = json!({
        "type": "inverters",
        "activeCount": INVERTERS,
        "readingTime": now.seconds,
        "wNow": whole(now.solar),
        "whLifetime": now.yielded,
    });
    let body = json!({
        "production": [inverters, eim("production", now.solar, now.yielded)],
        "consumption": [
            eim("total-consumption", now.house, now.taken),
            eim("net-consumption", now.grid(), now.bought()),
        ],
        "storage": [{ "type": "acb", "activeCount": 0, "readingTime": 0, "wNow": 0, "whNow": 0, "state": "idle" }],
    });
    answer::json(StatusCode::OK, &body)
}

/// A page for browsers, figures for programs.
fn page(gateway: &Enphase, asked: HeaderMap) -> Response {
    if answer::accepts(&asked, "text/html") {
        answer::html(StatusCode::OK, "Production")
    } else {
        totals(gateway)
    }
}

fn totals(gateway: &Enphase) -> Response {
    let now = marked(gateway);
    let day = now.yielded.rem_euclid(30_000);
    untyped(&json!({
        "wattHoursToday": day,
        "wattHoursSevenDays": day + 180_000,
        "wattHoursLifetime": now.yielded,
        "wattsNow": whole(now.solar),
    }))
}

fn inverters(gateway: &Enphase) -> Response {
    let now = marked(gateway);
    let each = whole(now.solar) / INVERTERS;
    let list: Vec<_> = (0..INVERTERS)
        .map(|index| {
            json!({
                "serialNumber": (482_137_010_000 + index).to_string(),
                "lastReportDate": now.seconds,
                "devType": 1,
                "lastReportWatts": each + index % 3,
                "maxReportWatts": 366,
            })
        })
        .collect();
    untyped(&Value::from(list))
}

fn meters() -> Response {
    let meter = |eid: u32, kind: &str| {
        json!({
            "eid": eid,
            "state": "enabled",
            "measurementType": kind,
            "phaseMode": "three",
            "phaseCount": 3,
            "meteringStatus": "normal",
            "statusFlags": [],
        })
    };
    untyped(&json!([meter(704_643_328, "production"), meter(704_643_584, "net-consumption")]))
}

fn readings(gateway: &Enphase) -> Response {
    let now = marked(gateway);
    let reading = |eid: u32, watts: f64, ever: i64| {
        json!({
            "eid": eid,
            "timestamp": now.seconds,
            "actEnergyDlvd": ever,
            "actEnergyRcvd": 0,
            "activePower": watts,
            "pwrFactor": 1.0,
            "voltage": now.volts,
            "current": watts / now.volts,
            "freq": 50.0,
            "channels": [],
        })
    };
    untyped(&json!([
        reading(704_643_328, now.solar, now.yielded),
        reading(704_643_584, now.grid(), now.bought()),
    ]))
}

fn consumption(gateway: &Enphase) -> Response {
    let now = marked(gateway);
    let report = |kind: &str, watts: f64, ever: i64| {
        let cumulative =
            json!({ "currW": watts, "actPower": watts, "whDlvdCum": ever, "rmsVoltage": now.volts });
        json!({ "createdAt": now.seconds, "reportType": kind, "cumulative": cumulative, "lines": [] })
    };
    untyped(&json!([
        report("total-consumption", now.house, now.taken),
        report("net-consumption", now.grid(), now.bought()),
    ]))
}

/// The one reading that is live.
fn live(gateway: &Enphase) -> Response {
    let now = Readings::at(gateway.clock.now());
    let milliwatts =
        |watts: f64| json!({ "agg_p_mw": whole(watts * 1000.0), "agg_s_mva": whole(watts * 1010.0) });
    untyped(&json!({
        "connection": { "mqtt_state": "connected", "prov_state": "configured", "auth_state": "ok" },
        "meters": {
            "last_update": now.seconds,
            "soc": 0,
            "main_relay_state": 1,
            "pv": milliwatts(now.solar),
            "storage": milliwatts(0.0),
            "grid": milliwatts(now.grid()),
            "load": milliwatts(now.house),
        },
    }))
}

/// JSON that is sent as a form, which clients do and the gateway takes.
fn tariff((asked, body): (HeaderMap, Bytes)) -> Response {
    let kind = asked.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let taken = kind == "application/x-www-form-urlencoded" || kind.starts_with("application/json");
    match serde_json::from_slice::<Value>(&body) {
        Ok(tariff) if taken => untyped(&json!({ "tariff": tariff })),
        _ => answer::html(StatusCode::BAD_REQUEST, "400 Bad Request"),
    }
}

/// A reading a second, for installers.
fn meter_stream(clock: Clock) -> Response {
    let events = stream::unfold(true, move |first| async move {
        if !first {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let now = Readings::at(clock.now());
        let phase = json!({ "p": now.solar, "v": now.volts, "f": 50.0 });
        let body =
            json!({ "production": { "ph-a": phase }, "net-consumption": { "ph-a": { "p": now.grid() } } });
        Some((Ok::<_, Infallible>(format!("data: {body}\n\n")), false))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}
