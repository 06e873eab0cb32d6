//! Logins of callers, which are answered here.

use super::*;

fn asked(device: &Device, method: &Method, path: &str) -> Option<Answer> {
    let asked = Asked { method, path, headers: &HeaderMap::new(), standing: Standing::default() };
    device.vendor.answer(&asked, &|| NOW)
}

#[test]
fn a_meters_login_is_answered_in_its_own_words() {
    let device = Device::new("egauge", "username = \"owner\"\npassword = \"s3cret\"");
    let said = |method: Method, path: &str| {
        let answer = asked(&device, &method, path).unwrap();
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        (answer.status().as_u16(), body)
    };
    let (status, body) = said(Method::GET, "/api/auth/unauthorized");
    assert_eq!(status, 401);
    assert_eq!(body["rlm"], "eGauge Administration");
    assert!(body["nnc"].as_str().is_some_and(|nonce| nonce.split('.').count() == 3));
    let (status, body) = said(Method::POST, "/api/auth/login");
    assert_eq!(status, 200);
    assert!(body["jwt"].is_string() && body["error"].is_null());
    assert_eq!(said(Method::GET, "/api/auth/logout").0, 200);
    assert_eq!(said(Method::DELETE, "/api/auth/logout").0, 405);
    assert!(asked(&device, &Method::GET, "/api/register").is_none());
    assert!(asked(&device, &Method::GET, "/api/auth").is_none());
}

#[test]
fn a_gateways_check_is_answered_to_the_byte() {
    let device = Device::new("enphase", STANZAS[4].1);
    for method in [Method::GET, Method::POST] {
        let answer = asked(&device, &method, "/auth/check_jwt").unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.body(), "<!DOCTYPE html><h2>Valid token.</h2>\n");
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        assert!(!answer.headers().contains_key("set-cookie"));
    }
    assert_eq!(asked(&device, &Method::DELETE, "/auth/check_jwt").unwrap().status(), 405);
    assert!(asked(&device, &Method::GET, "/auth/check_jwt/x").is_none());
    assert!(asked(&device, &Method::GET, "/info").is_none());
}

#[test]
fn no_other_make_answers_for_its_device() {
    for (make, keys) in STANZAS.iter().filter(|(make, _)| !["egauge", "enphase"].contains(make)) {
        let device = Device::new(make, keys);
        for path in ["/", "/auth/check_jwt", "/api/auth/login", "/user/login"] {
            assert!(asked(&device, &Method::GET, path).is_none(), "{make} {path}");
        }
    }
}
