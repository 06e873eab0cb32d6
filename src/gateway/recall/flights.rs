//! What is being asked for right now, so that whoever asks the same waits for the same answer.

use std::mem::replace;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Recall;
use super::board::{Followers, Waits};
use super::recording::Recording;
use super::stored::Stored;
use crate::gateway::fault::{Fault, Kind};
use crate::gateway::{Call, Reply};

/// How a fetch ended, for whoever drove it.
pub(super) enum Landed {
    /// In an answer for this caller alone.
    Alone(Reply),
    Shared(Shared),
}

/// How a fetch ended, for all who waited for it.
#[derive(Clone)]
pub(super) enum Shared {
    /// In a fault, which is everybody's.
    Failed(Fault),
    /// In an answer of this status that is not for them: they have to ask again.
    Other(StatusCode),
    /// In an answer for all.
    Recorded(Arc<Recording>),
    /// In the device's word that what was remembered is still so, and whether it is remembered now.
    Confirmed(Arc<Stored>, bool),
}

impl Landed {
    /// What others than this caller get of it.
    pub(super) fn shared(&self) -> Shared {
        match self {
            Self::Alone(reply) => Shared::Other(reply.status()),
            Self::Shared(shared) => shared.clone(),
        }
    }
}

/// A fetch under way, as one caller has it. Who began it drives it; if they leave and others wait, it goes on in a task
/// of its own, and ends with the last of them.
pub(super) struct Flight<'a> {
    /// On whose board it is.
    pub(super) recall: &'a Arc<Recall>,
    pub(super) begun: Instant,
    /// Whether this is who began it.
    pub(super) is_first: bool,
    /// Whether it waits for its turn; known where something could stand in when it began.
    pub(super) waits: Waits,
    pub(super) course: Course,
    /// By which number others find it, if they may.
    pub(super) number: Option<u64>,
}

/// How far a fetch has come, for one caller.
pub(super) enum Course {
    /// As far as it is driven here.
    Driven(BoxFuture<'static, Landed>),
    /// It is driven elsewhere.
    Awaited(watch::Receiver<Option<Shared>>),
    /// Its answer is there, and on its way into memory.
    Known(Shared),
    Over,
}

/// One fetch, and its place on the board until it is taken off there: when it lands or is given up.
pub(super) struct Departure {
    pub(super) call: Call,
    /// By which number others find it, if they may.
    pub(super) number: Option<u64>,
}

impl Course {
    /// Waits for its end. Whoever stops waiting may come back.
    pub(super) async fn landed(&mut self) -> Landed {
        let landed = match self {
            Self::Driven(flying) => flying.await,
            // Whoever drove it met an error of ours.
            Self::Awaited(landing) => match landing.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(shared)) => Landed::Shared(shared.clone()),
                Ok(None) | Err(_) => Landed::Shared(Shared::Failed(internal())),
            },
            Self::Known(shared) => Landed::Shared(shared.clone()),
            Self::Over => Landed::Shared(Shared::Failed(internal())),
        };
        *self = Self::Over;
        landed
    }
}

impl Flight<'_> {
    /// Waits for it. Whoever stops waiting may come back.
    pub(super) async fn landed(&mut self) -> Landed {
        self.course.landed().await
    }

    /// Its answer may yet turn out to be waited for by nobody, and is to be seen through then.
    pub(super) fn hold(&mut self, recording: &Arc<Recording>) {
        self.course = Course::Known(Shared::Recorded(Arc::clone(recording)));
    }

    /// Its answer is not what is wanted here.
    pub(super) fn let_go(&mut self) {
        self.course = Course::Over;
    }

    /// What is left of it, if nobody else has yet seen to it that it goes on without a caller.
    pub(super) fn see_through(mut self) -> Option<Course> {
        let is_over = matches!(self.course, Course::Over)
            || self.number.is_some_and(|number| !self.recall.flights.claim(number));
        (!is_over).then(|| replace(&mut self.course, Course::Over))
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let Course::Driven(flying) = replace(&mut self.course, Course::Over) else { return };
        let Some(number) = self.number else { return };
        let Some(followers) = self.recall.flights.wanted(number) else { return };
        // Without a runtime everything ends.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(go_on(flying, followers, Arc::clone(self.recall), number));
        }
    }
}

/// Drives a fetch for as long as somebody waits for it.
async fn go_on(
    mut flying: BoxFuture<'static, Landed>,
    followers: Followers,
    recall: Arc<Recall>,
    number: u64,
) {
    loop {
        tokio::select! {
            _ = &mut flying => return,
            () = followers.closed() => {}
        }
        if recall.flights.wanted(number).is_none() {
            return;
        }
    }
}

impl Departure {
    /// What its device's answers are remembered by, and on whose board it is.
    pub(super) fn recall(&self) -> &Arc<Recall> {
        &self.call.trip.hop.device.recall
    }

    /// Lists its answer, which is there and will be in memory. Until this is dropped, who asks the same waits for that. Those
    /// who have waited so far are to be told.
    pub(super) fn record(&self, recording: &Arc<Recording>) -> Option<Followers> {
        self.recall().flights.record(self.number?, recording)
    }

    /// From now on nobody joins. Those who have, and still wait, are to be told.
    pub(super) fn land(&mut self) -> Option<Followers> {
        self.strike().filter(|followers| followers.receiver_count() > 0)
    }

    fn strike(&mut self) -> Option<Followers> {
        let number = self.number.take()?;
        self.recall().flights.strike(number)
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        drop(self.strike());
    }
}

pub(super) fn internal() -> Fault {
    Fault::new(Kind::Internal, "an error of keyward's own; the log says where")
}
