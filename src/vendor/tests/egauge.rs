//! eGauge meters.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use md5::{Digest, Md5};

use super::scripted::Scripted;
use super::*;
use crate::vendor::egauge::{answer_to, lifetime};

const KEYS: &str = "username = \"owner\"\npassword = \"s3cret\"";
const NONCE: &str = "401 Unauthorized\n\n{\"rlm\":\"eGauge Administration\",\"nnc\":\"n\",\"error\":\"Authentication required.\"}";

#[test]
fn egauge_hashes_are_those_of_the_vendor() {
    let hash = answer_to(
        "owner",
        "eGauge Administration",
        &"test123".into(),
        "test_server_nonce",
        "test_client_nonce",
    );
    assert_eq!(hash, "7789cd0487dfeb93711828b0b89913b3");
    // MD5("jane:domain:secret") is the first half of any answer.
    let inner = "251910de04f5eab86859939167d4fded";
    assert_eq!(hex::encode(Md5::digest("jane:domain:secret")), inner);
    let expected = hex::encode(Md5::digest(format!("{inner}:n:c")));
    assert_eq!(answer_to("jane", "domain", &"secret".into(), "n", "c"), expected);
}

#[test]
fn a_meters_token_lives_as_long_as_it_says_in_a_number_or_a_text() {
    let token = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
    assert_eq!(lifetime(&token(r#"{"ltm":600,"beg":1}"#)), Some(600));
    assert_eq!(lifetime(&token(r#"{"ltm":"300"}"#)), Some(300));
    assert_eq!(lifetime(&token(r#"{"ltm":300.0}"#)), Some(300));
    assert_eq!(lifetime(&token(r#"{"ltm":"300.5"}"#)), Some(300));
    assert_eq!(lifetime(&token(r#"{"ltm":0}"#)), None);
    assert_eq!(lifetime(&token(r#"{"ltm":-1.5}"#)), None);
    assert_eq!(lifetime(&token(r#"{"ltm":1e300}"#)), None);
    assert_eq!(lifetime(&token(r#"{"ltm":"inf"}"#)), None);
    assert_eq!(lifetime(&token(r#"{"beg":1}"#)), None);
    assert_eq!(lifetime("no token"), None);
}

#[tokio::test]
async fn a_login_takes_a_new_nonce_where_one_has_lapsed() {
    let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode("{\"ltm\":300,\"beg\":1}"));
    let lapsed = "200 OK\n\n{\"error\":\"Nonce expired.\"}";
    let granted = format!("200 OK\n\n{{\"jwt\":\"{token}\",\"rights\":[]}}");
    let meter = Scripted::new(&[NONCE, lapsed, NONCE, &granted]).await;
    let device = Device::at(&meter.url, "egauge", KEYS);
    let held = device.login().await.unwrap();
    assert_eq!(header(&device.signed(&held, get("/api/x")), "authorization"), [format!("Bearer {token}")]);
    assert_eq!(held.expires_at, Some(NOW.plus(Duration::from_secs(295))));
    assert!(meter.asked().iter().all(|asked| !asked.contains("s3cret")));
}

#[tokio::test]
async fn what_a_meter_says_to_a_login_has_its_meaning() {
    for (said, expected) in [
        ("200 OK\n\n{\"error\":\"Invalid password.\"}", "rejected"),
        ("400 Bad Request\n\n{\"error\":\"Bad Request\"}", "odd"),
        ("200 OK\n\n<html>", "odd"),
    ] {
        let meter = Scripted::new(&[NONCE, said]).await;
        let refusal = Device::at(&meter.url, "egauge", KEYS).login().await.unwrap_err();
        assert_eq!(kind(&refusal), expected, "{said}");
        assert!(!refusal.to_string().contains("s3cret"));
        assert_eq!(meter.asked().len(), 2, "{said}");
    }
}

#[tokio::test]
async fn a_meter_that_is_busy_is_left_alone_for_as_long_as_it_asks() {
    let busy = "503 Service Unavailable\nRetry-After: 600";
    let seldom = "429 Too Many Requests\nRetry-After: 600\n\n{\"error\":\"Too many requests.\"}";
    for script in [&[busy][..], &[NONCE, busy], &[NONCE, seldom]] {
        let meter = Scripted::new(script).await;
        let refusal = Device::at(&meter.url, "egauge", KEYS).login().await.unwrap_err();
        assert_eq!(wait(&refusal), Some(600), "{script:?}: {refusal}");
    }
    let meter = Scripted::new(&[busy, "503 Later", "500 Broken\nRetry-After: 600"]).await;
    let device = Device::at(&meter.url, "egauge", KEYS);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let refusal = device.vendor.verify(&device.visit(), &Session::default()).await.unwrap_err();
        waits.push(wait(&refusal));
    }
    assert_eq!(waits, [Some(600), None, None]);
}

#[tokio::test]
async fn a_doubt_is_settled_by_one_question_with_the_token() {
    for (said, expected) in [("200 OK", "pass"), (NONCE, "expired")] {
        let meter = Scripted::new(&[said]).await;
        let device = Device::at(&meter.url, "egauge", KEYS);
        let bearer = Stamp::Header(http::header::AUTHORIZATION, "Bearer t0ken".into());
        let verdict = device.vendor.verify(&device.visit(), &Session::fixed(vec![bearer])).await.unwrap();
        assert_eq!(word(&verdict), expected);
        assert!(
            meter.asked()[0].starts_with("GET /api/auth/unauthorized ")
                && meter.asked()[0].contains("Bearer t0ken")
        );
    }
}
