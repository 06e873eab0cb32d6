//! Words of messages: what was found, and what may have been meant.

use toml::de::DeValue;

use super::lines::is_telling;

/// A value as a message repeats it; only its kind, where it is secret or may hold a secret.
pub(super) fn got(value: &DeValue<'_>, secret: bool) -> String {
    match value {
        DeValue::String(text) if !secret && is_harmless(text) => format!("{text:?}"),
        DeValue::Integer(integer) if !secret => integer.to_string(),
        DeValue::Float(float) if !secret => float.to_string(),
        DeValue::Boolean(flag) if !secret => flag.to_string(),
        DeValue::Integer(_) | DeValue::Array(_) => format!("an {}", value.type_str()),
        _ => format!("a {}", value.type_str()),
    }
}

/// Whether a value may be repeated. A lost quote can make one of half a file, with every secret in it.
pub(super) fn is_harmless(text: &str) -> bool {
    text.len() <= 60 && !text.contains(char::is_control) && !is_telling(text)
}

/// The candidate that someone who wrote `word` most likely meant.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let close = |candidate: &&'a str| {
        let slips = strsim::osa_distance(word, candidate);
        slips <= (word.len() / 3).max(1) || strsim::jaro_winkler(word, candidate) > 0.85
    };
    let candidates = candidates.iter().copied().filter(close);
    candidates.max_by(|a, b| strsim::jaro_winkler(word, a).total_cmp(&strsim::jaro_winkler(word, b)))
}

/// Names in backquotes, for a message.
pub(super) fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
