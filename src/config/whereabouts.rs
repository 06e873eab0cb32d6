//! Where a keyward is that runs, whatever has become of its file since.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::report::Report;
use super::{Address, Environment, file, find};

/// Where a running keyward can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Its state folder.
    pub state: PathBuf,
    /// Where it was told to listen.
    pub listen: Address,
}

/// The file of the packaged service, and the folder for state that its unit gives it.
const SERVICE: (&str, &str) = ("/etc/keyward/proxy.toml", "/var/lib/keyward");

/// The packaged service's folder for state, where a command is meant for its file and would look elsewhere: whoever
/// types one has not the environment of the unit.
pub fn service_folder(file: &Path, environment: &Environment) -> Option<PathBuf> {
    missed_folder(file, environment, SERVICE)
}

fn missed_folder(
    file: &Path,
    environment: &Environment,
    (of_service, folder): (&str, &str),
) -> Option<PathBuf> {
    let is_told = environment.state_directory().is_some() || environment.path("KEYWARD_STATE").is_some();
    // A folder that is for the service alone can't be looked into, and is there.
    let is_there = Path::new(folder).symlink_metadata().is_ok();
    (file == Path::new(of_service) && is_there && !is_told && Keys::of(file).state.is_none())
        .then(|| PathBuf::from(folder))
}

/// What a file says of where its keyward is.
struct Keys {
    state: Option<PathBuf>,
    listen: Option<Address>,
}

impl Keys {
    fn of(file: &Path) -> Self {
        let bytes = file::bytes(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let (table, _) = DeTable::parse_recoverable(&text);
        let key = |key: &str| table.get_ref().get(key)?.get_ref().as_str().map(str::to_owned);
        let state = key("state").filter(|state| !state.is_empty());
        Self {
            state: state.map(|state| beside(file, &state)),
            listen: key("listen").and_then(|listen| listen.parse().ok()),
        }
    }
}

/// What the file and the environment say of that, however broken the rest is: a file that was spoilt after the start
/// says nothing about the server.
pub fn whereabouts(named: Option<&Path>, environment: &Environment) -> Whereabouts {
    let file = match find(named, environment) {
        Ok(found) => found.unwrap_or_else(|| PathBuf::from("proxy.toml")),
        Err(missing) => missing.file,
    };
    let Keys { state, listen } = Keys::of(&file);
    Whereabouts {
        state: folder(environment, "KEYWARD_STATE", state, &file, "state"),
        listen: environment.listen().or(listen).unwrap_or_default(),
    }
}

/// Why the file can't say where its keyward is: it was named and is not there or can't be read, or it is no TOML. `None`
/// where none was named and there is none either.
pub fn unusable(named: Option<&Path>, environment: &Environment) -> Option<String> {
    let file = match find(named, environment) {
        Ok(found) => found?,
        Err(missing) => return Some(missing.to_string()),
    };
    let is_named = named.is_some() || environment.path("KEYWARD_CONFIG").is_some();
    let text = match file::text(&file) {
        Ok(text) => text,
        // What lies where the service has its file may be for the service alone.
        Err(errors) => return is_named.then(|| errors.to_string()),
    };
    let (table, broken) = DeTable::parse_recoverable(&text);
    let report = Report::new(&text, &file, environment);
    report.close(table.get_ref(), &broken).err().map(|errors| errors.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_for_the_services_file_misses_its_folder_unless_it_is_told_of_one() {
        let home = tempfile::tempdir().unwrap();
        let [file, other, folder] = ["proxy.toml", "other.toml", "lib"].map(|name| home.path().join(name));
        let missed = |file: &Path, environment: &[(&str, &str)]| {
            let environment = environment.iter().copied().collect();
            let service = (home.path().join("proxy.toml"), home.path().join("lib"));
            missed_folder(file, &environment, (service.0.to_str().unwrap(), service.1.to_str().unwrap()))
        };
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\n").unwrap();
        std::fs::write(&other, "").unwrap();
        assert_eq!(missed(&file, &[]), None, "there is none");
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(missed(&file, &[]), Some(folder));
        assert_eq!(missed(&other, &[]), None);
        assert_eq!(missed(&file, &[("STATE_DIRECTORY", "/s")]), None);
        assert_eq!(missed(&file, &[("KEYWARD_STATE", "/s")]), None);
        std::fs::write(&file, "state = \"mine\"\n").unwrap();
        assert_eq!(missed(&file, &[]), None, "the service looks there too");
    }
}
