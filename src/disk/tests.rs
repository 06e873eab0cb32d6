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

#[test]
fn who_removes_what_a_folder_was_in_has_meant_it_and_who_has_not_made_it_yet_has_not() {
    let home = tempfile::tempdir().unwrap();
    let above = home.path().join("data");
    let folder = Folder::new(above.join("state"), "");
    fs::write(&above, "in the way").unwrap();
    folder.prepare();
    assert!(folder.trouble().is_some());
    fs::remove_file(&above).unwrap();
    folder.try_again();
    assert!(folder.trouble().is_none() && folder.write("meter.json", b"{}"), "it could not be made before");
    fs::remove_dir_all(&above).unwrap();
    assert!(!folder.write("meter.json", b"{}"));
    folder.try_again();
    assert!(folder.trouble().is_some() && !above.exists(), "removed while it was in use");
    fs::create_dir(&above).unwrap();
    folder.try_again();
    assert!(folder.trouble().is_none() && folder.write("meter.json", b"{}"));
}
