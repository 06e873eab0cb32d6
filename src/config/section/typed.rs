//! The kinds of values that keyward's own keys have.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::{Given, Key, Section};
use crate::config::{Malformed, quantity, whereabouts};

impl Section<'_> {
    pub(in crate::config) fn parsed<T: FromStr<Err = Malformed>>(&mut self, key: &'static str) -> Option<T> {
        match self.text(key)?.parse() {
            Ok(value) => Some(value),
            Err(Malformed(message)) => self.note(key, message),
        }
    }

    /// A list of texts, each read by `read`.
    pub(in crate::config) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Malformed>,
    ) -> Option<Vec<T>> {
        let Some(array) = self.take(key)?.get_ref().as_array() else {
            return self.wrong(key, "an array of strings");
        };
        let mut values = Vec::new();
        for given in array {
            match given.get_ref().as_str().map_or(Err(Malformed("expected a string")), &read) {
                Ok(value) => values.push(value),
                Err(Malformed(message)) => self.report.fault(given.span().start, self.dotted(key), message),
            }
        }
        Some(values)
    }

    /// Whether there is a list with nothing in it, which is not the same as one with nothing right in it.
    pub(in crate::config) fn is_empty_list(&mut self, key: &'static str) -> bool {
        self.take(key).and_then(|given| given.get_ref().as_array()).is_some_and(|list| list.is_empty())
    }

    /// Yes or no.
    pub(in crate::config) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let flag = self.take(key)?.get_ref().as_bool();
        flag.or_else(|| self.wrong(key, "true or false"))
    }

    /// A duration, not nothing.
    pub(in crate::config) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let duration = self.pause(key)?;
        if duration.is_zero() {
            return self.note(key, "nothing can be done in no time; remove the key for the default");
        }
        Some(duration)
    }

    /// A duration, which may be nothing.
    pub(in crate::config) fn pause(&mut self, key: &'static str) -> Option<Duration> {
        let duration = self.take(key)?.get_ref().as_str().and_then(quantity::duration);
        duration.or_else(|| self.wrong(key, "a duration such as \"5s\""))
    }

    /// A whole number within `range`.
    pub(in crate::config) fn count(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let number = integer(self.take(key)?.get_ref()).and_then(|number| usize::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        number.or_else(|| self.wrong(key, &format!("a number from {} to {}", range.start(), range.end())))
    }

    /// A number of bytes, at least one.
    pub(in crate::config) fn size(&mut self, key: &'static str) -> Option<u64> {
        let value = self.take(key)?.get_ref();
        let size = integer(value).or_else(|| value.as_str().and_then(quantity::size));
        size.filter(|size| *size > 0)
            .or_else(|| self.wrong(key, "a number of bytes such as 65536 or \"10MiB\""))
    }

    /// A path, relative to the file's folder.
    pub(in crate::config) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|text| self.beside(&text))
    }

    pub(in crate::config) fn beside(&self, path: &str) -> PathBuf {
        whereabouts::beside(self.report.file, path)
    }

    /// The whole table in one spelling.
    pub(in crate::config) fn rendered(&self) -> String {
        let mut text = String::new();
        self.table.into_iter().for_each(|table| render_table(table, &mut text));
        text
    }
}

impl<'a> Section<'a> {
    /// The keys and values of this table, and where the values stand, in the order of the file.
    pub(in crate::config) fn entries(&self) -> Vec<(&'a str, usize, &'a DeValue<'a>)> {
        let entry = |(key, given): (Key<'a>, Given<'a>)| {
            (key.get_ref().as_ref(), given.span().start, given.get_ref())
        };
        self.in_order().into_iter().map(entry).collect()
    }

    /// Notes that something is wrong at this place, with the key there.
    pub(in crate::config) fn fault(&self, at: usize, key: &str, message: impl Into<String>) {
        self.report.fault(at, self.dotted(key), message);
    }
}

/// The number of an integer that is not negative.
fn integer(value: &DeValue<'_>) -> Option<u64> {
    value.as_integer().and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok())
}

/// A value in one spelling, whatever its spelling in the file: so that two can be compared.
fn render(value: &DeValue<'_>, into: &mut String) {
    match value {
        DeValue::String(text) => into.push_str(&format!("{text:?}")),
        DeValue::Integer(number) => into.push_str(&number.to_string()),
        DeValue::Float(number) => into.push_str(&number.to_string()),
        DeValue::Boolean(flag) => into.push_str(&flag.to_string()),
        DeValue::Datetime(moment) => into.push_str(&moment.to_string()),
        DeValue::Array(values) => {
            into.push('[');
            for value in values {
                render(value.get_ref(), into);
                into.push(',');
            }
            into.push(']');
        }
        DeValue::Table(table) => render_table(table, into),
    }
}

/// Tables keep their keys sorted.
fn render_table(table: &DeTable<'_>, into: &mut String) {
    into.push('{');
    for (key, value) in table {
        into.push_str(&format!("{:?}=", key.get_ref()));
        render(value.get_ref(), into);
        into.push(',');
    }
    into.push('}');
}
