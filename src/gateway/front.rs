//! What everything comes in by: who may ask is decided here, and what is asked for goes to our endpoints or to a
//! device.

use std::mem::replace;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, request};
use tower::ServiceExt;

use super::admit::{self, Admitted, Arrival, Door};
use super::call::Trip;
use super::fault::{Fault, Kind};
use super::outgoing::{Answer, ours};
use super::problem::allow_own_frame;
use super::{Gateway, House, admin, refuse};
use crate::fields;
use crate::upstream::Caller;

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

/// Where a request goes on.
enum Way {
    /// Nowhere: this is its answer.
    Told(Response),
    /// To our own endpoints, with what was found of who asks.
    Own(Option<Admitted>),
    /// To the device that its door, host name or path names, whose caller may be silent for so long.
    Device(Arc<Trip>, Caller, Duration),
}

/// What every answer to a request has to say.
struct Manner {
    /// The listed origin whose pages may read it.
    guest: Option<HeaderValue>,
    /// Whether there are such origins.
    lists_origins: bool,
    /// Whether it is shown in the frame of the ingress.
    is_framed: bool,
}

impl Front {
    /// Answers a request, of whose head nothing may be left. An error of ours costs that one alone.
    pub async fn answer(&self, head: &mut request::Parts, body: Body, arrival: &Arrival) -> Answer {
        let answered = AssertUnwindSafe(answer(&self.0, head, body, arrival)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            // What it says may hold anything; the panic hook has told the log where it was.
            let fault = Fault::new(Kind::Internal, "an error of keyward's own; the log says where");
            ours(refuse(&fault, &nothing(), arrival))
        })
    }
}

/// The head is taken where it is needed, and not moved from one future into the next: it is most of what they would hold.
async fn answer(front: &Parts, head: &mut request::Parts, body: Body, arrival: &Arrival) -> Answer {
    let (way, manner) = receive(&front.gateway, head, arrival);
    let mut answered = match way {
        Way::Told(response) => ours(response),
        Way::Own(admitted) => ask_own(front, (replace(head, nothing()), body), arrival, admitted).await,
        Way::Device(trip, caller, patience) => {
            front.gateway.answer(trip, (body, patience), arrival, caller).await
        }
    };
    if let Some(origin) = manner.guest {
        readable_by(origin, answered.headers_mut());
    }
    if manner.lists_origins {
        // What was answered to a page of ours must not be taken for an answer to a listed one.
        answered.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if manner.is_framed {
        allow_own_frame(&mut answered);
    }
    answered
}

/// All that the configuration has to say of a request: nothing of it is held while the answer is waited for.
fn receive(gateway: &Gateway, head: &mut request::Parts, arrival: &Arrival) -> (Way, Manner) {
    let house = &gateway.house.load();
    let door = house.door(&arrival.peer);
    let (way, guest) = let_in((gateway, house), door, head, arrival);
    let lists_origins = !house.admission.origins.is_empty();
    (way, Manner { guest, lists_origins, is_framed: door.is_some_and(|door| door.ingress) })
}

/// The head of a request for nothing.
fn nothing() -> request::Parts {
    Request::new(()).into_parts().0
}

/// Nobody gets past here who may not ask. What comes with the way is the listed origin whose pages may read the answer.
fn let_in(
    (gateway, house): (&Gateway, &House),
    door: Option<&Door>,
    head: &mut request::Parts,
    arrival: &Arrival,
) -> (Way, Option<HeaderValue>) {
    let malformed = || (StatusCode::BAD_REQUEST, [(header::CONNECTION, "close")]).into_response();
    // What is asked for by another protocol than HTTP is nothing that is here (RFC 9110 section 4.2).
    if head.uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return (Way::Told(malformed()), None);
    }
    let own = door.and_then(|door| admit::own(house, head, door));
    // A container's health check need not know how it is called, nor show a key.
    if door.is_some() && own.is_none() && head.uri.path() == "/healthz" {
        return (Way::Own(None), None);
    }
    if !names_one_host(&head.headers) {
        return (Way::Told(malformed()), None);
    }
    match admit::admit(house, head, door, &arrival.peer, own) {
        Err(fault) => (Way::Told(refuse(&fault, head, arrival)), None),
        Ok(admitted) => {
            let guest = admitted.guest.clone();
            let granted = guest.as_ref().and_then(|_| preflight(head));
            (granted.map_or_else(|| go_on((gateway, house), admitted, head, arrival), Way::Told), guest)
        }
    }
}

/// With its key a request goes on.
fn go_on(
    (gateway, house): (&Gateway, &House),
    admitted: Admitted,
    head: &mut request::Parts,
    arrival: &Arrival,
) -> Way {
    // No key opens these.
    if [Method::CONNECT, Method::TRACE].contains(&head.method) {
        return Way::Told(refuse(&Fault::method(METHODS), head, arrival));
    }
    let is_own = admitted.own.is_none() && admin::has(head.uri.path());
    let is_free = is_own && head.uri.path() == "/readyz";
    if let Err(fault) = admitted.shown.suffices()
        && !is_free
    {
        return Way::Told(refuse(&fault, head, arrival));
    }
    if head.uri.path() == "*" {
        return Way::Told(match head.method {
            Method::OPTIONS => (StatusCode::NO_CONTENT, [(header::ALLOW, METHODS)]).into_response(),
            _ => refuse(&Fault::method("OPTIONS"), head, arrival),
        });
    }
    if !house.admission.keys.is_empty() {
        admit::strip(head);
    }
    if is_own {
        return Way::Own(Some(admitted));
    }
    match gateway.set_out(house, replace(head, nothing()), arrival, &admitted) {
        ControlFlow::Continue(trip) => {
            Way::Device(trip, admit::caller(arrival, &admitted), house.caller_idle)
        }
        ControlFlow::Break(response) => Way::Told(response),
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
fn readable_by(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
}

/// Whether there is exactly one `Host` (RFC 9112 section 3.2).
fn names_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = fields::all(headers, header::HOST);
    hosts.next().is_some_and(|host| !host.is_empty()) && hosts.next().is_none()
}
