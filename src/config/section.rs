//! Reading one table of the file, key by key.

mod secret;
mod typed;

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::lines::is_secret;
use super::report::Report;
use super::words::{got, listed, nearest};
use super::{BaseUrl, Location};

/// One table of the file, of which a reader takes the keys it knows.
///
/// What is wrong is noted with its place and reading goes on, so that one run tells all; a method that
/// returns `None` has noted why, or the key is absent. What nobody asked for is an unknown key.
pub struct Section<'a> {
    report: &'a Report<'a>,
    table: Option<&'a DeTable<'a>>,
    name: String,
    at: usize,
    asked: Vec<&'static str>,
}

/// A key and where it stands.
type Key<'a> = &'a Spanned<Cow<'a, str>>;

/// A value and where it stands.
type Given<'a> = &'a Spanned<DeValue<'a>>;

impl<'a> Section<'a> {
    /// Whether the key is there.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.take(key).is_some()
    }

    /// A text, not empty.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        let given = self.take(key)?;
        match given.get_ref() {
            DeValue::String(text) if !text.is_empty() => Some(text.to_string()),
            DeValue::String(_) => self.note(key, "is empty; write a value or remove the key"),
            _ => self.wrong(key, "a string"),
        }
    }

    /// A text that must be there.
    pub fn required_text(&mut self, key: &'static str) -> Option<String> {
        self.require(key, "this key is required");
        self.text(key)
    }

    /// One of `choices`.
    pub fn choice(&mut self, key: &'static str, choices: &[&'static str]) -> Option<&'static str> {
        let text = self.text(key)?;
        let choice = choices.iter().copied().find(|choice| *choice == text);
        if choice.is_none() {
            let quoted: Vec<_> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
            let got = self.take(key).map(|given| got(given.get_ref(), is_secret(key))).unwrap_or_default();
            let hint = nearest(&text, choices).map(|near| format!("; did you mean \"{near}\"?"));
            let expected = quoted.join(" or ");
            self.refuse(key, format!("expected {expected}, got {got}{}", hint.unwrap_or_default()));
        }
        choice
    }

    /// The URL of an endpoint that is asked with credentials: `https`, or `http` on this machine's loopback.
    pub fn url(&mut self, key: &'static str) -> Option<BaseUrl> {
        let url: BaseUrl = self.parsed(key)?;
        if url.is_tls() || url.is_loopback() {
            return Some(url);
        }
        self.note(key, "credentials go there, so it begins with https:// (http:// on loopback alone)")
    }

    /// Notes that something is wrong with a key: at its value, or at the table's header where it is absent.
    pub fn refuse(&mut self, key: &'static str, message: impl Into<String>) {
        let at = self.take(key).map_or(self.at, |given| given.span().start);
        self.report.fault(at, self.dotted(key), message);
    }
}

/// For our own keys.
impl<'a> Section<'a> {
    pub(super) fn top(report: &'a Report<'a>, table: &'a DeTable<'a>) -> Self {
        Self { report, table: Some(table), name: String::new(), at: 0, asked: Vec::new() }
    }

    /// The table at `key`, an empty one where it is absent.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        let name = self.dotted(key);
        match self.take(key) {
            Some(given) => self.open(name, given),
            None => Self { report: self.report, table: None, name, at: self.at, asked: Vec::new() },
        }
    }

    /// The tables of the array at `key`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some(array) = self.take(key).and_then(|given| given.get_ref().as_array()) else {
            if self.has(key) {
                self.wrong::<()>(key, &format!("tables, each below a line [[{key}]]"));
            }
            return Vec::new();
        };
        let name = |nth: usize| format!("{}[{nth}]", self.dotted(key));
        array.iter().enumerate().map(|(nth, given)| self.open(name(nth), given)).collect()
    }

    fn open(&self, name: String, given: Given<'a>) -> Self {
        let at = given.span().start;
        let table = given.get_ref().as_table();
        if table.is_none() {
            let message = format!("expected a table, got {}", got(given.get_ref(), true));
            self.report.fault(at, name.clone(), message);
        }
        Self { report: self.report, table, name, at, asked: Vec::new() }
    }

    /// The tables in this one with their names and where those stand, in the order of the file.
    pub(super) fn sections(&self) -> Vec<(&'a str, usize, Self)> {
        let open = |(key, given): (Key<'a>, Given<'a>)| {
            let name = key.get_ref();
            (name.as_ref(), key.span().start, self.open(self.dotted(name), given))
        };
        self.in_order().into_iter().map(open).collect()
    }

    /// What is in this table, in the order of the file.
    fn in_order(&self) -> Vec<(Key<'a>, Given<'a>)> {
        let mut entries: Vec<_> = self.table.into_iter().flatten().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
    }

    /// What a message about this key begins with.
    pub(super) fn location(&mut self, key: &'static str) -> Location {
        match self.take(key) {
            Some(given) => self.report.location(given.span().start, &self.dotted(key)),
            None => Location::of_default(self.report.file, &self.dotted(key)),
        }
    }

    pub(super) fn report(&self) -> &'a Report<'a> {
        self.report
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is such a table in the file.
    pub(super) fn is_given(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Given<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
            self.report.know(key);
        }
        self.table?.get(key)
    }

    /// Notes at the table's header that a key is missing, if it is.
    pub(super) fn require(&mut self, key: &'static str, hint: &str) {
        if self.table.is_some() && !self.has(key) {
            self.refuse(key, format!("missing; {hint}"));
        }
    }

    /// The end of the table: whatever is left is unknown, or comes with a `later` version.
    ///
    /// Where it is not known what is known (`strict` is off), only what looks like a slip is told.
    pub(super) fn finish(self, later: &[&str], strict: bool) {
        for (key, given) in self.table.into_iter().flatten() {
            let (at, key) = (key.span().start, key.get_ref().as_ref());
            if self.asked.contains(&key) {
                continue;
            }
            if later.contains(&key) {
                let message = format!("`{key}` comes with a later version of keyward; remove it for now");
                self.report.fault(at, self.dotted(key), message);
                continue;
            }
            let near = nearest(key, &self.asked);
            // What was meant for a secret's key, or for who knows what, may be a secret.
            if near.is_none_or(is_secret) {
                self.report.hide(at..given.span().end.max(at));
            }
            let hint = near.map_or_else(
                || format!("known here: {}", listed(&self.asked)),
                |near| format!("did you mean `{near}`?"),
            );
            if strict || near.is_some() {
                self.report.fault(at, self.dotted(key), format!("unknown key; {hint}"));
            }
        }
    }

    /// Notes that a value is not what was expected, and what it is, unless it is a secret.
    pub(super) fn wrong<T>(&mut self, key: &'static str, expected: &str) -> Option<T> {
        let got = self.take(key).map(|given| got(given.get_ref(), is_secret(key)));
        self.note(key, format!("expected {expected}, got {}", got.unwrap_or_default()))
    }

    fn note<T>(&mut self, key: &'static str, message: impl Into<String>) -> Option<T> {
        self.refuse(key, message);
        None
    }

    fn dotted(&self, key: &str) -> String {
        let dot = if self.name.is_empty() { "" } else { "." };
        let is_bare =
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let name = &self.name;
        if is_bare { format!("{name}{dot}{key}") } else { format!("{name}{dot}{key:?}") }
    }
}
