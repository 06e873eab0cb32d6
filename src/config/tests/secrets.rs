//! Where secrets stand, who else may read them, and that no message repeats one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// A folder with a proxy.toml and a secret file of these modes.
struct House {
    folder: tempfile::TempDir,
}

impl House {
    fn new(password: &str, mode: u32) -> Self {
        let house = Self { folder: tempfile::tempdir().unwrap() };
        house.write("proxy.toml", METER.replace("{ env = \"METER_PASSWORD\" }", password).as_bytes(), mode);
        house
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        file
    }

    fn load(&self, environment: &Environment) -> Result<Config<Driver>, Errors> {
        load(&self.folder.path().join("proxy.toml"), environment, &Fake)
    }
}

fn password(config: &Config<Driver>) -> &SecretSource {
    match &config.devices[0].driver {
        Driver::Meter { password, .. } => password,
        Driver::Header { value, .. } => value,
    }
}

#[test]
fn a_secret_is_read_from_wherever_it_stands() {
    let environment = Environment::from_iter([("METER_PASSWORD", " by env ")]);
    let by_env = House::new("{ env = \"METER_PASSWORD\" }", 0o644).load(&environment).unwrap();
    assert_eq!(password(&by_env).read().unwrap().expose(), " by env ");
    let plain = House::new("\"in plain\"", 0o600).load(&environment).unwrap();
    assert_eq!(password(&plain).read().unwrap().expose(), "in plain");
    assert!(by_env.warnings.is_empty() && plain.warnings.is_empty());

    let house = House::new("{ file = \"key\" }", 0o644);
    for (bytes, expected) in
        [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a\r", "a\r"), (" a ", " a ")]
    {
        let file = house.write("key", bytes.as_bytes(), 0o600);
        let config = house.load(&environment).unwrap();
        assert_eq!(password(&config), &SecretSource::File(file));
        assert_eq!(password(&config).read().unwrap().expose(), expected, "{bytes:?}");
    }
}

#[test]
fn a_secret_that_is_not_there_is_an_error_at_its_key() {
    let said = |environment: &[(&str, &str)], house: &House| {
        house.load(&environment.iter().copied().collect()).unwrap_err().to_string()
    };
    let by_env = House::new("{ env = \"METER_PASSWORD\" }", 0o600);
    for environment in [&[][..], &[("METER_PASSWORD", "")]] {
        let said = said(environment, &by_env);
        let expected = ":5:12: devices.meter.password: environment variable METER_PASSWORD is not set";
        assert!(said.contains(expected), "{said}");
    }
    let house = House::new("{ file = \"key\" }", 0o600);
    assert!(said(&[], &house).contains("cannot read the secret file /"));
    house.write("key", b"\r\n", 0o600);
    assert!(said(&[], &house).contains("key is empty; put the secret there"));
    house.write("key", b"\xffhunter2", 0o600);
    assert!(said(&[], &house).contains("key is too long or not UTF-8 text"));
    house.write("key", &[b'x'; 65_537], 0o600);
    assert!(said(&[], &house).contains("key is too long or not UTF-8 text"));
    assert!(said(&[], &House::new("{ file = \".\" }", 0o600)).contains("cannot read the secret file"));
    // Nothing is forbidden to root.
    let user = rustix::process::geteuid();
    if !user.is_root() {
        house.write("key", b"hunter2", 0o000);
        let expected = format!("user {}, as whom keyward runs, may not read", user.as_raw());
        assert!(said(&[], &house).contains(&expected));
    }
}

#[test]
fn a_secret_of_another_form_is_refused_without_repeating_it() {
    for value in [
        "5",
        "\"\"",
        "{}",
        "[\"hunter2\"]",
        "{ hunter2 = 1 }",
        "{ env = 5 }",
        "{ file = \"\" }",
        "{ env = \"A\", file = \"b\" }",
    ] {
        let said = House::new(value, 0o600).load(&Environment::default()).unwrap_err().to_string();
        assert!(said.contains("devices.meter.password: "), "{said}");
        assert!(!said.contains("hunter2") && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn warnings_come_in_the_order_of_the_file() {
    let house = House::new("\"hunter2\"", 0o644);
    let meter = fs::read_to_string(house.folder.path().join("proxy.toml")).unwrap();
    let key = "[access.keys.k]\nkey = \"0123456789012345678901\"\n";
    let text = format!("{}{key}{meter}", meter.replace("devices.meter", "devices.zeta"));
    house.write("proxy.toml", text.as_bytes(), 0o644);
    let warnings = house.load(&Environment::default()).unwrap().warnings;
    let places: Vec<_> = ["devices.zeta.password", "access.keys.k.key", "devices.meter.password"]
        .iter()
        .map(|key| warnings.iter().position(|warning| warning.contains(key)))
        .collect();
    assert_eq!(places, [Some(0), Some(1), Some(2)], "{warnings:?}");
}

#[test]
fn what_others_may_read_draws_a_warning() {
    for (mode, warns) in [(0o600, false), (0o640, true), (0o604, true), (0o400, false), (0o622, false)] {
        let config = House::new("\"hunter2\"", mode).load(&Environment::default()).unwrap();
        assert_eq!(config.warnings.len(), usize::from(warns), "{mode:o} {:?}", config.warnings);
        for warning in config.warnings {
            assert!(
                warning.contains(&format!(
                    ":5:12: devices.meter.password: a secret in a file that others may read (mode {mode:04o})"
                )),
                "{warning}"
            );
            assert!(!warning.contains("hunter2"));
        }
    }
    let house = House::new("{ file = \"key\" }", 0o644);
    house.write("key", b"hunter2", 0o644);
    let config = house.load(&Environment::default()).unwrap();
    assert!(config.warnings[0].contains("(mode 0644): `chmod 600 "), "{:?}", config.warnings);
    let guarded = Environment::from_iter([("CREDENTIALS_DIRECTORY", house.folder.path())]);
    assert!(house.load(&guarded).unwrap().warnings.is_empty());
}

#[test]
fn nothing_that_prints_itself_prints_a_secret() {
    let environment = Environment::from_iter([("METER_PASSWORD", "hunter2")]);
    let by_env = House::new("{ env = \"METER_PASSWORD\" }", 0o600).load(&environment).unwrap();
    let plain = House::new("\"hunter2\"", 0o600).load(&environment).unwrap();
    let all = format!("{environment:?} {by_env:?} {plain:?}");
    assert!(all.contains("METER_PASSWORD") && !all.contains("hunter2"), "{all}");
}

#[test]
fn a_line_that_may_hold_a_secret_is_not_shown() {
    for line in [
        "passphrase = \"hunter2\"",
        "pw = \"hunter2\"",
        "passwrod = \"hunter2\"",
        "pasword = \"hunter2",
        "apikey = hunter2",
        "url2 = \"https://bob:hunter2@meter.local\"",
        "trust = 5 # token hunter2",
        "x = { password = \"hunter2\", y = \"\"\"\nhunter2\n\"\"\" }",
        "x = { password = \"hunter2\", y = \"\"\"\nhunter2\n\"\"",
        "password2 = \"\"\"\nhunter2 = \n[hunter2\n",
        "[devices.meter.secrets]\nplain = \"hunter2\"",
        "[devices.hidden]\nvendor = \"header\"\npassword = [\n\"hunter2\",\n]",
        "token =\n\"hunter2\" = 5",
    ] {
        let said = said_of(line);
        assert!(!said.contains("hunter2"), "{line}\n\n{said}");
    }
    let url = METER.replace("https://", "https://bob:hunter2@");
    assert!(said(&url).contains("no user name or password in the URL") && !said(&url).contains("hunter2"));
}

/// A file with a plain secret in every place that may hold one.
fn full_of(secret: &str) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\n\
         [devices.one]\nvendor = \"egauge\"\nurl = \"https://one.lan\"\nusername = \"owner\"\npassword = \"{secret}\"\n\
         timeout = \"5s\"\n\
         [devices.two]\nvendor = \"header\"\nurl = \"https://two.lan\"\nname = \"x\"\nvalue = \"\"\"\n{secret}\"\"\"\n\
         [devices]\nthree = {{ vendor = \"egauge\", url = \"https://three.lan\", password = '{secret}' }}\n\
         [log]\nlevel = \"info\"\n"
    )
}

/// One slip of the pen: `what` in place of so many characters somewhere.
fn slip() -> impl Strategy<Value = (prop::sample::Index, usize, &'static str)> {
    let what = [
        "", "", "x", "\"", "'", "\n", "=", "[", "]", "{", "}", ",", ".", "#", "\"\"\"", " ", "5", "\u{7f}",
        "ü", "\\",
    ];
    (any::<prop::sample::Index>(), 0_usize..3, prop::sample::select(what.to_vec()))
}

fn slipped(mut text: String, slips: &[(prop::sample::Index, usize, &'static str)]) -> String {
    for (place, length, what) in slips {
        let places: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
        let from = place.index(places.len());
        let to = places.get(from + length).copied().unwrap_or(text.len());
        text.replace_range(places[from]..to, what);
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_in_what_is_said_of_a_broken_file(
        secret in "[A-Z0-9!#%&*+./:;?@^_~-]{12,24}",
        slips in prop::collection::vec(slip(), 1..4),
    ) {
        let text = slipped(full_of(&secret), &slips);
        let said = match read(&text) {
            Ok(config) => format!("{config:?} {:?}", config.warnings),
            Err(errors) => format!("{errors} {errors:?}"),
        };
        // A slip may have cut the secret: no part of it may be there either.
        for part in secret.as_bytes().windows(6) {
            prop_assert!(!said.contains(str::from_utf8(part).unwrap()), "{}\n\n{}", text, said);
        }
    }

    #[test]
    fn nothing_that_is_read_panics(text in "([a-z\"'\\[\\]{}=.,#\n 0-9\\\\ü\u{0}-]|devices|\"\"\"|password){0,60}") {
        let _ = read(&text).map_err(|errors| errors.to_string());
        let _ = read(&format!("{METER}{text}")).map_err(|errors| errors.to_string());
    }
}
