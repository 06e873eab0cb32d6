//! The line that a refusal names is the one that helps.

use crate::support::{Ask, Device, Lab};
use keyward::twin::generic::{Generic, Scheme};

/// What follows this word in a text, up to the end of its list.
fn list(detail: &str, name: &str) -> String {
    let from = detail.find(&format!("{name} = [")).unwrap_or_else(|| panic!("no {name} in {detail}"));
    let rest = &detail[from..];
    rest[..=rest.find(']').unwrap()].to_owned()
}

#[tokio::test]
async fn the_line_that_a_refusal_names_lets_the_request_in() {
    let device = Device::new(Generic::new(Scheme::Open));
    let browser = [("User-Agent", "Mozilla/5.0")];
    for (ask, table, name) in [
        (Ask::get("/meter/twin/echo").with("Host", "meters.example.org:8480"), "access", "hosts"),
        (Ask::post("/meter/twin/echo", "x").with("Origin", "https://dash.example:3000"), "access", "origins"),
        (Ask::get("/meter/twin/echo").with_all(&browser), "devices.meter", "acts_on_get"),
    ] {
        let mut lab = Lab::new(&device.table("meter", "")).await;
        let detail = lab.send(&ask).await.problem().detail;
        assert!(detail.contains(&format!("[{table}]")), "{detail}");
        let line = list(&detail, name);
        let text = match table {
            "access" => format!("{}[access]\n{line}\n", device.table("meter", "")),
            _ => device.table("meter", &line),
        };
        lab.reconfigure(&text).await;
        assert_eq!(lab.send(&ask).await.status, 200, "{line} of {detail}");
    }
}

#[tokio::test]
async fn what_a_refusal_says_to_add_to_a_key_lets_the_request_in() {
    const KEY: &str = "0123456789abcdefghij";
    let device = Device::new(Generic::new(Scheme::Open));
    let table = |devices: &str, methods: &str| {
        let key =
            format!("[access.keys.me]\nkey = \"{KEY}\"\ndevices = [{devices}]\nmethods = [{methods}]\n");
        [device.table("meter", ""), device.table("other", ""), key].concat()
    };
    let mut lab = Lab::new(&table("\"meter\"", "\"GET\"")).await;
    let (mut devices, mut methods) = ("\"meter\"".to_owned(), "\"GET\"".to_owned());
    let ask = Ask::post("/other/twin/echo", "x").with("X-API-Key", KEY);
    for _ in 0..2 {
        let detail = lab.send(&ask).await.problem().detail;
        let added = detail.split("add ").nth(1).unwrap();
        let word = added.split(' ').next().unwrap();
        let longer = if added.contains("`devices`") { &mut devices } else { &mut methods };
        longer.push_str(&format!(", {word}"));
        lab.reconfigure(&table(&devices, &methods)).await;
    }
    assert_eq!(lab.send(&ask).await.status, 200);
}
