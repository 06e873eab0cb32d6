//! What everything comes in by: who may ask is decided here, and what is asked for goes to our endpoints or to a
//! device.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{Method, StatusCode, request};
use tower::ServiceExt;

use super::admit::{self, Admitted, Arrival};
use super::fault::{Fault, Kind};
use super::outgoing::{Answer, ours};
use super::problem::allow_own_frame;
use super::{Gateway, House, admin, refuse};
use crate::fields;

/// What a device may be asked by; a tunnel and an echo are nobody's business.
pub const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// For so long a browser need not ask again whether a page may ask.
const PREFLIGHT: Duration = Duration::from_secs(600);

/// What everything comes in by.
#[derive(Clone)]
pub struct Front(Arc<Parts>);

struct Parts {
    gateway: Arc<Gateway>,
    /// Our endpoints.
    own: Router,
}

/// The front of this gateway.
pub fn front(gateway: Arc<Gateway>) -> Front {
    let own = admin::endpoints().with_state(Arc::clone(&gateway));
    Front(Arc::new(Parts { gateway, own }))
}

impl Front {
    /// Answers a request. An error of ours costs that one alone.
    pub async fn answer(&self, request: Request, arrival: &Arrival) -> Answer {
        let answered = AssertUnwindSafe(let_in(&self.0, request, arrival)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            // What it says may hold anything; the panic hook has told the log where it was.
            let fault = Fault::new(Kind::Internal, "an error of keyward's own; the log says where");
            ours(refuse(&fault, &http::Request::new(()).into_parts().0, arrival))
        })
    }
}

/// Nobody gets past here who may not ask.
async fn let_in(front: &Parts, request: Request, arrival: &Arrival) -> Answer {
    let (mut head, body) = request.into_parts();
    let house = front.gateway.house.load_full();
    let peer = &arrival.peer;
    let door = house.door(peer);
    // What is asked for by another protocol than HTTP is nothing that is here (RFC 9110 section 4.2).
    if head.uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return ours((StatusCode::BAD_REQUEST, [(header::CONNECTION, "close")]).into_response());
    }
    let own = door.and_then(|door| admit::own(&house, &head, door));
    // A container's health check need not know how it is called, nor show a key.
    if door.is_some() && own.is_none() && head.uri.path() == "/healthz" {
        return ask_own(front, (head, body), arrival, None).await;
    }
    if !names_one_host(&head.headers) {
        return ours((StatusCode::BAD_REQUEST, [(header::CONNECTION, "close")]).into_response());
    }
    let mut answered = match admit::admit(&house, &mut head, door, peer, own) {
        Err(fault) => ours(refuse(&fault, &head, arrival)),
        Ok(admitted) => {
            let guest = admitted.guest.clone();
            let answered = match guest.as_ref().and_then(|_| preflight(&head)) {
                Some(granted) => ours(granted),
                None => go_on(front, &house, admitted, (head, body), arrival).await,
            };
            match guest {
                Some(origin) => readable_by(origin, answered),
                None => answered,
            }
        }
    };
    if !house.admission.origins.is_empty() {
        // What was answered to a page of ours must not be taken for an answer to a listed one.
        answered.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if door.is_some_and(|door| door.ingress) {
        allow_own_frame(&mut answered);
    }
    answered
}

/// With its key a request goes on to our endpoints, or to the device that its door, host name or path names.
async fn go_on(
    front: &Parts,
    house: &House,
    admitted: Admitted,
    (mut head, body): (request::Parts, Body),
    arrival: &Arrival,
) -> Answer {
    // No key opens these.
    if [Method::CONNECT, Method::TRACE].contains(&head.method) {
        return ours(refuse(&Fault::method(METHODS), &head, arrival));
    }
    let is_own = admitted.own.is_none() && admin::has(head.uri.path());
    let is_free = is_own && head.uri.path() == "/readyz";
    if let Err(fault) = admitted.shown.suffices()
        && !is_free
    {
        return ours(refuse(&fault, &head, arrival));
    }
    if head.uri.path() == "*" {
        return ours(match head.method {
            Method::OPTIONS => (StatusCode::NO_CONTENT, [(header::ALLOW, METHODS)]).into_response(),
            _ => refuse(&Fault::method("OPTIONS"), &head, arrival),
        });
    }
    if !house.admission.keys.is_empty() {
        admit::strip(&mut head);
    }
    if is_own {
        ask_own(front, (head, body), arrival, Some(admitted)).await
    } else {
        front.gateway.answer(house, (head, body), arrival, &admitted).await
    }
}

/// The router costs as much as the rest of the way, so that it stands before our own endpoints alone.
async fn ask_own(
    front: &Parts,
    (mut head, body): (request::Parts, Body),
    arrival: &Arrival,
    admitted: Option<Admitted>,
) -> Answer {
    head.extensions.insert(arrival.clone());
    if let Some(admitted) = admitted {
        head.extensions.insert(admitted);
    }
    // On the heap, so that a request for a device takes no room for it.
    match Box::pin(front.own.clone().oneshot(Request::from_parts(head, body))).await {
        Ok(response) => ours(response),
        Err(never) => match never {},
    }
}

/// What a browser asks before it lets a page of another origin ask (Fetch standard, CORS-preflight request): without
/// a key, and before any device is. tower-http's layer would take every `OPTIONS` for one, those for devices too.
fn preflight(asked: &request::Parts) -> Option<Response> {
    const MIRRORED: [(HeaderName, HeaderName); 2] = [
        (header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_ALLOW_METHODS),
        (header::ACCESS_CONTROL_REQUEST_HEADERS, header::ACCESS_CONTROL_ALLOW_HEADERS),
    ];
    let is_one =
        asked.method == Method::OPTIONS && asked.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = is_one.then(|| StatusCode::NO_CONTENT.into_response())?;
    for (wish, granted) in MIRRORED {
        if let Some(wished) = asked.headers.get(wish) {
            response.headers_mut().insert(granted, wished.clone());
        }
    }
    if asked.headers.contains_key("access-control-request-private-network") {
        let granted = HeaderValue::from_static("true");
        response.headers_mut().insert("access-control-allow-private-network", granted);
    }
    response.headers_mut().insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(PREFLIGHT.as_secs()));
    Some(response)
}

/// Lets pages of a listed origin read an answer.
fn readable_by(origin: HeaderValue, mut response: Answer) -> Answer {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    response
}

/// Whether there is exactly one `Host` (RFC 9112 section 3.2).
fn names_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = fields::all(headers, header::HOST);
    hosts.next().is_some_and(|host| !host.is_empty()) && hosts.next().is_none()
}
