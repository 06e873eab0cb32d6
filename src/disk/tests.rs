use super::*;

#[test]
fn a_person_is_told_what_the_system_says_without_its_numbers() {
    let denied = io::Error::from_raw_os_error(13);
    assert_eq!(plain(&denied), "Permission denied");
    let twice = format!("a: {denied}, b (os error: no), c: {denied}");
    assert_eq!(plain(&twice), "a: Permission denied, b (os error: no), c: Permission denied");
    assert_eq!(plain(&"cut (os error 1"), "cut (os error 1");
}
