//! What is known of a device stays known where it is configured otherwise, whatever can be saved.

use tokio::task::{JoinHandle, yield_now};

use super::*;

/// A house whose sessions can't be saved.
fn house_without_a_disk() -> House {
    let house = House::new();
    std::fs::write(house.folder.path().join("state"), "no folder").unwrap();
    house
}

/// A login that has begun and does not end before there are permits.
async fn login_under_way(make: &Arc<Make>, keeper: &Arc<Keeper>) -> JoinHandle<Result<(), Failure>> {
    make.permits.forget_permits(1000);
    let caller = asks(keeper);
    while make.logins() == 0 {
        yield_now().await;
    }
    caller
}

fn asks(keeper: &Arc<Keeper>) -> JoinHandle<Result<(), Failure>> {
    let keeper = Arc::clone(keeper);
    tokio::spawn(async move { keeper.lease().await.map(drop) })
}

#[tokio::test(start_paused = true)]
async fn a_session_that_could_not_be_saved_serves_on() {
    let (make, house) = (Make::new(Some(HOUR)), house_without_a_disk());
    let keeper = house.keeper(&make);
    keeper.lease().await.unwrap();
    let heir = house.heir(&make, &keeper);
    assert_eq!(stamp(&heir.lease().await.unwrap()), "login 1");
    assert!(heir.snapshot().unsaved);
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_could_not_be_saved_goes_on() {
    let (make, house) = (Make::new(Some(HOUR)), house_without_a_disk());
    make.fails_with([rejected()]);
    let mut keeper = house.keeper(&make);
    refusal(&keeper).await;
    for _ in 0..4 {
        keeper = house.heir(&make, &keeper);
        assert_eq!(refusal(&keeper).await.refusal, rejected());
    }
    assert_eq!(make.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_login_under_way_finds_out_is_known_to_all_who_follow_and_is_saved() {
    let (make, house) = (Make::new(Some(HOUR)), House::new());
    make.fails_with([rejected()]);
    let keeper = house.keeper(&make);
    let caller = login_under_way(&make, &keeper).await;
    let second = house.heir(&make, &keeper);
    let third = house.heir(&make, &second);
    let later = asks(&third);
    make.permits.add_permits(1000);
    assert_eq!(caller.await.unwrap().unwrap_err().refusal, rejected());
    assert_eq!(later.await.unwrap().unwrap_err().refusal, rejected());
    assert_eq!(refusal(&house.keeper(&make)).await.refusal, rejected());
    assert_eq!(make.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_session_of_a_login_under_way_is_used_also_where_nobody_asks_meanwhile() {
    let (make, house) = (Make::new(Some(HOUR)), House::new());
    let keeper = house.keeper(&make);
    let caller = login_under_way(&make, &keeper).await;
    let heir = house.heir(&make, &keeper);
    make.permits.add_permits(1000);
    caller.await.unwrap().unwrap();
    keeper.retire(Some(&heir)).await;
    assert_eq!(stamp(&heir.lease().await.unwrap()), "login 1");
    assert_eq!(stamp(&house.keeper(&make).lease().await.unwrap()), "login 1", "it is saved");
    assert_eq!(make.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_corrected_password_is_tried_whatever_came_of_the_other() {
    let (make, house) = (Make::new(Some(HOUR)), House::new());
    make.fails_with([rejected()]);
    let keeper = house.keeper(&make);
    let caller = login_under_way(&make, &keeper).await;
    *make.password.lock() = SecretSource::Plain("another".into());
    let heir = house.heir(&make, &keeper);
    let later = asks(&heir);
    make.permits.add_permits(1000);
    caller.await.unwrap().unwrap_err();
    later.await.unwrap().unwrap();
    assert_eq!(make.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_ends_late_takes_nothing_from_those_who_came_after_the_next() {
    let (make, house) = (Make::new(Some(HOUR)), House::new());
    let first = house.keeper(&make);
    first.lease().await.unwrap();
    let second = house.heir(&make, &first);
    second.expire(&second.lease().await.unwrap());
    assert_eq!(stamp(&second.lease().await.unwrap()), "login 2");
    let third = house.heir(&make, &second);
    first.retire(Some(&third)).await;
    assert_eq!(stamp(&third.lease().await.unwrap()), "login 2");
    second.retire(Some(&third)).await;
    assert_eq!(stamp(&third.lease().await.unwrap()), "login 2");
}

#[tokio::test(start_paused = true)]
async fn what_who_ends_late_has_found_out_is_known_to_those_who_came_after_the_next() {
    let (make, house) = (Make::new(Some(HOUR)), House::new());
    make.fails_with([rejected()]);
    let first = house.keeper(&make);
    let caller = login_under_way(&make, &first).await;
    let second = house.heir(&make, &first);
    let third = house.heir(&make, &second);
    make.permits.add_permits(1000);
    caller.await.unwrap().unwrap_err();
    first.retire(Some(&third)).await;
    drop(first);
    assert_eq!(refusal(&third).await.refusal, rejected());
    assert_eq!(make.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_device_has_refused_does_not_come_back() {
    let (make, house) = (Make::new(Some(HOUR)), House::new());
    let keeper = house.keeper(&make);
    keeper.lease().await.unwrap();
    let heir = house.heir(&make, &keeper);
    heir.expire(&heir.lease().await.unwrap());
    assert_eq!(stamp(&heir.lease().await.unwrap()), "login 2");
}

#[tokio::test(start_paused = true)]
async fn who_had_the_device_before_the_one_before_has_nothing_more_to_say() {
    let (make, house) = (Make::new(Some(HOUR)), House::new());
    let first = house.keeper(&make);
    first.lease().await.unwrap();
    let second = house.heir(&make, &first);
    second.expire(&second.lease().await.unwrap());
    second.lease().await.unwrap();
    let third = house.heir(&make, &second);
    first.retire(Some(&third)).await;
    assert_eq!(stamp(&third.lease().await.unwrap()), "login 2");
}
