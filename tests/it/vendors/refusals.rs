//! Devices that say no: to the credential, or to what it has no right to.

use std::sync::Arc;
use std::time::Duration;

use keyward::twin::{Arrival, Twin, every};

use super::Bench;
use crate::support::{End, pass};

/// How long a credential rests that was rejected once.
const FIRST_REST: Duration = Duration::from_secs(5 * 60);

/// Whether there is a credential that can be wrong.
fn is_locked(twin: &dyn Twin) -> bool {
    twin.vendor() != "open"
}

/// Devices that refuse us from the beginning.
async fn locked_out() -> Vec<Arc<dyn Twin>> {
    let twins: Vec<_> = every().await.unwrap().into_iter().filter(|twin| is_locked(&**twin)).collect();
    twins.iter().for_each(|twin| twin.lock_out());
    twins
}

/// How often the device or its cloud was tried, in any way.
fn attempts(bench: &Bench) -> (usize, usize) {
    (bench.twin.logins(), bench.twin.journal().total())
}

/// How often the credential was shown to whoever checks it.
fn shown(bench: &Bench) -> usize {
    let with_credential = |arrival: &Arrival| arrival.headers.contains_key("authorization");
    match bench.make() {
        "digest" => bench.twin.arrivals().iter().filter(|arrival| with_credential(arrival)).count(),
        _ if bench.twin.renewable() => bench.twin.logins(),
        _ => bench.twin.journal().total(),
    }
}

async fn is_refused(bench: &Bench) {
    let problem = bench.read().await.problem();
    assert_eq!((problem.fault.as_str(), problem.device.as_deref()), ("login_refused", Some("it")));
    let wait = problem.retry_after.unwrap();
    assert!((290..=300).contains(&wait), "Retry-After: {wait}");
}

#[tokio::test]
async fn a_wrong_credential_is_tried_once_however_many_ask() {
    for twin in locked_out().await {
        let bench = Bench::of(twin).await;
        is_refused(&bench).await;
        assert_eq!(shown(&bench), 1);
        let tried = attempts(&bench);
        for _ in 0..20 {
            is_refused(&bench).await;
        }
        assert_eq!(attempts(&bench), tried);
    }
}

#[tokio::test]
async fn fifty_at_once_try_a_wrong_credential_once() {
    for twin in locked_out().await {
        let bench = Bench::of(twin).await;
        let replies = futures_util::future::join_all((0..50).map(|_| bench.read())).await;
        assert!(replies.iter().all(|reply| reply.fault() == "login_refused"));
        assert_eq!(shown(&bench), 1);
    }
}

#[tokio::test]
async fn neither_a_restart_nor_a_loop_of_them_tries_a_wrong_credential_again() {
    for twin in locked_out().await {
        let mut bench = Bench::of(twin).await;
        is_refused(&bench).await;
        let tried = attempts(&bench);
        for end in [End::Stopped, End::Killed].into_iter().cycle().take(20) {
            bench.lab.restart(end).await;
            is_refused(&bench).await;
        }
        assert_eq!(attempts(&bench), tried);
    }
}

#[tokio::test]
async fn after_its_rest_a_credential_that_is_right_again_serves() {
    for twin in locked_out().await {
        let bench = Bench::of(twin).await;
        is_refused(&bench).await;
        bench.twin.readmit();
        is_refused(&bench).await;
        pass(FIRST_REST).await;
        bench.reads().await;
    }
}

#[tokio::test]
async fn the_rests_of_a_wrong_credential_grow_to_half_an_hour_and_a_day() {
    for twin in locked_out().await {
        let bench = Bench::of(twin).await;
        for rest in [5 * 60, 30 * 60, 24 * 60 * 60, 24 * 60 * 60] {
            let wait = bench.read().await.problem().retry_after.unwrap();
            assert!((rest - 10..=rest).contains(&wait), "{wait} s instead of {rest} s");
            pass(Duration::from_secs(wait)).await;
        }
    }
}

#[tokio::test]
async fn a_check_tries_a_refused_credential_at_most_once_in_five_minutes() {
    for twin in locked_out().await {
        let bench = Bench::of(twin).await;
        is_refused(&bench).await;
        let tried = attempts(&bench);
        bench.twin.readmit();
        assert!(bench.lab.check("it").await.unwrap_err().starts_with("login refused"));
        assert_eq!(attempts(&bench), tried);
        pass(FIRST_REST).await;
        bench.twin.lock_out();
        bench.read().await.problem();
        bench.twin.readmit();
        pass(FIRST_REST).await;
        // Half an hour of rest is ahead, which an operator's check ends.
        assert_eq!(bench.read().await.fault(), "login_refused");
        bench.lab.check("it").await.unwrap();
        bench.reads().await;
    }
}

#[tokio::test]
async fn a_fixed_credential_refused_though_it_was_fine_is_said_to_be_tried_as_it_is() {
    for twin in every().await.unwrap().into_iter().filter(|twin| is_locked(&**twin) && !twin.renewable()) {
        // A digest that is refused is a session that is, and rests.
        if twin.vendor() == "digest" {
            continue;
        }
        let mut bench = Bench::of(twin).await;
        bench.reads().await;
        bench.twin.lock_out();
        for _ in 0..3 {
            let before = attempts(&bench);
            let problem = bench.read().await.problem();
            assert_eq!((problem.fault.as_str(), problem.retry_after), ("login_refused", Some(5)));
            assert!(problem.detail.contains("every request tries it again"), "{}", problem.detail);
            assert!(!problem.detail.contains("sooner"), "{}", problem.detail);
            assert_ne!(attempts(&bench), before, "and so it is");
        }
        let tried = attempts(&bench);
        for end in [End::Stopped, End::Killed] {
            let said = bench.lab.check("it").await.unwrap_err();
            assert!(said.contains("less than 5 min ago") && said.contains("once in 5 min"), "{said}");
            assert_eq!(attempts(&bench), tried);
            bench.lab.restart(end).await;
        }
        bench.twin.readmit();
        pass(FIRST_REST).await;
        bench.lab.check("it").await.unwrap();
    }
}

#[tokio::test]
async fn a_credential_that_another_address_refused_rests_on_and_that_is_said() {
    for twin in locked_out().await {
        let mut bench = Bench::of(twin).await;
        is_refused(&bench).await;
        let (stanza, tried) = (bench.device.table("it", ""), attempts(&bench));
        bench.lab.reconfigure(&stanza.replace("127.0.0.1", "localhost")).await;
        for end in [None, Some(End::Stopped), Some(End::Killed)] {
            let problem = bench.read().await.problem();
            let told = problem.detail.matches("the address that `url` named before").count();
            // A token is its serial's, wherever that one is.
            let expected = usize::from(bench.make() != "enphase");
            assert_eq!((problem.fault.as_str(), told), ("login_refused", expected), "{}", problem.detail);
            if let Some(end) = end {
                bench.lab.restart(end).await;
            }
        }
        assert_eq!(attempts(&bench), tried);
    }
}

#[tokio::test]
async fn a_corrected_credential_is_tried_at_once() {
    for twin in every().await.unwrap().into_iter().filter(|twin| is_locked(&**twin)) {
        let mut bench = Bench::of(twin).await;
        let right = bench.device.table("it", "");
        let wrong = bench.twin.secrets().iter().fold(right.clone(), |text, secret| {
            // In TOML a password may be written otherwise than it is; a key or token is written as it is.
            let written = serde_json::Value::from(secret.expose()).to_string();
            text.replace(&written, "\"of-another-device\"")
        });
        assert_ne!(wrong, right);
        bench.lab.reconfigure(&wrong).await;
        is_refused(&bench).await;
        bench.lab.reconfigure(&right).await;
        bench.reads().await;
    }
}

#[tokio::test]
async fn what_the_session_has_no_right_to_is_403_and_a_hundred_of_it_cost_no_login() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        let Some(path) = bench.twin.forbidden() else { continue };
        bench.reads().await;
        for _ in 0..100 {
            let reply = bench.lab.get(&format!("/it{path}")).await;
            assert_eq!(reply.status, 403, "{reply:?}");
            let arrival = bench.arrivals(path).pop().unwrap();
            let said = reply.headers.get("proxy-status").map(|value| value.to_str().unwrap());
            assert_eq!(said, (arrival.status == 401).then_some("keyward; received-status=401"));
            assert!(!reply.body.is_empty() && !reply.text().contains("\"fault\""), "{reply:?}");
            assert!(!reply.headers.contains_key("www-authenticate"));
        }
        bench.has_logged_in(1);
        bench.reads().await;
    }
}

#[tokio::test]
async fn a_session_that_lapses_among_refusals_of_rights_is_still_renewed() {
    for twin in every().await.unwrap() {
        let bench = Bench::of(twin).await;
        let Some(path) = bench.twin.forbidden() else { continue };
        bench.reads().await;
        assert_eq!(bench.lab.get(&format!("/it{path}")).await.status, 403);
        bench.twin.lapse();
        bench.reads().await;
        bench.has_logged_in(2);
    }
}
