//! What is said of broken files, word for word.

use super::*;

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    insta::assert_snapshot!(said(
        r#"listen = 8480
colour = "blue"
[devices.pv]
vendor = "enphse"
timeuot = "5s"
timeout = 5000
[devices.meter]
vendor = "egauge"
url = "https://meter.local?x=1"
usrname = "owner"
[devices.Roof]
vendor = "header"
url = "ftp://roof"
cache = "5s"
name = "X-Key"
value = 5
[acces]
[access]
keys.me = { key = "0123456789" }
"#
    ), @r#"
    proxy.toml:1:10: listen: expected a string, got 8480
        listen = 8480
                 ^
    proxy.toml:2:1: colour: unknown key; known here: `listen`, `certs`, `state`, `devices`, `listeners`, `access`, `limits`, `log`
    proxy.toml:3:1: devices.pv.url: missing; the device's base URL, such as "https://10.0.40.2"
        [devices.pv]
        ^
    proxy.toml:4:10: devices.pv.vendor: unknown vendor `enphse`; known are `egauge`, `header`
        vendor = "enphse"
                 ^
    proxy.toml:5:1: devices.pv.timeuot: unknown key; did you mean `timeout`?
        timeuot = "5s"
        ^
    proxy.toml:6:11: devices.pv.timeout: expected a duration such as "5s", got 5000
        timeout = 5000
                  ^
    proxy.toml:7:1: devices.meter.username: missing; this key is required
        [devices.meter]
        ^
    proxy.toml:7:1: devices.meter.password: missing; this key is required: { env = "NAME" } or { file = "path" }
        [devices.meter]
        ^
    proxy.toml:9:7: devices.meter.url: a query or fragment has no place in this URL; remove it
    proxy.toml:10:1: devices.meter.usrname: unknown key; did you mean `username`?
        usrname = "owner"
        ^
    proxy.toml:11:10: devices.Roof: a device's name is of a-z, 0-9, `.`, `_` and `-`, begins with a letter or digit, does not end with a dot, and is at most 63 long
        [devices.Roof]
                 ^
    proxy.toml:13:7: devices.Roof.url: only https:// and http:// URLs are known
        url = "ftp://roof"
              ^
    proxy.toml:14:9: devices.Roof.cache: of this vendor it is not known which GETs change something; list their path prefixes in `acts_on_get` ([] if none does)
        cache = "5s"
                ^
    proxy.toml:16:9: devices.Roof.value: expected { env = "NAME" }, { file = "path" } or a string, got an integer
    proxy.toml:17:2: acces: unknown key; did you mean `access`?
        [acces]
         ^
    proxy.toml:19:19: access.keys.me.key: shorter than 20 characters; `openssl rand -hex 16` prints one that nobody guesses
    "#);
}

#[test]
fn a_syntax_error_leaves_the_other_sections_to_be_told_of() {
    insta::assert_snapshot!(said(
        r#"listen = 127.0.0.1:8480
[devices.meter]
vendor = "egauge
url = "https://meter.local"
[devices.pv]
vendor = "egauge"
url = "pv"
username = "owner"
password = "hunter2"
"#
    ), @r#"
    proxy.toml:1:15: invalid float, expected nothing
        listen = 127.0.0.1:8480
                      ^
    proxy.toml:3:17: invalid basic string, expected `"`
        vendor = "egauge
                        ^
    proxy.toml:7:7: devices.pv.url: expected a URL such as "https://10.0.40.2" or "http://meter.local:8080/base"
        url = "pv"
              ^
    "#);
}

#[test]
fn a_device_named_twice_is_told_where_the_second_stands() {
    insta::assert_snapshot!(said(&format!("{METER}[devices.meter]\nvendor = \"header\"\n")), @r#"
    proxy.toml:6:10: this name is there already; remove one of the two
        [devices.meter]
                 ^
    proxy.toml:7:1: this name is there already; remove one of the two
        vendor = "header"
        ^
    "#);
}

#[test]
fn of_a_text_that_is_no_configuration_no_more_is_told_than_somebody_reads_and_no_line_is_shown() {
    let said = said(&"listen = 1\nfrom a log\nvendor = \"s3cret\"\n".repeat(10_000));
    assert!(said.starts_with("proxy.toml:2:"), "{said}");
    assert!(said.lines().count() <= 100 && !said.contains("s3cret") && !said.contains("a log"), "{said}");
}

#[test]
fn without_a_device_the_error_says_what_to_write() {
    insta::assert_snapshot!(said("listen = \"localhost:0\"\n"), @r#"
    proxy.toml: there is no device yet; write one, with a vendor of `egauge`, `header`:

        [devices.meter]
        vendor = "…"
        url    = "https://10.0.40.2"
    "#);
    let ingress = "[[listeners]]\nlisten = \"localhost:1\"\ningress = true\n";
    let config = read(ingress).unwrap();
    assert!(config.warnings[0].starts_with("there is no device yet"), "{:?}", config.warnings);
    insta::assert_snapshot!(said("[device.meter]\nvendor = \"egauge\"\n"), @r#"
    proxy.toml:1:2: device: unknown key; did you mean `devices`?
        [device.meter]
         ^
    "#);
    insta::assert_snapshot!(said("[[devices]]\nvendor = \"egauge\"\n"), @r#"
    proxy.toml:1:1: devices: expected a table, got an array
        [[devices]]
        ^
    "#);
    insta::assert_snapshot!(said("devices.meter = 5\n"), @r#"
    proxy.toml:1:17: devices.meter: expected a table, got an integer
        devices.meter = 5
                        ^
    "#);
}

#[test]
fn a_column_counts_characters_and_survives_carriage_returns_and_tabs() {
    insta::assert_snapshot!(said("[devices.meter]\r\nacts_on_get = [\"/ü\",\t\"é\"]\r\n"), @r#"
    proxy.toml:1:1: devices.meter.vendor: missing; one of `egauge`, `header`
        [devices.meter]
        ^
    proxy.toml:1:1: devices.meter.url: missing; the device's base URL, such as "https://10.0.40.2"
        [devices.meter]
        ^
    proxy.toml:2:22: devices.meter.acts_on_get: a path prefix begins with `/`, such as "/api/cmd"
        acts_on_get = ["/ü", "é"]
                             ^
    "#);
}
