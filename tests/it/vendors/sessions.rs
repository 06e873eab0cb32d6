//! Logins: as few as possible, unseen, and never one more.

use futures_util::future::join_all;
use http::Method;
use keyward::twin::{every, noise};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Bench;
use crate::support::{Ask, End};

/// The largest body that is kept for a second attempt.
const REPLAYED: usize = 64 * 1024;

#[tokio::test]
async fn the_first_request_logs_in_once_and_brings_data() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        bench.reads().await;
        bench.has_logged_in(1);
        bench.reads().await;
        bench.has_logged_in(1);
    }
}

#[tokio::test]
async fn nothing_is_asked_of_a_device_before_somebody_asks_for_it() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        for path in ["/", "/healthz", "/readyz", "/metrics", "/-/devices"] {
            assert_eq!(bench.lab.get(path).await.status, 200, "{path}");
        }
        assert_eq!(
            (bench.twin.journal().total(), bench.twin.logins(), bench.device.served().accepted()),
            (0, 0, 0)
        );
    }
}

#[tokio::test]
async fn fifty_at_once_cost_one_login() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        let replies = join_all((0..50).map(|_| bench.read())).await;
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
        assert_eq!(statuses, [200; 50]);
        has_logged_in_together(&bench, 1);
    }
}

#[tokio::test]
async fn a_session_that_lapsed_is_renewed_unseen() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        bench.reads().await;
        bench.twin.lapse();
        bench.reads().await;
        bench.has_logged_in(2);
    }
}

#[tokio::test]
async fn a_hundred_waiting_at_the_end_of_a_session_cost_one_login() {
    for twin in every().await.unwrap() {
        let mut bench = Bench::of(twin).await;
        let table = bench.device.table("it", "max_waiting = 200\nmax_connections = 8\n");
        bench.lab.reconfigure(&table).await;
        bench.reads().await;
        bench.twin.lapse();
        let replies = join_all((0..100).map(|_| bench.read())).await;
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
        assert_eq!(statuses, [200; 100]);
        has_logged_in_together(&bench, 2);
    }
}

#[tokio::test]
async fn a_request_refused_midway_goes_out_once_more_and_no_more() {
    for twin in every().await.unwrap().into_iter().filter(|twin| twin.renewable()) {
        let bench = Bench::of(twin).await;
        bench.reads().await;
        let before = bench.arrivals(bench.twin.sample()).len();
        bench.twin.lapse();
        bench.reads().await;
        let statuses: Vec<_> =
            bench.arrivals(bench.twin.sample()).iter().skip(before).map(|arrival| arrival.status).collect();
        assert_eq!(statuses, [401, 200]);
    }
}

#[tokio::test]
async fn a_small_body_is_sent_again_whole() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        bench.reads().await;
        bench.twin.lapse();
        for (method, length) in [(Method::POST, 1), (Method::PUT, REPLAYED)] {
            let reply = bench.lab.send(&upload(&bench, method, length)).await;
            assert_eq!((reply.status.as_u16(), reply.json()), (200, measured(length)));
        }
        bench.has_logged_in(2);
    }
}

#[tokio::test]
async fn a_body_too_large_to_keep_is_not_sent_again_and_the_next_attempt_goes_through() {
    for twin in every().await.unwrap().into_iter().filter(|twin| twin.renewable()) {
        let bench = Bench::of(twin).await;
        bench.reads().await;
        bench.twin.lapse();
        let large = upload(&bench, Method::POST, REPLAYED * 4);
        let problem = bench.lab.send(&large).await.problem();
        assert_eq!((problem.fault.as_str(), problem.retry_after), ("not_replayed", Some(1)));
        assert_eq!(bench.arrivals(bench.twin.upload()).len(), 1);
        let reply = bench.lab.send(&large).await;
        assert_eq!((reply.status.as_u16(), reply.json()), (200, measured(REPLAYED * 4)));
        bench.has_logged_in(2);
    }
}

#[tokio::test]
async fn a_reboot_of_the_device_heals_unseen() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        bench.reads().await;
        bench.twin.reboot();
        bench.reads().await;
        bench.reads().await;
        match bench.make() {
            // Its token outlives its sessions: there is no need of the cloud.
            "enphase" => bench.has_logged_in(1),
            _ => bench.has_logged_in(2),
        }
    }
}

#[tokio::test]
async fn a_reboot_among_many_callers_heals_unseen() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        for _ in 0..2 {
            bench.reads().await;
            bench.twin.reboot();
            let replies = join_all((0..30).map(|_| bench.read())).await;
            let statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
            assert_eq!(statuses, [200; 30]);
        }
    }
}

#[tokio::test]
async fn a_device_that_comes_back_with_no_connection_left_is_met_again() {
    for twin in every().await.unwrap() {
        let mut bench = Bench::of(twin).await;
        bench.reads().await;
        let certificate = bench.device.certificate.clone();
        bench.device.shows(certificate).await;
        bench.reads().await;
        bench.has_logged_in(1);
    }
}

#[tokio::test]
async fn a_saved_session_survives_a_crash() {
    for twin in every().await.unwrap() {
        let mut bench = Bench::of(twin).await;
        bench.reads().await;
        bench.lab.restart(End::Killed).await;
        bench.reads().await;
        // A digest's nonce is not worth keeping: asking for another shows nobody a password.
        bench.has_logged_in(if bench.make() == "digest" { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_session_that_can_be_ended_is_ended_at_the_end_and_others_last() {
    for twin in every().await.unwrap() {
        let mut bench = Bench::of(twin).await;
        bench.reads().await;
        bench.lab.stop().await;
        let logouts = bench.arrivals("/api/auth/logout").len();
        assert_eq!(logouts, usize::from(bench.make() == "egauge"));
        bench.lab.start().await;
        bench.reads().await;
        bench.has_logged_in(if ["egauge", "digest"].contains(&bench.make()) { 2 } else { 1 });
    }
}

/// So many logins, whoever waited for them. Digests that overtake each other are asked for another nonce.
fn has_logged_in_together(bench: &Bench, times: usize) {
    if bench.make() != "digest" {
        bench.has_logged_in(times);
    }
}

fn upload(bench: &Bench, method: Method, length: usize) -> Ask {
    let body = noise(0, length);
    let ask = Ask::post(format!("/it{}", bench.twin.upload()), body).by(method);
    ask.with("Content-Type", "application/octet-stream").with("Accept", "application/json")
}

/// What the twin says of an upload that arrived whole.
fn measured(length: usize) -> serde_json::Value {
    let digest = Sha256::digest(noise(0, length));
    json!({ "length": length, "sha256": hex::encode(digest) })
}
