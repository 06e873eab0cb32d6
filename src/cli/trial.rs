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
    pins: Option<PathBuf>,
    session: Option<PathBuf>,
    folders: Vec<PathBuf>,
    state: PathBuf,
    /// How often a credential was refused is remembered in any case, so that a loop of attempts does not lock an account.
    is_refused: bool,
}

impl Traces {
    /// What a trial of this device would leave.
    fn of(config: &Config<Driver>, device: &str) -> Self {
        let absent = |path: &PathBuf| path.symlink_metadata().is_err();
        Self {
            pins: Some(config.certs.join(format!("{device}.pem"))).filter(absent),
            session: Some(config.state.join(format!("{device}.json"))).filter(absent),
            folders: [config.certs.clone(), config.state.clone()].into_iter().filter(absent).collect(),
            state: config.state.clone(),
            is_refused: false,
        }
    }

    /// What stays of it whatever becomes of the device, in words for a person.
    pub(super) fn memory(&self) -> Option<String> {
        let state = self.state.display();
        self.is_refused.then(|| {
            format!("the folder {state} remembers that the login was refused, so that trying again and again locks no account")
        })
    }

    /// They are there to stay.
    pub(super) fn keep(mut self) {
        self.pins = None;
        self.session = None;
        self.folders.clear();
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if self.is_refused {
            self.session = None;
        }
        for file in self.pins.iter().chain(&self.session) {
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
        let told = Told::new(Kind::Internal.name(), trouble);
        return Ok((Findings { fault: Some(told), ..Findings::default() }, traces));
    }
    let pins = config.certs.join(format!("{device}.pem"));
    let house = build_house(config, Clock::system())?;
    let instruction = Instruction::Examine { device: device.to_owned() };
    let mut found = match during(&format!("trying {device}"), carry_out(&house, instruction)).await {
        Outcome::Examined(found) => found,
        // No other answer is given to this.
        _ => Findings::default(),
    };
    // `keyward trust` knows only devices that are written down, and a pin that was there before is of one that had
    // this name.
    let upstream = house.devices.first().map(|device| &device.upstream);
    if let Some((pinned, shown)) =
        upstream.and_then(|upstream| Some((upstream.pinned()?, upstream.refused()?)))
    {
        let detail = format!(
            "the device shows another certificate than the one pinned under this name (pinned {}, shown {}): if it was \
             replaced, remove {}; if it is another one, choose another name; or write it with --untested, and then \
             accept the certificate with `keyward trust {device}`",
            pinned.certificate.fingerprint(),
            shown.fingerprint(),
            pins.display()
        );
        found.fault = Some(Told::new(Kind::CertificateChanged.name(), detail));
    }
    traces.is_refused = found.fault.as_ref().is_some_and(|told| told.name == Kind::LoginRefused.name());
    Ok((found, traces))
}
