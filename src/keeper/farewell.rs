//! The end of a session that nobody needs any longer: devices have few seats.

use std::sync::Arc;

use super::{Keeper, land};

impl Keeper {
    /// Ends the session at the device where it can be. What is saved goes with it.
    pub async fn close(&self) {
        self.log_out(None).await;
        // A save under way would end with the process.
        self.save().await;
        // What a login still under way would save has no folder to go to where that was made for this run alone.
        self.step_down();
    }

    /// The device is configured otherwise from now on, or no longer: this keeper saves nothing any more.
    pub fn step_down(&self) {
        self.state.lock().is_done = true;
    }

    /// Ends the session after the last request with it, unless the keeper that has taken over goes on with it.
    pub async fn retire(&self, heir: Option<&Self>) {
        // It would be one more session that nobody knows of.
        let login = self.state.lock().login.clone();
        if let Some(landing) = login {
            land(landing).await;
        }
        self.log_out(heir).await;
    }

    async fn log_out(&self, heir: Option<&Self>) {
        let session = |keeper: &Self| keeper.state.lock().held.as_ref().map(|held| Arc::clone(&held.session));
        let Some(session_here) = session(self) else { return };
        if heir.and_then(session).is_some_and(|other| other.stamps == session_here.stamps) {
            return;
        }
        if self.parts.vendor.logout(&self.visit(None), &session_here).await {
            self.state.lock().give_up();
        }
    }
}
