//! An alarm that is set for nearly every request and hardly ever rings.

#[cfg(test)]
mod tests;

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// An alarm, once it was set. All that it is polled with has to wake the same.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether it is `due`.
    pub(crate) fn poll_at(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<()> {
        self.poll(Some(due), || due, context)
    }

    /// Whether it is `due`; where nothing is, `again` says when to look again.
    ///
    /// One that is set for sooner is left as it is until it rings, since to put it off for each request costs more than to
    /// ring once in a while. What it was polled with when it was set is woken.
    pub(crate) fn poll(
        &mut self,
        due: Option<Instant>,
        again: impl Fn() -> Instant,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let set = || due.unwrap_or_else(&again);
            let alarm = match &mut self.0 {
                Some(alarm) if !alarm.is_elapsed() && due.is_none_or(|due| alarm.deadline() <= due) => {
                    return Poll::Pending;
                }
                Some(_) if due.is_some_and(|due| due <= Instant::now()) => return Poll::Ready(()),
                Some(alarm) => {
                    alarm.as_mut().reset(set());
                    alarm
                }
                None => self.0.insert(Box::pin(sleep_until(set()))),
            };
            // tokio would have a task that has done much come again, and the alarm would not have been set.
            ready!(pin!(unconstrained(alarm.as_mut())).poll(context));
        }
    }
}
