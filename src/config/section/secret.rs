//! Secrets and what is sent in a header as it is.

use std::path::Path;

use http::HeaderValue;
use toml::de::DeValue;

use super::{Given, Section};
use crate::config::SecretSource;
use crate::config::credential::loose_mode;
use crate::secret::Secret;

/// What is wrong with a value that would end a header (RFC 9110 section 5.5).
const UNSENDABLE: &str = "it is sent in a header, and holds a line break or another control character that no header \
                          can carry; write the value alone, in a file with one line break at its end at the most";

impl Section<'_> {
    /// A secret. That it is where the configuration says is looked up at once.
    pub fn secret(&mut self, key: &'static str) -> Option<SecretSource> {
        const FORMS: &str = "{ env = \"NAME\" }, { file = \"path\" } or a string";
        let given = self.take(key)?;
        let (kind, name) = match given.get_ref() {
            DeValue::String(text) if text.is_empty() => {
                return self.note(key, "is empty; write a value or remove the key");
            }
            DeValue::String(text) => {
                self.warn_of_plain(key, given);
                return Some(SecretSource::Plain(Secret::new(text.as_ref())));
            }
            DeValue::Table(table) if table.len() == 1 => {
                let entry = table.iter().next();
                entry.and_then(|(kind, name)| Some((kind.get_ref().as_ref(), name.get_ref().as_str()?)))
            }
            _ => None,
        }
        .unzip();
        let source = match (kind, name.filter(|name| !name.is_empty() && !name.contains(char::is_control))) {
            (Some("env"), Some(name)) if is_variable(name) => {
                SecretSource::variable(name, self.report.environment)
            }
            (Some("file"), Some(name)) => Ok(SecretSource::File(self.beside(name))),
            _ => return self.wrong(key, FORMS),
        };
        let source = source.and_then(|source| source.read().map(|_| source));
        match source {
            Ok(source) => {
                if let SecretSource::File(file) = &source {
                    self.warn_if_open(key, file);
                }
                Some(source)
            }
            Err(error) => self.note(key, error.to_string()),
        }
    }

    /// A secret that must be there.
    pub fn required_secret(&mut self, key: &'static str) -> Option<SecretSource> {
        self.require(key, "this key is required: { env = \"NAME\" } or { file = \"path\" }");
        self.secret(key)
    }

    /// A secret that must be there and is sent in a header as it is.
    pub fn required_header_secret(&mut self, key: &'static str) -> Option<SecretSource> {
        let source = self.required_secret(key)?;
        // What can't be read any more has been there just now, and is read again before it is used.
        let is_sendable = source.read().is_ok_and(|secret| secret.header_value().is_ok());
        if is_sendable { Some(source) } else { self.note(key, UNSENDABLE) }
    }

    /// A text that must be there and is sent in a header as it is.
    pub fn required_header_text(&mut self, key: &'static str) -> Option<String> {
        let text = self.required_text(key)?;
        if HeaderValue::from_str(&text).is_ok() { Some(text) } else { self.note(key, UNSENDABLE) }
    }

    fn warn_of_plain(&self, key: &str, given: Given<'_>) {
        if let Some(mode) = loose_mode(self.report.file, self.report.environment) {
            let message = format!(
                "a secret in a file that others may read (mode {mode:04o}); \
                 chmod 600 the file, or write {{ env = \"NAME\" }} or {{ file = \"path\" }}"
            );
            self.report.warn(given.span().start, &self.dotted(key), &message);
        }
    }

    /// Warns where others may read a file that a secret is in.
    pub(in crate::config) fn warn_if_open(&mut self, key: &'static str, file: &Path) {
        let at = self.take(key).map_or(self.at, |given| given.span().start);
        if let Some(mode) = loose_mode(file, self.report.environment) {
            let message = format!("others may read {0} (mode {mode:04o}): `chmod 600 {0}`", file.display());
            self.report.warn(at, &self.dotted(key), &message);
        }
    }
}

/// Whether an environment variable may have this name; what may not is not a name, and not to be repeated.
fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
