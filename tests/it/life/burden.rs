//! What callers can make grow: nothing.

use http::Method;
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use keyward::twin::{Twin as _, cloud::CloudSettings};

use crate::support::{Ask, Device, Door, Lab, Line};

const MANY: usize = 2_000;
const LEAVERS: usize = 500;

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
    let lab = Lab::new(&device.table("solar", "max_waiting = 20\n")).await;
    let asks = ["slow?ms=3600000", "bytes?n=1000000000", "events?ms=3600000", "sample", "slow?ms=1"];
    for nth in 0..LEAVERS {
        let arrived = twin.journal().total();
        let mut line = lab.connect().await;
        line.begin(&Ask::get(format!("/solar/twin/{}", asks[nth % asks.len()]))).await;
        // Some are served, some are in the queue, some have not been heard of yet.
        match nth % 7 {
            0 => twin.journal().reaches(arrived + 1).await,
            1..4 => tokio::task::yield_now().await,
            _ => {}
        }
        drop(line);
    }
    let mut line = Line::to(lab.address()).await;
    assert_eq!(line.ask(&Ask::get("/solar/twin/sample")).await.unwrap().status, 200);
    device.served().settles(1).await;
    assert_eq!((device.served().peak(), twin.logins()), (1, 1));
}
