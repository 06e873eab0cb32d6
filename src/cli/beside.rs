//! A command beside the packaged service: typed by hand it has not the environment of the unit.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use super::tell;
use crate::config::{self, Environment, place_of_new};
use crate::server::control;

/// The environment as the service has it, where that runs and its file is meant, so that the command asks it and finds
/// what it has. Where it can't be asked, a person is told that what is done here is not done there.
pub(super) async fn beside(named: Option<&Path>, environment: Environment) -> Environment {
    let (environment, missed) = look(named, environment).await;
    if let Some(missed) = missed {
        tell(&missed);
    }
    environment
}

/// The same, and what a command misses that uses pins and sessions: one that does not has nothing to tell.
pub(super) async fn look(named: Option<&Path>, environment: Environment) -> (Environment, Option<String>) {
    let found = config::find(named, &environment).ok().flatten();
    let file = found.unwrap_or_else(|| place_of_new(named, &environment));
    match config::service_folder(&file, &environment) {
        Some(folder) => look_into(folder, &file, environment).await,
        None => (environment, None),
    }
}

async fn look_into(folder: PathBuf, file: &Path, environment: Environment) -> (Environment, Option<String>) {
    let service = folder.display();
    let (why, help) = match listens(&folder).await {
        Ok(()) => return (environment.with_state_directory(&folder), None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            ("only root may look there", "use sudo".to_owned())
        }
        Err(_) => (
            "no service runs there",
            format!("start it, or put `env STATE_DIRECTORY={service}` before the command, as root"),
        ),
    };
    let here = super::document::folder(file).display();
    let missed = format!(
        "warning: pins and sessions are looked for in {here}, and those of the service are in {service}: {why}. To use \
         them, {help}"
    );
    (environment, Some(missed))
}

/// Whether a server listens for commands there. Nobody waits for one that is stuck.
async fn listens(folder: &Path) -> io::Result<()> {
    match UnixStream::connect(control::socket(&folder.join("state"))).await {
        // So many wait for it already that no more may.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        connected => connected.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use socket2::{Domain, SockAddr, Socket, Type};
    use tokio::time::timeout;

    use super::*;
    use crate::config::whereabouts;

    #[tokio::test]
    async fn a_service_that_is_stuck_is_there_and_keeps_nobody_waiting() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("proxy.toml");
        let folder = home.path().join("lib");
        let state = folder.join("state");
        std::fs::create_dir_all(&state).unwrap();
        let look = || async {
            let looked = look_into(folder.clone(), &file, Environment::default());
            let (environment, missed) = timeout(Duration::from_secs(5), looked).await.expect("no wait");
            (whereabouts(Some(&file), &environment).state, missed)
        };
        let (here, missed) = look().await;
        assert_eq!(here, home.path().join("state"));
        assert!(missed.is_some_and(|missed| missed.contains("no service runs there")));
        let address = SockAddr::unix(control::socket(&state)).unwrap();
        let server = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        server.bind(&address).unwrap();
        server.listen(0).unwrap();
        assert_eq!(look().await, (state.clone(), None));
        let mut waiting = Vec::new();
        loop {
            let waits = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            waits.set_nonblocking(true).unwrap();
            if waits.connect(&address).is_err() {
                break;
            }
            waiting.push(waits);
        }
        assert_eq!(look().await, (state, None), "its queue is full");
    }
}
