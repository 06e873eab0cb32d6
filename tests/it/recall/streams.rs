//! Answers that do not end.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use tokio::time::Instant;

use crate::support::{Act, Ask, Lab, Scripted};

#[tokio::test]
async fn nobody_waits_for_the_end_of_what_another_watches() {
    for (kind, soon) in [("multipart/x-mixed-replace; boundary=x", 100), ("video/x-motion-jpeg", 1500)] {
        for more in ["", "cache = \"10s\"\n", "stale_if_error = \"1h\"\n"] {
            let picture = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n--x\r\n\r\n");
            let device = Scripted::new(move |_| Act::Answer(picture.clone().into_bytes())).await;
            let lab = Lab::new(&device.table("meter", &format!("acts_on_get = []\n{more}"))).await;
            let begun = Instant::now();
            let watching = (0..3).map(async |_| {
                let mut line = lab.connect().await;
                line.begin(&Ask::get("/meter/x")).await;
                assert_eq!(line.head(&Method::GET).await.unwrap().header("content-type"), kind);
                assert_eq!(line.piece().await.unwrap().unwrap(), "--x\r\n\r\n");
                line
            });
            let watching = join_all(watching).await;
            assert!(begun.elapsed() < Duration::from_millis(soon), "{kind}, {more}: {:?}", begun.elapsed());
            assert_eq!((watching.len(), device.heard().len()), (3, 3));
        }
    }
}
