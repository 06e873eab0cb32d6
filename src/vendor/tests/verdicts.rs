//! What an answer says about the session.

use super::*;

#[test]
fn every_make_knows_what_a_status_means() {
    // 200, 302 to a login, 400, 401, 403, 404, 408, 500
    for (make, expected) in [
        ("egauge", "pass pass pass doubt pass pass pass pass"),
        ("enlighted", "pass refused pass refused pass pass again pass"),
        ("yombo", "pass refused pass refused pass pass pass pass"),
        ("enphase", "pass pass pass doubt pass pass pass pass"),
        ("bearer", "pass pass pass refused pass pass pass pass"),
        ("basic", "pass pass pass refused pass pass pass pass"),
        ("header", "pass pass pass refused pass pass pass pass"),
        ("query", "pass pass pass refused pass pass pass pass"),
        ("digest", "pass pass pass doubt pass pass pass pass"),
        ("open", "pass pass pass pass pass pass pass pass"),
    ] {
        let (_, keys) = STANZAS.iter().find(|(name, _)| *name == make).unwrap();
        let device = Device::new(make, keys);
        let login = [("location", "https://10.0.40.2/user/login?next=/x")];
        let said: Vec<_> = [200, 302, 400, 401, 403, 404, 408, 500]
            .into_iter()
            .map(|status| {
                let headers: &[(&str, &str)] = if status == 302 { &login } else { &[] };
                word(&device.judged(&Session::default(), answer(status, headers)))
            })
            .collect();
        assert_eq!(said.join(" "), expected, "{make}");
    }
}

#[test]
fn enlighted_asks_again_by_the_servers_clock() {
    let device = Device::new("enlighted", "username = \"bob\"\napi_key = \"s3cret\"");
    let late = answer(408, &[("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    let Verdict::Again { clock, wait, busy } = device.judged(&Session::default(), late) else { panic!() };
    assert_eq!(clock, Some(Timestamp::from_seconds(784_111_778)));
    assert_eq!(wait, Duration::from_millis(400));
    assert!(busy.contains("408"));
    let Verdict::Again { clock, .. } = device.judged(&Session::default(), answer(408, &[])) else { panic!() };
    assert_eq!(clock, None);
    let static_key = Device::new("enlighted", "username = \"bob\"\napi_key = \"s3cret\"\napi = \"4.5\"");
    assert_eq!(word(&static_key.judged(&Session::default(), answer(408, &[]))), "pass");
}

#[test]
fn only_a_redirect_to_a_login_is_a_refusal() {
    for (make, location, expected) in [
        ("enlighted", "/ems/login.jsf;jsessionid=1", "refused"),
        ("enlighted", "https://10.0.40.2/ems/Login", "refused"),
        ("enlighted", "/ems/home?from=login", "pass"),
        ("enlighted", "/ems/floor/", "pass"),
        ("yombo", "/user/login", "refused"),
        ("yombo", "/devices", "pass"),
        ("yombo", "https://login.example", "pass"),
    ] {
        let (_, keys) = STANZAS.iter().find(|(name, _)| *name == make).unwrap();
        let verdict =
            Device::new(make, keys).judged(&Session::default(), answer(302, &[("location", location)]));
        assert_eq!(word(&verdict), expected, "{make} {location}");
    }
}

#[test]
fn a_yombo_page_in_place_of_data_means_that_it_is_starting() {
    let device = Device::new("yombo", "auth_key = \"s3cret\"");
    let (page, data) = ("text/html; charset=utf-8", "application/vnd.api+json");
    for (accept, status, kind, expected) in [
        ("*/*", 200, page, "starting"),
        ("application/json", 200, page, "starting"),
        ("application/json, text/plain, */*", 200, page, "starting"),
        ("application/msgpack", 200, page, "starting"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", 200, page, "pass"),
        ("application/json", 404, page, "pass"),
        ("application/json", 200, data, "pass"),
        ("application/json", 503, data, "starting"),
        ("application/json", 503, page, "pass"),
    ] {
        let verdict =
            device.judged_for(&Session::default(), accept, answer(status, &[("content-type", kind)]));
        assert_eq!(word(&verdict), expected, "{accept} {status} {kind}");
    }
}

#[test]
fn what_anybody_gets_of_a_yombo_gateway_proves_no_key() {
    let device = Device::new("yombo", "auth_key = \"s3cret\"");
    let (page, data) = ("text/html; charset=utf-8", "application/vnd.api+json");
    for (path, status, kind, expected) in [
        ("/api/v1/lib/devices", 200, data, true),
        ("/api/v1/lib/devices", 200, page, false),
        ("/api/v1/lib/devices", 404, data, false),
        ("/devices/index", 200, page, false),
        ("/devices/index", 200, data, false),
    ] {
        let headers = HeaderMap::new();
        let asked = Asked { method: &Method::GET, path, headers: &headers, standing: Standing::default() };
        let answered = answer(status, &[("content-type", kind)]).into_parts().0;
        let proves = device.vendor.proves(&Session::default(), &asked, &answered);
        assert_eq!(proves, expected, "{path} {status} {kind}");
    }
}

#[test]
fn what_is_said_of_a_refusal_says_what_to_do_and_shows_no_secret() {
    for (make, keys) in STANZAS {
        let device = Device::new(make, keys);
        for status in [401, 408] {
            let text = format!("{:?}", device.judged(&Session::default(), answer(status, &[])));
            assert!(!text.contains("s3cret") && !text.contains("owner@"), "{make}: {text}");
            if let Verdict::Refused(text) = device.judged(&Session::default(), answer(status, &[])) {
                assert!(text.contains('`'), "{make}: no key is named in {text:?}");
            }
        }
    }
}
