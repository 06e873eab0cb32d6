//! What a refusal means, and for how long that is believed.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_right_after_a_matter_of_rights_is_found_out_where_it_was_not_asked_before() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    let lease = keeper.lease().await.unwrap();
    answers(&keeper, &lease, "/open", 200);
    assert_eq!(keeper.doubt(&lease, "/forbidden").await.unwrap(), Finding::Rights);
    make.says(|| Verdict::Expired);
    assert_eq!(keeper.doubt(&lease, "/forbidden").await.unwrap(), Finding::Rights, "as ever");
    assert_eq!(keeper.doubt(&lease, "/new").await.unwrap(), Finding::Void);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_forbidden_paths_at_once_are_one_question() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    let lease = keeper.lease().await.unwrap();
    answers(&keeper, &lease, "/open", 200);
    let paths: Vec<_> = (0..100).map(|nth| format!("/forbidden/{nth}")).collect();
    let findings = join_all(paths.iter().map(|path| keeper.doubt(&lease, path))).await;
    assert!(findings.into_iter().all(|finding| finding.unwrap() == Finding::Rights));
    for path in &paths {
        assert_eq!(keeper.doubt(&lease, path).await.unwrap(), Finding::Rights);
    }
    assert_eq!((make.logins(), make.verifications()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn ever_other_forbidden_paths_are_few_questions() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    let lease = keeper.lease().await.unwrap();
    answers(&keeper, &lease, "/open", 200);
    for second in 1..=3 {
        for nth in 0..100 {
            let path = format!("/forbidden/{second}/{nth}");
            assert_eq!(keeper.doubt(&lease, &path).await.unwrap(), Finding::Rights);
        }
        assert_eq!((make.logins(), make.verifications()), (1, 4 * second));
        advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_let_in_anywhere_was_good_whatever_came_of_the_request() {
    for status in [301, 304, 400, 403, 404, 409, 500] {
        let make = Make::new(Some(HOUR));
        let keeper = House::new().keeper(&make);
        let lease = keeper.lease().await.unwrap();
        answers(&keeper, &lease, "/x", status);
        make.says(|| Verdict::Expired);
        assert_eq!(keeper.doubt(&lease, "/x").await.unwrap(), Finding::Void, "{status}");
        assert_eq!(stamp(&keeper.lease().await.unwrap()), "login 2", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_success_proves_no_fixed_credential() {
    let make = Make::of(None, false);
    let keeper = House::new().keeper(&make);
    let lease = keeper.lease().await.unwrap();
    answers(&keeper, &lease, "/x", 404);
    let failure = keeper.refused(&lease, "wrong key".to_owned()).await.unwrap_err();
    assert!(!failure.is_proven);
    refusal(&keeper).await;
}

#[tokio::test(start_paused = true)]
async fn a_void_session_is_in_force_in_none_of_its_forms_and_the_next_one_is() {
    let make = Make::new(Some(HOUR));
    let keeper = House::new().keeper(&make);
    let first = keeper.lease().await.unwrap();
    let form = |text: &str| Session {
        stamps: vec![Stamp::Header(http::header::AUTHORIZATION, text.into())],
        ..first.session().clone()
    };
    keeper.rotate(&first, form("another form"));
    let rotated = keeper.lease_at_once().unwrap();
    // It was replaced, but nobody has refused it.
    assert!(keeper.is_in_force(&first) && keeper.is_in_force(&rotated));
    keeper.expire(&first);
    assert!(keeper.is_in_force(&rotated), "a straggler's refusal is of no other form");
    keeper.expire(&rotated);
    assert!(!keeper.is_in_force(&first) && !keeper.is_in_force(&rotated));
    assert!(keeper.lease_at_once().is_none());
    let next = keeper.lease().await.unwrap();
    assert!(keeper.is_in_force(&next));
    // Nor does any other refusal leave it in force.
    make.says(|| Verdict::Expired);
    keeper.doubt(&next, "/x").await.unwrap_err();
    assert!(!keeper.is_in_force(&next));
}
