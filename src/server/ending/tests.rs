use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cancelled;

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn whoever_has_looked_often_is_woken_and_told() {
    let (token, woken) = (CancellationToken::new(), Arc::<Woken>::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut ending = pin!(cancelled(&token));
    for _ in 0..3 {
        assert!(ending.as_mut().poll(&mut context).is_pending());
    }
    token.cancel();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(ending.as_mut().poll(&mut context).is_ready());
}

#[test]
fn what_was_cancelled_before_is_seen_at_the_first_look() {
    let token = CancellationToken::new();
    token.child_token().cancel();
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(cancelled(&token)).poll(&mut context).is_pending());
    let child = token.child_token();
    token.cancel();
    assert!(pin!(cancelled(&child)).poll(&mut context).is_ready());
}

#[test]
fn who_looked_last_is_woken() {
    let (token, first, last) = (CancellationToken::new(), Arc::<Woken>::default(), Arc::<Woken>::default());
    let mut ending = pin!(cancelled(&token));
    for woken in [&first, &last] {
        let waker = Waker::from(Arc::clone(woken));
        assert!(ending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    token.cancel();
    assert_eq!([first, last].map(|woken| woken.0.load(Ordering::Relaxed)), [0, 1]);
}

/// The end comes while it is waited for, and looked at for other reasons, on another thread.
#[tokio::test]
async fn an_end_that_comes_at_any_moment_is_not_missed() {
    for _ in 0..1000 {
        let token = CancellationToken::new();
        let other = token.clone();
        let cancelling = thread::spawn(move || other.cancel());
        let mut ending = pin!(cancelled(&token));
        let looks = async {
            for _ in 0..3 {
                tokio::select! {
                    biased;
                    () = &mut ending => return,
                    () = tokio::task::yield_now() => {}
                }
            }
            ending.await;
        };
        timeout(Duration::from_secs(60), looks).await.expect("the end is seen");
        cancelling.join().unwrap();
    }
}
