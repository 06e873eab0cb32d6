//! The environment, read once, and where the configuration file is.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::Address;

/// The variables of the process as they were at its start.
///
/// Everything of keyward that depends on the environment takes this value, so that a test brings its own.
#[derive(Clone, Default)]
pub struct Environment(HashMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The address to listen on, where the environment overrides the file's.
    pub fn listen(&self) -> Option<Address> {
        self.text("KEYWARD_LISTEN")?.parse().ok()
    }

    /// Whether the environment says where state is, and the file does not.
    pub fn names_state(&self) -> bool {
        self.value("KEYWARD_STATE").is_some()
    }

    /// Whether a person at a terminal wants colours: `NO_COLOR` (no-color.org) is not set, and the terminal knows some.
    pub fn wants_colours(&self) -> bool {
        self.value("NO_COLOR").is_none() && self.text("TERM").is_none_or(|term| term != "dumb")
    }

    /// The same with the service manager's folder for state.
    #[must_use]
    pub fn with_state_directory(mut self, folder: &Path) -> Self {
        self.0.insert("STATE_DIRECTORY".into(), folder.into());
        self
    }

    /// The number of what systemd has connected to its journal, device and inode with a colon between.
    pub fn journal_stream(&self) -> Option<String> {
        self.text("JOURNAL_STREAM")
    }

    /// The value of a variable. An empty one counts as unset: Compose files hand those on.
    pub(super) fn value(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.to_string_lossy().into_owned())
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    /// The service manager's folder for state; it lists several where a unit names several.
    pub(super) fn state_directory(&self) -> Option<PathBuf> {
        let listed = self.value("STATE_DIRECTORY")?;
        std::env::split_paths(listed).next().filter(|first| !first.as_os_str().is_empty())
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(variables: T) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Names only: any of the values may be a secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A configuration file was named, and there is none.
#[derive(Debug)]
pub struct Missing {
    /// What was named.
    pub file: PathBuf,
    /// Who named it: `--config` or `KEYWARD_CONFIG`.
    pub named_by: &'static str,
    /// Whether there is a folder of that name.
    pub is_folder: bool,
}

impl std::error::Error for Missing {}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, named_by, is_folder } = self;
        write!(f, "{named_by} names {}, ", file.display())?;
        if !is_folder {
            return f.write_str("and there is no such file");
        }
        let [usual, _] = PLACES;
        let inside = file.join(usual);
        let what = if inside.is_file() { "the file in it," } else { "a file, such as" };
        write!(f, "which is a folder: name {what} {}", inside.display())
    }
}

/// Where a configuration file is looked for that nobody has named.
pub const PLACES: [&str; 2] = ["proxy.toml", "/etc/keyward/proxy.toml"];

/// Finds the configuration file: `explicit` (from `--config`), else `$KEYWARD_CONFIG`, else `./proxy.toml`,
/// else `/etc/keyward/proxy.toml`; `None` when there is none anywhere.
///
/// # Errors
/// When a file was named and is not there, or is a folder.
pub fn find(explicit: Option<&Path>, environment: &Environment) -> Result<Option<PathBuf>, Missing> {
    let by_option = explicit.map(|file| (file.to_owned(), "--config"));
    let by_variable = || environment.path("KEYWARD_CONFIG").map(|file| (file, "KEYWARD_CONFIG"));
    let Some((file, named_by)) = by_option.or_else(by_variable) else {
        return Ok(first(PLACES));
    };
    let is_folder = file.is_dir();
    // A file that is there and may not be read is for `load` to report.
    if is_folder || matches!(file.try_exists(), Ok(false)) {
        return Err(Missing { file, named_by, is_folder });
    }
    Ok(Some(file))
}

/// Where a configuration file is to be that is not there yet: `explicit` (from `--config`), else `$KEYWARD_CONFIG`,
/// else `./proxy.toml`.
pub fn place_of_new(explicit: Option<&Path>, environment: &Environment) -> PathBuf {
    let named = explicit.map(Path::to_owned).or_else(|| environment.path("KEYWARD_CONFIG"));
    named.unwrap_or_else(|| PathBuf::from("proxy.toml"))
}

/// The first of `places` at which there is something.
fn first<'a>(places: impl IntoIterator<Item = &'a str>) -> Option<PathBuf> {
    places.into_iter().map(PathBuf::from).find(|file| !matches!(file.try_exists(), Ok(false)))
}
