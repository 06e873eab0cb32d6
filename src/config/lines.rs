//! The lines of a file, and which of them an error may show.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
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

    /// Hides every line that a span of bytes touches.
    pub(super) fn hide(&mut self, span: Range<usize>) {
        let (first, last) = (self.place(span.start).0, self.place(span.end).0);
        self.lines.iter_mut().take(last + 1).skip(first).for_each(|line| line.hidden = true);
    }

    /// Hides every line of the secrets in `table`: a value may go over many.
    pub(super) fn hide_secrets(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            self.hide_within(value, is_secret(key.get_ref()));
        }
    }

    fn hide_within(&mut self, value: &Spanned<DeValue<'_>>, secret: bool) {
        if secret {
            self.hide(value.span());
        }
        match value.get_ref() {
            // The span of a table with a header is its header.
            DeValue::Table(table) => {
                for (key, value) in table {
                    self.hide_within(value, secret || is_secret(key.get_ref()));
                }
            }
            DeValue::Array(array) => array.iter().for_each(|value| self.hide_within(value, secret)),
            _ => {}
        }
    }

    /// Marks all as broken, and hides it.
    pub(super) fn hide_all_as_broken(&mut self) {
        self.lines.iter_mut().for_each(|line| (line.hidden, line.broken) = (true, true));
    }

    /// Marks the section around a syntax error, and hides there what may be a secret: once quotes, brackets
    /// or names are lost, a value can end anywhere below its key, and stand behind anything that is no
    /// `known` key.
    pub(super) fn hide_broken(&mut self, at: usize, known: &BTreeSet<&str>) {
        let (number, _) = self.place(at);
        // A header is where a parser notices what was left open above it.
        let above = self.lines.iter().take(number).rposition(Line::is_header).unwrap_or(0);
        let below = self.lines.iter().skip(number + 1).position(Line::is_header);
        let below = below.map_or(self.lines.len(), |after| number + 1 + after);
        let (mut doubtful, mut quoted) = (false, false);
        for (index, line) in self.lines.iter_mut().enumerate().take(below) {
            // A string of many lines may hold what looks like a header.
            quoted |= line.text.contains("\"\"\"") || line.text.contains("'''");
            if index >= above {
                line.broken = true;
                doubtful = line.hidden || quoted || doubtful && !line.is_header();
                let is_plain = line.text.split_once('=').is_some_and(|(key, value)| {
                    // With a second `=` another key may have been glued on.
                    known.contains(key.trim()) && !value.contains('=')
                });
                line.hidden = doubtful || !(is_plain || line.is_header());
            }
        }
    }
}

impl Line<'_> {
    /// Whether this looks like a table's header, and not like an array's second line.
    fn is_header(&self) -> bool {
        let name = self.text.trim_start().strip_prefix('[').map(|text| text.trim_start_matches(['[', ' ']));
        name.is_some_and(|name| name.starts_with(|sign: char| sign.is_ascii_alphanumeric()))
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
pub(super) fn is_telling(line: &str) -> bool {
    let words = line.split(|sign: char| !sign.is_alphanumeric() && sign != '_' && sign != '-');
    let url = line.split_once("://").is_some_and(|(_, rest)| rest.contains(['@', '?']));
    url || words.into_iter().any(is_secret)
}
