use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::twin::tests::{Reply, ask, visit};

fn gateway(settings: EnphaseSettings) -> (Arc<Enphase>, Router, String) {
    let cloud = Cloud::new(CloudSettings::default());
    let gateway = Enphase::new(settings, Arc::clone(&cloud), "http://127.0.0.1:1");
    let token = cloud.mint(&gateway.settings.serial, None);
    let face = Arc::clone(&gateway).face();
    (gateway, face, format!("Bearer {}", token.expose()))
}

/// Shows the token and takes the session's cookie.
async fn check(face: &Router, token: &str) -> String {
    let reply = ask(face, "POST", "/auth/check_jwt", &[("authorization", token)], "").await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "<!DOCTYPE html><h2>Valid token.</h2>\n"));
    assert_eq!(reply.headers["content-type"], "application/octet-stream");
    cookie_of(&reply)
}

fn cookie_of(reply: &Reply) -> String {
    reply.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn info_needs_no_token_and_shows_the_serial() {
    let (gateway, face, token) = gateway(EnphaseSettings::default());
    let reply = visit(&face, "/info", &[]).await;
    assert!(reply.text.contains("<sn>121935144671</sn>"), "{}", reply.text);
    assert!(reply.text.contains("<software>D8.3"), "{}", reply.text);
    gateway.become_serial("2");
    assert!(visit(&face, "/info", &[]).await.text.contains("<sn>2</sn>"));
    assert_eq!(visit(&face, "/production.json", &[("authorization", &token)]).await.status, 401);
}

#[tokio::test]
async fn a_seat_too_many_is_turned_away() {
    let (gateway, face, token) = gateway(EnphaseSettings { max_sessions: 2, ..Default::default() });
    let bearer = ("authorization", token.as_str());
    let cookie = check(&face, &token).await;
    assert_eq!(visit(&face, "/ivp/meters", &[bearer, ("cookie", &cookie)]).await.status, 200);
    assert_eq!(visit(&face, "/ivp/meters", &[bearer]).await.status, 200);
    assert_eq!(gateway.sessions(), 2);
    assert_eq!(visit(&face, "/ivp/meters", &[bearer]).await.status, 503);
    assert_eq!(visit(&face, "/ivp/meters", &[bearer, ("cookie", &cookie)]).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_uses_is_forgotten() {
    let (gateway, face, token) = gateway(EnphaseSettings::default());
    let cookie = check(&face, &token).await;
    let both = [("authorization", token.as_str()), ("cookie", cookie.as_str())];
    tokio::time::advance(Duration::from_secs(599)).await;
    assert_eq!(visit(&face, "/ivp/meters", &both).await.status, 200);
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(visit(&face, "/ivp/meters", &both).await.status, 401);
    assert_eq!(gateway.sessions(), 0);
}

#[tokio::test]
async fn a_reboot_ends_the_session_and_not_the_token() {
    let (gateway, face, token) = gateway(EnphaseSettings::default());
    let cookie = check(&face, &token).await;
    gateway.reboot();
    let both = [("authorization", token.as_str()), ("cookie", cookie.as_str())];
    assert_eq!(visit(&face, "/production.json", &both).await.status, 401);
    check(&face, &token).await;
    gateway.lapse();
    let reply = visit(&face, "/auth/check_jwt", &both[..1]).await;
    assert_eq!((reply.status, reply.text.contains("<html>")), (401, true));
}

#[tokio::test]
async fn an_owner_is_kept_from_an_installers_paths() {
    let (gateway, face, token) = gateway(EnphaseSettings::default());
    let cookie = check(&face, &token).await;
    let both = [("authorization", token.as_str()), ("cookie", cookie.as_str())];
    for path in [gateway.forbidden().unwrap(), "/stream/meter"] {
        assert_eq!(visit(&face, path, &both).await.status, 401);
    }
    let reply = visit(&face, "/ivp/livedata/status", &both).await;
    assert!(!reply.headers.contains_key("content-type") && reply.json()["meters"].is_object());
    assert!(reply.headers.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn early_firmware_wants_the_cookie_beside_the_bearer() {
    let settings = EnphaseSettings { firmware: Firmware::Seven, rotate_every: 2, ..Default::default() };
    let (_, face, token) = gateway(settings);
    let bearer = ("authorization", token.as_str());
    assert_eq!(visit(&face, "/ivp/meters", &[bearer]).await.status, 401);
    let cookie = check(&face, &token).await;
    let both = [bearer, ("cookie", cookie.as_str())];
    assert!(!visit(&face, "/ivp/meters", &both).await.headers.contains_key("set-cookie"));
    let newer = cookie_of(&visit(&face, "/ivp/meters", &both).await);
    assert_eq!(visit(&face, "/ivp/meters", &both).await.status, 401);
    assert_eq!(visit(&face, "/ivp/meters", &[bearer, ("cookie", &newer)]).await.status, 200);
    assert_eq!(visit(&face, "/ivp/meters", &[("cookie", &newer)]).await.status, 401);
}

#[tokio::test]
async fn fresh_tokens_are_good_where_old_ones_are_void() {
    let (gateway, face, token) = gateway(EnphaseSettings::default());
    check(&face, &token).await;
    let on_its_way = format!("Bearer {}", gateway.cloud().mint(&gateway.settings.serial, None).expose());
    gateway.void_tokens();
    assert_eq!(visit(&face, "/auth/check_jwt", &[("authorization", &token)]).await.status, 401);
    check(&face, &on_its_way).await;
    let fresh = format!("Bearer {}", gateway.cloud().mint(&gateway.settings.serial, None).expose());
    check(&face, &fresh).await;
    gateway.refuse_tokens(true);
    assert_eq!(visit(&face, "/auth/check_jwt", &[("authorization", &fresh)]).await.status, 401);
}

#[tokio::test]
async fn old_firmware_asks_for_a_digest() {
    let (gateway, face, _) = gateway(EnphaseSettings { firmware: Firmware::Five, ..Default::default() });
    let reply = visit(&face, "/production.json", &[]).await;
    let words = reply.headers["www-authenticate"].to_str().unwrap();
    assert!(reply.status == 401 && words.contains("realm=\"enphaseenergy.com\""), "{words}");
    assert!(gateway.stanza().contains("password = \"144671\""));
    assert_eq!(gateway.forbidden(), None);
}

#[tokio::test]
async fn the_oldest_firmware_resets_a_connection_that_is_used_for_the_digest() {
    let settings = EnphaseSettings { firmware: Firmware::Five, resets_reused: true, ..Default::default() };
    let (gateway, face, _) = gateway(settings);
    let served = serve(face, None, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let first = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let second = "GET / HTTP/1.1\r\nHost: t\r\nAuthorization: Digest a=b\r\n\r\n";
    stream.write_all(first.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    assert!(stream.read(&mut answer).await.unwrap() > 0);
    stream.write_all(second.as_bytes()).await.unwrap();
    assert_eq!(stream.read(&mut answer).await.unwrap_or(0), 0);
    let connections: Vec<_> = gateway.arrivals().iter().map(|arrival| arrival.connection).collect();
    assert_eq!(connections, [1, 1]);
}
