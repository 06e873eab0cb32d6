//! What one keeper leaves to the next, where a device is configured otherwise while keyward runs.
//!
//! It goes from memory to memory: what could not be saved is not lost, and what a login finds out that was under way then is
//! told to the next one, so that no password is tried once more and no session is left at the device.

use std::sync::{Arc, Weak};

use super::rest::Failure;
use super::{Keeper, State, land};

/// Who had the device before, until what they know is known here.
pub(super) struct Former {
    keeper: Weak<Keeper>,
    /// What they knew when this one began.
    known: News,
}

/// Tells whether somebody has found out something since: by the session, and by how often credentials were rejected.
pub(super) type News = (u64, u32);

pub(super) fn news(state: &State) -> News {
    (state.generation, state.rejections)
}

impl Keeper {
    /// Takes over what `former` knows. Reads files.
    pub(super) fn succeed(&self, former: &Arc<Self>) {
        let (known, unsaved, trouble) = {
            let theirs = former.state.lock();
            (news(&theirs), theirs.unsaved, theirs.trouble.clone())
        };
        self.restore(former.record());
        self.go_on_from(former);
        let mut state = self.state.lock();
        state.unsaved = unsaved;
        if state.held.as_ref().is_some_and(|held| !held.is_over(self.parts.clock.instant())) {
            state.trouble = trouble;
        }
        state.former = Some(Former { keeper: Arc::downgrade(former), known });
    }

    /// Waits until a login of who had the device before is over. How that ended, if it tells what was not `known` here,
    /// whoever else has waited for it meanwhile.
    pub(super) async fn inherit(self: &Arc<Self>, known: News) -> Option<Result<(), Failure>> {
        let former = self.state.lock().former.as_ref().and_then(|former| former.keeper.upgrade());
        if let Some(former) = former {
            // They may wait for one before them.
            Box::pin(former.inherit(former.news())).await;
            former.settled().await;
            let keeper = Arc::clone(self);
            // A panic there is in the log already.
            drop(tokio::task::spawn_blocking(move || keeper.learn_from(&former)).await);
        }
        let (state, now) = (self.state.lock(), self.parts.clock.instant());
        let outcome = match (&state.rest, &state.held) {
            (Some(rest), _) => Err(rest.failure(now)),
            (None, Some(_)) => Ok(()),
            (None, None) => return None,
        };
        (news(&state) != known).then_some(outcome)
    }

    fn news(&self) -> News {
        news(&self.state.lock())
    }

    /// Takes over what `former` has found out since this keeper began, once. Reads files.
    fn learn_from(&self, former: &Self) {
        let is_news = |known: News| former.news() != known;
        let heard = self.state.lock().former.take().is_some_and(|former| is_news(former.known));
        if heard {
            let mut record = former.record();
            let refused = self.state.lock().refused.clone();
            let is_refused = |stamps| refused.as_ref().is_some_and(|refused| refused.stamps == stamps);
            record.session = record.session.filter(|(session, _)| !is_refused(session.stamps.clone()));
            self.restore(record);
        }
    }

    /// The device is configured otherwise from now on, or no longer: this keeper saves nothing any more.
    pub fn step_down(&self) {
        self.state.lock().is_done = true;
    }

    /// Ends the session after the last request with it, unless the keeper that has taken over goes on with it.
    pub async fn retire(self: &Arc<Self>, heir: Option<&Arc<Self>>) {
        // What comes of it would be one more session that nobody knows of.
        self.inherit(self.news()).await;
        self.settled().await;
        // Others may have had the device in between, and know more.
        if let Some(heir) = heir.filter(|heir| !heir.is_logging_in()) {
            let known = heir.news();
            if heir.inherit(known).await.is_some() {
                heir.save().await;
            }
        }
        self.log_out(heir.map(|heir| &**heir)).await;
    }

    fn is_logging_in(&self) -> bool {
        self.state.lock().login.as_ref().is_some_and(|landing| landing.has_changed().is_ok())
    }

    /// Waits until no login is under way.
    pub async fn settled(&self) {
        let login = self.state.lock().login.clone();
        if let Some(landing) = login {
            land(landing).await;
        }
    }
}
