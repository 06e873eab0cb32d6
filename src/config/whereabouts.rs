//! Where a keyward is that runs, whatever has become of its file since.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::{Address, Environment, find};

/// Where a running keyward can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Its state folder.
    pub state: PathBuf,
    /// Where it was told to listen.
    pub listen: Address,
}

/// What the file and the environment say of that, however broken the rest is: a file that was spoilt after the start
/// says nothing about the server.
pub fn whereabouts(named: Option<&Path>, environment: &Environment) -> Whereabouts {
    let file = match find(named, environment) {
        Ok(found) => found.unwrap_or_else(|| PathBuf::from("proxy.toml")),
        Err(missing) => missing.file,
    };
    let bytes = std::fs::read(&file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let (table, _) = DeTable::parse_recoverable(&text);
    let key = |key: &str| table.get_ref().get(key)?.get_ref().as_str().map(str::to_owned);
    let state = key("state").filter(|state| !state.is_empty()).map(|state| beside(&file, &state));
    Whereabouts {
        state: folder(environment, "KEYWARD_STATE", state, &file, "state"),
        listen: environment.listen().or_else(|| key("listen")?.parse().ok()).unwrap_or_default(),
    }
}

/// A path as the file means it.
pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
}

/// A folder of ours: where the variable says, or the key of the file, or in the service manager's folder for state, or
/// beside the file.
pub(super) fn folder(
    environment: &Environment,
    variable: &str,
    given: Option<PathBuf>,
    file: &Path,
    name: &str,
) -> PathBuf {
    let managed = || environment.state_directory().map(|folder| folder.join(name));
    environment.path(variable).or(given).or_else(managed).unwrap_or_else(|| beside(file, name))
}
