//! Callers that have to show a key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use super::Building;
use crate::support::Ask;

const KEYS: &str = "[access.keys.all]
key = \"all-0123456789abcdefgh\"
[access.keys.reader]
key = \"reader-0123456789abcdef\"
devices = [\"meter\"]
methods = [\"GET\"]
[access.keys.writer]
key = \"writer-0123456789abcdef\"
methods = [\"POST\"]
";
const FREE: &str = "[[listeners]]\nlisten = \"127.0.0.1:0\"\nkeys = false\nallow = [\"10.9.8.7\"]\n";

fn basic(password: &str) -> String {
    format!("basic {}", STANDARD.encode(format!("anyone:{password}")))
}

fn bearing(ask: Ask, key: &str) -> Ask {
    ask.with("Authorization", &format!("Bearer {key}"))
}

#[tokio::test]
async fn without_a_key_of_ours_nobody_gets_past_the_door() {
    let building = Building::with("", KEYS).await;
    let wrong = basic("all-0123456789abcdefgX");
    for shown in [
        None,
        Some(("Authorization", "Bearer all-0123456789abcdefgX")),
        Some(("Authorization", "Bearer")),
        Some(("Authorization", "all-0123456789abcdefgh")),
        Some(("Authorization", "Basic %%%")),
        Some(("Authorization", wrong.as_str())),
        Some(("X-API-Key", "")),
        Some(("X-API-Key", "all-0123456789abcdefg")),
        Some(("Cookie", "key=all-0123456789abcdefgh")),
    ] {
        for path in
            ["/", "/metrics", "/-/devices", "/meter/twin/echo", "/meter", "/nothing/x", "/robots.txt", "*"]
        {
            let ask = if path == "*" { Ask::new(Method::OPTIONS, path) } else { Ask::get(path) };
            let ask = shown.iter().fold(ask, |ask, (name, value)| ask.with(name, value));
            let (reply, arrived) = building.ask(0, &ask).await;
            assert_eq!((reply.status.as_u16(), arrived), (401, 0), "{path} with {shown:?}");
            let challenges: Vec<_> = reply.headers.get_all("www-authenticate").iter().collect();
            assert_eq!(challenges, ["Basic realm=\"keyward\", charset=\"UTF-8\"", "Bearer"]);
            let problem = reply.problem();
            assert_eq!(problem.fault, "key_required");
            assert!(problem.detail.contains("[access.keys]"), "{}", problem.detail);
            let is_wrong = problem.detail.contains("none of those");
            assert!(is_wrong || problem.detail.contains("keys = false"), "{}", problem.detail);
            assert_eq!(
                is_wrong,
                shown.is_some_and(|(_, value)| value.ends_with(['X', 'g']) || value == wrong),
                "{shown:?}"
            );
            assert!(!problem.detail.contains("/meter/"), "who has no key learns no names");
        }
    }
    assert_eq!(building.lab.get("/healthz").await.status, 200);
    let ready = building.lab.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.json()), (200, serde_json::json!({ "ready": true })));
}

#[tokio::test]
async fn a_key_is_taken_in_each_of_its_forms_and_never_arrives() {
    let building = Building::with("", KEYS).await;
    const KEY: &str = "all-0123456789abcdefgh";
    let basic = basic(KEY);
    for (name, value) in [
        ("Authorization", "Bearer all-0123456789abcdefgh"),
        ("authorization", "bearer   all-0123456789abcdefgh "),
        ("Authorization", &basic),
        ("X-API-Key", KEY),
    ] {
        for path in ["/", "/metrics", "/-/devices"] {
            assert_eq!(building.lab.send(&Ask::get(path).with(name, value)).await.status, 200, "{path}");
        }
        let (reply, arrived) = building.ask(0, &Ask::get("/meter/twin/echo").with(name, value)).await;
        assert_eq!((reply.status.as_u16(), arrived), (200, 1), "{name}: {value}");
        let arrival = building.meter.twin.arrivals().pop().unwrap();
        assert!(!format!("{:?}", arrival.headers).contains("0123456789"), "{:?}", arrival.headers);
    }
    let ready = building.lab.send(&Ask::get("/readyz").with("X-API-Key", KEY)).await.json();
    assert_eq!(ready["devices"][0]["name"], "meter");
    let twins = ["X-API-Key", "X_API_Key", "X_API-Key", "x-api_key"];
    let twin = twins.iter().fold(Ask::get("/meter/twin/echo"), |ask, name| ask.with(name, KEY));
    building.ask(0, &twin).await;
    let arrival = building.meter.twin.arrivals().pop().unwrap();
    assert!(arrival.headers.keys().all(|name| !name.as_str().starts_with('x')), "{:?}", arrival.headers);
}

#[tokio::test]
async fn a_key_opens_its_devices_and_its_methods_and_no_more() {
    let building = Building::with("", KEYS).await;
    let reader = |ask: Ask| bearing(ask, "reader-0123456789abcdef");
    let writer = |ask: Ask| bearing(ask, "writer-0123456789abcdef");
    for ask in [
        reader(Ask::get("/meter/twin/echo")),
        reader(Ask::new(Method::HEAD, "/meter/twin/echo")),
        writer(Ask::post("/meter/twin/echo", "x")),
    ] {
        let (reply, arrived) = building.ask(0, &ask).await;
        assert_eq!((reply.status.as_u16(), arrived), (200, 1));
    }
    for (ask, list, key) in [
        (reader(Ask::post("/meter/twin/echo", "x")), "methods", "reader"),
        (reader(Ask::get("/other/twin/echo")), "devices", "reader"),
        (reader(Ask::get("/")), "devices", "reader"),
        (reader(Ask::get("/metrics")), "devices", "reader"),
        (reader(Ask::get("/-/devices")), "devices", "reader"),
        (writer(Ask::get("/meter/twin/echo")), "methods", "writer"),
        // Where its prefix ends without a slash, a device is no less its own.
        (reader(Ask::get("/other")), "devices", "reader"),
        (reader(Ask::post("/meter", "x")), "methods", "reader"),
        (writer(Ask::get("/meter?a")), "methods", "writer"),
        (writer(Ask::get("/metrics")), "methods", "writer"),
        // What a make answers here is the device's all the same.
        (writer(Ask::new(Method::DELETE, "/meter/auth/check_jwt")), "methods", "writer"),
    ] {
        let (reply, arrived) = building.ask(0, &ask).await;
        assert_eq!((reply.status.as_u16(), arrived), (403, 0));
        let problem = reply.problem();
        assert_eq!(problem.fault, "key_not_allowed");
        let own = ["/", "/metrics", "/-/devices"].contains(&ask.target());
        assert_eq!(problem.device.is_none(), own, "{problem:?}");
        assert!(problem.detail.contains(list), "{}", problem.detail);
        let is_told = problem.detail.contains("not the pages of keyward's own");
        assert_eq!(is_told, own && key == "reader", "{}", problem.detail);
        assert!(problem.detail.contains(&format!("[access.keys.{key}]")), "{}", problem.detail);
    }
    assert_eq!(building.other.twin.journal().total(), 0);
    for ask in [reader(Ask::get("/meter?a")), writer(Ask::post("/other", "x"))] {
        assert_eq!(building.lab.send(&ask).await.status, 308);
    }
    let unknown = building.lab.send(&reader(Ask::get("/nothing/x"))).await.problem();
    assert_eq!(unknown.fault, "unknown_device");
    assert!(unknown.detail.contains("/meter/") && !unknown.detail.contains("/other/"), "{}", unknown.detail);
    let ready = building.lab.send(&reader(Ask::get("/readyz"))).await.json();
    assert!(ready.get("devices").is_none(), "{ready}");
}

#[tokio::test]
async fn no_key_opens_a_tunnel_or_an_echo() {
    let building = Building::with("", KEYS).await;
    for ask in [
        Ask::new(Method::CONNECT, "localhost:443"),
        Ask::new(Method::TRACE, "/meter/twin/echo"),
        Ask::new(Method::TRACE, "/"),
    ] {
        for ask in [ask.clone(), bearing(ask, "all-0123456789abcdefgh")] {
            let (reply, arrived) = building.ask(0, &ask).await;
            assert_eq!((reply.fault().as_str(), arrived), ("method_not_allowed", 0));
        }
    }
}

#[tokio::test]
async fn a_devices_own_door_and_name_want_a_key_too_and_its_healthz_as_well() {
    let door = "[[listeners]]\nlisten = \"127.0.0.1:0\"\ndevice = \"meter\"\n";
    let building = Building::with("hosts = [\"meter.lan\"]\n", &format!("{KEYS}{door}")).await;
    for (door, host) in [(0, "meter.lan"), (1, "localhost")] {
        for path in ["/twin/echo", "/healthz", "/readyz"] {
            let ask = Ask::get(path).with("Host", host);
            let (reply, arrived) = building.ask(door, &ask).await;
            assert_eq!((reply.fault().as_str(), arrived), ("key_required", 0), "{path} at {host}");
            assert_eq!(
                building.ask(door, &bearing(ask, "reader-0123456789abcdef")).await.1,
                1,
                "{path} at {host}"
            );
        }
    }
}

#[tokio::test]
async fn a_door_for_those_who_cannot_show_one_asks_for_none() {
    let mut building = Building::with("", &format!("{KEYS}{FREE}")).await;
    let (reply, arrived) = building.ask(1, &Ask::get("/meter/twin/echo")).await;
    assert_eq!((reply.status.as_u16(), arrived), (200, 1), "loopback is always let in");
    let key = Ask::get("/meter/twin/echo").with("X-API-Key", "all-0123456789abcdefgh");
    building.ask(1, &key).await;
    assert!(!building.meter.twin.arrivals().pop().unwrap().headers.contains_key("x-api-key"));
    assert_eq!(building.lab.send_by(1, &Ask::get("/metrics")).await.status, 200);
    // What was decided at the door holds for connections that are there.
    let mut line = crate::support::Line::to(building.lab.doors()[1]).await;
    assert_eq!(line.ask(&Ask::get("/metrics")).await.unwrap().status, 200);
    let tables = [building.meter.table("meter", ""), building.other.table("other", "")].concat();
    let strict = FREE.replace("false", "true");
    building.lab.reconfigure(&format!("{tables}{KEYS}{strict}")).await;
    assert_eq!(line.ask(&Ask::get("/metrics")).await.unwrap().fault(), "key_required");
}

#[tokio::test]
async fn a_door_open_to_all_is_warned_of_where_keys_are_set() {
    let to_all = FREE.replace("127.0.0.1", "0.0.0.0");
    let open = to_all.replace("allow = [\"10.9.8.7\"]\n", "");
    let here = FREE.replace("allow = [\"10.9.8.7\"]\n", "");
    for (door, is_warned) in [(&open, true), (&to_all, false), (&here, false)] {
        let building = Building::with("", &format!("{KEYS}{door}")).await;
        let page = building.lab.send(&Ask::get("/").with("X-API-Key", "all-0123456789abcdefgh")).await;
        assert_eq!(page.text().contains("asks for no key"), is_warned, "{}", page.text());
    }
}

#[tokio::test]
async fn without_keys_a_callers_own_x_api_key_is_the_devices_business() {
    let building = Building::with("", "").await;
    building.ask(0, &Ask::get("/meter/twin/echo").with("X-API-Key", "theirs")).await;
    assert_eq!(building.meter.twin.arrivals().pop().unwrap().headers["x-api-key"], "theirs");
}
