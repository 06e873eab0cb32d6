//! Devices that ask for HTTP Digest.

use futures_util::future::join_all;
use keyward::twin::Twin as _;
use keyward::twin::digest::{Digest, DigestSettings};
use tokio::sync::watch;

use super::{answer, is_refused_again};
use crate::support::{Act, Device, Lab, Scripted};

/// A device whose front page is open to all, and which says `otherwise` to who shows a digest elsewhere.
async fn open_at_the_front(otherwise: impl Fn(usize) -> Act + Send + Sync + 'static) -> (Scripted, String) {
    let device = Scripted::reading(move |nth, head| {
        match (head.starts_with("GET / "), head.to_ascii_lowercase().contains("authorization:")) {
            (true, _) => answer("200 OK", "", "hello"),
            (_, true) => otherwise(nth),
            (_, false) => challenged(nth),
        }
    })
    .await;
    let table = format!(
        "[devices.camera]\nvendor = \"digest\"\nurl = \"http://{}\"\nusername = \"owner\"\npassword = \"word\"\n",
        device.address
    );
    (device, table)
}

fn challenged(nth: usize) -> Act {
    let challenge = format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"{nth}\", qop=\"auth\"\r\n");
    answer("401 Unauthorized", &challenge, "not for you")
}

#[tokio::test]
async fn a_wrong_password_is_found_out_where_the_front_page_is_open() {
    let (device, table) = open_at_the_front(challenged).await;
    let lab = Lab::new(&table).await;
    let said = lab.check("camera").await.unwrap();
    assert!(said.contains("whether the credential is right it does not say"), "{said}");
    for _ in 0..5 {
        assert_eq!(lab.get("/camera/x").await.fault(), "login_refused");
    }
    let shown = device.heard().iter().filter(|heard| !heard.values("authorization").is_empty()).count();
    assert_eq!(shown, 1);
}

#[tokio::test]
async fn a_password_that_was_right_is_refused_where_it_opened_before_and_nothing_rests() {
    let (change, is_changed) = watch::channel(false);
    let (_device, table) = open_at_the_front(move |nth| match *is_changed.borrow() {
        true => challenged(nth),
        false => answer("200 OK", "", "{}"),
    })
    .await;
    let lab = Lab::new(&table).await;
    assert_eq!(lab.get("/camera/x").await.status, 200);
    let said = lab.check("camera").await.unwrap();
    assert!(!said.contains("does not say"), "{said}");
    change.send_replace(true);
    for _ in 0..2 {
        assert_eq!(lab.get("/camera/x").await.fault(), "login_refused");
        // What was never let in may be a matter of rights.
        is_refused_again(&lab.get("/camera/y").await);
    }
    change.send_replace(false);
    assert_eq!(lab.get("/camera/x").await.status, 200);
}

#[tokio::test]
async fn a_nonce_that_ends_without_a_word_is_replaced_by_the_one_that_comes_with_the_refusal() {
    for qop in [true, false] {
        let twin = Digest::new(DigestSettings { is_silent: true, qop, ..DigestSettings::default() });
        let device = Device::new(twin.clone());
        let lab = Lab::new(&device.table("camera", "max_connections = 4\nacts_on_get = []\n")).await;
        let paths: Vec<_> = (0..30).map(|nth| format!("/camera/twin/echo?{nth}")).collect();
        for _ in 0..5 {
            let replies = join_all(paths.iter().map(|path| lab.get(path))).await;
            let statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
            assert_eq!(statuses, [200; 30], "qop {qop}");
            twin.lapse();
        }
    }
}
