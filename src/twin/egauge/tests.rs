use serde_json::Value;

use super::*;
use crate::twin::tests::{ask, visit};

const LOGIN: &str = "/api/auth/login";
const JSON: (&str, &str) = ("content-type", "application/json");

fn meter(settings: EgaugeSettings) -> (Arc<Egauge>, Router) {
    let meter = Egauge::new(EgaugeSettings { password: "test123".into(), ..settings });
    let face = Arc::clone(&meter).face();
    (meter, face)
}

async fn nonce(face: &Router) -> String {
    let reply = visit(face, "/api/auth/unauthorized", &[]).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.json()["rlm"], REALM);
    reply.json()["nnc"].as_str().unwrap().to_owned()
}

async fn log_in(face: &Router, nonce: &str, password: &str) -> Value {
    let hash = proof("owner", REALM, password, nonce, "client");
    let body = json!({ "rlm": REALM, "usr": "owner", "nnc": nonce, "cnnc": "client", "hash": hash });
    let reply = ask(face, "POST", LOGIN, &[JSON], &body.to_string()).await;
    assert_eq!(reply.status, 200);
    reply.json()
}

async fn token(face: &Router) -> String {
    let nonce = nonce(face).await;
    let token = log_in(face, &nonce, "test123").await["jwt"].as_str().unwrap().to_owned();
    format!("Bearer {token}")
}

#[test]
fn the_proof_is_the_documented_one() {
    let proof = proof("owner", REALM, "test123", "test_server_nonce", "test_client_nonce");
    assert_eq!(proof, "7789cd0487dfeb93711828b0b89913b3");
    assert_eq!(hex::encode(Md5::digest("jane:domain:secret")), "251910de04f5eab86859939167d4fded");
}

#[tokio::test]
async fn a_nonce_serves_once_even_with_a_wrong_password() {
    let (meter, face) = meter(EgaugeSettings::default());
    let nonce = nonce(&face).await;
    assert_eq!(log_in(&face, &nonce, "wrong").await["error"], "Invalid login.");
    assert_eq!(log_in(&face, &nonce, "test123").await["error"], "Nonce expired.");
    assert_eq!(log_in(&face, "made up", "test123").await["error"], "Nonce expired.");
    assert_eq!(meter.logins(), 3);
    let reply = ask(&face, "POST", LOGIN, &[JSON], "{}").await;
    assert_eq!((reply.status, reply.text.as_str()), (400, r#"{"error":"Bad Request"}"#));
}

#[tokio::test(start_paused = true)]
async fn a_nonce_lives_a_minute_and_a_token_ten() {
    let (_, face) = meter(EgaugeSettings::default());
    let nonce = nonce(&face).await;
    tokio::time::advance(NONCE_LIFETIME).await;
    assert_eq!(log_in(&face, &nonce, "test123").await["error"], "Nonce expired.");
    let token = token(&face).await;
    let shown = [("authorization", token.as_str())];
    assert_eq!(visit(&face, "/api/register?rate", &shown).await.status, 200);
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(visit(&face, "/api/register?rate", &shown).await.status, 401);
}

#[tokio::test]
async fn a_401_is_also_a_matter_of_rights() {
    let (meter, face) = meter(EgaugeSettings::default());
    let token = token(&face).await;
    let shown = [("authorization", token.as_str())];
    for path in [meter.forbidden().unwrap(), "/api/cmd"] {
        let reply = visit(&face, path, &shown).await;
        assert_eq!((reply.status, &reply.json()["error"]), (401, &json!("Authentication required.")));
    }
    let reply = visit(&face, "/api/auth/unauthorized", &shown).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, r#"{"status":"You are logged in."}"#));
    assert_eq!(visit(&face, "/api/auth/logout", &shown).await.status, 200);
    assert_eq!(visit(&face, "/api/auth/unauthorized", &shown).await.status, 401);
    assert_eq!(meter.live_tokens(), 0);
}

#[tokio::test]
async fn a_token_counts_by_the_meters_own_clock() {
    let years = -5 * 365 * 86_400;
    let settings = EgaugeSettings { ltm: Ltm::Text, clock_offset_seconds: years, ..Default::default() };
    let (meter, face) = meter(settings);
    let token = token(&face).await;
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["ltm"], "600");
    assert!(claims["exp"].is_null());
    let behind = meter.clock.now().as_seconds() - claims["beg"].as_i64().unwrap();
    assert!((behind + years).abs() < 5, "{behind}");
}

#[tokio::test]
async fn a_configuration_is_kept_from_two_writers() {
    let (_, face) = meter(EgaugeSettings::default());
    let token = token(&face).await;
    let shown = ("authorization", token.as_str());
    let tag = visit(&face, "/api/config/net", &[shown]).await.headers["etag"].to_str().unwrap().to_owned();
    let matching = [shown, ("if-match", tag.as_str())];
    assert_eq!(ask(&face, "PUT", "/api/config/net", &matching, "{}").await.status, 200);
    assert_eq!(ask(&face, "PUT", "/api/config/net", &matching, "{}").await.status, 412);
}

#[tokio::test]
async fn registers_are_decimal_strings() {
    let (_, face) = meter(EgaugeSettings::default());
    let token = token(&face).await;
    let reply = visit(&face, "/api/register?rate&time=now", &[("authorization", &token)]).await;
    assert!(reply.json()["ranges"][0]["rows"][0][0].is_string(), "{}", reply.text);
    assert!(reply.json()["registers"][0]["rate"].is_number(), "{}", reply.text);
}
