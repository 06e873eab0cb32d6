//! Headers there and back.

use http::Method;
use keyward::twin::egauge::{Egauge, EgaugeSettings};

use crate::support::{Act, Ask, Device, Door, Lab, Scripted};

#[tokio::test]
async fn what_concerns_one_connection_ends_there() {
    const STOPPED: [(&str, &str); 12] = [
        ("Connection", "keep-alive, X-Nominated, X_Under"),
        ("X-Nominated", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic bTpt"),
        ("Upgrade", "h2c"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Host", "evil.example"),
        ("X_Forwarded_Proto", "https"),
        ("Forwarded", "for=203.0.113.9"),
        ("X-Real-IP", "203.0.113.9"),
        ("Expect", "100-continue"),
    ];
    let door = Door::new().await;
    let passed = [("X-Own", "a, b"), ("Accept-Language", "de"), ("If-None-Match", "\"x\"")];
    let arrival = door.passes(&Ask::get("/meter/twin/echo").with_all(&STOPPED).with_all(&passed)).await;
    for (name, _) in STOPPED {
        assert!(!arrival.headers.contains_key(name.to_lowercase()), "{name} arrived: {:?}", arrival.headers);
    }
    for (name, value) in passed {
        assert_eq!(arrival.headers[name.to_lowercase()], value);
    }
    assert_eq!(arrival.headers["host"], door.device.authority());
}

#[tokio::test]
async fn a_wish_for_trailers_is_passed_on_and_other_transfer_codings_are_not() {
    let door = Door::new().await;
    let arrival = door
        .passes(&Ask::get("/meter/twin/echo").with("TE", "gzip, trailers").with("Connection", "TE"))
        .await;
    assert_eq!(arrival.headers["te"], "trailers");
    let arrival =
        door.passes(&Ask::get("/meter/twin/echo").with("TE", "gzip").with("Connection", "TE")).await;
    assert!(!arrival.headers.contains_key("te"));
}

#[tokio::test]
async fn via_tells_the_way_and_the_version_that_came_in() {
    let door = Door::new().await;
    let ours = |value: &str, version: &str| {
        let name =
            value.strip_prefix(&format!("{version} keyward-")).unwrap_or_else(|| panic!("Via: {value}"));
        assert!(name.len() == 8 && name.bytes().all(|digit| digit.is_ascii_hexdigit()), "{value}");
    };
    let arrival = door.passes(&Ask::get("/meter/twin/echo")).await;
    ours(arrival.headers["via"].to_str().unwrap(), "1.1");
    let arrival =
        door.passes(&Ask::get("/meter/twin/echo").with("Via", "1.0 fred, 1.1 keyward-00000000")).await;
    let lines: Vec<_> = arrival.headers.get_all("via").iter().map(|line| line.to_str().unwrap()).collect();
    let all = lines.join(", ");
    let (former, last) = all.rsplit_once(", ").unwrap();
    assert_eq!(former, "1.0 fred, 1.1 keyward-00000000");
    ours(last, "1.1");
    let mut line = door.lab.connect().await;
    line.write("GET /meter/twin/echo HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(line.reply(&Method::GET).await.unwrap().status, 200);
    ours(door.device.twin.arrivals().pop().unwrap().headers["via"].to_str().unwrap(), "1.0");
}

#[tokio::test]
async fn a_request_that_comes_back_is_a_loop() {
    let mut lab = Lab::new("[devices.round]\nvendor = \"open\"\nurl = \"http://127.0.0.1:1\"\n").await;
    let address = lab.address();
    lab.reconfigure(&format!("[devices.round]\nvendor = \"open\"\nurl = \"http://{address}/round\"\n")).await;
    let reply = lab.get("/round/x").await;
    assert_eq!(reply.fault(), "loop");
}

#[tokio::test]
async fn origin_and_referer_of_this_door_become_the_devices_and_others_go() {
    let door = Door::new().await;
    let url = door.device.url();
    let at = |path: &str| format!("{url}{path}");
    let cases = [
        ("Origin", "http://localhost", Some(url.clone())),
        ("Referer", "http://localhost/meter/page?a=1", Some(at("/page?a=1"))),
        ("Referer", "http://localhost/meter/", Some(at("/"))),
        ("Referer", "http://localhost/", Some(at("/"))),
        ("Referer", "http://localhost/meter10/private", Some(at("/"))),
        ("Referer", "http://elsewhere.example/private", None),
        ("Referer", "about:blank", None),
    ];
    for (name, value, expected) in cases {
        let arrival = door.passes(&Ask::post("/meter/twin/echo", "x").with(name, value)).await;
        let arrived =
            arrival.headers.get(name.to_lowercase()).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(arrived, expected, "{name}: {value}");
    }
}

#[tokio::test]
async fn locations_on_the_device_lead_through_the_door_and_nothing_is_followed() {
    let door = Door::new().await;
    let url = door.device.url();
    let authority = door.device.authority();
    let cases = [
        ("/x?y=1#z".to_owned(), "/meter/x?y=1#z"),
        ("/".to_owned(), "/meter/"),
        (url.clone(), "/meter/"),
        (format!("{url}/a/b?c#d"), "/meter/a/b?c#d"),
        (format!("//{authority}/x"), "/meter/x"),
        (format!("http://{}/x", authority.split(':').next().unwrap()), "/meter/x"),
        ("https://localhost/home".to_owned(), "/meter/home"),
        ("http://LOCALHOST:8080/home".to_owned(), "/meter/home"),
        ("https://elsewhere.example/x".to_owned(), "https://elsewhere.example/x"),
        ("//elsewhere.example/x".to_owned(), "//elsewhere.example/x"),
        ("https://localhost.elsewhere.example/".to_owned(), "https://localhost.elsewhere.example/"),
        ("next?a=/b".to_owned(), "next?a=/b"),
        ("../up".to_owned(), "../up"),
        ("?page=2".to_owned(), "?page=2"),
    ];
    for (told, passed) in cases {
        let to = form_urlencoded::Serializer::new(String::new()).append_pair("to", &told).finish();
        let reply = door.lab.get(&format!("/meter/twin/redirect?{to}")).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (301, passed), "{told}");
    }
    assert_eq!(door.arrived(), 14);
}

#[tokio::test]
async fn locations_lose_the_path_of_the_url_and_lead_nowhere_beside_it() {
    let table = |device: &Scripted| {
        format!("[devices.meter]\nvendor = \"open\"\nurl = \"http://{}/house/3\"\n", device.address)
    };
    for (told, passed) in
        [("/house/3/x", "/meter/x"), ("/house/3", "/meter/"), ("/house/31/x", "{device}/house/31/x")]
    {
        let answer = format!("HTTP/1.1 201 Created\r\nContent-Location: {told}\r\nContent-Length: 0\r\n\r\n");
        let device = Scripted::new(move |_| Act::Answer(answer.clone().into_bytes())).await;
        let reply = Lab::new(&table(&device)).await.get("/meter/y").await;
        let passed = passed.replace("{device}", &format!("http://{}", device.address));
        assert_eq!((reply.status.as_u16(), reply.header("content-location")), (201, passed.as_str()));
        assert!(device.heard()[0].head.starts_with("GET /house/3/y HTTP/1.1\r\n"));
    }
}

#[tokio::test]
async fn a_document_of_a_device_is_confined_and_data_is_left_alone() {
    let door = Door::new().await;
    let page = door.lab.get("/meter/twin/html").await;
    assert!(page.header("content-security-policy").starts_with("sandbox"), "{page:?}");
    assert!(!page.header("content-security-policy").contains("allow-same-origin"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("cross-origin-resource-policy"), "same-origin");
    let data = door.lab.get("/meter/twin/sample").await;
    assert!(!data.headers.contains_key("content-security-policy"), "{data:?}");
    assert_eq!(data.header("content-type"), "application/json");
}

#[tokio::test]
async fn what_may_pass_for_a_document_is_confined_too() {
    const KINDS: [&str; 7] = [
        "Content-Type: image/svg+xml\r\n",
        "Content-Type: text/xml\r\n",
        "Content-Type: application/xhtml+xml; charset=utf-8\r\n",
        "Content-Type: TEXT/HTML\r\n",
        "Content-Type: html\r\n",
        "",
        // A harmless type that is for us alone, so that the browser makes a guess.
        "Connection: Content-Type\r\nContent-Type: text/plain\r\n",
    ];
    for kind in KINDS {
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{kind}Content-Security-Policy: default-src *\r\nContent-Length: 0\r\n\r\n"
        );
        let device = Scripted::new(move |_| Act::Answer(answer.clone().into_bytes())).await;
        let reply = Lab::new(&device.table("meter", "")).await.get("/meter/x").await;
        let policies: Vec<_> =
            reply.headers.get_all("content-security-policy").iter().map(|it| it.to_str().unwrap()).collect();
        assert!(policies.iter().any(|policy| policy.starts_with("sandbox")), "{kind:?}: {policies:?}");
    }
}

/// Opened in a tab of its own an image has an origin, and its fields have a browser ask as a page of that.
#[tokio::test]
async fn what_a_browser_acts_by_confines_an_image_too_and_a_stylesheet_asks_in_nobodys_name() {
    let answered = async |fields: &str| {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: 0\r\n\r\n");
        let device = Scripted::new(move |_| Act::Answer(answer.clone().into_bytes())).await;
        Lab::new(&device.table("meter", "")).await.get("/meter/x").await
    };
    for field in [
        "Refresh: 0; url=/other/act",
        "Link: </other/act>; rel=preload; as=image",
        "Content-Security-Policy: style-src 'none'; report-uri /-/trust",
        "Content-Security-Policy-Report-Only: style-src 'none'; report-uri /-/trust",
        "Speculation-Rules: \"/meter/rules\"",
    ] {
        let reply = answered(&format!("Content-Type: image/png\r\n{field}")).await;
        let policies = reply.headers.get_all("content-security-policy");
        let is_confined = policies.iter().any(|policy| policy == "sandbox allow-scripts");
        assert!(is_confined, "{field}: {reply:?}");
    }
    let usual =
        "Content-Type: image/png\r\nServer: x\r\nETag: \"1\"\r\nCache-Control: no-cache\r\nX-Powered-By: x";
    assert!(!answered(usual).await.headers.contains_key("content-security-policy"));
    assert_eq!(
        answered("Content-Type: Text/CSS; charset=utf-8").await.header("referrer-policy"),
        "no-referrer"
    );
}

#[tokio::test]
async fn a_request_that_names_another_method_is_one_of_that_method_too() {
    const KEY: &str = "[access.keys.panel]\nkey = \"a-key-of-twenty-signs\"\nmethods = [\"GET\"]\n";
    let meter = Device::new(Egauge::new(EgaugeSettings::default()));
    let [reader, holder] = [
        Lab::new(&meter.table("meter", "access = \"read\"\n")).await,
        Lab::new(&(meter.table("meter", "") + KEY)).await,
    ];
    for name in ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X_HTTP_Method_Override"] {
        for method in ["DELETE", "put", "a method"] {
            let ask = Ask::get("/meter/api/register?rate").with(name, method);
            assert_eq!(reader.send(&ask).await.fault(), "read_only", "{name}: {method}");
            let ask = ask.with("X-API-Key", "a-key-of-twenty-signs");
            assert_eq!(holder.send(&ask).await.fault(), "key_not_allowed", "{name}: {method}");
        }
        let ask = Ask::get("/meter/api/register?rate").with(name, "get").with("X-Method-Override", "PATCH");
        assert_eq!(reader.send(&ask).await.fault(), "read_only", "{name} first");
        let ask = ask.with("X-API-Key", "a-key-of-twenty-signs");
        assert_eq!(holder.send(&ask).await.fault(), "key_not_allowed", "{name} first");
        let ask = Ask::get("/meter/api/register?rate").with(name, "get");
        assert_eq!(reader.send(&ask).await.status, 200, "{name}");
        assert_eq!(holder.send(&ask.with("X-API-Key", "a-key-of-twenty-signs")).await.status, 200, "{name}");
    }
    assert!(
        meter.twin.arrivals().iter().all(|arrival| arrival.headers.values().all(|value| value != "DELETE"))
    );
}
