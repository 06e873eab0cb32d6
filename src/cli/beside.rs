//! A command beside the packaged service: typed by hand it has not the environment of the unit.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::tell;
use crate::config::{self, Environment, place_of_new};
use crate::server::control;

/// The environment as the service has it, where that runs and its file is meant, so that the command asks it and finds
/// what it has. Where it can't be asked, a person is told that what is done here is not done there.
pub(super) fn beside(named: Option<&Path>, environment: Environment) -> Environment {
    let found = config::find(named, &environment).ok().flatten();
    let file = found.unwrap_or_else(|| place_of_new(named, &environment));
    let Some(folder) = config::service_folder(&file, &environment) else { return environment };
    let service = folder.display();
    let (why, help) = match UnixStream::connect(control::socket(&folder.join("state"))) {
        Ok(_) => return environment.with_state_directory(&folder),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            ("only root may look there", "use sudo".to_owned())
        }
        Err(_) => (
            "no service runs there",
            format!("start it, or put `env STATE_DIRECTORY={service}` before the command, as root"),
        ),
    };
    let here = super::document::folder(&file).display();
    tell(&format!(
        "warning: pins and sessions are looked for in {here}, and those of the service are in {service}: {why}. To use \
         them, {help}"
    ));
    environment
}
