//! What need not be asked again.

mod memory;
mod pace;
mod reload;
mod stale;
mod streams;
mod together;
mod told;

use crate::support::Lab;

/// How many requests to `meter` wait for their answers.
async fn in_flight(lab: &Lab) -> usize {
    let figures = lab.get("/metrics").await;
    let name = "keyward_requests_in_flight{device=\"meter\"} ";
    let figure = figures.text().lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0").to_owned();
    figure.parse().unwrap()
}

/// Waits until so many requests to `meter` wait for their answers.
async fn waits_for(lab: &Lab, count: usize) {
    for _ in 0..5000 {
        if in_flight(lab).await == count {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("there are {} and not {count}", in_flight(lab).await);
}

/// An answer to the byte.
fn ok(headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
