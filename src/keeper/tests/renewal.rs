//! A session in use, and a login beside it that comes to nothing or to no end.

use super::*;

/// A keeper whose session is in its last third, so that the next lease begins a renewal.
async fn due(make: &Arc<Make>) -> Arc<Keeper> {
    let keeper = House::new().keeper(make);
    keeper.lease().await.unwrap();
    advance(HOUR * 3 / 4).await;
    keeper
}

/// Has a renewal fail so.
async fn fails(make: &Arc<Make>, keeper: &Arc<Keeper>, refusal: Refusal) {
    make.fails_with([refusal]);
    keeper.lease().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(make.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_past_its_end_serves_while_a_login_hangs() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    keeper.lease().await.unwrap();
    advance(HOUR * 2).await;
    make.permits.forget_permits(1000);
    let begun = tokio::time::Instant::now();
    let leases = join_all((0..50).map(|_| keeper.lease())).await;
    assert!(leases.iter().all(|lease| stamp(lease.as_ref().unwrap()) == "login 1"));
    assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
    // Whoever comes later does not wait at all.
    let before = begun.elapsed();
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 1");
    assert_eq!((begun.elapsed(), make.logins()), (before, 2));
    make.permits.add_permits(1000);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 2");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_refused_while_a_login_hangs_serves_nobody() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    let lease = keeper.lease().await.unwrap();
    advance(HOUR * 2).await;
    make.permits.forget_permits(1000);
    let caller = tokio::spawn({
        let keeper = Arc::clone(&keeper);
        async move { stamp(&keeper.lease().await.unwrap()) }
    });
    while make.logins() == 1 {
        tokio::task::yield_now().await;
    }
    keeper.expire(&lease);
    sleep(Duration::from_secs(10)).await;
    assert!(!caller.is_finished());
    make.permits.add_permits(1000);
    assert_eq!(caller.await.unwrap(), "login 2");
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_was_asked_for_goes_on_though_the_session_is_refused() {
    let make = Make::new(Some(HOUR));
    let keeper = due(&make).await;
    let retry_after = Some(Duration::from_secs(600));
    fails(&make, &keeper, Refusal::Unavailable { detail: "busy".to_owned(), retry_after }).await;
    keeper.expire(&keeper.lease().await.unwrap());
    assert!(refusal(&keeper).await.retry_after > Duration::from_secs(590));
    assert_eq!(make.logins(), 2);
    advance(Duration::from_secs(600)).await;
    assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 3");
}

#[tokio::test(start_paused = true)]
async fn what_could_wait_while_the_session_served_does_not_where_it_is_refused() {
    for refusal in [Refusal::Enough("lasts no longer".to_owned()), Refusal::Odd("odd".to_owned())] {
        let make = Make::new(Some(HOUR));
        let keeper = due(&make).await;
        fails(&make, &keeper, refusal).await;
        keeper.expire(&keeper.lease().await.unwrap());
        assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 3");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_old_session_opens_says_nothing_of_a_password_that_was_changed() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    keeper.lease().await.unwrap();
    *make.password.lock() = SecretSource::Plain("wrong".into());
    keeper.look_again();
    make.fails_with([rejected(), rejected()]);
    for rest in [5 * 60, 30 * 60] {
        let lease = keeper.lease().await.unwrap();
        answers(&keeper, &lease, "/", 200);
        assert_eq!(keeper.snapshot().failure.unwrap().retry_after, Duration::from_secs(rest));
        advance(Duration::from_secs(rest)).await;
    }
    assert_eq!(make.logins(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_failed_is_told_until_one_succeeds() {
    let (make, house) = (Make::new(Some(HOUR)), House::new());
    let keeper = house.keeper(&make);
    keeper.lease().await.unwrap();
    advance(HOUR * 3 / 4).await;
    fails(&make, &keeper, Refusal::Odd("odd".to_owned())).await;
    advance(Duration::from_secs(60)).await;
    assert!(keeper.snapshot().failure.is_some(), "it is over");
    let keeper = house.heir(&make, &keeper);
    assert!(keeper.snapshot().failure.is_some(), "it was another's");
    keeper.lease().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(make.logins(), 3);
    assert_eq!(keeper.snapshot().failure, None);
}
