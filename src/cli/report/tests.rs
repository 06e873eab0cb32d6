use super::*;

#[test]
fn an_address_is_told_by_its_form() {
    for (url, told) in [
        ("https://envoy.local", "https to a .local name"),
        (
            "http://192.168.1.20:8080/base",
            "http to a private IPv4 address, a port other than 80, a base path",
        ),
        ("https://203.0.113.7", "https to a public IPv4 address"),
        ("https://[fd00::1]", "https to an IPv6 address"),
        ("http://localhost:81", "http to this machine, a port other than 80"),
        ("https://meter", "https to a name without a dot"),
        ("https://meter.example.org", "https to a name"),
    ] {
        assert_eq!(form(&url.parse().unwrap()), told);
    }
    assert_eq!(door_of("0.0.0.0", false), "http at every address");
    assert_eq!(door_of("127.0.0.1", true), "https at this machine");
}

#[test]
fn a_longer_name_is_masked_before_one_that_is_in_it() {
    let private = vec![("10.0.0.1:8443".to_owned(), "<address>"), ("10.0.0.1".to_owned(), "<address>")];
    let subject = Subject { what: String::new(), private };
    assert_eq!(subject.masked("10.0.0.1:8443 is 10.0.0.1"), "<address> is <address>");
}

#[test]
fn the_serial_number_of_another_device_is_not_told_and_a_time_is() {
    let told = "serial 202500000001, until 2027-11-22T14:37:10Z, status 503 12345678";
    assert_eq!(without_numbers(told), "serial <number>, until 2027-11-22T14:37:10Z, status 503 <number>");
}
