//! An alarm of a connection that is set for nearly every request and hardly ever rings.

#[cfg(test)]
mod tests;

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// An alarm, once it was set. It may only be polled by the task of one connection.
#[derive(Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether it is `due`; where nothing is, `again` says when to look again.
    ///
    /// One that is set for sooner is left as it is until it rings, since to put it off for each request costs more than to
    /// ring once in a while. What it was polled with when it was set wakes the connection.
    pub(super) fn poll(
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
