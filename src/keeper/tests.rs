//! The session engine on paused time, with a make that does what a test tells it.

mod renewal;
mod rights;
mod succession;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use http::{HeaderMap, Method, response};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{advance, sleep};

use super::store::Store;
use super::{Failure, Finding, Keeper, Lease, Parts};
use crate::clock::{Clock, Timestamp};
use crate::config::{SecretSource, Trust};
use crate::disk::Folder;
use crate::metrics::Metrics;
use crate::upstream::cloud::Cloud;
use crate::upstream::{Pin, Settings, Upstream};
use crate::vendor::{Account, Asked, Refusal, Session, Stamp, Standing, Vendor, Verdict, Visit};

const HOUR: Duration = Duration::from_secs(3600);
const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A make whose logins end as the test says, and otherwise well.
struct Make {
    logins: AtomicUsize,
    renewals: AtomicUsize,
    verifications: AtomicUsize,
    outcomes: Mutex<VecDeque<Refusal>>,
    verdict: Mutex<fn() -> Verdict>,
    /// For so long it wants to be left alone when asked whether a session is good.
    busy: Mutex<Option<Duration>>,
    lifetime: Option<Duration>,
    password: Mutex<SecretSource>,
    lasts: bool,
    /// A login waits for one of these.
    permits: Semaphore,
}

#[async_trait]
impl Vendor for Arc<Make> {
    fn account(&self) -> Account<'_> {
        // The password is leaked so that a test can change it under the keeper.
        let password: &'static SecretSource = Box::leak(Box::new(self.password.lock().clone()));
        Account { who: vec!["owner"], proofs: vec![password], ..Account::default() }
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        let nth = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
        self.permits.acquire().await.unwrap().forget();
        match self.outcomes.lock().pop_front() {
            Some(refusal) => Err(refusal),
            None => Ok(Session {
                stamps: vec![Stamp::Header(http::header::AUTHORIZATION, format!("login {nth}").into())],
                expires_at: self.lifetime.map(|lifetime| visit.now.plus(lifetime)),
                lasts: self.lasts,
                ..Session::default()
            }),
        }
    }

    async fn renew(&self, _: &Visit<'_>, _: &Session) -> Result<Option<Session>, Refusal> {
        self.renewals.fetch_add(1, Ordering::SeqCst);
        Ok(None)
    }

    fn judge(&self, _: &Session, _: &Asked<'_>, _: &response::Parts) -> Verdict {
        Verdict::Pass
    }

    async fn verify(&self, _: &Visit<'_>, _: &Session) -> Result<Verdict, Refusal> {
        self.verifications.fetch_add(1, Ordering::SeqCst);
        let busy = *self.busy.lock();
        if let Some(wait) = busy {
            return Err(Refusal::Unavailable { detail: "busy".to_owned(), retry_after: Some(wait) });
        }
        Ok((self.verdict.lock())())
    }
}

impl Make {
    fn new(lifetime: Option<Duration>) -> Arc<Self> {
        Self::of(lifetime, true)
    }

    fn of(lifetime: Option<Duration>, lasts: bool) -> Arc<Self> {
        Arc::new(Self {
            logins: AtomicUsize::default(),
            renewals: AtomicUsize::default(),
            verifications: AtomicUsize::default(),
            outcomes: Mutex::default(),
            verdict: Mutex::new(|| Verdict::Pass),
            busy: Mutex::default(),
            lifetime,
            password: Mutex::new(SecretSource::Plain("right".into())),
            lasts,
            permits: Semaphore::new(1000),
        })
    }

    fn fails_with(&self, refusals: impl IntoIterator<Item = Refusal>) {
        self.outcomes.lock().extend(refusals);
    }

    fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }

    fn verifications(&self) -> usize {
        self.verifications.load(Ordering::SeqCst)
    }

    fn is_busy_for(&self, wait: Option<Duration>) {
        *self.busy.lock() = wait;
    }

    fn says(&self, verdict: fn() -> Verdict) {
        *self.verdict.lock() = verdict;
    }
}

struct House {
    folder: tempfile::TempDir,
    clock: Clock,
}

impl House {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Clock::starting_at(START) }
    }

    /// A keeper as after a start: what is in memory of another is not known to it.
    fn keeper(&self, make: &Arc<Make>) -> Arc<Keeper> {
        self.keeper_after(make, None)
    }

    /// A keeper as after a reload that has changed what is said of the device.
    fn heir(&self, make: &Arc<Make>, former: &Arc<Keeper>) -> Arc<Keeper> {
        let heir = self.keeper_after(make, Some(former));
        former.step_down();
        heir
    }

    fn keeper_after(&self, make: &Arc<Make>, former: Option<&Arc<Keeper>>) -> Arc<Keeper> {
        let metrics = Arc::new(Metrics::new());
        let settings = Settings {
            device: "meter".to_owned(),
            url: "http://127.0.0.1:9".parse().unwrap(),
            trust: Trust::Pin,
            connect_timeout: HOUR,
            timeout: HOUR,
            idle_timeout: HOUR,
            max_connections: 1,
            keeps_connections: true,
            clock: self.clock,
            max_waiting: 1,
            max_streams: 1,
            min_interval: Duration::ZERO,
            path_interval: Duration::ZERO,
        };
        let pin = Arc::new(Pin::new(Arc::new(Folder::new(self.folder.path(), "")), "meter", self.clock));
        let parts = Parts {
            name: "meter".to_owned(),
            address: "http://127.0.0.1:9".to_owned(),
            vendor: Arc::new(Arc::clone(make)),
            upstream: Upstream::new(settings, pin, None, None).unwrap(),
            cloud: Cloud::default(),
            clock: self.clock,
            store: Arc::new(Store::new(Arc::new(Folder::new(self.folder.path().join("state"), "")))),
            figures: metrics.device("meter", self.clock),
        };
        Keeper::new(parts, former)
    }
}

fn rejected() -> Refusal {
    Refusal::Rejected("wrong password".to_owned())
}

fn stamp(lease: &Lease) -> String {
    match lease.session().stamps.first() {
        Some(Stamp::Header(_, secret)) => secret.expose().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// The device answers a request with this lease so.
fn answers(keeper: &Arc<Keeper>, lease: &Lease, path: &str, status: u16) {
    let (head, ()) = http::Response::builder().status(status).body(()).unwrap().into_parts();
    let (method, headers) = (&Method::GET, &HeaderMap::new());
    keeper.accepted(lease, &Asked { method, path, headers, standing: Standing::default() }, &head);
}

async fn refusal(keeper: &Arc<Keeper>) -> Failure {
    keeper.lease().await.expect_err("a refusal")
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_at_once_cause_one_login() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    let leases = join_all((0..50).map(|_| keeper.lease())).await;
    assert!(leases.iter().all(Result::is_ok));
    assert_eq!(make.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_hangs_up_does_not_end_the_login() {
    let make = Make::new(Some(HOUR));
    make.permits.forget_permits(1000);
    let keeper = House::new().keeper(&make);
    let caller = tokio::spawn({
        let keeper = Arc::clone(&keeper);
        async move { keeper.lease().await.map(drop) }
    });
    while make.logins() == 0 {
        tokio::task::yield_now().await;
    }
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    make.permits.add_permits(1);
    keeper.lease().await.unwrap();
    assert_eq!(make.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_in_its_last_third_is_renewed_while_it_serves() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    assert!(keeper.lease_at_once().is_none(), "there is none yet");
    keeper.lease().await.unwrap();
    advance(HOUR / 2).await;
    assert_eq!(stamp(&keeper.lease_at_once().unwrap()), "login 1");
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 1");
    assert_eq!(make.logins(), 1, "half of its life is left");
    advance(HOUR / 4).await;
    assert!(keeper.lease_at_once().is_none(), "a renewal is to be begun");
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 1", "the old one serves meanwhile");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 2");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_lives_a_year_is_renewed_thirty_days_before_its_end() {
    let day = HOUR * 24;
    let make = Make::new(Some(day * 365));
    let keeper = House::new().keeper(&make);
    keeper.lease().await.unwrap();
    advance(day * 334).await;
    keeper.lease().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(make.logins(), 1);
    advance(day * 2).await;
    keeper.lease().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(make.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_past_its_end_serves_while_the_cloud_is_down() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    keeper.lease().await.unwrap();
    advance(HOUR * 2).await;
    make.fails_with([Refusal::Unavailable { detail: "down".to_owned(), retry_after: None }]);
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 1");
    assert_eq!(make.logins(), 2);
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 1", "no second attempt while it rests");
    assert_eq!(make.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_without_life_is_no_reason_to_log_in_forever() {
    let make = Make::new(Some(Duration::ZERO));
    let keeper = House::new().keeper(&make);
    keeper.lease().await.unwrap();
    assert_eq!(make.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_rests_five_minutes_then_thirty_then_a_day_each() {
    let make = Make::new(None);
    make.fails_with((0..10).map(|_| rejected()));
    let keeper = House::new().keeper(&make);
    let minute = Duration::from_secs(60);
    for (attempt, rest) in [minute * 5, minute * 30, HOUR * 24, HOUR * 24].into_iter().enumerate() {
        let failure = refusal(&keeper).await;
        assert_eq!(failure, Failure { refusal: rejected(), retry_after: rest, is_proven: false });
        refusal(&keeper).await;
        assert_eq!(make.logins(), attempt + 1, "at once, without an attempt");
        advance(rest).await;
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_restarts_with_a_wrong_password_are_three_logins_at_the_most() {
    let (make, house) = (Make::new(None), House::new());
    make.fails_with((0..100).map(|_| rejected()));
    for _ in 0..20 {
        let keeper = house.keeper(&make);
        for _ in 0..10 {
            refusal(&keeper).await;
        }
        advance(Duration::from_secs(120)).await;
    }
    assert!(make.logins() <= 3, "{}", make.logins());
}

#[tokio::test(start_paused = true)]
async fn another_password_ends_the_rest() {
    let (make, house) = (Make::new(None), House::new());
    make.fails_with([rejected()]);
    let keeper = house.keeper(&make);
    refusal(&keeper).await;
    *make.password.lock() = SecretSource::Plain("another".into());
    keeper.lease().await.unwrap();
    assert_eq!(make.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_operator_ends_a_rest_but_not_within_five_minutes() {
    let make = Make::new(None);
    make.fails_with([rejected(), rejected()]);
    let keeper = House::new().keeper(&make);
    refusal(&keeper).await;
    keeper.check().await.unwrap_err();
    assert_eq!(make.logins(), 1, "the same password once in five minutes");
    advance(Duration::from_secs(301)).await;
    refusal(&keeper).await;
    assert_eq!(make.logins(), 2);
    advance(Duration::from_secs(301)).await;
    refusal(&keeper).await;
    assert_eq!(make.logins(), 2, "half an hour, for callers");
    // The device is not there, but the login is tried.
    keeper.check().await.unwrap_err();
    assert_eq!(make.logins(), 3);
}

#[tokio::test(start_paused = true)]
async fn passing_failures_rest_for_seconds_doubling_to_a_minute() {
    let make = Make::new(None);
    make.fails_with((0..20).map(|_| Refusal::Odd("odd".to_owned())));
    let keeper = House::new().keeper(&make);
    let mut rests = Vec::new();
    for _ in 0..10 {
        let failure = refusal(&keeper).await;
        advance(failure.retry_after).await;
        rests.push(failure.retry_after);
    }
    assert_eq!(make.logins(), 10);
    assert!(rests[0] <= Duration::from_secs(1), "{rests:?}");
    assert!(rests[9] > Duration::from_secs(40) && rests[9] <= Duration::from_secs(60), "{rests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_says_when_to_come_back_is_left_alone_until_then() {
    let make = Make::new(None);
    let retry_after = Some(Duration::from_secs(600));
    make.fails_with([Refusal::Unavailable { detail: "busy".to_owned(), retry_after }]);
    let keeper = House::new().keeper(&make);
    assert_eq!(refusal(&keeper).await.retry_after, Duration::from_secs(600));
    advance(Duration::from_secs(599)).await;
    refusal(&keeper).await;
    assert_eq!(make.logins(), 1);
    advance(Duration::from_secs(2)).await;
    keeper.lease().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_does_not_end_the_session_got_since() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    let straggler = keeper.lease().await.unwrap();
    keeper.expire(&straggler);
    let renewed = keeper.lease().await.unwrap();
    keeper.expire(&straggler);
    assert_eq!(stamp(&keeper.lease().await.unwrap()), stamp(&renewed));
    assert_eq!(keeper.doubt(&straggler, "/").await.unwrap(), Finding::Superseded);
    assert_eq!((make.logins(), make.verifications()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_forbidden_requests_are_one_question_and_no_login() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    let lease = keeper.lease().await.unwrap();
    answers(&keeper, &lease, "/open", 200);
    for _ in 0..100 {
        assert_eq!(keeper.doubt(&lease, "/forbidden").await.unwrap(), Finding::Rights);
    }
    assert_eq!((make.logins(), make.verifications()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_path_that_was_open_is_never_taken_for_forbidden_unasked() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    let lease = keeper.lease().await.unwrap();
    answers(&keeper, &lease, "/open", 200);
    assert_eq!(keeper.doubt(&lease, "/forbidden").await.unwrap(), Finding::Rights);
    make.says(|| Verdict::Expired);
    assert_eq!(keeper.doubt(&lease, "/open").await.unwrap(), Finding::Void);
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 2");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_refuses_what_it_just_gave_out_is_left_alone() {
    let make = Make::new(Some(HOUR));
    make.says(|| Verdict::Expired);
    let keeper = House::new().keeper(&make);
    let lease = keeper.lease().await.unwrap();
    keeper.doubt(&lease, "/").await.unwrap_err();
    refusal(&keeper).await;
    assert_eq!(make.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_saved_session_serves_after_a_restart_without_a_login() {
    let (make, house) = (Make::new(Some(HOUR)), House::new());
    let keeper = house.keeper(&make);
    keeper.lease().await.unwrap();
    keeper.close().await;
    let lease = house.keeper(&make).lease().await.unwrap();
    assert_eq!(stamp(&lease), "login 1");
    assert_eq!(make.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_login_brings_after_the_end_is_not_saved_into_a_folder_that_has_gone() {
    let (house, make) = (House::new(), Make::new(Some(HOUR)));
    make.permits.forget_permits(1000);
    let keeper = house.keeper(&make);
    let caller = tokio::spawn({
        let keeper = Arc::clone(&keeper);
        async move { keeper.lease().await.map(drop) }
    });
    while make.logins() == 0 {
        tokio::task::yield_now().await;
    }
    keeper.close().await;
    let state = house.folder.path().join("state");
    std::fs::remove_dir_all(&state).unwrap();
    make.permits.add_permits(1);
    // Who waits is told when it is saved.
    assert!(caller.await.unwrap().is_ok());
    assert!(!state.exists());
}

#[tokio::test(start_paused = true)]
async fn a_saved_session_of_other_credentials_serves_only_if_theirs_fail() {
    let (make, house) = (Make::new(Some(HOUR)), House::new());
    let keeper = house.keeper(&make);
    keeper.lease().await.unwrap();
    keeper.close().await;
    *make.password.lock() = SecretSource::Plain("another".into());
    make.fails_with([Refusal::Unavailable { detail: "down".to_owned(), retry_after: None }]);
    let keeper = house.keeper(&make);
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 1");
    advance(Duration::from_secs(2)).await;
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 3");
}

#[tokio::test(start_paused = true)]
async fn a_fixed_credential_rests_only_while_it_never_once_succeeded() {
    let (make, house) = (Make::of(None, false), House::new());
    let keeper = house.keeper(&make);
    let lease = keeper.lease().await.unwrap();
    keeper.refused(&lease, "wrong key".to_owned()).await.unwrap_err();
    refusal(&keeper).await;
    advance(Duration::from_secs(301)).await;
    let lease = keeper.lease().await.unwrap();
    answers(&keeper, &lease, "/", 200);
    keeper.refused(&lease, "wrong key".to_owned()).await.unwrap_err();
    keeper.lease().await.unwrap();
    // What was proven stays proven over a restart.
    keeper.save().await;
    let keeper = house.keeper(&make);
    let lease = keeper.lease().await.unwrap();
    keeper.refused(&lease, "wrong key".to_owned()).await.unwrap_err();
    keeper.lease().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_check_tries_a_refused_credential_that_was_fine_before_once_in_five_minutes_over_restarts() {
    let (make, house) = (Make::of(None, false), House::new());
    let keeper = house.keeper(&make);
    let lease = keeper.lease().await.unwrap();
    answers(&keeper, &lease, "/", 200);
    let failure = keeper.refused(&lease, "wrong key".to_owned()).await.unwrap_err();
    assert!(failure.is_proven);
    // What is refused meanwhile puts it off no further.
    advance(Duration::from_secs(200)).await;
    keeper.refused(&lease, "wrong key".to_owned()).await.unwrap_err();
    for keeper in [keeper, house.keeper(&make)] {
        let failure = keeper.check().await.unwrap_err();
        assert!(failure.refusal.to_string().contains("less than 5 min ago"), "{failure:?}");
        assert!(failure.is_proven);
        assert_eq!(failure.retry_after, Duration::from_secs(100));
        keeper.lease().await.expect("requests go on trying it");
    }
    advance(Duration::from_secs(100)).await;
    let keeper = house.keeper(&make);
    // The device is not there, but it is asked.
    let failure = keeper.check().await.unwrap_err();
    assert!(matches!(failure.refusal, Refusal::Unreachable(_)), "{failure:?}");
    let lease = keeper.lease().await.unwrap();
    keeper.refused(&lease, "wrong key".to_owned()).await.unwrap_err();
    *make.password.lock() = SecretSource::Plain("another".into());
    let failure = house.keeper(&make).check().await.unwrap_err();
    assert!(matches!(failure.refusal, Refusal::Unreachable(_)), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_accepted_again_is_checked_at_once() {
    let (make, house) = (Make::of(None, false), House::new());
    let keeper = house.keeper(&make);
    let lease = keeper.lease().await.unwrap();
    answers(&keeper, &lease, "/", 200);
    keeper.refused(&lease, "wrong key".to_owned()).await.unwrap_err();
    answers(&keeper, &lease, "/", 200);
    let failure = keeper.check().await.unwrap_err();
    assert!(matches!(failure.refusal, Refusal::Unreachable(_)), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_too_busy_to_say_whether_a_session_is_good_is_not_asked_until_then() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    let lease = keeper.lease().await.unwrap();
    answers(&keeper, &lease, "/", 200);
    make.is_busy_for(Some(Duration::from_secs(600)));
    for gone in [0, 599] {
        advance(Duration::from_secs(gone)).await;
        let failure = keeper.doubt(&lease, "/forbidden").await.unwrap_err();
        assert_eq!(failure.retry_after, Duration::from_secs(600 - gone));
        assert_eq!(make.verifications(), 1);
    }
    make.is_busy_for(None);
    advance(Duration::from_secs(1)).await;
    assert_eq!(keeper.doubt(&lease, "/forbidden").await.unwrap(), Finding::Rights);
    assert_eq!((make.logins(), make.verifications()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_login_is_a_failure_and_the_next_login_is_not_lost() {
    let make = Make::new(None);
    make.permits.close();
    let keeper = House::new().keeper(&make);
    let failures = join_all((0..50).map(|_| keeper.lease())).await;
    assert!(
        failures.into_iter().all(|failure| failure
            .unwrap_err()
            .refusal
            .to_string()
            .contains("keyward's own"))
    );
    assert_eq!(make.logins(), 1, "every caller causes a login");
    advance(HOUR).await;
    refusal(&keeper).await;
    assert_eq!(make.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn moments_only_go_forward_also_when_the_device_is_behind() {
    let make = Make::new(None);
    let keeper = House::new().keeper(&make);
    let times: Vec<_> = (0..100).map(|_| keeper.moment()).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    keeper.learn_clock(Timestamp::from_seconds(1_000_000_000));
    assert_eq!(keeper.moment().as_seconds(), 1_000_000_000);
    assert!(keeper.moment() > Timestamp::from_seconds(1_000_000_000));
}
