//! The editor schema of proxy.toml says what the reader of proxy.toml says.

use std::collections::BTreeSet;

use keyward::config::{self, Environment};
use keyward::vendor::{Kind, MAKES, Make, Need, Registry};
use serde_json::Value;

use crate::docs::configurations;
use crate::house::{path_of, read};

/// A key that nobody has in mind, and that is near no other.
const ODD: &str = "qqqqqqqqqqqqqqqq";

fn schema() -> Value {
    serde_json::from_str(&read("src/proxy.schema.json")).unwrap()
}

/// What of a value is not as a schema says. It knows the words that ours has, and no others; patterns are for editors.
struct Validator {
    root: Value,
    /// Whether a table may be a part of one.
    takes_parts: bool,
}

impl Validator {
    fn wrong(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let members = match schema {
            Value::Bool(true) => return Vec::new(),
            Value::Object(members) => members,
            _ => panic!("no schema: {schema}"),
        };
        let is = |schema: &Value| self.wrong(schema, value, at).is_empty();
        let (mut wrong, mut below) = (Vec::new(), Vec::new());
        let mut note = |fine: bool, word: &str| {
            if !fine {
                wrong.push(format!("{at}: {word}"));
            }
        };
        for (word, rule) in members {
            match word.as_str() {
                "$schema" | "title" | "description" | "default" | "examples" | "definitions" | "then"
                | "pattern" => {}
                "$ref" => {
                    let place = rule.as_str().unwrap().trim_start_matches('#');
                    below.extend(self.wrong(self.root.pointer(place).unwrap(), value, at));
                }
                "type" => note(
                    match rule.as_str().unwrap() {
                        "object" => value.is_object(),
                        "array" => value.is_array(),
                        "string" => value.is_string(),
                        "integer" => value.is_u64(),
                        "boolean" => value.is_boolean(),
                        other => panic!("type {other}"),
                    },
                    "type",
                ),
                "enum" => note(rule.as_array().unwrap().contains(value), "enum"),
                "const" => note(rule == value, "const"),
                "not" => note(!is(rule), "not"),
                "anyOf" => note(
                    self.takes_parts && value.is_object() || rule.as_array().unwrap().iter().any(is),
                    "anyOf",
                ),
                "allOf" => {
                    for rule in rule.as_array().unwrap() {
                        below.extend(self.wrong(rule, value, at));
                    }
                }
                "if" => note(!is(rule) || is(&members["then"]), "then"),
                "required" => {
                    let has = |key: &Value| value.get(key.as_str().unwrap()).is_some();
                    note(self.takes_parts || rule.as_array().unwrap().iter().all(has), "required");
                }
                "minimum" => {
                    note(value.as_u64().is_none_or(|number| number >= rule.as_u64().unwrap()), "minimum");
                }
                "maximum" => {
                    note(value.as_u64().is_none_or(|number| number <= rule.as_u64().unwrap()), "maximum");
                }
                "minLength" => note(value.as_str().is_none_or(|text| !text.is_empty()), "minLength"),
                "minItems" => note(value.as_array().is_none_or(|items| !items.is_empty()), "minItems"),
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        note(self.wrong(rule, item, at).is_empty(), "items");
                    }
                }
                "propertyNames" => {
                    for (key, _) in value.as_object().into_iter().flatten() {
                        note(
                            self.wrong(rule, &Value::from(key.as_str()), at).is_empty(),
                            &format!("{key} as a name"),
                        );
                    }
                }
                "properties" | "patternProperties" | "additionalProperties" => {}
                other => panic!("{at}: {other} is not known here"),
            }
        }
        wrong.extend(below);
        for (key, value) in value.as_object().into_iter().flatten() {
            let by_name = schema.pointer(&format!("/properties/{}", key.replace('/', "~1")));
            // The one pattern there is.
            let by_pattern = || schema.get("patternProperties")?.get("^/").filter(|_| key.starts_with('/'));
            let rest = schema.get("additionalProperties");
            match by_name.or_else(by_pattern).or(rest) {
                Some(Value::Bool(false)) => wrong.push(format!("{at}.{key}: not known")),
                Some(rule) => wrong.extend(self.wrong(rule, value, &format!("{at}.{key}"))),
                None => {}
            }
        }
        wrong
    }
}

fn assert_fits(text: &str, takes_parts: bool) {
    let root = schema();
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    let validator = Validator { root: root.clone(), takes_parts };
    let wrong = validator.wrong(&root, &serde_json::to_value(&table).unwrap(), "");
    assert!(wrong.is_empty(), "{wrong:#?}\n{text}");
}

/// The keys that the reader knows where this text has [`ODD`].
fn known(text: &str) -> BTreeSet<String> {
    let environment: Environment = [("WORD", "twenty letters at least")].into_iter().collect();
    let errors = config::parse(text, &path_of("proxy.toml"), &environment, &Registry).err().unwrap();
    let told = errors.words().find(|(key, _)| key.ends_with(ODD)).map(|(_, message)| message.to_owned());
    let told = told.unwrap_or_else(|| panic!("{errors}"));
    let (_, listed) = told.split_once("known here: ").unwrap_or_else(|| panic!("{told}"));
    listed.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
}

/// The keys that the schema has at this place.
fn keys(place: &str) -> BTreeSet<String> {
    let schema = schema();
    let properties = schema.pointer(place).and_then(Value::as_object).unwrap_or_else(|| panic!("{place}"));
    properties.keys().cloned().collect()
}

#[test]
fn every_key_of_a_table_is_in_the_schema_and_every_key_there_is_read() {
    let door = "[[listeners]]\nlisten = \"127.0.0.1:1\"\n";
    for (text, place) in [
        (format!("{ODD} = 1"), "/properties"),
        (format!("[limits]\n{ODD} = 1"), "/properties/limits/properties"),
        (format!("[log]\n{ODD} = 1"), "/properties/log/properties"),
        (format!("[access]\n{ODD} = 1"), "/properties/access/properties"),
        (format!("[access.keys.x]\n{ODD} = 1"), "/definitions/key/properties"),
        (format!("{door}{ODD} = 1"), "/definitions/listener/properties"),
        (format!("{door}tls = {{ {ODD} = 1 }}"), "/definitions/listener/properties/tls/anyOf/1/properties"),
    ] {
        assert_eq!(known(&text), keys(place), "{place}");
    }
    let trust = |form: &str| known(&format!("[devices.x]\ntrust = {{ {form}, {ODD} = 1 }}"));
    let read: BTreeSet<_> = ["ca = \"x\"", "sha256 = \"x\""].into_iter().flat_map(trust).collect();
    let places = (1..=3).map(|form| format!("/definitions/trust/anyOf/{form}/properties"));
    assert_eq!(read, places.flat_map(|place| keys(&place)).collect());
}

/// What the schema says of the keys of one make alone: those it has, and those it needs.
fn rule(make: &Make) -> (BTreeSet<String>, BTreeSet<String>) {
    let schema = schema();
    let rules = schema.pointer("/definitions/device/allOf").unwrap().as_array().unwrap().clone();
    let is_its = |rule: &&Value| rule.pointer("/if/properties/vendor/const").unwrap() == make.name;
    let rule = rules.iter().find(is_its).unwrap_or_else(|| panic!("{}", make.name));
    let texts = |place: &str| -> BTreeSet<String> {
        let list = rule.pointer(place).and_then(Value::as_array).cloned().unwrap_or_default();
        list.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
    };
    (texts("/then/propertyNames/anyOf/1/enum"), texts("/then/required"))
}

#[test]
fn every_make_has_its_keys_in_the_schema_and_in_its_own_table() {
    let schema = schema();
    let every: BTreeSet<String> =
        serde_json::from_value(schema.pointer("/definitions/every_make/enum").unwrap().clone()).unwrap();
    let mut all = every.clone();
    for make in MAKES {
        let name = make.name;
        let read = known(&format!("[devices.x]\nvendor = \"{name}\"\nurl = \"http://x\"\n{ODD} = 1"));
        let own: BTreeSet<_> = make.keys.iter().map(|key| key.name.to_owned()).collect();
        let needed = make.keys.iter().filter(|key| key.need == Need::Always);
        let needed: BTreeSet<_> = needed.map(|key| key.name.to_owned()).collect();
        assert_eq!(read, every.union(&own).cloned().collect(), "{name}: what is read");
        assert_eq!(rule(make), (own.clone(), needed.clone()), "{name}: what the schema says");
        let bare = format!("[devices.x]\nvendor = \"{name}\"\nurl = \"http://x\"\n");
        let missing = config::parse(&bare, &path_of("proxy.toml"), &Environment::default(), &Registry);
        for key in &needed {
            let missing = missing.as_ref().err().unwrap();
            let is_told = missing
                .words()
                .any(|(at, words)| at == format!("devices.x.{key}") && words.starts_with("missing"));
            assert!(is_told, "{name}.{key}: {missing}");
        }
        assert_eq!(missing.is_ok(), make.keys.is_empty(), "{name}");
        for key in make.keys {
            let kind = schema.pointer(&format!("/definitions/device/properties/{}", key.name)).unwrap();
            let is_secret = kind.pointer("/allOf/0/$ref").is_some_and(|kind| kind == "#/definitions/secret");
            assert_eq!(is_secret, key.kind == Kind::Secret, "{name}.{}", key.name);
            if let Kind::Choice(forms) = key.kind {
                assert_eq!(kind["enum"], serde_json::json!(forms), "{name}.{}", key.name);
            }
        }
        all.extend(own);
    }
    assert_eq!(keys("/definitions/device/properties"), all);
    let vendors: Vec<_> = MAKES.iter().map(|make| make.name).collect();
    assert_eq!(
        schema.pointer("/definitions/device/properties/vendor/enum").unwrap(),
        &serde_json::json!(vendors)
    );
}

#[test]
fn the_example_and_what_it_only_shows_fit_the_schema() {
    let text = read("proxy.toml");
    assert_fits(&text, false);
    let shown = |line: &str| {
        line.strip_prefix('#').filter(|rest| rest.starts_with(|first| first != ' ')).map(str::to_owned)
    };
    let lines: Vec<_> = text.lines().map(|line| shown(line).unwrap_or_else(|| line.to_owned())).collect();
    assert_fits(&lines.join("\n"), false);
}

/// Whether there is a key in it that a later version reads: no schema has that yet.
fn is_of_later(text: &str) -> bool {
    let read = config::parse(text, &path_of("proxy.toml"), &Environment::default(), &Registry);
    read.err()
        .is_some_and(|errors| errors.words().any(|(_, words)| words.contains("comes with a later version")))
}

#[test]
fn what_the_pages_show_fits_the_schema() {
    let mut seen = 0;
    for (at, text) in configurations().filter(|(_, text)| !is_of_later(text)) {
        assert_fits(&format!("# {at}\n{text}"), true);
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn what_does_not_fit_is_found() {
    let root = schema();
    let validator = Validator { root: root.clone(), takes_parts: false };
    let meter = "[devices.m]\nvendor = \"egauge\"\nurl = \"https://x\"\nusername = \"u\"\npassword = \"p\"\n";
    for (text, at) in [
        ("listne = \"x\"", ".listne"),
        ("listen = 8480", ".listen"),
        ("[log]\nformat = \"xml\"", ".log.format"),
        ("[limits]\nconnections = 0", ".limits.connections"),
        (&format!("{meter}serial = \"1\""), ".devices.m"),
        (&format!("{meter}cache = {{ default = \"5s\", api = \"1s\" }}"), ".devices.m.cache"),
        ("[devices.m]\nvendor = \"egauge\"\nurl = \"https://x\"\nusername = \"u\"", ".devices.m"),
        ("[devices.m]\nvendor = \"enphase\"\nurl = \"https://x\"\nserial = \"1\"", ".devices.m"),
    ] {
        let table: toml::Table = text.parse().unwrap();
        let wrong = validator.wrong(&root, &serde_json::to_value(&table).unwrap(), "");
        assert!(wrong.iter().any(|place| place.starts_with(at)), "{text}: {wrong:?}");
    }
    let table: toml::Table = meter.parse().unwrap();
    assert_eq!(validator.wrong(&root, &serde_json::to_value(&table).unwrap(), ""), [] as [String; 0]);
}
