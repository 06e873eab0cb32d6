use super::*;
use crate::twin::tests::visit;

const DEVICES: &str = "/api/v1/lib/devices";
const JSON: (&str, &str) = ("accept", "application/json");

fn gateway() -> (Arc<Yombo>, Router) {
    let gateway = Yombo::new(YomboSettings { auth_key: "right".into(), starting: None });
    let face = Arc::clone(&gateway).face();
    (gateway, face)
}

#[tokio::test]
async fn the_first_place_that_has_a_key_counts() {
    let (_, face) = gateway();
    let (right, wrong) = ("right", "wrong");
    let query = |first, second| format!("{DEVICES}?_auth_key={first}&_api_auth={second}");
    for (path, headers, status) in [
        (DEVICES.to_owned(), vec![("x-auth-key", right), ("x-api-auth", wrong)], 200),
        (DEVICES.to_owned(), vec![("x-auth-key", wrong), ("x-api-auth", right)], 401),
        (DEVICES.to_owned(), vec![("x-api-auth", right)], 200),
        (DEVICES.to_owned(), vec![("x-api-key", right)], 401),
        (query(wrong, wrong), vec![("x-api-auth", right)], 200),
        (query(right, wrong), vec![], 200),
        (query(wrong, right), vec![], 401),
        (format!("{DEVICES}?_api_auth=right"), vec![], 200),
        (DEVICES.to_owned(), vec![("x-auth-key", right), ("x-auth-key", right)], 400),
    ] {
        let headers: Vec<_> = headers.into_iter().chain([JSON]).collect();
        assert_eq!(visit(&face, &path, &headers).await.status, status, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn accept_decides_below_api() {
    let (_, face) = gateway();
    let key = ("x-auth-key", "right");
    let json = "application/json";
    let page = "text/html; charset=utf-8";
    for (accept, status, kind) in [
        (Some("application/json, text/html"), 200, json),
        (Some("*/*"), 200, page),
        (Some("text/html"), 200, page),
        (Some("image/png"), 415, json),
        (None, 415, json),
    ] {
        let headers: Vec<_> = accept.map(|accept| ("accept", accept)).into_iter().chain([key]).collect();
        let reply = visit(&face, DEVICES, &headers).await;
        assert_eq!((reply.status, reply.headers["content-type"].to_str().unwrap()), (status, kind));
        assert_eq!(reply.headers["x-powered-by"], "YGW");
    }
}

#[tokio::test]
async fn a_wrong_key_is_401_below_api_and_the_login_elsewhere() {
    let (gateway, face) = gateway();
    gateway.lock_out();
    let headers = [("x-auth-key", "right"), JSON];
    let reply = visit(&face, DEVICES, &headers).await;
    assert_eq!((reply.status, reply.json()["errors"].is_array()), (401, true));
    let reply = visit(&face, "/twin/sample", &headers).await;
    assert_eq!((reply.status, reply.headers["location"].as_bytes()), (302, &b"/user/login"[..]));
}

#[tokio::test]
async fn a_command_is_a_get_and_a_rotation_replaces_the_key() {
    let (gateway, face) = gateway();
    let headers = [("x-auth-key", "right"), JSON];
    for path in ["/api/v1/device/lamp/command/on", "/api/v1/lib/devices/lamp/command/off"] {
        assert_eq!(visit(&face, path, &headers).await.status, 200);
    }
    assert_eq!(gateway.commands(), ["lamp/on", "lamp/off"]);
    assert_eq!(visit(&face, "/api/v1/lib/auth_keys/main/rotate", &headers).await.status, 200);
    assert_eq!(visit(&face, DEVICES, &headers).await.status, 401);
}

#[tokio::test]
async fn while_it_starts_everything_is_a_page_or_503() {
    let (gateway, face) = gateway();
    let headers = [("x-auth-key", "right"), JSON];
    gateway.start(Some(Starting::Html));
    let reply = visit(&face, DEVICES, &headers).await;
    assert_eq!((reply.status, reply.text.starts_with("<!DOCTYPE html>")), (200, true));
    gateway.start(Some(Starting::Json));
    assert_eq!(visit(&face, DEVICES, &headers).await.status, 503);
    gateway.start(None);
    assert_eq!(visit(&face, DEVICES, &headers).await.status, 200);
}
