//! A visit to a device before it is written down. What a first contact leaves behind (a pin, a session, the folders of
//! both) is what the first run will find, or goes again.

use std::fs;
use std::path::PathBuf;

use super::Exit;
use super::terminal::during;
use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::fault::Kind;
use crate::server::operate::{Findings, Instruction, Outcome, Told, carry_out};
use crate::server::{build_house, folders};
use crate::vendor::Driver;

/// What was not there before the trial.
pub(super) struct Traces {
    files: Vec<PathBuf>,
    session: Option<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Traces {
    /// What a trial of this device would leave.
    fn of(config: &Config<Driver>, device: &str) -> Self {
        let absent = |path: &PathBuf| path.symlink_metadata().is_err();
        let session = config.state.join(format!("{device}.json"));
        Self {
            files: Some(config.certs.join(format!("{device}.pem"))).filter(absent).into_iter().collect(),
            session: Some(session).filter(absent),
            folders: [config.certs.clone(), config.state.clone()].into_iter().filter(absent).collect(),
        }
    }

    /// They are there to stay.
    pub(super) fn keep(mut self) {
        self.files.clear();
        self.session = None;
        self.folders.clear();
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        for file in self.files.iter().chain(&self.session) {
            drop(fs::remove_file(file));
        }
        for folder in &self.folders {
            // What something is in stays.
            drop(fs::remove_dir(folder));
        }
    }
}

/// Visits the one device as `keyward check` does.
///
/// # Errors
/// What the configuration names can't be used.
pub(super) async fn visit(mut config: Config<Driver>, device: &str) -> Result<(Findings, Traces), Exit> {
    config.devices.retain(|known| known.name == device);
    let mut traces = Traces::of(&config, device);
    if let Some(trouble) = folders(&config).iter().find_map(|folder| folder.trouble()) {
        let told = Told { name: Kind::Internal.name().to_owned(), detail: trouble };
        return Ok((Findings { fault: Some(told), ..Findings::default() }, traces));
    }
    let house = build_house(config, Clock::system())?;
    let instruction = Instruction::Examine { device: device.to_owned() };
    let found = match during(&format!("trying {device}"), carry_out(&house, instruction)).await {
        Outcome::Examined(found) => found,
        // No other answer is given to this.
        _ => Findings::default(),
    };
    // How often a credential was refused is remembered, so that a loop of attempts does not lock an account.
    if found.fault.as_ref().is_some_and(|told| told.name == Kind::LoginRefused.name()) {
        traces.session = None;
    }
    Ok((found, traces))
}
