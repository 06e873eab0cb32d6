//! What callers can make grow: nothing.

use futures_util::future::select_all;
use http::Method;
use keyward::twin::cloud::CloudSettings;
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use keyward::twin::{Arrival, Twin as _};

use crate::support::{Ask, Device, Door, Lab, Line, until};

const MANY: usize = 2_000;
const LEAVERS: usize = 500;
const WAITING: usize = 20;
/// What occupies the only connection, before its head and in its body.
const PATHS: [&str; 2] = ["slow?ms=3600000", "bytes?n=1000000000"];

/// Asks one thing after the other on as few connections as there can be.
async fn ask_all(door: &Door, asks: impl Iterator<Item = Ask>) {
    let mut line = door.lab.connect().await;
    for ask in asks {
        if line.ask(&ask).await.map_or(true, |reply| reply.headers.contains_key("connection")) {
            line = door.lab.connect().await;
        }
    }
}

#[tokio::test]
async fn the_figures_do_not_grow_with_what_callers_make_up() {
    let keys = "[access.keys.house]\nkey = \"the one that opens the house\"\n";
    let door = Door::with(keys).await;
    let key = ("X-API-Key", "the one that opens the house");
    let asks = |nth: usize| {
        let method: Method = format!("BREW{nth}").parse().unwrap();
        [
            Ask::new(method, "/meter/twin/echo").with(key.0, key.1),
            Ask::get(format!("/meter/twin/echo/{nth}?a={nth}")).with(key.0, key.1),
            Ask::get(format!("/unknown{nth}/")).with(key.0, key.1),
            Ask::get(format!("/meter/..%2f{nth}")).with(key.0, key.1),
            Ask::get("/meter/").with("Host", &format!("host{nth}.example")).with(key.0, key.1),
            Ask::get("/meter/").with("X-API-Key", &format!("made up {nth}")),
        ]
    };
    let lines = async || {
        let metrics = door.lab.send(&Ask::get("/metrics").with(key.0, key.1)).await;
        assert!(metrics.text().contains("method=\"other\""), "{}", metrics.text());
        metrics.text().lines().count()
    };
    ask_all(&door, asks(0).into_iter()).await;
    let before = lines().await;
    ask_all(&door, (1..MANY / 6).flat_map(asks)).await;
    assert_eq!(lines().await, before);
}

#[tokio::test]
async fn callers_who_leave_at_any_point_leave_the_only_connection_to_the_next() {
    let twin = Enphase::with_cloud(EnphaseSettings::default(), CloudSettings::default()).await.unwrap();
    let device = Device::new(twin.clone());
    let lab = Lab::new(&device.table("solar", &format!("max_waiting = {WAITING}\n"))).await;
    for (round, path) in PATHS.into_iter().cycle().take(LEAVERS / WAITING).enumerate() {
        let begun = async |target: &str| {
            let mut line = lab.connect().await;
            line.begin(&Ask::get(format!("/solar/twin/{target}"))).await;
            line
        };
        let served = begun(&format!("{path}&round={round}")).await;
        let is_it = |arrival: Arrival| arrival.target.ends_with(&format!("&round={round}"));
        until(|| twin.arrivals().into_iter().any(is_it)).await;
        // One more than may wait is turned away, so the others do wait.
        let mut waiting = Vec::new();
        for nth in 0..=WAITING {
            waiting.push(begun(&format!("sample?nth={nth}")).await);
        }
        let heads = waiting.iter_mut().map(|line| Box::pin(line.head(&Method::GET)));
        let (turned_away, ..) = select_all(heads).await;
        assert_eq!(turned_away.unwrap().status, 503);
        if round % 2 == 0 {
            drop((served, waiting));
        } else {
            drop((waiting, served));
        }
    }
    let mut line = Line::to(lab.address()).await;
    assert_eq!(line.ask(&Ask::get("/solar/twin/sample")).await.unwrap().status, 200);
    device.served().settles(1).await;
    assert_eq!(twin.logins(), 1);
}
