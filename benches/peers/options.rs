//! What is wanted of a run.

use std::path::PathBuf;

/// `name=value` words; those of cargo itself are passed over.
pub(crate) struct Options {
    /// How often each peer is measured with each load.
    pub(crate) rounds: usize,
    /// How long each time, in whole seconds.
    pub(crate) seconds: f64,
    /// How long 100 callers poll one path, in seconds.
    pub(crate) poll: f64,
    /// Only what has one of these words in its name; everything if there is none.
    only: Vec<String>,
    /// keyward, with its symbols.
    pub(crate) program: PathBuf,
    /// Where packages of npm and PyPI are.
    pub(crate) tools: PathBuf,
    /// Where configurations, logs and profiles are written.
    pub(crate) folder: PathBuf,
}

/// The parts of a run, by the words that `only=` takes.
pub(crate) const PARTS: [&str; 11] =
    ["small", "medium", "chunked", "upload", "large", "start", "idle", "slow", "cache", "counts", "size"];

impl Options {
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target");
        let mut options = Self {
            rounds: 7,
            seconds: 1.0,
            poll: 10.0,
            only: Vec::new(),
            program: root.join("measured/keyward"),
            tools: root.join("bench-tools"),
            folder: root.join("bench-peers"),
        };
        for word in words {
            match word.split_once('=') {
                Some(("rounds", value)) => options.rounds = value.parse().map_err(|_| word.clone())?,
                Some(("seconds", value)) => options.seconds = value.parse().map_err(|_| word.clone())?,
                Some(("poll", value)) => options.poll = value.parse().map_err(|_| word.clone())?,
                Some(("program", value)) => {
                    options.program = std::path::absolute(value).map_err(|_| word.clone())?;
                }
                Some(("only", value)) => options.only = value.split(',').map(str::to_owned).collect(),
                _ if word.starts_with("--") => {}
                _ => {
                    return Err(format!(
                        "{word}: rounds=, seconds=, poll=, program= or only= with some of {PARTS:?}"
                    ));
                }
            }
        }
        match options.only.iter().find(|word| !PARTS.contains(&word.as_str())) {
            Some(word) => Err(format!("only={word}: one of {PARTS:?}")),
            None if options.rounds == 0 => Err("rounds=0: one at least".to_owned()),
            None => Ok(options),
        }
    }

    /// keyward without its symbols.
    pub(crate) fn released(&self) -> PathBuf {
        self.folder.join("keyward-stripped")
    }

    /// Whether this part is wanted.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| word == part)
    }
}
