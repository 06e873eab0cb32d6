use std::os::unix::fs::chown;

use super::*;

#[test]
fn a_person_is_told_what_the_system_says_without_its_numbers() {
    let denied = io::Error::from_raw_os_error(13);
    assert_eq!(plain(&denied), "Permission denied");
    let twice = format!("a: {denied}, b (os error: no), c: {denied}");
    assert_eq!(plain(&twice), "a: Permission denied, b (os error: no), c: Permission denied");
    assert_eq!(plain(&"cut (os error 1"), "cut (os error 1");
}

#[test]
fn a_folder_in_anothers_is_that_ones_at_every_level_and_nothing_else_that_bears_its_name() {
    // Only the administrator hands anything over.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let theirs = tempfile::tempdir().unwrap();
    chown(theirs.path(), Some(4711), Some(4711)).unwrap();
    let owner = |name: &str| theirs.path().join(name).metadata().unwrap().uid();
    Folder::new(theirs.path().join("data/state"), "").make(true).unwrap();
    assert_eq!(["data", "data/state"].map(owner), [4711, 4711]);
    for (name, mode) in [("full", 0o700), ("open", 0o755)] {
        fs::DirBuilder::new().mode(mode).create(theirs.path().join(name)).unwrap();
    }
    fs::write(theirs.path().join("full/secret"), "root's").unwrap();
    fs::write(theirs.path().join("file"), "root's").unwrap();
    std::os::unix::fs::symlink("full", theirs.path().join("link")).unwrap();
    for name in ["full", "open", "file", "link"] {
        drop(hand_over_folder(&theirs.path().join(name)));
        assert_eq!(owner(name), 0, "{name}");
    }
}
