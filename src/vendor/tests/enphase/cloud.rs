//! Getting a token from the cloud, or not.

use super::*;

#[tokio::test]
async fn the_second_way_is_gone_where_the_first_fails() {
    let fetched = token(SERIAL, 86_400);
    let wrapped = ok(&json!({ "generation_time": 1, "token": fetched, "expires_at": 2 }).to_string());
    let torn = ok("a.b");
    let foreign = ok(&token("999", 60));
    let ended = ok(&token(SERIAL, -60));
    for first in [
        "400 Bad Request",
        "403 Forbidden",
        "406 Not Acceptable",
        "500 Oops",
        "503 Later",
        "200 OK\n\n<html>",
        "200 OK",
        "200 OK\n\nError in generating Token",
        &torn,
        &foreign,
        &ended,
    ] {
        let (device, _gateway, cloud) = house(&[VALID], &[ENTERED, first, &wrapped], "").await;
        let held = device.login().await.unwrap_or_else(|refusal| panic!("{first}: {refusal}"));
        assert_eq!(bearer(&device, &held), format!("Bearer {fetched}"), "{first}");
        let asked = cloud.asked();
        assert!(asked[2].starts_with(&format!("GET /entrez?serial_num={SERIAL} ")), "{}", asked[2]);
        assert!(asked[2].to_lowercase().contains("cookie: _enlighten_4_session=crumb"), "{}", asked[2]);
    }
}

#[tokio::test]
async fn each_reply_of_the_cloud_has_its_meaning() {
    let blocked = "{\"session_id\":\"5e55\",\"isBlocked\":true}";
    let crowded = "{\"message\":\"You have Too Many Active Sessions\"}";
    for (login, expected, said) in [
        (
            "401 Unauthorized\n\n{\"message\":\"Invalid\"}".to_owned(),
            "rejected",
            "wrong email or password, or MFA is on",
        ),
        (ok("{\"message\":\"success\"}"), "person", "turn MFA off, or set `token`"),
        (ok("{\"requires_mfa\":true}"), "person", "turn MFA off"),
        ("200 OK\nSet-Cookie: login_otp_nonce=5e55; path=/\n\n{}".to_owned(), "person", "turn MFA off"),
        (ok(blocked), "person", "blocked"),
        (format!("401 Unauthorized\n\n{blocked}"), "person", "blocked"),
        (ok(crowded), "unavailable", "too many active sessions"),
        (format!("503 Later\n\n{crowded}"), "unavailable", "too many active sessions"),
        ("406 Not Acceptable".to_owned(), "unavailable", "robot"),
        (ok("<html>are you human?"), "unavailable", "robot"),
        ("429 Slow\nRetry-After: 120".to_owned(), "unavailable", "asked too often (429): wait"),
        ("500 Oops".to_owned(), "unavailable", "500 Internal Server Error: wait"),
        ("404 Not Found".to_owned(), "odd", "if that stays, set `token`"),
    ] {
        let (device, _gateway, cloud) = house(&[], &[&login], "").await;
        let refusal = device.login().await.unwrap_err();
        assert_eq!(kind(&refusal), expected, "{login}: {refusal}");
        assert!(refusal.to_string().contains(said), "{login}: {refusal}");
        let text = format!("{refusal:?}");
        assert!(!["owner@", "s3cret", "5e55"].iter().any(|secret| text.contains(secret)), "{text}");
        assert_eq!(cloud.asked().len(), 1);
        let Refusal::Unavailable { retry_after, .. } = refusal else { continue };
        let expected = if said.contains("too many") {
            Some(Duration::from_secs(300))
        } else {
            login.contains("Retry-After").then_some(Duration::from_secs(120))
        };
        assert_eq!(retry_after, expected, "{login}");
    }
}

#[tokio::test]
async fn without_a_token_of_either_way_it_is_said_what_the_first_one_gave() {
    let unavailable = ["503 Later", "200 OK\n\n<html>"];
    let odd = ["200 OK\n\nError in generating Token", "302 Found\nLocation: /login"];
    let rejected = ["401 Unauthorized"];
    let crowded = ["403 No\n\ntoo many active sessions"];
    for (answers, expected) in [
        (&unavailable[..], "unavailable"),
        (&odd[..], "odd"),
        (&rejected[..], "rejected"),
        (&crowded[..], "unavailable"),
    ] {
        let script: Vec<_> = std::iter::once(ENTERED).chain(answers.iter().copied()).collect();
        let (device, gateway, cloud) = house(&[], &script, "").await;
        assert_eq!(kind(&device.login().await.unwrap_err()), expected, "{answers:?}");
        assert_eq!(cloud.asked().len(), script.len());
        assert!(gateway.asked().is_empty());
    }
}

#[tokio::test]
async fn the_end_of_a_fetched_token_is_by_the_clock_of_the_cloud() {
    let fetched = token(SERIAL, 86_400);
    // Ours is half a day behind.
    let theirs = std::time::UNIX_EPOCH + Duration::from_secs(1_780_043_200);
    let dated = format!("200 OK\nDate: {}\n\n{fetched}", httpdate::fmt_http_date(theirs));
    let (device, _gateway, _cloud) = house(&[VALID], &[ENTERED, &dated], "").await;
    assert_eq!(device.login().await.unwrap().expires_at, Some(NOW.plus(Duration::from_secs(43_200))));
}
