use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A folder with a file in it, by its name.
fn file(folder: &TempDir, name: &str) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "before").unwrap();
    file
}

async fn is_told(watch: &Watch) {
    tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.expect("a change");
}

#[tokio::test]
async fn what_was_changed_before_anybody_waited_for_it_is_told_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(&folder, "proxy.toml");
    let mut watch = Watch::new().unwrap();
    watch.cover([file.clone()]).unwrap();
    std::fs::write(&file, "while it is read").unwrap();
    is_told(&watch).await;
}

#[tokio::test]
async fn a_file_that_a_link_leads_to_is_seen_to_change_and_so_is_the_link() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (file(&folder, "first/proxy.toml"), file(&folder, "second/other.toml"));
    let link = folder.path().join("proxy.toml");
    symlink(&first, &link).unwrap();
    let mut watch = Watch::new().unwrap();
    watch.cover([link.clone()]).unwrap();
    std::fs::write(&first, "after").unwrap();
    is_told(&watch).await;
    std::fs::remove_file(&link).unwrap();
    symlink(&second, &link).unwrap();
    is_told(&watch).await;
    watch.cover([link]).unwrap();
    std::fs::write(&second, "after").unwrap();
    is_told(&watch).await;
}

/// The system tells of a folder by one of its names.
#[tokio::test]
async fn files_of_one_folder_by_several_names_are_all_seen_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let by_name = file(&folder, "real/proxy.toml");
    symlink("real", folder.path().join("link")).unwrap();
    let by_link = folder.path().join("link/secret");
    let mut watch = Watch::new().unwrap();
    watch.cover([by_link.clone(), by_name.clone()]).unwrap();
    for changed in [by_link, by_name] {
        std::fs::write(changed, "after").unwrap();
        is_told(&watch).await;
    }
}

#[tokio::test]
async fn a_folder_in_the_place_of_a_former_one_is_a_change_and_watched_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let file_in_place = file(&folder, "etc/proxy.toml");
    let place = |name: &str| folder.path().join(name);
    let mut watch = Watch::new().unwrap();
    watch.cover([file_in_place.clone()]).unwrap();
    for former in ["former", "the one before"] {
        file(&folder, "next/proxy.toml");
        std::fs::rename(place("etc"), place(former)).unwrap();
        std::fs::rename(place("next"), place("etc")).unwrap();
        is_told(&watch).await;
        watch.cover([file_in_place.clone()]).unwrap();
        std::fs::write(&file_in_place, "after").unwrap();
        is_told(&watch).await;
        // When the former one goes the system tells of it by the name that it had. That is no end of the watch.
        std::fs::remove_dir_all(place(former)).unwrap();
        is_told(&watch).await;
        watch.cover([file_in_place.clone()]).unwrap();
        std::fs::write(&file_in_place, "later").unwrap();
        is_told(&watch).await;
    }
}

#[tokio::test]
async fn one_file_that_cannot_be_watched_keeps_no_other_from_it_and_is_told_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let there = file(&folder, "proxy.toml");
    let gone = folder.path().join("gone/secret");
    let mut watch = Watch::new().unwrap();
    for _ in 0..2 {
        let error = watch.cover([gone.clone(), there.clone()]).unwrap_err().to_string();
        assert!(error.contains("gone/secret"), "{error}");
    }
    std::fs::write(&there, "after").unwrap();
    is_told(&watch).await;
}
