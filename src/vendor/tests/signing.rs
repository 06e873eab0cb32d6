//! What goes onto a request.

use super::*;
use crate::secret::Secret;

fn text(head: &request::Parts) -> String {
    format!(
        "{} {:?}",
        head.uri,
        head.headers.iter().map(|(name, value)| (name, value.as_bytes())).collect::<Vec<_>>()
    )
}

#[tokio::test]
async fn enlighted_signatures_are_those_of_the_vendor() {
    let three = Device::new(
        "enlighted",
        "username = \"bob\"\napi_key = \"6eb6f07fd09b18dd61dd353dfb669820e7859cd3\"",
    );
    let two = Device::new("enlighted", "username = \"sharad\"\napi_key = \"EnlightedAuthKey\"\napi = \"2\"");
    for (device, time, name, user, value) in [
        (&three, 1_457_033_811_032, "authorization", "apikey", "e20ac2c963ccfacf23a1f70287286443820e66d1"),
        (
            &two,
            1_436_258_793_104,
            "authenticationtoken",
            "userid",
            "0e2ed0dc910059af858fac5b6b464a652ee7aa18",
        ),
    ] {
        let held = device.login().await.unwrap();
        let mut head = get("/ems/api/org/floor/list").into_parts().0;
        let moment = Moment { nth: &|| 1, time: &|| Timestamp::from_millis(time) };
        device.vendor.sign(&held, moment, &mut head).unwrap();
        assert_eq!(header(&head, name), [value]);
        assert_eq!(header(&head, "ts"), [time.to_string()]);
        assert_eq!(header(&head, user).len(), 1);
        assert_eq!(head.headers.len(), 3);
    }
}

#[tokio::test]
async fn a_fixed_credential_is_put_on_as_the_make_takes_it() {
    for (make, keys, expected) in [
        ("bearer", "token = \"t0ken\"", ("authorization", "Bearer t0ken")),
        ("basic", "username = \"test\"\npassword = \"123£\"", ("authorization", "Basic dGVzdDoxMjPCow==")),
        ("header", "name = \"X-Key\"\nvalue = \"t0ken\"", ("x-key", "t0ken")),
        ("yombo", "auth_key = \"t0ken\"", ("x-auth-key", "t0ken")),
        ("yombo", "auth_key = \"t0ken\"\nheader = \"X-Api-Auth\"", ("x-api-auth", "t0ken")),
        (
            "enlighted",
            "username = \"bob\"\napi_key = \"t0ken\"\napi = \"4.5\"",
            ("authorization", "apikey t0ken"),
        ),
    ] {
        let device = Device::new(make, keys);
        let head = device.signed(&device.login().await.unwrap(), get("/x?a=1&inst"));
        assert_eq!(header(&head, expected.0), [expected.1], "{make}");
        assert!(head.headers[expected.0].is_sensitive(), "{make}");
        assert_eq!(head.uri, "/x?a=1&inst", "{make}");
    }
}

#[tokio::test]
async fn a_query_parameter_goes_after_those_of_the_caller() {
    let device = Device::new("query", "name = \"api key\"\nvalue = \"a&b\"");
    let held = device.login().await.unwrap();
    assert_eq!(device.signed(&held, get("/x?inst&a=b+c")).uri, "/x?inst&a=b+c&api+key=a%26b");
    assert_eq!(device.signed(&held, get("/x")).uri, "/x?api+key=a%26b");
}

#[tokio::test]
async fn what_a_make_puts_on_is_dropped_from_what_callers_send() {
    for (make, keys) in STANZAS.iter().filter(|(make, _)| !["egauge", "enphase", "digest"].contains(make)) {
        let device = Device::new(make, keys);
        let head = device.signed(&device.login().await.unwrap(), get("/x"));
        let carriers = device.vendor.carriers();
        for name in head.headers.keys().filter(|name| !["authorization", "accept"].contains(&name.as_str())) {
            assert!(carriers.headers.contains(&name.as_str()), "{make}: {name}");
        }
        let query = head.uri.query().and_then(|query| query.split('=').next());
        assert_eq!(carriers.query.contains(&query.unwrap_or_default()), query.is_some(), "{make}");
    }
}

#[tokio::test]
async fn a_credential_that_no_header_can_carry_leaves_the_head_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    for (make, keys) in [
        ("bearer", format!("token = {{ file = {file:?} }}")),
        ("header", format!("name = \"x-key\"\nvalue = {{ file = {file:?} }}")),
        ("yombo", format!("auth_key = {{ file = {file:?} }}")),
        ("enlighted", format!("username = \"bob\"\napi = \"4.5\"\napi_key = {{ file = {file:?} }}")),
    ] {
        // It was right when the configuration was read.
        std::fs::write(&file, "a").unwrap();
        let device = Device::new(make, &keys);
        std::fs::write(&file, "a\nb").unwrap();
        let held = device.login().await.unwrap();
        let mut head = get("/api/x").into_parts().0;
        let before = text(&head);
        let refusal = device.vendor.sign(&held, Moment { nth: &|| 1, time: &|| NOW }, &mut head).unwrap_err();
        assert!(matches!(refusal, Refusal::Person(_)), "{make}: {refusal:?}");
        assert_eq!(text(&head), before, "{make}");
    }
}

#[tokio::test]
async fn yombo_is_asked_for_data_where_the_caller_leaves_it_open() {
    let device = Device::new("yombo", "auth_key = \"k\"");
    let held = device.login().await.unwrap();
    for (path, accept, expected) in [
        ("/api/v1/lib/devices", None, Some("application/json")),
        ("/api/v1/lib/devices", Some("*/*"), Some("application/json")),
        ("/base/api/v1/lib/devices", Some("*/*"), Some("application/json")),
        ("/api/v1/lib/devices", Some("text/html"), Some("text/html")),
        ("/api/v1/lib/devices", Some("application/msgpack"), Some("application/msgpack")),
        ("/static/app.js", Some("*/*"), Some("*/*")),
        ("/", None, None),
    ] {
        let mut request = Request::get(path);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let head = device.signed(&held, request.body(()).unwrap());
        assert_eq!(header(&head, "accept").first().copied(), expected, "{path} {accept:?}");
    }
}

#[test]
fn a_session_says_nothing_of_its_secrets() {
    let session = Session {
        stamps: vec![Stamp::Header(http::header::AUTHORIZATION, "Bearer s3cret".into())],
        memo: [("token".to_owned(), Secret::from("s3cret"))].into(),
        ..Session::default()
    };
    assert!(!format!("{session:?}").contains("s3cret"));
}
