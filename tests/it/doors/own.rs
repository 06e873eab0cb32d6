//! A device at a host name or a port of its own: a site of its own, as a browser sees it.

use http::Method;
use keyward::twin::cloud::CloudSettings;
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use keyward::twin::generic::{Generic, Scheme};

use super::Building;
use crate::support::{Ask, Device, Lab};

const OWN: &str = "hosts = [\"meter.home.arpa\", \"meter.example\"]\n";
const DOOR: &str = "[[listeners]]\nlisten = \"127.0.0.1:0\"\ndevice = \"meter\"\n";

/// Both ways to the device, as a door and the `Host` to name there.
const WAYS: [(usize, &str); 3] = [(0, "meter.home.arpa"), (0, "METER.example.:8480"), (1, "localhost:8481")];

#[tokio::test]
async fn every_path_is_the_devices() {
    let building = Building::with(OWN, DOOR).await;
    for (door, host) in WAYS {
        for path in
            ["/twin/echo", "/", "/healthz", "/readyz", "/metrics", "/-/devices", "/meter/x", "/other/x"]
        {
            let (_, arrived) = building.ask(door, &Ask::get(path).with("Host", host)).await;
            assert_eq!(arrived, 1, "{path} at {host}");
            let arrival = building.meter.twin.arrivals().pop().unwrap();
            assert_eq!(arrival.target, path);
            assert_eq!(arrival.headers["host"], building.meter.authority());
        }
        for path in ["/../x", "/a/%2e%2e/x"] {
            let (reply, arrived) = building.ask(door, &Ask::get(path).with("Host", host)).await;
            assert_eq!((reply.fault().as_str(), arrived), ("bad_path", 0), "{path} at {host}");
        }
    }
    // The prefix leads there all the same, and our own endpoints are where they were.
    let (_, arrived) = building.ask(0, &Ask::get("/meter/twin/echo")).await;
    assert_eq!(arrived, 1);
    assert_eq!(building.lab.get("/healthz").await.text(), "ok\n");
}

#[tokio::test]
async fn a_name_is_a_devices_by_the_authority_of_the_target_too() {
    let building = Building::with(OWN, "").await;
    let ask = Ask::get("http://meter.example/twin/echo?a").with("Host", "localhost");
    let (reply, arrived) = building.ask(0, &ask).await;
    assert_eq!((reply.status.as_u16(), arrived), (200, 1));
    let ask = Ask::get("http://rebound.example/twin/echo").with("Host", "meter.example");
    assert_eq!(building.ask(0, &ask).await.0.fault(), "host_not_allowed");
    // So what is a page of its own is also told by that authority, and not by a `Host` beside it.
    let ask = Ask::post("http://meter.example/twin/echo", "x").with("Host", "localhost");
    let (reply, arrived) = building.ask(0, &ask.clone().with("Origin", "http://localhost")).await;
    assert_eq!((reply.fault().as_str(), arrived), ("origin_not_allowed", 0));
    assert_eq!(building.ask(0, &ask.with("Origin", "http://meter.example")).await.1, 1);
}

#[tokio::test]
async fn no_header_but_host_leads_to_a_device() {
    const NAME: &str = "meter.example";
    let building = Building::with(OWN, "").await;
    let ask = Ask::get("/twin/echo").with_all(&[
        ("X-Forwarded-Host", NAME),
        ("Forwarded", "host=meter.example"),
        ("X-Forwarded-Server", NAME),
        ("X-Host", NAME),
        ("X-Original-Host", NAME),
        ("X-Original-URL", "/meter/twin/echo"),
        ("X-Rewrite-URL", "/meter/twin/echo"),
        ("X-Forwarded-Prefix", "/meter"),
    ]);
    let (reply, arrived) = building.ask(0, &ask).await;
    assert_eq!((reply.fault().as_str(), arrived), ("unknown_device", 0));
    let mut elsewhere = Ask::get("/other/twin/echo");
    elsewhere = elsewhere.with("X-Forwarded-Host", NAME).with("Forwarded", "host=meter.example");
    let (reply, arrived) = building.ask(0, &elsewhere).await;
    assert_eq!((reply.status.as_u16(), arrived), (200, 0));
}

/// Of a generic device it is not known which GETs act, so a browser has to prove where it is; but a person may type in
/// its address.
#[tokio::test]
async fn a_person_may_open_the_first_page_of_a_device_of_any_make() {
    let building = Building::with(OWN, DOOR).await;
    let typed = |path: &str, site: &str| {
        let headers =
            [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), ("User-Agent", "Mozilla/5.0")];
        Ask::get(path).with("Host", "meter.example").with("Sec-Fetch-Site", site).with_all(&headers)
    };
    for site in ["none", "cross-site"] {
        assert_eq!(building.ask(1, &typed("/", site)).await.1, 1, "{site}");
    }
    let (reply, arrived) = building.ask(1, &typed("/twin/echo", "none")).await;
    let problem = reply.problem();
    assert_eq!((problem.fault.as_str(), arrived), ("origin_not_allowed", 0));
    assert!(
        problem.detail.contains("[devices.meter]") && problem.detail.contains("acts_on_get"),
        "{}",
        problem.detail
    );
    let below = Ask::get("/meter/").with("Sec-Fetch-Site", "none").with_all(&[
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("User-Agent", "Mozilla/5.0"),
    ]);
    assert_eq!(building.ask(0, &below).await.1, 0, "below a prefix the first page is ours");
}

/// To a plain-http address in the LAN a browser says nothing of where it is.
#[tokio::test]
async fn a_person_may_open_the_first_page_in_a_browser_that_says_nothing_and_no_further() {
    let building = Building::with(OWN, DOOR).await;
    let browser = |path: &str| Ask::get(path).with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)");
    for (door, host) in WAYS {
        let (reply, arrived) = building.ask(door, &browser("/").with("Host", host)).await;
        assert_eq!((reply.status.as_u16(), arrived), (200, 1), "{host}");
        for ask in [
            browser("/?on=1"),
            browser("/twin/echo"),
            browser("/").by(Method::HEAD),
            browser("/").with("Referer", "http://evil.example/"),
            browser("/").with("Sec-Fetch-Mode", "no-cors").with("Sec-Fetch-Dest", "image"),
            browser("/").with("Sec-Fetch-Site", "none").with("Sec-Fetch-Dest", "iframe"),
            browser("/?on=1").with("Sec-Fetch-Mode", "navigate").with("Sec-Fetch-Dest", "document"),
        ] {
            let (reply, arrived) = building.ask(door, &ask.with("Host", host)).await;
            assert_eq!((reply.status.as_u16(), arrived), (403, 0), "{reply:?} at {host}");
        }
    }
    assert_eq!(building.ask(0, &browser("/meter/")).await.1, 0, "below a prefix the first page is ours");
}

#[tokio::test]
async fn a_callers_credential_is_not_told_by_the_page_it_comes_from() {
    let device = Device::new(Generic::new(Scheme::Query));
    let lab = Lab::new(&format!("{}hosts = [\"q.localhost\"]\n", device.table("q", ""))).await;
    let name = device.twin.stanza().split("name = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let referer = format!("http://q.localhost:8480/page?a=1&{name}=theirs&b");
    let ask = Ask::get("/twin/echo").with("Host", "q.localhost:8480").with("Referer", &referer);
    assert_eq!(lab.send(&ask).await.status, 200);
    let told = device.twin.arrivals().pop().unwrap().headers["referer"].to_str().unwrap().to_owned();
    assert!(told.ends_with("/page?a=1&b"), "{told}");
}

#[tokio::test]
async fn its_documents_are_not_confined_and_its_cookies_are_its_own() {
    let building = Building::with(OWN, DOOR).await;
    for (door, host) in WAYS {
        let (page, _) = building.ask(door, &Ask::get("/twin/html").with("Host", host)).await;
        assert!(page.header("content-type").starts_with("text/html"));
        for name in ["content-security-policy", "cross-origin-resource-policy"] {
            assert!(!page.headers.contains_key(name), "{name} at {host}");
        }
        let (reply, _) = building.ask(door, &Ask::get("/twin/cookies").with("Host", host)).await;
        let given: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
        assert_eq!(given, ["twin=crumb; Path=/; HttpOnly", "sessionid=stale"]);
        for name in ["strict-transport-security", "alt-svc", "clear-site-data", "access-control-allow-origin"]
        {
            assert!(!reply.headers.contains_key(name), "{name} at {host}");
        }
        let ask = Ask::get("/twin/echo").with("Host", host).with("Cookie", "a=1").with("Cookie", "b=2; c");
        building.ask(door, &ask).await;
        let arrival = building.meter.twin.arrivals().pop().unwrap();
        assert_eq!(arrival.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2; c"]);
    }
    // Below a prefix nothing of it holds.
    let page = building.lab.get("/meter/twin/html").await;
    assert_eq!(page.header("content-security-policy"), "sandbox allow-scripts");
    assert!(!building.lab.get("/meter/twin/cookies").await.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn what_a_device_points_at_is_at_the_root_and_stays_on_this_host() {
    let building = Building::with(OWN, DOOR).await;
    let device = building.meter.url();
    for (door, host) in WAYS {
        for (to, expected) in [
            (format!("{device}/a/b?c"), "/a/b?c"),
            ("https://localhost/x".to_owned(), "/x"),
            (device.clone(), "/"),
            ("/plain".to_owned(), "/plain"),
            ("next".to_owned(), "next"),
            (format!("{device}//evil.example/x"), "/.//evil.example/x"),
            (format!("{device}/%5C/evil.example/x"), "/%5C/evil.example/x"),
            ("/\\evil.example".to_owned(), "/%5Cevil.example"),
            ("https://elsewhere.example/".to_owned(), "https://elsewhere.example/"),
        ] {
            let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
            let (reply, _) =
                building.ask(door, &Ask::get(format!("/twin/redirect?to={to}")).with("Host", host)).await;
            assert_eq!(reply.header("location"), expected, "{to} at {host}");
        }
    }
}

#[tokio::test]
async fn its_own_pages_may_act_and_those_of_another_device_may_not() {
    let building = Building::with(OWN, DOOR).await;
    let ask =
        |host: &str, origin: &str| Ask::post("/twin/echo", "x").with("Host", host).with("Origin", origin);
    for (door, host) in WAYS {
        let page = format!("http://{host}");
        let referer = format!("{page}/some/page?x");
        let (reply, arrived) = building.ask(door, &ask(host, &page).with("Referer", &referer)).await;
        assert_eq!((reply.status.as_u16(), arrived), (200, 1), "{host}");
        let arrival = building.meter.twin.arrivals().pop().unwrap();
        assert_eq!(arrival.headers["origin"], building.meter.url());
        assert_eq!(arrival.headers["referer"], format!("{}/some/page?x", building.meter.url()));
        for other in ["http://localhost:8480", "http://other.home.arpa", "https://meter.home.arpa", "null"] {
            let (reply, arrived) = building.ask(door, &ask(host, other)).await;
            assert_eq!((reply.fault().as_str(), arrived), ("origin_not_allowed", 0), "{other} at {host}");
        }
    }
}

/// The cookie of an Enphase gateway's session stays between it and us, wherever the gateway is.
#[tokio::test]
async fn the_session_of_a_device_is_never_a_cookie_of_its_own_site() {
    let gateway = Enphase::with_cloud(EnphaseSettings::default(), CloudSettings::default()).await.unwrap();
    let device = Device::new(gateway);
    let door = DOOR.replace("meter", "solar");
    let lab = Lab::new(&format!("{}{door}", device.table("solar", ""))).await;
    let ask = Ask::get("/twin/echo").with("Cookie", "theirs=1; sessionId=forged; SESSIONID=forged");
    assert_eq!(lab.send_by(1, &ask).await.status, 200);
    let arrival = device.twin.arrivals().pop().unwrap();
    let sent: Vec<_> = arrival.headers.get_all("cookie").iter().collect();
    assert_eq!(sent.len(), 1, "one line: {sent:?}");
    let sent = sent[0].to_str().unwrap();
    assert!(sent.starts_with("theirs=1; sessionId=") && !sent.contains("forged"), "{sent}");
    let reply = lab.send_by(1, &Ask::get("/twin/cookies")).await;
    assert_eq!(
        reply.headers.get_all("set-cookie").iter().collect::<Vec<_>>(),
        ["twin=crumb; Path=/; HttpOnly"]
    );
    // A caller that insists on its own login is answered here too.
    let before = device.twin.journal().total();
    let checked = lab.send_by(1, &Ask::new(Method::POST, "/auth/check_jwt")).await;
    assert!(checked.text().contains("Valid token."), "{checked:?}");
    assert_eq!(device.twin.journal().total(), before);
}
