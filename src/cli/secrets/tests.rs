use std::os::unix::fs::{MetadataExt as _, chown};

use super::*;

#[test]
fn what_took_the_name_of_what_was_made_is_not_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (place, moved) = (folder.path().join("word"), folder.path().join("moved"));
    let made = File::create(&place).unwrap();
    fs::rename(&place, &moved).unwrap();
    fs::write(&place, "root's").unwrap();
    // Only the administrator hands anything over.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    chown(folder.path(), Some(4711), Some(4711)).unwrap();
    hand_over(&made, folder.path()).unwrap();
    assert_eq!((place.metadata().unwrap().uid(), moved.metadata().unwrap().uid()), (0, 4711));
}
