//! The folders in which this process leaves things for the next one.

use std::sync::Arc;

use crate::config::Config;
use crate::disk::Folder;
use crate::vendor::Driver;

/// The folders of sessions and of pins as they are: nothing is made for this. Whether they could be written is for them
/// to say.
pub fn examine_folders(config: &Config<Driver>) -> [Folder; 2] {
    let folders = unprepared(config);
    folders.iter().for_each(Folder::examine);
    folders
}

fn unprepared(config: &Config<Driver>) -> [Folder; 2] {
    [
        Folder::new(&config.state, "sessions are kept in memory, and after a restart keyward logs in anew"),
        Folder::new(
            &config.certs,
            "pins are kept in memory, and after a restart the first certificate seen is trusted anew",
        ),
    ]
}

/// The folders of sessions and of pins, made if need be. Whether they can be written is for them to say.
pub fn folders(config: &Config<Driver>) -> [Arc<Folder>; 2] {
    let [state, certs] = unprepared(config);
    state.prepare();
    certs.prepare();
    // What stands there may be no folder, or one that is none of ours: there no file can be made. On a full disk it can.
    if tempfile::tempfile_in(state.path()).is_ok()
        && let Err(error) = state.close_to_others()
    {
        tracing::warn!(folder = %state.path().display(), %error, "the state folder can't be closed to others");
    }
    [Arc::new(state), Arc::new(certs)]
}
