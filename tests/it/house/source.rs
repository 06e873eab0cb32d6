//! Source files as far as the house rules look: not a parser of Rust, but no dupe of comments and texts either.

use std::path::{Path, PathBuf};

/// One file.
pub(crate) struct Source {
    /// Its path from the root of the project.
    pub(crate) name: String,
    /// Its module's path; empty for the root of a crate.
    pub(crate) module: Vec<String>,
    /// What is in it.
    pub(crate) text: String,
}

/// A place in the project.
pub(crate) fn path_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

impl Source {
    pub(crate) fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(path_of(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self::of(name, &text)
    }

    pub(crate) fn of(name: &str, text: &str) -> Self {
        let below = name.strip_prefix("src/").or_else(|| name.strip_prefix("tests/it/")).unwrap_or(name);
        let module = below.trim_end_matches(".rs").split('/').map(str::to_owned);
        let is_root = ["src/lib.rs", "tests/it/main.rs"].contains(&name);
        Self { name: name.to_owned(), module: module.filter(|_| !is_root).collect(), text: text.to_owned() }
    }

    /// Every Rust file below a folder.
    pub(crate) fn all(folder: &str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries =
                std::fs::read_dir(path_of(&folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
            for entry in entries {
                let entry = entry.unwrap_or_else(|error| panic!("{folder}: {error}"));
                let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    folders.push(name);
                } else if name.ends_with(".rs") {
                    found.push(Self::read(&name));
                }
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// The module right below the root to which this belongs.
    pub(crate) fn top(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// Whether it is compiled for tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.name.starts_with("tests/") || self.module.iter().any(|module| module == "tests")
    }

    /// The text with its comments blanked.
    pub(crate) fn code(&self) -> String {
        blank(&self.text, false)
    }

    /// The text with comments and the contents of string and character literals blanked.
    pub(crate) fn without_texts(&self) -> String {
        blank(&self.text, true)
    }

    /// The modules that it declares.
    pub(crate) fn modules(&self) -> Vec<String> {
        let code = self.without_texts();
        let declared = code.split(';').filter_map(|statement| {
            let mut words = statement.split_whitespace().rev();
            let name = words.next()?;
            (words.next() == Some("mod")).then(|| name.to_owned())
        });
        declared.collect()
    }

    /// Every path of this crate that it names from the root or from a parent, from the root.
    pub(crate) fn imports(&self) -> Vec<Vec<String>> {
        let code = self.without_texts();
        let mut paths = Vec::new();
        for start in ["crate::", "super::"] {
            for (at, _) in code.match_indices(start) {
                let (before, path) = code.split_at(at);
                // What comes before is part of the path, so its own start has led here.
                if before.ends_with("::") || before.ends_with(is_of_a_name) {
                    continue;
                }
                tree(path, &self.module, &mut paths);
            }
        }
        paths
    }
}

fn is_of_a_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Reads one path or tree of paths, `a::{b, c::d}`, below `prefix`. Answers with what follows it.
fn tree<'a>(text: &'a str, prefix: &[String], paths: &mut Vec<Vec<String>>) -> &'a str {
    let mut rest = text.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        rest = group;
        while !rest.is_empty() && !rest.starts_with('}') {
            let after = tree(rest, prefix, paths).trim_start();
            let after = after.strip_prefix("as ").map_or(after, |name| name.trim_start_matches([' ', '_']));
            let after = after.trim_start_matches(is_of_a_name).trim_start();
            // A step in any case: what is not understood must not hold us up.
            let step = after.strip_prefix(',').unwrap_or(after);
            rest = if step.len() < rest.len() { step.trim_start() } else { "" };
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let end = rest.find(|letter| !is_of_a_name(letter) && letter != '*').unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let mut path = prefix.to_vec();
    match name {
        "crate" => path.clear(),
        "super" => drop(path.pop()),
        "self" | "*" | "" => {}
        name => path.push(name.to_owned()),
    }
    match rest.strip_prefix("::") {
        Some(below) => tree(below, &path, paths),
        None => {
            paths.push(path);
            rest
        }
    }
}

/// Puts spaces for comments and, with `texts`, for what is between quotes; lines stay where they are.
fn blank(text: &str, texts: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, gone) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), true),
            '/' if rest.starts_with("/*") => (block_comment(rest), true),
            '"' => (quoted(rest, '"'), texts),
            'r' if !out.ends_with(is_of_a_name) || out.ends_with('b') => match raw(rest) {
                Some(length) => (length, texts),
                None => (1, false),
            },
            '\'' if is_character(rest) => (quoted(rest, '\''), texts),
            other => (other.len_utf8(), false),
        };
        let (part, after) = rest.split_at(length);
        if gone {
            out.extend(part.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(part);
        }
        rest = after;
    }
    out
}

/// The length of the comment at the start, with those inside it.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let step = match rest {
            open if open.starts_with("/*") => {
                depth += 1;
                2
            }
            close if close.starts_with("*/") => {
                depth -= 1;
                2
            }
            other => other.chars().next().map_or(1, char::len_utf8),
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the literal at the start, to its closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            end if end == quote => return at + end.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The length of the raw string at the start, if one is there.
fn raw(text: &str) -> Option<usize> {
    let hashes = text.get(1..)?.chars().take_while(|letter| *letter == '#').count();
    let body = text.get(1 + hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(2 + hashes + body.find(&end).map_or(body.len(), |at| at + end.len()))
}

/// Whether the quote at the start is that of a character and not of a lifetime.
fn is_character(text: &str) -> bool {
    let mut letters = text.chars().skip(1);
    match letters.next() {
        Some('\\') => true,
        Some(_) => letters.next() == Some('\''),
        None => false,
    }
}
