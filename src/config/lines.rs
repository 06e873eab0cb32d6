//! The lines of a file, and which of them an error may show.

use toml::de::{DeTable, DeValue};

/// What the names of secrets have in common, typed right.
const TELLING: [&str; 8] = ["pass", "pwd", "token", "secret", "key", "value", "credential", "jwt"];

/// The names of secrets, to know them when they are typed wrong.
const NAMES: [&str; 5] = ["password", "token", "api_key", "auth_key", "value"];

/// The lines of a text and whether they may be shown. Lines and columns count from 0.
pub(super) struct Lines<'a> {
    lines: Vec<Line<'a>>,
}

struct Line<'a> {
    start: usize,
    text: &'a str,
    hidden: bool,
    broken: bool,
}

impl<'a> Lines<'a> {
    /// The lines of `text`; hidden are those on which a secret's name stands.
    pub(super) fn new(text: &'a str) -> Self {
        let mut start = 0;
        let lines = text.split('\n').map(|text| {
            let line = Line { start, text: text.trim_end(), hidden: is_telling(text), broken: false };
            start += text.len() + 1;
            line
        });
        Self { lines: lines.collect() }
    }

    /// Line and column of a position in bytes, the column in characters.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let number = self.lines.partition_point(|line| line.start <= at).saturating_sub(1);
        let column = self.lines.get(number).map_or(0, |line| {
            let within = at.saturating_sub(line.start);
            line.text.char_indices().take_while(|(index, _)| *index < within).count()
        });
        (number, column)
    }

    /// A line's text, if no secret is on it.
    pub(super) fn shown(&self, number: usize) -> Option<String> {
        let line = self.lines.get(number).filter(|line| !line.hidden && !line.text.is_empty())?;
        // A terminal must not act on it, and a tab would shift it from the mark below.
        Some(line.text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect())
    }

    /// Whether the line at a position is in a section with a syntax error.
    pub(super) fn is_broken(&self, at: usize) -> bool {
        self.lines.get(self.place(at).0).is_some_and(|line| line.broken)
    }

    /// Hides every line of the secrets in `table`: a value may go over many.
    pub(super) fn hide(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            if is_secret(key.get_ref()) {
                self.hide_span(key.span().start, value);
            } else {
                self.hide_within(value.get_ref());
            }
        }
    }

    fn hide_within(&mut self, value: &DeValue<'_>) {
        match value {
            DeValue::Table(table) => self.hide(table),
            DeValue::Array(array) => array.iter().for_each(|value| self.hide_within(value.get_ref())),
            _ => {}
        }
    }

    fn hide_span(&mut self, start: usize, value: &toml::Spanned<DeValue<'_>>) {
        let (first, last) = (self.place(start).0, self.place(value.span().end).0);
        for line in self.lines.iter_mut().take(last + 1).skip(first) {
            line.hidden = true;
        }
        // The span of a table with a header is its header.
        if let DeValue::Table(table) = value.get_ref() {
            for (key, value) in table {
                self.hide_span(key.span().start, value);
            }
        }
    }

    /// Marks the section around a syntax error, and hides what may be a secret's rest there: once quotes or brackets
    /// are lost, a value can end anywhere below its key.
    pub(super) fn hide_broken(&mut self, at: usize) {
        let (number, _) = self.place(at);
        let is_header = |line: &Line<'_>| line.text.trim_start().starts_with('[');
        let above = self.lines.iter().take(number + 1).rposition(is_header).unwrap_or(0);
        let below = self.lines.iter().skip(number + 1).position(is_header);
        let below = below.map_or(self.lines.len(), |after| number + 1 + after);
        let mut doubtful = false;
        for (index, line) in self.lines.iter_mut().enumerate().take(below) {
            // A string of many lines may hold what looks like a header.
            doubtful |= line.text.contains("\"\"\"") || line.text.contains("'''");
            if index >= above {
                line.broken = true;
                doubtful |= line.hidden;
                line.hidden = doubtful;
            }
        }
    }
}

/// Whether a key of this name holds a secret, or may have been meant to.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    // Our own name is in many a path.
    key != "keyward"
        && (TELLING.iter().any(|part| key.contains(part))
            || NAMES.iter().any(|name| strsim::osa_distance(name, &key) <= name.len() / 4))
}

/// Whether a secret may be on this line: under a key, or within a URL.
fn is_telling(line: &str) -> bool {
    let words = line.split(|sign: char| !sign.is_alphanumeric() && sign != '_' && sign != '-');
    let url = line.split_once("://").is_some_and(|(_, rest)| rest.contains(['@', '?']));
    url || words.into_iter().any(is_secret)
}
