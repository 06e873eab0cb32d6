//! How fast a device is asked.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use keyward::twin::enlighted::{Enlighted, EnlightedSettings};
use tokio::sync::watch;
use tokio::time::Instant;

use super::ok;
use crate::support::{Act, Ask, Device, Lab, Scripted, pass, until};

#[tokio::test]
async fn requests_are_as_far_apart_as_the_device_wants_them() {
    let device = Scripted::new(|_| Act::Answer(ok("", "fine"))).await;
    let lab = Lab::new(&device.table("meter", "min_interval = \"100ms\"\nmax_connections = 4\n")).await;
    let begun = Instant::now();
    let asks: Vec<_> = (0..6).map(|nth| Ask::post(format!("/meter/{nth}"), "a")).collect();
    let replies = join_all(asks.iter().map(|ask| lab.send(ask))).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert!(begun.elapsed() >= 5 * Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn whose_turn_does_not_come_in_time_is_told_that_the_device_is_busy() {
    let device = Scripted::new(|_| Act::Answer(ok("", "fine"))).await;
    let lab = Lab::new(&device.table("meter", "min_interval = \"1h\"\ntimeout = \"300ms\"\n")).await;
    assert_eq!(lab.get("/meter/a").await.status, 200);
    let problem = lab.get("/meter/b").await.problem();
    assert_eq!(problem.fault, "device_busy");
    assert!(problem.detail.contains("`min_interval`"), "{}", problem.detail);
    assert_eq!(device.heard().len(), 1);
}

#[tokio::test]
async fn calls_of_one_path_are_no_replays_to_a_server_that_takes_quick_ones_for_such() {
    let strict = EnlightedSettings { replay_grace: -350, ..EnlightedSettings::default() };
    let device = Device::new(Enlighted::new(strict));
    let lab = Lab::new(&device.table("meter", "")).await;
    let write = Ask::post("/meter/twin/upload", "a");
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(lab.send(&write).await.status, 200);
    }
    // Three calls, three arrivals: none was refused and sent again.
    assert_eq!(device.twin.journal().total(), 3);
    assert!(begun.elapsed() >= Duration::from_millis(800));
}

#[tokio::test]
async fn a_device_that_asks_for_peace_is_not_read_until_then_and_may_be_written_to() {
    for (status, asked) in [("429 Too Many Requests", "120"), ("503 Service Unavailable", "120")] {
        let busy = format!("HTTP/1.1 {status}\r\nRetry-After: {asked}\r\nContent-Length: 0\r\n\r\n");
        let device = Scripted::new(move |nth| match nth {
            0 => Act::Answer(busy.clone().into_bytes()),
            _ => Act::Answer(ok("", "fine")),
        })
        .await;
        let lab = Lab::new(&device.table("meter", "acts_on_get = []\n")).await;
        assert_eq!(lab.get("/meter/a").await.header("retry-after"), asked);
        let refused = lab.get("/meter/b").await;
        assert!(refused.problem().detail.contains("asked to be left alone"), "{}", refused.problem().detail);
        assert_eq!((refused.fault().as_str(), refused.header("retry-after")), ("device_busy", "120"));
        assert_eq!(lab.send(&Ask::post("/meter/c", "a")).await.status, 200);
        pass(Duration::from_secs(121)).await;
        assert_eq!(lab.get("/meter/d").await.status, 200);
        assert_eq!(device.heard().len(), 3);
    }
}

#[tokio::test]
async fn one_who_is_busy_without_saying_for_how_long_is_asked_again() {
    let device = Scripted::saying("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let lab = Lab::new(&device.table("meter", "acts_on_get = []\n")).await;
    for nth in 1..4 {
        assert_eq!(lab.get("/meter/a").await.status, 503);
        assert_eq!(device.heard().len(), nth);
    }
}

#[tokio::test]
async fn who_waited_in_line_while_a_device_asked_for_peace_does_not_disturb_it_either() {
    let (answer, may_answer) = watch::channel(false);
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n";
    let device = Scripted::new(move |_| Act::Held(may_answer.clone(), busy.as_bytes().to_vec())).await;
    let lab = Lab::new(&device.table("meter", "acts_on_get = []\nmax_connections = 1\n")).await;
    let first = lab.get("/meter/a");
    let rest = async {
        until(|| device.heard().len() == 1).await;
        let waiting = join_all(["/meter/b", "/meter/c"].map(|path| lab.get(path)));
        let telling = async {
            until(|| lab.figures().contains("keyward_requests_in_flight{device=\"meter\"} 3")).await;
            answer.send_replace(true);
        };
        futures_util::future::join(waiting, telling).await.0
    };
    let (first, rest) = futures_util::future::join(first, rest).await;
    assert_eq!(first.status, 503);
    assert!(rest.iter().all(|refused| refused.fault() == "device_busy"), "{rest:?}");
    assert_eq!(device.heard().len(), 1);
}

#[tokio::test]
async fn who_sends_again_does_not_wait_for_those_who_wait_for_their_connection() {
    // A kept connection dies with each request that is not its first, so that it goes out once more.
    let device = Scripted::new(|nth| match nth {
        1 => Act::Last(Vec::new()),
        _ => Act::Answer(ok("", "fine")),
    })
    .await;
    let table = device.table("lights", "max_connections = 1\ntimeout = \"20s\"\n").replace(
        "vendor = \"open\"",
        "vendor = \"enlighted\"\nusername = \"bob\"\napi_key = \"6eb6f07fd09b18dd61dd353dfb669820e7859cd3\"",
    );
    let lab = Lab::new(&table).await;
    assert_eq!(lab.get("/lights/ems/api/org/floor/list?nth=0").await.status, 200);
    let begun = Instant::now();
    let targets: Vec<_> = (1..4).map(|nth| format!("/lights/ems/api/org/floor/list?nth={nth}")).collect();
    let replies = join_all(targets.iter().map(|target| lab.get(target))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_asks_for_much_of_one_path_keeps_nobody_from_it_nor_from_another() {
    let device = Scripted::new(|_| Act::Answer(ok("", "fine"))).await;
    let keys = ["many", "few"].map(|who| format!("{who}-0123456789abcdefghij"));
    let tables = keys.iter().map(|key| format!("[access.keys.{}]\nkey = \"{key}\"\n", &key[..3]));
    let table = device.table("lights", "max_waiting = 4\n").replace(
        "vendor = \"open\"",
        "vendor = \"enlighted\"\nusername = \"bob\"\napi_key = \"6eb6f07fd09b18dd61dd353dfb669820e7859cd3\"",
    );
    let lab = Lab::new(&(table + &tables.collect::<String>())).await;
    let ask = |who: usize, rest: &str| {
        Ask::get(format!("/lights/ems/api/org/{rest}")).with("X-API-Key", &keys[who])
    };
    assert_eq!(lab.send(&ask(0, "floor")).await.status, 200);
    let mut lines = Vec::new();
    for nth in 0..12 {
        let mut line = lab.connect().await;
        line.begin(&ask(0, &format!("floor?{nth}"))).await;
        lines.push(line);
    }
    until(|| lab.figures().contains("{device=\"lights\",fault=\"device_busy\"}")).await;
    let few = [ask(1, "floor?few"), ask(1, "other")];
    let few = join_all(few.iter().map(|ask| lab.send(ask))).await;
    assert!(few.iter().all(|reply| reply.status == 200), "{few:?}");
    let many = join_all(lines.iter_mut().map(|line| line.reply(&Method::GET))).await;
    let heard = device.heard();
    let place = |target: &str| heard.iter().position(|heard| heard.target().ends_with(target)).unwrap();
    assert!(place("other") < place("few") && place("few") < heard.len() - 1, "{heard:?}");
    let refused: Vec<_> = many.into_iter().map(Result::unwrap).filter(|reply| reply.status == 503).collect();
    assert!(refused.len() > 2, "{refused:?}");
    assert!(refused.iter().all(|reply| reply.problem().detail.contains("already wait for this path")));
}
