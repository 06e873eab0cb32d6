use super::*;
use crate::twin::tests::{Reply, ask, visit};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");
const SERIAL: &str = "121935144671";

fn cloud() -> (Arc<Cloud>, Router) {
    let cloud = Cloud::new(CloudSettings { password: "p+ä&".into(), ..Default::default() });
    let face = Arc::clone(&cloud).face();
    (cloud, face)
}

async fn log_in(face: &Router) -> Reply {
    let mut form = form_urlencoded::Serializer::new(String::new());
    let form = form.append_pair("user[email]", "owner@example.com").append_pair("user[password]", "p+ä&");
    ask(face, "POST", "/login/login.json?", &[FORM], &form.finish()).await
}

async fn token(face: &Router, session: &Reply) -> Reply {
    let body = json!({
        "session_id": session.json()["session_id"],
        "serial_num": SERIAL,
        "username": "owner@example.com",
    });
    ask(face, "POST", "/tokens", &[JSON], &body.to_string()).await
}

async fn other_token(face: &Router, session: &Reply) -> Reply {
    let cookie = session.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap();
    visit(face, &format!("/entrez-auth-token?serial_num={SERIAL}"), &[("cookie", cookie)]).await
}

#[tokio::test]
async fn both_ways_lead_to_a_token_of_the_gateway() {
    let (cloud, face) = cloud();
    let session = log_in(&face).await;
    let first = token(&face, &session).await;
    assert_eq!(first.status, 200);
    assert_eq!(cloud.judge(&first.text, SERIAL), Some(Role::Owner));
    assert_eq!(cloud.judge(&first.text, "other"), None);
    let second = other_token(&face, &session).await;
    let second = second.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(cloud.judge(&second, SERIAL), Some(Role::Owner));
    assert_eq!((cloud.logins(), cloud.fetches()), (1, 2));
    cloud.void(SERIAL);
    assert_eq!(cloud.judge(&second, SERIAL), None);
    assert!(cloud.secrets().iter().any(|secret| secret.expose() == second));
}

#[tokio::test]
async fn a_login_may_be_multipart() {
    let (_, face) = cloud();
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = part("user[email]", "owner@example.com") + &part("user[password]", "p+ä&") + "--b--\r\n";
    let kind = ("content-type", "multipart/form-data; boundary=b");
    assert_eq!(ask(&face, "POST", "/login/login.json", &[kind], &body).await.status, 200);
    let reply = ask(&face, "POST", "/login/login.json", &[FORM], "user[email]=a&user[password]=b").await;
    assert_eq!((reply.status, reply.text.as_str()), (401, r#"{"message":"Invalid"}"#));
}

#[tokio::test]
async fn a_trouble_has_a_name_and_strikes_where_it_can() {
    let (cloud, face) = cloud();
    let session = log_in(&face).await;
    for (name, trouble) in Trouble::ALL {
        assert_eq!(name.parse(), Ok(trouble));
        assert_eq!(trouble.to_string(), name);
        if trouble == Trouble::Hang {
            continue;
        }
        cloud.strike(trouble);
        let good = log_in(&face).await;
        let good = good.status == 200 && good.text.contains("session_id") && !good.text.contains("isBlocked");
        assert_eq!(good, !trouble.befalls(Stage::Login), "{name}");
        let good = cloud.judge(&token(&face, &session).await.text, SERIAL).is_some();
        assert_eq!(good, !trouble.befalls(Stage::Tokens), "{name}");
        cloud.set(Stage::Entrez, None);
        assert_eq!(other_token(&face, &session).await.status, 200, "{name}");
        cloud.clear();
    }
    assert!("storm".parse::<Trouble>().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_with_its_lifetime() {
    let (cloud, _) = cloud();
    let token = cloud.mint(SERIAL, Some(Duration::from_secs(5)));
    assert_eq!(token.expose().split('.').count(), 3);
    assert!(cloud.judge(token.expose(), SERIAL).is_some());
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(cloud.judge(token.expose(), SERIAL).is_none());
}
