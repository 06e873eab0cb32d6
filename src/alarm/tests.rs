use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::{Instant, timeout};

use super::Alarm;

/// Waits for this alarm, in a task that has nothing left to spend when it is set.
async fn waits(alarm: &mut Alarm, due: Instant) {
    let mut is_spent = false;
    let rung = poll_fn(|context| {
        while !is_spent {
            is_spent = pin!(consume_budget()).poll(context).is_pending();
        }
        alarm.poll(Some(due), Instant::now, context)
    });
    timeout(Duration::from_secs(60), rung).await.expect("it rings");
    assert_eq!(Instant::now(), due);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_was_set_by_a_busy_task_rings() {
    let (mut alarm, begun) = (Alarm::default(), Instant::now());
    waits(&mut alarm, begun + Duration::from_secs(1)).await;
    waits(&mut alarm, begun + Duration::from_secs(3)).await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_put_forward_at_once_and_put_off_when_it_rings() {
    let (mut alarm, begun) = (Alarm::default(), Instant::now());
    for seconds in [9, 1] {
        let due = begun + Duration::from_secs(seconds);
        let rings =
            poll_fn(|context| Poll::Ready(alarm.poll(Some(due), Instant::now, context).is_ready())).await;
        assert!(!rings);
    }
    waits(&mut alarm, begun + Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_due_it_looks_again_and_never_rings() {
    let (mut alarm, begun) = (Alarm::default(), Instant::now());
    let mut looked = 0;
    let again = || Instant::now() + Duration::from_secs(1);
    let watched = poll_fn(|context| {
        looked += 1;
        alarm.poll(None, again, context)
    });
    timeout(Duration::from_millis(3500), watched).await.unwrap_err();
    assert_eq!((looked, begun.elapsed()), (5, Duration::from_millis(3500)));
}
