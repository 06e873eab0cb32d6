//! What is wrong with a file, gathered over the whole of it and told at once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::Environment;
use super::lines::Lines;
use super::words::is_harmless;

/// A text with more slips than these is hardly a configuration: nobody wants to read of them all, or to wait for it.
const MANY: usize = 100;

/// Everything that is wrong with a configuration, in the order of the file. There is at least one thing.
#[derive(Debug)]
pub struct Errors {
    file: PathBuf,
    found: Vec<Found>,
}

/// One thing that is wrong, ready to be shown: no secret is in it.
#[derive(Debug)]
struct Found {
    place: Option<Place>,
    key: String,
    message: String,
}

#[derive(Debug)]
struct Place {
    line: usize,
    column: usize,
    source: Option<String>,
}

impl Errors {
    /// What is wrong, each with its key and without its place, for whoever has not written the file.
    pub fn words(&self) -> impl Iterator<Item = (&str, &str)> {
        self.found.iter().map(|found| (found.key.as_str(), found.message.as_str()))
    }

    /// One error about the file as a whole.
    pub(super) fn whole(file: &Path, message: impl Into<String>) -> Self {
        let found = Found { place: None, key: String::new(), message: message.into() };
        Self { file: file.to_owned(), found: vec![found] }
    }

    /// One error at a position in bytes, of a text that may not be shown.
    pub(super) fn at(file: &Path, text: &str, position: usize, message: impl Into<String>) -> Self {
        let (line, column) = Lines::new(text).place(position);
        let place = Place { line: line + 1, column: column + 1, source: None };
        let found = Found { place: Some(place), key: String::new(), message: message.into() };
        Self { file: file.to_owned(), found: vec![found] }
    }
}

impl std::error::Error for Errors {}

/// What of the configuration says something, as messages begin: `proxy.toml:3:10: listen`, or a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A variable of the environment, which wins over the file.
    Variable(&'static str),
    /// A place in the file, or an option of the command line.
    Place(String),
}

impl Location {
    /// A key that is not in the file, so that its default holds.
    pub(super) fn of_default(file: &Path, key: &str) -> Self {
        Self::Place(format!("{}: {key}", file.display()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Place(place) => f.write_str(place),
        }
    }
}

/// As compilers do: `file:line:column: key: message`, then the line with a mark under the column. What is wrong
/// outside the file begins with what that is.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, found) in self.found.iter().enumerate() {
            let newline = if nth == 0 { "" } else { "\n" };
            f.write_str(newline)?;
            match found.place {
                Some(Place { line, column, .. }) => write!(f, "{}:{line}:{column}: ", self.file.display())?,
                None if found.key.is_empty() => write!(f, "{}: ", self.file.display())?,
                None => {}
            }
            if !found.key.is_empty() {
                write!(f, "{}: ", found.key)?;
            }
            f.write_str(&found.message)?;
            if let Some(Place { column, source: Some(source), .. }) = &found.place {
                write!(f, "\n    {source}\n    {:>column$}", "^")?;
            }
        }
        Ok(())
    }
}

/// The file being read, and what has been found so far.
pub(super) struct Report<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a Path,
    pub(super) environment: &'a Environment,
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<(usize, String)>>,
    hidden: RefCell<Vec<Range<usize>>>,
    known: RefCell<BTreeSet<&'static str>>,
}

/// Something wrong at a position in bytes, or with something outside the file.
struct Fault {
    at: Option<usize>,
    key: String,
    message: String,
}

impl<'a> Report<'a> {
    pub(super) fn new(text: &'a str, file: &'a Path, environment: &'a Environment) -> Self {
        let (faults, warnings, hidden, known) = Default::default();
        Self { text, file, environment, faults, warnings, hidden, known }
    }

    /// Something is wrong at `at`; the line may be shown unless it gives a secret away.
    pub(super) fn fault(&self, at: usize, key: String, message: impl Into<String>) {
        self.push(Fault { at: Some(at), key, message: message.into() });
    }

    /// The lines of `span` are not to be shown, whatever they seem to hold.
    pub(super) fn hide(&self, span: Range<usize>) {
        self.hidden.borrow_mut().push(span);
    }

    /// Something is wrong with a variable of the environment that holds this text.
    pub(super) fn outside_fault(&self, variable: &'static str, text: &str, message: &str) {
        let got = if is_harmless(text) { format!("got {text:?}; ") } else { String::new() };
        let key = Location::Variable(variable).to_string();
        self.push(Fault { at: None, key, message: format!("{got}{message}") });
    }

    /// Where a key stands, at a position in bytes.
    pub(super) fn location(&self, at: usize, key: &str) -> Location {
        let (line, column) = Lines::new(self.text).place(at);
        Location::Place(format!("{}:{}:{}: {key}", self.file.display(), line + 1, column + 1))
    }

    /// Something at `at` works, and should be changed.
    pub(super) fn warn(&self, at: usize, key: &str, message: &str) {
        let warning = format!("{}: {message}", self.location(at, key));
        self.warnings.borrow_mut().push((at, warning));
    }

    /// Somewhere in the file `key` means something.
    pub(super) fn know(&self, key: &'static str) {
        self.known.borrow_mut().insert(key);
    }

    /// How many faults there are by now.
    pub(super) fn faults(&self) -> usize {
        self.faults.borrow().len()
    }

    fn push(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// The end of reading: the warnings, or all that is wrong with `table` and with the text it was read
    /// from.
    pub(super) fn close(
        self,
        table: &DeTable<'_>,
        broken: &[toml::de::Error],
    ) -> Result<Vec<String>, Errors> {
        let mut lines = Lines::new(self.text);
        lines.hide_secrets(table);
        self.hidden.take().into_iter().for_each(|span| lines.hide(span));
        let mut faults = self.faults.into_inner();
        // What is said of a section that could not be read would be noise, and might repeat a piece of a
        // secret.
        let told = broken.get(..MANY).unwrap_or(broken);
        if told.len() < broken.len() {
            lines.hide_all_as_broken();
        } else {
            for error in broken {
                lines.hide_broken(syntax_position(error, self.text), &self.known.borrow());
            }
        }
        if !broken.is_empty() {
            faults.retain(|fault| fault.at.is_none_or(|at| !lines.is_broken(at)));
        }
        faults.extend(told.iter().map(|error| Fault {
            at: Some(syntax_position(error, self.text)),
            key: String::new(),
            message: syntax_message(error).to_owned(),
        }));
        if faults.is_empty() {
            let mut warnings = self.warnings.into_inner();
            warnings.sort_by_key(|(at, _)| *at);
            return Ok(warnings.into_iter().map(|(_, warning)| warning).collect());
        }
        faults.sort_by_key(|fault| fault.at);
        // One slip makes the parser stumble several times over the same line.
        let is_syntax = |fault: &Fault| fault.key.is_empty();
        let line = |fault: &Fault| fault.at.map(|at| lines.place(at).0);
        faults.dedup_by(|next, fault| is_syntax(next) && is_syntax(fault) && line(next) == line(fault));
        let found = faults.into_iter().map(|fault| fault.shown(&lines)).collect();
        Err(Errors { file: self.file.to_owned(), found })
    }
}

fn syntax_position(error: &toml::de::Error, text: &str) -> usize {
    error.span().map_or(text.len(), |span| span.start)
}

fn syntax_message(error: &toml::de::Error) -> &str {
    match error.message() {
        "duplicate key" => "this name is there already; remove one of the two",
        message => message,
    }
}

impl Fault {
    fn shown(self, lines: &Lines<'_>) -> Found {
        let place = self.at.map(|at| {
            let (line, column) = lines.place(at);
            Place { line: line + 1, column: column + 1, source: lines.shown(line) }
        });
        Found { place, key: self.key, message: self.message }
    }
}
