//! Words that messages share: counts, and commands that can be pasted.

use std::path::Path;

use crate::config::{self, Environment};

/// The commands that read a configuration.
const OF_A_FILE: [&str; 6] = ["add", "check", "health", "init", "run", "trust"];

/// So many devices.
pub(super) fn devices(count: usize) -> String {
    if count == 1 { "1 device".to_owned() } else { format!("{count} devices") }
}

/// What stands behind a command so that it means this file: nothing where it finds that by itself.
pub(super) fn option(file: Option<&Path>, environment: &Environment) -> String {
    let is_found =
        |file: &Path| config::find(None, environment).is_ok_and(|found| found.as_deref() == Some(file));
    match file.filter(|file| !is_found(file)) {
        Some(file) => format!(" --config {}", word(&file.display().to_string())),
        None => String::new(),
    }
}

/// The text with this option behind the commands that it suggests, as far as they read a configuration and name none.
pub(super) fn pasteable(text: &str, option: &str) -> String {
    let is_ours = |code: &str| {
        let command = code.strip_prefix("keyward ").and_then(|rest| rest.split(' ').next());
        command.is_some_and(|command| OF_A_FILE.contains(&command)) && !code.contains("--config")
    };
    let parts = text.split('`').enumerate().map(|(nth, part)| {
        // What is between two marks is code.
        if nth % 2 == 1 && is_ours(part) { format!("{part}{option}") } else { part.to_owned() }
    });
    parts.collect::<Vec<_>>().join("`")
}

/// A text as one word of a shell.
pub(super) fn word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+:@%,=".contains(letter);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_command_means_the_file_that_was_named() {
        let option = option(Some(Path::new("/my home/it's.toml")), &Environment::default());
        assert_eq!(option, " --config '/my home/it'\\''s.toml'");
        for (text, expected) in [
            ("use `keyward trust meter`: so", "use `keyward trust meter --config f`: so"),
            ("`url`, then `keyward check`", "`url`, then `keyward check --config f`"),
            ("`keyward init --config g` or `keyward demo`", "`keyward init --config g` or `keyward demo`"),
            ("a `stray mark, and keyward check", "a `stray mark, and keyward check"),
        ] {
            assert_eq!(pasteable(text, " --config f"), expected);
        }
    }
}
