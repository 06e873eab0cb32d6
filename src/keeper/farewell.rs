//! The end of a session that nobody needs any longer: devices have few seats.

use std::sync::Arc;

use super::Keeper;

impl Keeper {
    /// Ends the session at the device where it can be. What is saved goes with it.
    pub async fn close(&self) {
        self.log_out(None).await;
        // A save under way would end with the process.
        self.save().await;
        // What a login still under way would save has no folder to go to where that was made for this run alone.
        self.step_down();
    }

    pub(super) async fn log_out(&self, heir: Option<&Self>) {
        let session = |keeper: &Self| keeper.state.lock().held.as_ref().map(|held| Arc::clone(&held.session));
        let Some(session_here) = session(self) else { return };
        if heir.and_then(session).is_some_and(|other| other.stamps == session_here.stamps) {
            return;
        }
        if self.parts.vendor.logout(&self.visit(None), &session_here).await {
            self.give_up(&mut self.state.lock());
        }
    }
}
