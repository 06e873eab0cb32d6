use super::*;

#[tokio::test]
async fn what_was_changed_before_anybody_waited_for_it_is_told_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    std::fs::write(&file, "before").unwrap();
    let mut watch = Watch::new().unwrap();
    watch.cover([file.clone()]).unwrap();
    std::fs::write(&file, "while it is read").unwrap();
    tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.unwrap();
}
