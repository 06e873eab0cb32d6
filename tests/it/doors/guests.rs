//! Pages of other origins that the configuration lists.

use http::Method;

use super::Building;
use crate::support::Ask;

const PAGE: &str = "http://dash.example:3000";
const LISTED: &str = "[access]\norigins = [\"http://dash.example:3000\"]\n";
const KEYS: &str = "[access.keys.all]\nkey = \"all-0123456789abcdefgh\"\n";

fn preflight(path: &str) -> Ask {
    Ask::new(Method::OPTIONS, path)
        .with("Origin", PAGE)
        .with("Access-Control-Request-Method", "PUT")
        .with("Access-Control-Request-Headers", "authorization, x-mine")
}

#[tokio::test]
async fn a_listed_page_asks_and_reads_and_acts() {
    let building = Building::with("acts_on_get = [\"/twin/slow\"]\n", LISTED).await;
    for ask in [
        Ask::get("/meter/twin/echo"),
        Ask::post("/meter/twin/echo", "x").with("Sec-Fetch-Site", "cross-site"),
        Ask::get("/meter/twin/slow").with("User-Agent", "Mozilla/5.0").with("Sec-Fetch-Site", "same-site"),
    ] {
        let (reply, arrived) = building.ask(0, &ask.with("Origin", PAGE)).await;
        assert_eq!((reply.status.as_u16(), arrived), (200, 1), "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), PAGE);
        assert_eq!(reply.header("vary"), "Origin");
        assert!(!reply.headers.contains_key("access-control-allow-credentials"));
        let arrival = building.meter.twin.arrivals().pop().unwrap();
        assert!(!arrival.headers.contains_key("origin"), "whose page it is, is no business of the device");
    }
    for path in ["/-/devices", "/nothing/x"] {
        let reply = building.lab.send(&Ask::get(path).with("Origin", PAGE)).await;
        assert_eq!(reply.header("access-control-allow-origin"), PAGE, "it reads refusals too");
    }
    // What a device says of other origins counts for nothing, and for pages of ours nothing is said; but what they have
    // got must not be taken for an answer to others.
    for ask in [Ask::get("/meter/twin/cookies"), Ask::get("/nothing/x"), Ask::get("/-/devices")] {
        let reply = building.lab.send(&ask).await;
        assert!(!reply.headers.contains_key("access-control-allow-origin"));
        assert!(reply.headers.get_all("vary").iter().any(|name| name == "Origin"), "{reply:?}");
    }
    let twice = Ask::get("/meter/twin/echo").with("Origin", PAGE).with("Origin", "http://evil.example");
    assert_eq!(building.ask(0, &twice).await.0.fault(), "origin_not_allowed");
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_key_and_without_the_device() {
    let building = Building::with("", &format!("{LISTED}{KEYS}")).await;
    for path in ["/meter/twin/echo", "/-/devices"] {
        let (reply, arrived) = building.ask(0, &preflight(path)).await;
        assert_eq!((reply.status.as_u16(), arrived), (204, 0), "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), PAGE);
        assert_eq!(reply.header("access-control-allow-methods"), "PUT");
        assert_eq!(reply.header("access-control-allow-headers"), "authorization, x-mine");
        assert!(reply.header("access-control-max-age").parse::<u32>().is_ok());
    }
    let (reply, arrived) = building.ask(0, &Ask::get("/meter/twin/echo").with("Origin", PAGE)).await;
    assert_eq!((reply.status.as_u16(), arrived), (401, 0));
    assert_eq!(reply.header("access-control-allow-origin"), PAGE);
    let keyed = Ask::get("/meter/twin/echo").with("Origin", PAGE).with("X-API-Key", "all-0123456789abcdefgh");
    assert_eq!(building.ask(0, &keyed).await.1, 1);
}

#[tokio::test]
async fn an_options_request_that_is_no_preflight_is_the_devices() {
    let building = Building::with("", LISTED).await;
    for ask in [Ask::new(Method::OPTIONS, "/meter/twin/echo"), {
        Ask::new(Method::OPTIONS, "/meter/twin/echo").with("Access-Control-Request-Method", "PUT")
    }] {
        assert_eq!(building.ask(0, &ask).await.1, 1);
        assert_eq!(building.ask(0, &ask.with("Origin", "http://localhost")).await.1, 1, "a page of ours");
    }
    let (reply, arrived) =
        building.ask(0, &Ask::new(Method::OPTIONS, "/meter/twin/echo").with("Origin", PAGE)).await;
    assert_eq!((arrived, reply.header("access-control-allow-origin")), (1, PAGE));
}

#[tokio::test]
async fn a_page_that_is_not_listed_gets_no_answer_of_any_kind() {
    let building = Building::with("", LISTED).await;
    for page in ["http://dash.example", "https://dash.example:3000", "http://evil.example", "null"] {
        let ask = Ask::get("/meter/twin/echo").with("Origin", page);
        let asked = preflight("/meter/twin/echo");
        let other = Ask::new(Method::OPTIONS, "/meter/twin/echo")
            .with("Origin", page)
            .with("Access-Control-Request-Method", "PUT");
        for ask in [ask, other, asked.with("Origin", page)] {
            let (reply, arrived) = building.ask(0, &ask).await;
            assert_eq!((reply.status.as_u16(), arrived), (403, 0), "{page}");
            assert!(!reply.headers.contains_key("access-control-allow-origin"));
            let problem = reply.problem();
            let line = if page == "null" { "hosts = [" } else { "origins = [\"http" };
            assert!(problem.detail.contains(line), "{}", problem.detail);
        }
    }
}
