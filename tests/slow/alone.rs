//! One processor, and so one thread for everything. Needs `taskset`.

use http::Method;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::generic::{Generic, Scheme};

use crate::it::support::{Ask, Device, Line, Process, until};

/// Has what is started next run on the first of our processors alone.
const ALONE: &str = r#"taskset --cpu-list --pid "$(sed -n 's/^Cpus_allowed_list:\t\([0-9]*\).*/\1/p' /proc/self/status)" $$ >/dev/null"#;

#[tokio::test]
async fn with_one_processor_one_thread_serves_takes_over_what_is_written_anew_and_ends() {
    let meter = Device::new(Egauge::new(EgaugeSettings::default()));
    let other = Device::new(Generic::new(Scheme::Open));
    let process = Process::new(&meter.table("meter", "")).after(ALONE);
    let server = process.start(&["run"]);
    let mut line = Line::to(server.address().await).await;
    assert_eq!(line.ask(&Ask::get("/meter/twin/sample")).await.unwrap().status, 200);

    process.write(&(meter.table("meter", "") + &other.table("other", "")));
    server.logs("configuration taken over").await;
    assert_eq!(line.ask(&Ask::get("/other/twin/sample")).await.unwrap().status, 200);
    // Threads that wait for a disk or a name are of the same name, and go.
    let tasks = format!("/proc/{}/task", server.id());
    let names = || {
        let tasks = std::fs::read_dir(&tasks).unwrap().map(|task| task.unwrap().path().join("comm"));
        tasks.filter_map(|name| std::fs::read_to_string(name).ok()).collect::<Vec<_>>()
    };
    until(|| !names().iter().any(|name| name.starts_with("tokio-rt"))).await;
    assert!(!names().is_empty());

    // With a caller who rests, and one who is served.
    let mut events = Line::to(server.address().await).await;
    events.begin(&Ask::get("/other/twin/events?ms=3600000")).await;
    events.head(&Method::GET).await.unwrap();
    server.signal("TERM").await;
    assert_eq!(server.ends().await.code, Some(0));
}
