//! The cloud's three routes.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::{CONTENT_TYPE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cloud, Stage, Trouble, form};
use crate::secret::Secret;
use crate::twin::face::Face;
use crate::twin::gate::cookie;
use crate::twin::{answer, token};

/// The cookie that the second way to a token asks for.
const SESSION: &str = "_enlighten_4_session";

/// The serial of a gateway that nobody has.
const FOREIGN: &str = "999999999999";

pub(super) fn routes(cloud: Arc<Cloud>) -> Router {
    Face::of(cloud)
        .slow("/login/login.json", post, |cloud, asked| Box::pin(login(cloud, asked)))
        .slow("/tokens", post, |cloud, asked| Box::pin(tokens(cloud, asked)))
        .slow("/entrez-auth-token", get, |cloud, asked| Box::pin(entrez(cloud, asked)))
        .before(|cloud, request, next| Box::pin(noted(cloud, request, next)))
        .router()
}

async fn noted(cloud: Arc<Cloud>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let progress = cloud.journal.enter(&head);
    let body = progress.count(body);
    let response = next.run(Request::from_parts(head, body)).await;
    progress.answered(response.status());
    response
}

fn kind(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

async fn login(cloud: Arc<Cloud>, (headers, body): (HeaderMap, Bytes)) -> Response {
    cloud.state.lock().logins += 1;
    tokio::time::sleep(cloud.settings.login_delay).await;
    if let Some(response) = troubled(&cloud, Stage::Login).await {
        return response;
    }
    let fields = form::fields(kind(&headers), &body);
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let password = cloud.state.lock().password.clone();
    if field("user[email]") != cloud.settings.username || field("user[password]") != password.expose() {
        return answer::json(StatusCode::UNAUTHORIZED, &json!({ "message": "Invalid" }));
    }
    let (session, crumb) = (token::random::<16>(), token::random::<24>());
    {
        let mut state = cloud.state.lock();
        state.handed.extend([Secret::new(session.clone()), Secret::new(crumb.clone())]);
        state.sessions.push((session.clone(), crumb.clone()));
    }
    let body = json!({
        "message": "success",
        "session_id": session,
        "manager_token": token::random::<16>(),
        "is_consumer": true,
    });
    let crumb = format!("{SESSION}={crumb}; path=/; secure; HttpOnly");
    ([(SET_COOKIE, crumb)], answer::json(StatusCode::OK, &body)).into_response()
}

#[derive(Deserialize)]
struct Wanted {
    session_id: String,
    serial_num: String,
    username: String,
}

/// The first way: the bare token as text.
async fn tokens(cloud: Arc<Cloud>, (headers, body): (HeaderMap, Bytes)) -> Response {
    cloud.state.lock().fetches += 1;
    if let Some(response) = troubled(&cloud, Stage::Tokens).await {
        return response;
    }
    let wanted = serde_json::from_slice::<Wanted>(&body).ok();
    let Some(wanted) = wanted.filter(|_| kind(&headers).starts_with("application/json")) else {
        return answer::json(StatusCode::BAD_REQUEST, &json!({ "message": "Bad Request" }));
    };
    let known = cloud.state.lock().sessions.iter().any(|(session, _)| *session == wanted.session_id);
    if !known || wanted.username != cloud.settings.username {
        return answer::json(StatusCode::UNAUTHORIZED, &json!({ "message": "Invalid session" }));
    }
    match fetched(&cloud, Stage::Tokens, &wanted.serial_num) {
        Ok(token) => answer::typed(StatusCode::OK, "text/plain; charset=utf-8", token),
        Err(response) => *response,
    }
}

#[derive(Deserialize)]
struct Serial {
    serial_num: String,
}

/// The second way: the token within JSON, for a cookie.
async fn entrez(cloud: Arc<Cloud>, (Query(asked), headers): (Query<Serial>, HeaderMap)) -> Response {
    cloud.state.lock().fetches += 1;
    if let Some(response) = troubled(&cloud, Stage::Entrez).await {
        return response;
    }
    let crumb = match cookie(&headers, SESSION) {
        Ok(crumb) => crumb,
        Err(refusal) => return *refusal,
    };
    let known = cloud.state.lock().sessions.iter().any(|(_, known)| Some(known.as_str()) == crumb);
    if !known {
        return answer::redirect(StatusCode::FOUND, "/login");
    }
    match fetched(&cloud, Stage::Entrez, &asked.serial_num) {
        Ok(token) => {
            let now = cloud.clock.now();
            let lifetime = cloud.settings.token_lifetime.unwrap_or(cloud.settings.role.lifetime());
            let body = json!({
                "generation_time": now.as_seconds(),
                "token": token,
                "expires_at": now.plus(lifetime).as_seconds(),
            });
            answer::json(StatusCode::OK, &body)
        }
        Err(response) => *response,
    }
}

/// The token, or what stands in its place.
fn fetched(cloud: &Cloud, stage: Stage, serial: &str) -> Result<String, Box<Response>> {
    let serials = &cloud.settings.serials;
    if !serials.is_empty() && !serials.iter().any(|known| known == serial) {
        return Err(Box::new(answer::html(StatusCode::FORBIDDEN, "Not your gateway")));
    }
    let trouble = cloud.state.lock().troubles.get(&stage).copied();
    Ok(match trouble {
        Some(Trouble::TokenError) => "Error in generating Token".to_owned(),
        Some(Trouble::TokenEmpty) => String::new(),
        Some(Trouble::TokenForeign) => cloud.minted(FOREIGN, None, false),
        Some(Trouble::TokenExpired) => cloud.minted(serial, None, true),
        Some(Trouble::TokenTorn) => {
            let whole = cloud.minted(serial, None, false);
            whole.rsplit_once('.').map(|(torn, _)| torn.to_owned()).unwrap_or_default()
        }
        _ => cloud.minted(serial, None, false),
    })
}

/// What goes wrong before anything is looked at.
async fn troubled(cloud: &Cloud, stage: Stage) -> Option<Response> {
    let trouble = cloud.state.lock().troubles.get(&stage).copied()?;
    let later = [(RETRY_AFTER, cloud.settings.retry_after.as_secs().to_string())];
    let ok = |body: Value| answer::json(StatusCode::OK, &body);
    Some(match trouble {
        Trouble::Invalid => answer::json(StatusCode::UNAUTHORIZED, &json!({ "message": "Invalid" })),
        Trouble::Mfa => ok(json!({ "message": "success", "requires_mfa": true })),
        Trouble::OtpCookie => {
            let nonce = format!("login_otp_nonce={}; path=/; secure; HttpOnly", token::random::<16>());
            ([(SET_COOKIE, nonce)], ok(json!({ "message": "success" }))).into_response()
        }
        Trouble::NoSession => ok(json!({ "message": "success", "is_consumer": true })),
        Trouble::Blocked => ok(json!({ "session_id": token::random::<16>(), "isBlocked": true })),
        Trouble::Crowded => {
            let body = json!({ "message": "You have too many active sessions" });
            answer::json(cloud.settings.crowded, &body)
        }
        Trouble::BadRequest => answer::json(StatusCode::BAD_REQUEST, &json!({ "message": "Bad Request" })),
        Trouble::Forbidden => answer::json(StatusCode::FORBIDDEN, &json!({ "message": "Forbidden" })),
        Trouble::NotAcceptable => answer::html(StatusCode::NOT_ACCEPTABLE, "Not Acceptable"),
        Trouble::BotWall => answer::html(StatusCode::OK, "Checking your browser"),
        Trouble::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, later).into_response(),
        Trouble::Broken => answer::html(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong"),
        Trouble::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, later).into_response(),
        Trouble::Hang => std::future::pending().await,
        Trouble::TokenError
        | Trouble::TokenEmpty
        | Trouble::TokenForeign
        | Trouble::TokenExpired
        | Trouble::TokenTorn => return None,
    })
}
