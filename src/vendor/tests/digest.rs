//! HTTP Digest.

use super::scripted::Scripted;
use super::*;
use crate::vendor::digest::{Challenge, Credentials};

const KEYS: &str = "username = \"Mufasa\"\npassword = \"Circle of Life\"";
const PLAIN: &str = "Digest realm=\"r\", nonce=\"n1\", qop=\"auth\"";
const STALE: &str = "Digest realm=\"r\", nonce=\"n2\", qop=\"auth\", stale=TRUE";

fn response(text: &str, nth: u64, password: &str, cnonce: &str) -> String {
    let who = Credentials { username: "Mufasa", password: &password.into(), cnonce };
    let answer = Challenge::read(text).unwrap().answer(&who, "GET", "/dir/index.html", nth);
    let (_, rest) = answer.split_once("response=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn responses_are_those_of_the_standards() {
    let of_7616 = |algorithm: &str| {
        format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    };
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let said = |algorithm| response(&of_7616(algorithm), 1, "Circle of Life", cnonce);
    assert_eq!(said("MD5"), "8ca523f5e9506fed4657c9700eebdbec");
    assert_eq!(said("SHA-256"), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    // RFC 2069 with its erratum 749.
    let of_2069 = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
                   opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    assert_eq!(response(of_2069, 1, "CircleOfLife", "unused"), "1949323746fe6a43ef61f9606e7febea");
}

#[test]
fn a_session_key_is_of_the_nonce_and_ours() {
    use md5::{Digest, Md5};
    let md5 = |text: &str| hex::encode(Md5::digest(text));
    let key = md5(&format!("{}:n:c", md5("Mufasa:r:p")));
    let expected = md5(&format!("{key}:n:0000000a:c:auth:{}", md5("GET:/dir/index.html")));
    let text = "Digest realm=\"r\", nonce=\"n\", qop=auth, algorithm=md5-SESS";
    assert_eq!(response(text, 10, "p", "c"), expected);
}

#[test]
fn the_strongest_challenge_is_taken_and_bytes_that_are_no_text_do_not_hurt() {
    let mut headers = HeaderMap::new();
    for value in [
        b"Basic realm=\"r\", Digest realm=\"r\", nonce=\"md5\", algorithm=MD5, qop=\"auth\"".as_slice(),
        b"Digest realm=\"r\xfc\", nonce=\"sha\", algorithm=SHA-256, qop=\"auth-int,auth\"",
        b"Digest realm=\"r\", nonce=\"int\", algorithm=SHA-256, qop=\"auth-int\"",
        b"Digest realm=\"r\", nonce=\"odd\", algorithm=SHA-512-256, qop=\"auth\"",
        b"Negotiate",
    ] {
        headers.append("www-authenticate", http::HeaderValue::from_bytes(value).unwrap());
    }
    let challenge = Challenge::of(&headers).unwrap();
    assert!(challenge.to_string().contains("\"sha\""), "{challenge}");
    assert_eq!(Challenge::read(&challenge.to_string()), Some(challenge));
    assert_eq!(Challenge::of(&HeaderMap::new()), None);
}

#[test]
fn bytes_that_are_no_text_are_hashed_and_go_back_as_they_are() {
    use md5::{Digest, Md5};
    let value = b"Digest realm=\"50 %25 r\xfc\", nonce=\"\xff\xe9n\", opaque=\"\x80\"";
    let mut headers = HeaderMap::new();
    headers.append("www-authenticate", http::HeaderValue::from_bytes(value).unwrap());
    let device = Device::new("digest", KEYS);
    let held = Session { memo: [("password".to_owned(), "p".into())].into(), ..Session::default() };
    let mut refusal = answer(401, &[]);
    *refusal.headers_mut() = headers;
    let Verdict::Challenged(held) = device.judged(&held, refusal) else { panic!() };
    let head = device.signed(&held, get("/x"));
    let md5 = |bytes: &[u8]| hex::encode(Md5::digest(bytes)).into_bytes();
    let response = md5(&[&md5(b"Mufasa:50 %25 r\xfc:p")[..], b":\xff\xe9n:", &md5(b"GET:/x")[..]].concat());
    let expected = [
        &b"Digest username=\"Mufasa\", realm=\"50 %25 r\xfc\", nonce=\"\xff\xe9n\", uri=\"/x\", response=\""
            [..],
        &response,
        b"\", opaque=\"\x80\"",
    ];
    assert_eq!(head.headers["authorization"].as_bytes(), expected.concat());
}

#[tokio::test]
async fn every_request_bears_its_own_target_and_count() {
    let scripted = Scripted::new(&[&format!("401 Unauthorized\nWWW-Authenticate: {PLAIN}")]).await;
    let device = Device::at(&scripted.url, "digest", KEYS);
    let held = device.login().await.unwrap();
    let mut head = get("/cgi-bin/x?inst&a=%7b").into_parts().0;
    device.vendor.sign(&held, Moment { nth: &|| 255, time: &|| NOW }, &mut head).unwrap();
    let [value] = header(&head, "authorization")[..] else { panic!() };
    for part in
        ["username=\"Mufasa\"", "uri=\"/cgi-bin/x?inst&a=%7b\"", "nc=000000ff", "qop=auth", "nonce=\"n1\""]
    {
        assert!(value.contains(part), "{part}: {value}");
    }
    assert!(!value.contains("algorithm") && !value.contains("opaque"), "{value}");
    assert!(head.headers["authorization"].is_sensitive());
}

#[tokio::test]
async fn who_is_not_asked_for_anything_proves_nothing() {
    let scripted = Scripted::new(&["200 OK\n\nhello"]).await;
    let device = Device::at(&scripted.url, "digest", KEYS);
    let held = device.login().await.unwrap();
    assert!(device.signed(&held, get("/x")).headers.is_empty());
    // What the front page does not ask for, another may.
    let Verdict::Challenged(held) = device.judged(&held, answer(401, &[("www-authenticate", PLAIN)])) else {
        panic!()
    };
    assert_eq!(header(&device.signed(&held, get("/x")), "authorization").len(), 1);
}

#[tokio::test]
async fn a_new_nonce_is_taken_over() {
    let scripted = Scripted::new(&[&format!("401 Unauthorized\nWWW-Authenticate: {PLAIN}")]).await;
    let device = Device::at(&scripted.url, "digest", KEYS);
    let held = device.login().await.unwrap();
    let nonce_of = |verdict: Verdict| match verdict {
        Verdict::Challenged(session) | Verdict::Rotated(session) => {
            header(&device.signed(&session, get("/x")), "authorization")[0].to_owned()
        }
        other => panic!("{other:?}"),
    };
    let stale = device.judged(&held, answer(401, &[("www-authenticate", STALE)]));
    assert_eq!(word(&stale), "challenged");
    assert!(nonce_of(stale).contains("nonce=\"n2\""));
    let next = device.judged(&held, answer(200, &[("authentication-info", "qop=auth, nextnonce=\"n3\"")]));
    assert_eq!(word(&next), "rotated");
    assert!(nonce_of(next).contains("nonce=\"n3\""));
    for (status, name, value, expected) in [
        (200, "authentication-info", "nextnonce=\"n1\"", "pass"),
        (200, "authentication-info", "rspauth=\"x\"", "pass"),
        (401, "www-authenticate", PLAIN, "doubt"),
        (401, "www-authenticate", "Basic realm=\"r\"", "doubt"),
    ] {
        assert_eq!(word(&device.judged(&held, answer(status, &[(name, value)]))), expected, "{value}");
    }
}

#[tokio::test]
async fn a_refusal_means_a_wrong_password_only_where_nothing_else_can_be_wrong() {
    const OTHER: &str = "Digest realm=\"r\", nonce=\"n2\", qop=\"auth\"";
    const ELSEWHERE: &str = "Digest realm=\"s\", nonce=\"n2\", qop=\"auth\"";
    let scripted = Scripted::new(&[&format!("401 Unauthorized\nWWW-Authenticate: {PLAIN}")]).await;
    let device = Device::at(&scripted.url, "digest", KEYS);
    let held = device.login().await.unwrap();
    let later = Standing::default();
    let first = Standing { is_first: true, ..later };
    let own = Standing { is_first: true, is_answer: true, ..later };
    let proven = |standing| Standing { is_proven: true, ..standing };
    for (challenge, standing, expected) in [
        (OTHER, first, "refused"),
        (OTHER, own, "refused"),
        (PLAIN, own, "refused"),
        // Others may have used the nonce up.
        (OTHER, later, "challenged"),
        (PLAIN, later, "doubt"),
        (STALE, first, "challenged"),
        // It was made for another realm.
        (ELSEWHERE, first, "challenged"),
        (ELSEWHERE, own, "doubt"),
        ("Basic realm=\"r\"", own, "doubt"),
        (OTHER, proven(later), "challenged"),
        (OTHER, proven(first), "challenged"),
        (OTHER, proven(own), "doubt"),
        (STALE, proven(own), "challenged"),
    ] {
        let answer = answer(401, &[("www-authenticate", challenge)]);
        let said = word(&device.judged_as(&held, ("*/*", standing), answer));
        assert_eq!(said, expected, "{challenge}, {standing:?}");
    }
}

#[tokio::test]
async fn where_the_front_page_is_open_nobody_is_to_be_asked() {
    let scripted = Scripted::new(&["200 OK", "200 OK"]).await;
    let device = Device::at(&scripted.url, "digest", KEYS);
    let held = device.login().await.unwrap();
    let Verdict::Challenged(held) = device.judged(&held, answer(401, &[("www-authenticate", PLAIN)])) else {
        panic!()
    };
    assert_eq!(word(&device.vendor.verify(&device.visit(), &held).await.unwrap()), "refused");
}

#[tokio::test]
async fn a_doubt_is_settled_with_a_fresh_nonce() {
    let challenge = format!("401 Unauthorized\nWWW-Authenticate: {STALE}");
    let scripted = Scripted::new(&[&challenge, &challenge, "200 OK", &challenge, &challenge]).await;
    let device = Device::at(&format!("{}/base", scripted.url), "digest", KEYS);
    let held = device.login().await.unwrap();
    let verdict = device.vendor.verify(&device.visit(), &held).await.unwrap();
    let Verdict::Rotated(fresh) = verdict else { panic!("{verdict:?}") };
    let asked = scripted.asked();
    assert!(
        asked[2].starts_with("GET /base/ HTTP/1.1") && asked[2].contains("uri=\"/base/\""),
        "{}",
        asked[2]
    );
    assert!(asked[2].contains("nc=00000001"));
    assert_eq!(device.vendor.counted_by(&fresh).as_deref(), Some("n2"));
    let refusal = device.vendor.verify(&device.visit(), &held).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Rejected(_)), "{refusal:?}");
    assert!(!refusal.to_string().contains("Circle"));
    assert!(scripted.asked()[4].contains("nc=00000002"), "it was told the same nonce again");
}

#[tokio::test]
async fn another_scheme_is_told_apart() {
    let scripted = Scripted::new(&["401 Unauthorized\nWWW-Authenticate: Basic realm=\"r\""]).await;
    let refusal = Device::at(&scripted.url, "digest", KEYS).login().await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Odd(text) if text.contains("`vendor`")), "{refusal:?}");
}
