//! Doors, names and keys.

use std::path::PathBuf;

use http::Method;

use super::*;

const KEY: &str = "0123456789abcdefghij";

/// A certificate with its key, and the key of another, in files of this folder.
fn pems(folder: &Path) -> [PathBuf; 3] {
    let [mine, other] =
        [(); 2].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let texts = [mine.cert.pem(), mine.signing_key.serialize_pem(), other.signing_key.serialize_pem()];
    let files = ["cert.pem", "key.pem", "other.pem"].map(|name| folder.join(name));
    files.iter().zip(texts).for_each(|(file, text)| std::fs::write(file, text).unwrap());
    files
}

#[test]
fn doors_are_read_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key, _] = pems(folder.path());
    let config = read(&format!(
        "listen = \"127.0.0.1:1\"\n{METER}hosts = [\"Meter.Home.Arpa.\", \"meter.localhost\"]\n\
         [[listeners]]\nlisten = \"0.0.0.0:8443\"\ntls = \"self-signed\"\n\
         [[listeners]]\nlisten = \"[::]:8481\"\ndevice = \"meter\"\nkeys = false\nallow = [\"10.0.0.7\"]\n\
         tls = {{ cert = {cert:?}, key = {key:?} }}\n"
    ))
    .unwrap();
    assert_eq!(config.devices[0].hosts, ["meter.home.arpa", "meter.localhost"]);
    let [first, second, third] = config.doors().try_into().unwrap();
    assert_eq!(first, Listener::first("127.0.0.1:1".parse().unwrap(), config.listen_at.clone()));
    assert_eq!(first.listen_at.to_string(), "proxy.toml:1:10: listen");
    assert_eq!(third.tls_at.to_string(), "proxy.toml:16:7: listeners[1].tls");
    assert!(first.keys && first.tls.is_none() && first.device.is_none() && first.allow.is_none());
    assert_eq!(
        (second.listen.to_string().as_str(), second.tls),
        ("0.0.0.0:8443", Some(ListenerTls::SelfSigned))
    );
    assert!(second.keys);
    assert_eq!((third.listen.to_string().as_str(), third.device.as_deref()), ("[::]:8481", Some("meter")));
    let files = ListenerTls::Files { cert, key };
    assert_eq!((third.keys, third.tls), (false, Some(files)));
    assert_eq!(third.allow, Some(vec!["10.0.0.7/32".parse().unwrap()]));
    assert!([first.ingress, second.ingress, third.ingress].iter().all(|ingress| !ingress));
}

#[test]
fn a_door_for_the_ingress_may_do_without_keys_and_one_that_is_not_may_have_everything() {
    let read =
        |lines: &str| read(&format!("{METER}[[listeners]]\nlisten = \"0.0.0.0:8099\"\n{lines}")).unwrap();
    let [_, ingress] = read("ingress = true\nkeys = false\n").doors().try_into().unwrap();
    assert!(ingress.ingress && !ingress.keys);
    let everything = "ingress = false\ntls = \"self-signed\"\ndevice = \"meter\"\nallow = [\"10.0.0.7\"]\n";
    let [_, other] = read(everything).doors().try_into().unwrap();
    assert!(!other.ingress && other.tls.is_some() && other.device.is_some() && other.allow.is_some());
}

#[test]
fn keys_and_origins_are_read_as_they_are_written() {
    let config = read(&format!(
        "{METER}[access]\norigins = [\"HTTP://Dash.Lan:3000/\", \"https://x.example:443\"]\n\
         [access.keys.grafana]\nkey = \"{KEY}\"\ndevices = [\"meter\"]\nmethods = [\"GET\"]\n\
         [access.keys.me]\nkey = \"{KEY}-other\"\n"
    ))
    .unwrap();
    assert_eq!(config.access.origins, ["http://dash.lan:3000", "https://x.example"]);
    let [grafana, me] = config.access.keys.try_into().unwrap();
    assert_eq!((grafana.name.as_str(), grafana.key), ("grafana", SecretSource::Plain(KEY.into())));
    assert_eq!(grafana.devices, Some(vec!["meter".to_owned()]));
    assert_eq!(grafana.methods, Some(vec![Method::GET]));
    assert_eq!((me.devices, me.methods), (None, None));
}

#[test]
fn a_certificate_and_a_key_that_no_door_could_show_are_told_with_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key, other] = pems(folder.path());
    for (cert, key, expected) in [
        (
            &cert,
            &other,
            "listeners[0].tls.key: ".to_owned()
                + &format!("{} belongs to another certificate", other.display()),
        ),
        (
            &key,
            &other,
            "listeners[0].tls.cert: ".to_owned() + &format!("{} has no certificate in it", key.display()),
        ),
        (
            &cert,
            &cert,
            "listeners[0].tls.key: ".to_owned() + &format!("{} has no private key in it", cert.display()),
        ),
    ] {
        let said = said_of(&format!(
            "timeout = \"0s\"\n[[listeners]]\nlisten = \"[::1]:1\"\ntls = {{ cert = {cert:?}, key = {key:?} }}"
        ));
        assert!(said.contains(":9:") && said.contains(&expected), "{expected}\n{said}");
        assert!(said.contains("devices.meter.timeout"), "in one run: {said}");
    }
}

#[test]
fn what_is_said_of_a_wrong_door_says_what_is_right() {
    let key = |rest: &str| format!("[access.keys.me]\nkey = \"{KEY}\"\n{rest}");
    let twice = format!("{}[access.keys.you]\nkey = \"{KEY}\"", key(""));
    for (lines, expected) in [
        ("listeners = 3", "listeners: unknown key"),
        ("[[listeners]]", "listeners[0].listen: missing; `host:port`, such as \"0.0.0.0:8443\""),
        (
            "[[listeners]]\nlisten = \"127.0.0.1:8480\"",
            "listeners[0].listen: another door listens there already",
        ),
        (
            "[[listeners]]\nlisten = \"[::1]:1\"\n[[listeners]]\nlisten = \"[::1]:1\"",
            ":9:10: listeners[1].listen: another door",
        ),
        ("[[listeners]]\ntls = true", "listeners[0].tls: expected a string, got true"),
        ("[[listeners]]\ntls = \"yes\"", "listeners[0].tls: expected \"self-signed\""),
        ("[[listeners]]\ntls = { cert = \"Cargo.toml\" }", "listeners[0].tls.key: missing; a file in PEM"),
        (
            "[[listeners]]\ntls = { cert = \"no.pem\", key = \"Cargo.toml\" }",
            "listeners[0].tls.cert: no.pem cannot be read: No such file",
        ),
        (
            "[[listeners]]\ndevice = \"metre\"",
            "listeners[0].device: there is no such device below [devices]; did you mean `meter`?",
        ),
        ("[[listeners]]\nkeys = 0", "listeners[0].keys: expected true or false"),
        ("[[listeners]]\nallow = [\"x\"]", "listeners[0].allow: expected a network"),
        ("[[listeners]]\ningress = \"yes\"", "listeners[0].ingress: expected true or false"),
        (
            "[[listeners]]\ningress = true\ntls = \"self-signed\"",
            ":8:7: listeners[0].tls: Home Assistant's ingress speaks plain HTTP",
        ),
        (
            "[[listeners]]\ndevice = \"meter\"\ningress = true",
            ":7:10: listeners[0].device: a device's own page would have all the rights of Home Assistant's",
        ),
        (
            "[[listeners]]\nallow = [\"10.0.0.7\"]\ningress = true",
            ":7:9: listeners[0].allow: where `ingress` is true nobody but Home Assistant is let in",
        ),
        ("hosts = [\"localhost\"]", "devices.meter.hosts: localhost leads to all devices"),
        ("hosts = [\"10.0.0.1\"]", "devices.meter.hosts: expected a host name without port"),
        ("hosts = [\"*.lan\"]", "devices.meter.hosts: expected a host name without port"),
        ("hosts = [\"a.lan\", \"A.lan.\"]", "devices.meter.hosts: a.lan stands there twice"),
        (
            "hosts = [\"a.lan\"]\n[devices.x]\nhosts = [\"a.lan\"]",
            "devices.x.hosts: a.lan stands there twice, or is another",
        ),
        ("[access]\norigins = [\"dash.lan\"]", "access.origins: expected the origin of a page"),
        ("[access]\norigins = [\"http://dash.lan/x\"]", "access.origins: expected the origin of a page"),
        ("[access]\norigins = [\"*\"]", "access.origins: expected the origin of a page"),
        ("[access]\norigins = [\"null\"]", "access.origins: expected the origin of a page"),
        ("[access.keys]\nme = 3", "access.keys.me: expected a table"),
        ("[access.keys.me]", "access.keys.me.key: missing; this key is required"),
        ("[access.keys.me]\nkey = \"short\"", "access.keys.me.key: shorter than 20 characters"),
        (&twice, "access.keys.you.key: the same as that of another name"),
        (&key("devices = [\"metre\"]"), "access.keys.me.devices: there is no such device below [devices]"),
        (&key("devices = []"), "access.keys.me.devices: an empty list would open nothing"),
        (&key("methods = [\"get\"]"), "access.keys.me.methods: expected a method in capitals"),
    ] {
        let said = said_of(lines);
        assert!(said.contains(expected), "{lines}\n{said}");
        assert!(!said.contains(KEY), "{said}");
    }
}
