//! How long answers of a device may be given from memory.

use std::time::Duration;

use toml::de::DeValue;

use super::section::Section;
use super::{PathPattern, quantity, words};

/// How long an answer may be given from memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Never.
    #[default]
    None,
    /// For so long, whatever the device says, unless it says `no-store`.
    For(Duration),
    /// As the device says (RFC 9111).
    AsTold,
}

/// What holds for the paths of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// What holds below these paths, the most precise first.
    pub rules: Vec<(PathPattern, Freshness)>,
    /// What holds elsewhere.
    pub default: Freshness,
}

const FORMS: &str = "a duration such as \"5s\", or \"rfc9111\"";

impl Cache {
    /// Whether anything at all is kept.
    pub fn is_on(&self) -> bool {
        let all = self.rules.iter().map(|(_, freshness)| freshness);
        all.chain([&self.default]).any(|freshness| *freshness != Freshness::None)
    }
}

/// Reads the key `cache` of a device: one value for all, or one for each path prefix.
pub(super) fn read(device: &mut Section<'_>) -> Option<Cache> {
    let given = device.take("cache")?.get_ref();
    if !given.is_table() {
        let default = freshness(given);
        return match default {
            Some(default) => Some(Cache { default, ..Cache::default() }),
            None => device.wrong("cache", &format!("{FORMS}, or a table of path prefixes with such values")),
        };
    }
    let table = device.section("cache");
    let mut cache = Cache::default();
    for (key, at, value) in table.entries() {
        let Some(freshness) = freshness(value) else {
            let message = format!("expected {FORMS}, got {}", words::got(value, false));
            table.fault(at, key, message);
            continue;
        };
        match key.parse::<PathPattern>() {
            _ if key == "default" => cache.default = freshness,
            Ok(pattern) => {
                let rules = &cache.rules;
                let at = rules.partition_point(|(other, _)| other.precision() >= pattern.precision());
                cache.rules.insert(at, (pattern, freshness));
            }
            Err(super::Malformed(message)) => {
                table.fault(at, key, format!("{message}; or `default` for all else"));
            }
        }
    }
    Some(cache)
}

fn freshness(value: &DeValue<'_>) -> Option<Freshness> {
    match value.as_str()? {
        "rfc9111" => Some(Freshness::AsTold),
        text => Some(match quantity::duration(text)? {
            Duration::ZERO => Freshness::None,
            duration => Freshness::For(duration),
        }),
    }
}
