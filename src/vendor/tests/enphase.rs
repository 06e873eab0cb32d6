//! Enphase gateways.

mod cloud;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::json;

use super::scripted::Scripted;
use super::*;
use crate::vendor::enphase::{Token, introduced};

const SERIAL: &str = "121935144671";
const VALID: &str = "200 OK\nSet-Cookie: sessionId=seat1; path=/; secure";
const VOID: &str = "401 Unauthorized";
const ENTERED: &str = "200 OK\nSet-Cookie: _enlighten_4_session=crumb; path=/\n\n{\"session_id\":\"5e55\"}";

/// A token that ends so many seconds after [`NOW`].
fn token(serial: &str, lasts: i64) -> String {
    let now = NOW.as_seconds();
    let claims = json!({ "aud": serial, "iss": "Entrez", "exp": now + lasts, "iat": now, "username": "owner@example.com" });
    format!(
        "{}.{}.c2ln",
        URL_SAFE_NO_PAD.encode("{\"alg\":\"ES256\"}"),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

fn ok(body: &str) -> String {
    format!("200 OK\n\n{body}")
}

/// A gateway with these answers, and its owner's account at a cloud with those.
async fn house(gateway: &[&str], cloud: &[&str], keys: &str) -> (Device, Scripted, Scripted) {
    let (gateway, cloud) = (Scripted::new(gateway).await, Scripted::new(cloud).await);
    let account = if keys.contains("alone") {
        String::new()
    } else {
        format!(
            "username = \"owner@example.com\"\npassword = \"s3cret\"\nlogin_url = \"{0}/login\"\n\
             token_url = \"{0}/tokens\"\nauth_token_url = \"{0}/entrez\"\n",
            cloud.url
        )
    };
    let device = Device::at(&gateway.url, "enphase", &format!("serial = \"{SERIAL}\"\n{account}{keys}"));
    (device, gateway, cloud)
}

fn configured(token: &str) -> String {
    format!("token = \"{token}\"")
}

fn bearer(device: &Device, held: &Session) -> String {
    header(&device.signed(held, get("/x")), "authorization")[0].to_owned()
}

fn cookies(device: &Device, held: &Session) -> Vec<String> {
    header(&device.signed(held, get("/x")), "cookie").into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_login_gets_a_token_and_a_seat() {
    let fetched = token(SERIAL, 86_400);
    let (device, gateway, cloud) = house(&[VALID], &[ENTERED, &ok(&fetched)], "").await;
    let held = device.login().await.unwrap();
    assert_eq!(bearer(&device, &held), format!("Bearer {fetched}"));
    assert_eq!(cookies(&device, &held), ["sessionId=seat1"]);
    assert_eq!(held.expires_at, Some(NOW.plus(Duration::from_secs(86_400))));
    assert!(held.lasts);
    let asked = cloud.asked();
    assert!(
        asked[0].starts_with("POST /login ")
            && asked[0].ends_with("user%5Bemail%5D=owner%40example.com&user%5Bpassword%5D=s3cret")
    );
    let body = asked[1].split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body, json!({ "session_id": "5e55", "serial_num": SERIAL, "username": "owner@example.com" }));
    assert!(gateway.asked()[0].starts_with("GET /auth/check_jwt ") && gateway.asked()[0].contains(&fetched));
}

#[tokio::test]
async fn a_configured_token_serves_without_the_cloud() {
    let given = token(SERIAL, 3600);
    let wrapped = format!("token = '''\n {{\"token\": \"{given}\", \"expires_at\": 1}}\n'''");
    for keys in [configured(&given), wrapped, format!("# alone\n{}", configured(&given))] {
        let (device, _gateway, cloud) = house(&[VALID], &[], &keys).await;
        let held = device.login().await.unwrap();
        assert_eq!(bearer(&device, &held), format!("Bearer {given}"));
        assert_eq!(held.expires_at, Some(NOW.plus(Duration::from_secs(3600))));
        assert!(cloud.asked().is_empty());
    }
}

#[tokio::test]
async fn a_configured_token_that_is_of_no_use_is_told_or_replaced() {
    let (ended, foreign, torn) = (token(SERIAL, -60), token("999", 60), "a.b");
    let folder = tempfile::tempdir().unwrap();
    for (given, said) in [(ended.as_str(), "2026-"), (&foreign, "another gateway"), (torn, "three parts")] {
        let file = folder.path().join("envoy.jwt");
        std::fs::write(&file, &ended).unwrap();
        let in_file = format!("token = {{ file = {file:?} }}");
        let (device, gateway, _cloud) = house(&[], &[], &format!("# alone\n{in_file}")).await;
        std::fs::write(&file, given).unwrap();
        let refusal = device.login().await.unwrap_err();
        assert_eq!(kind(&refusal), "person");
        assert!(refusal.to_string().contains(said) && !refusal.to_string().contains(given), "{refusal}");
        assert!(gateway.asked().is_empty());
        let fetched = token(SERIAL, 86_400);
        std::fs::write(&file, &ended).unwrap();
        let (device, ..) = house(&[VALID], &[ENTERED, &ok(&fetched)], &in_file).await;
        std::fs::write(&file, given).unwrap();
        assert_eq!(bearer(&device, &device.login().await.unwrap()), format!("Bearer {fetched}"));
    }
}

#[test]
fn a_token_that_can_never_serve_is_a_mistake_in_the_configuration() {
    let keys = |token: &str| format!("serial = \"{SERIAL}\"\ntoken = \"{token}\"");
    for (given, said) in [(token("999", 60), "another gateway"), ("a.b".to_owned(), "three parts")] {
        let errors = mistakes("enphase", &keys(&given));
        assert!(errors.starts_with("proxy.toml:5:9: devices.it.token: "), "{errors}");
        assert!(errors.contains(said) && errors.contains("username") && !errors.contains(&given), "{errors}");
    }
    // One that has ended was right once.
    Device::new("enphase", &keys(&token(SERIAL, -60)));
}

#[tokio::test]
async fn a_token_refused_before_its_end_is_renewed_once() {
    let (given, fetched) = (token(SERIAL, 3600), token(SERIAL, 86_400));
    let (device, ..) = house(&[VOID, VALID], &[ENTERED, &ok(&fetched)], &configured(&given)).await;
    assert_eq!(bearer(&device, &device.login().await.unwrap()), format!("Bearer {fetched}"));

    let (device, ..) = house(&[VOID, VOID], &[ENTERED, &ok(&fetched)], &configured(&given)).await;
    assert_eq!(kind(&device.login().await.unwrap_err()), "rejected");

    let alone = format!("# alone\n{}", configured(&given));
    let (device, ..) = house(&[VALID, VOID], &[], &alone).await;
    let held = device.login().await.unwrap();
    let visit = Visit { refused: Some(&held), ..device.visit() };
    assert_eq!(kind(&device.vendor.login(&visit).await.unwrap_err()), "rejected");

    // The cloud gives what the gateway has refused.
    let (device, gateway, _cloud) = house(&[VALID], &[ENTERED, &ok(&given)], "").await;
    let visit = Visit { refused: Some(&held), ..device.visit() };
    assert_eq!(kind(&device.vendor.login(&visit).await.unwrap_err()), "rejected");
    assert!(gateway.asked().is_empty());
}

#[tokio::test]
async fn a_fetched_token_is_kept_whatever_ails_the_gateway() {
    let fetched = token(SERIAL, 86_400);
    let (device, ..) = house(&["503 Later"], &[ENTERED, &ok(&fetched)], "").await;
    let held = device.login().await.unwrap();
    assert_eq!(bearer(&device, &held), format!("Bearer {fetched}"));
    assert!(cookies(&device, &held).is_empty());
}

#[tokio::test]
async fn a_gateway_that_is_busy_is_left_alone_for_as_long_as_it_asks() {
    let busy = "503 Service Unavailable\nRetry-After: 600";
    let alone = format!("# alone\n{}", configured(&token(SERIAL, 3600)));
    let (device, ..) = house(&[busy], &[], &alone).await;
    let refusal = device.login().await.unwrap_err();
    assert_eq!(wait(&refusal), Some(600), "{refusal}");
    assert!(refusal.to_string().contains("no session left"), "{refusal}");
    for script in [&[VALID, busy][..], &[VALID, VOID, busy]] {
        let (device, ..) = house(script, &[], &alone).await;
        let held = device.login().await.unwrap();
        let refusal = device.vendor.verify(&device.visit(), &held).await.unwrap_err();
        assert_eq!(wait(&refusal), Some(600), "{script:?}: {refusal}");
    }
}

#[tokio::test]
async fn a_renewal_takes_what_lasts_longest_and_keeps_its_seat() {
    let (short, long) = (token(SERIAL, 3600), token(SERIAL, 86_400));
    let script = [VALID, "200 OK"];
    let (device, gateway, _cloud) = house(&script, &[ENTERED, &ok(&long)], &configured(&short)).await;
    let held = device.login().await.unwrap();
    let renewed = device.vendor.renew(&device.visit(), &held).await.unwrap().unwrap();
    assert_eq!(bearer(&device, &renewed), format!("Bearer {long}"));
    assert_eq!(cookies(&device, &renewed), ["sessionId=seat1"]);
    assert!(gateway.asked()[1].contains("sessionId=seat1"), "the check takes no second seat");

    // A token of the cloud that ends sooner is not taken.
    let (device, ..) = house(&[VALID], &[ENTERED, &ok(&short)], &configured(&long)).await;
    let held = device.login().await.unwrap();
    let refusal = device.vendor.renew(&device.visit(), &held).await.unwrap_err();
    assert_eq!(kind(&refusal), "enough");

    // A configured one that has changed wins, however short.
    let (other, ..) = house(&[VALID], &[], &configured(&short)).await;
    let renewed = other.vendor.renew(&other.visit(), &held).await.unwrap().unwrap();
    assert_eq!(bearer(&other, &renewed), format!("Bearer {short}"));

    // Without an account, it is for a person to set another.
    let alone = format!("# alone\n{}", configured(&short));
    let (device, ..) = house(&[VALID], &[], &alone).await;
    let held = device.login().await.unwrap();
    let refusal = device.vendor.renew(&device.visit(), &held).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Person(text) if text.contains("2026-")), "{refusal:?}");
}

#[tokio::test]
async fn a_new_cookie_is_taken_over_but_not_from_a_refusal() {
    let (device, ..) = house(&[VALID], &[], &configured(&token(SERIAL, 3600))).await;
    let held = device.login().await.unwrap();
    for (status, given, expected) in [
        (200, "sessionId=seat2; path=/", "rotated"),
        (404, "sessionId=seat2", "rotated"),
        (200, "sessionId=seat1; path=/", "pass"),
        (200, "sessionId=; Max-Age=0", "pass"),
        (200, "sessionId=seat2; Max-Age=0; path=/", "pass"),
        (200, "sessionId=seat2; max-age = -1", "pass"),
        (200, "sessionId=seat2; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "rotated"),
        (200, "sessionId=seat2; Path=/; expires=Thu, 01-Jan-1970 00:00:00 GMT", "pass"),
        (200, "sessionId=seat2; Expires=Sun, 06 Nov 1994 08:49:38 GMT", "pass"),
        (200, "sessionId=seat2; Expires=Fri, 01 Jan 2100 00:00:00 GMT", "rotated"),
        (200, "sessionId=seat2; Expires=sometime; Max-Age=long", "rotated"),
        (200, "sessionId=deleted; path=/", "pass"),
        (200, "other=seat2", "pass"),
        (401, "sessionId=seat2", "doubt"),
    ] {
        let verdict = device.judged(&held, answer(status, &[("set-cookie", given)]));
        assert_eq!(word(&verdict), expected, "{status} {given}");
        if let Verdict::Rotated(session) = verdict {
            assert_eq!(cookies(&device, &session), ["sessionId=seat2"]);
            assert_eq!(bearer(&device, &session), bearer(&device, &held));
            assert_eq!(session.expires_at, held.expires_at);
        }
    }
}

#[tokio::test]
async fn whether_a_cookie_has_ended_is_by_the_clock_of_the_gateway() {
    let (device, ..) = house(&[VALID], &[], &configured(&token(SERIAL, 3600))).await;
    let held = device.login().await.unwrap();
    for (date, expected) in
        [("Sun, 06 Nov 1994 08:49:37 GMT", "rotated"), ("Sun, 06 Nov 1994 08:49:39 GMT", "pass")]
    {
        let cookie = "sessionId=seat2; Expires=Sun, 06 Nov 1994 08:49:38 GMT";
        let verdict = device.judged(&held, answer(200, &[("set-cookie", cookie), ("date", date)]));
        assert_eq!(word(&verdict), expected, "{date}");
    }
}

#[tokio::test]
async fn a_doubt_is_settled_by_showing_the_token() {
    let fresh = "200 OK\nSet-Cookie: sessionId=seat2";
    for (answers, expected) in [
        (&[VALID][..], "pass"),
        (&[fresh], "rotated"),
        (&[VOID, fresh], "rotated"),
        (&["200 OK", fresh], "rotated"),
        (&["200 OK", "200 OK"], "pass"),
        (&[VOID, VOID], "expired"),
    ] {
        let script: Vec<_> = std::iter::once(VALID).chain(answers.iter().copied()).collect();
        let (device, gateway, _cloud) = house(&script, &[], &configured(&token(SERIAL, 3600))).await;
        let held = device.login().await.unwrap();
        let verdict = device.vendor.verify(&device.visit(), &held).await.unwrap();
        assert_eq!(word(&verdict), expected, "{answers:?}");
        let asked = gateway.asked();
        assert_eq!(asked.len(), script.len());
        assert!(asked[1].contains("sessionId=seat1"), "{}", asked[1]);
        assert!(asked.get(2).is_none_or(|second| !second.contains("sessionId")));
    }
}

#[test]
fn a_gateway_introduces_itself_by_its_serial() {
    let info = |body: &'static str| http::Response::new(Bytes::from_static(body.as_bytes()));
    let right = "<?xml version='1.0'?><envoy_info><time>1</time><device><sn>121935144671</sn><pn>8</pn></device></envoy_info>";
    assert_eq!(introduced(SERIAL, &info(right)), Ok(()));
    assert_eq!(introduced(SERIAL, &info("<a><b></a><sn> 121935144671\n</sn>& <")), Ok(()));
    let other = introduced(SERIAL, &info("<device><sn>999</sn></device>")).unwrap_err().to_string();
    assert_eq!(
        other,
        "the device at this address is serial 999, `serial` says 121935144671: correct `url` or `serial`; no \
         credential was sent to it"
    );
    for odd in ["", "<sn></sn>", "<sn>12", "<sn><script></sn>", "<html>login</html>"] {
        assert!(introduced(SERIAL, &info(odd)).unwrap_err().to_string().contains("IQ Gateway?"), "{odd}");
    }
}

#[test]
fn a_token_is_read_in_every_form_that_people_have_it_in() {
    let plain = token(SERIAL, 60);
    for text in
        [plain.clone(), format!(" \n{plain}\n"), json!({ "token": plain, "expires_at": 1 }).to_string()]
    {
        let read = Token::read(&text, SERIAL).unwrap();
        assert_eq!(read.text.expose(), plain);
        assert_eq!(read.ends_at, NOW.plus(Duration::from_secs(60)));
        assert_eq!(read.issued_at, Some(NOW));
    }
    let claims =
        |claims: serde_json::Value| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    assert!(Token::read(&claims(json!({ "aud": ["1", SERIAL], "exp": 1 })), SERIAL).is_ok());
    for (text, said) in [
        (claims(json!({ "aud": "1", "exp": 1 })), "another gateway"),
        (claims(json!({ "exp": 1 })), "does not say"),
        (claims(json!({ "aud": SERIAL })), "does not say"),
        ("a.b".to_owned(), "three parts"),
        ("a.b.c.d".to_owned(), "three parts"),
        ("a.b.c\u{e4}".to_owned(), "letters"),
        ("..".to_owned(), "letters"),
        (String::new(), "three parts"),
    ] {
        let why = Token::read(&text, SERIAL).unwrap_err();
        assert!(why.contains(said), "{text}: {why}");
    }
}
