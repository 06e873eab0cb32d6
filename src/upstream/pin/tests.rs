//! What is pinned when peers are met, whatever was pinned when their handshake began.

use super::*;

fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(["meter".to_owned()]).unwrap();
    Certificate::read(made.cert.der()).unwrap()
}

fn pin(folder: &tempfile::TempDir) -> Pin {
    Pin::new(Arc::new(Folder::new(folder.path(), "")), "meter", Clock::system())
}

#[test]
fn of_two_that_are_met_at_once_the_second_is_held_against_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (pin, first, second) = (pin(&folder), certificate(), certificate());
    assert_eq!(pin.meet(&first, false).unwrap().certificate, first);
    for follow in [false, true] {
        assert_eq!(pin.meet(&second, follow).unwrap().certificate, first);
    }
    assert_eq!(pin.current().unwrap().unwrap().certificate, first);
}

#[test]
fn a_persons_word_is_not_taken_back_by_whoever_was_pinned_before() {
    let folder = tempfile::tempdir().unwrap();
    let (pin, former, chosen) = (pin(&folder), certificate(), certificate());
    pin.meet(&former, false).unwrap();
    pin.set(&chosen);
    assert_eq!(pin.meet(&former, true).unwrap().certificate, chosen);
}
