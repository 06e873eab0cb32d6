//! `keyward trust`.

use std::io::{IsTerminal, stdin};
use std::path::Path;

use anyhow::anyhow;

use super::beside::beside;
use super::{ConfigArgument, Exit, load, say};
use crate::clock::Clock;
use crate::config::{Environment, Fingerprint};
use crate::gateway::House;
use crate::server::operate::{Facts, Instruction, Outcome, carry_out};
use crate::server::{build_house, control};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Name of the device in proxy.toml
    device: String,
    /// Pin without asking
    #[arg(long, conflicts_with = "sha256")]
    yes: bool,
    /// Pin without asking only what has this fingerprint
    #[arg(long, value_name = "FINGERPRINT")]
    sha256: Option<Fingerprint>,
    #[command(flatten)]
    config: ConfigArgument,
}

impl Arguments {
    /// The configuration that it was told to read.
    pub(super) fn named(&self) -> Option<&Path> {
        self.config.config.as_deref()
    }
}

pub(super) async fn trust(arguments: Arguments, environment: Environment) -> Result<(), Exit> {
    let environment = beside(arguments.named(), environment).await;
    let config = load(arguments.config.config.as_deref(), &environment)?;
    let Arguments { device, yes, sha256, .. } = arguments;
    let Some(known) = config.devices.iter().find(|known| known.name == device) else {
        let names: Vec<_> = config.devices.iter().map(|known| known.name.as_str()).collect();
        let known = if names.len() == 1 { "the only one is" } else { "known are" };
        return Err(Exit::Usage(format!("there is no device {device:?}; {known} {}", names.join(", "))));
    };
    if !known.url.is_tls() {
        return Err(Exit::Usage(format!(
            "{device} does not use TLS, so it shows no certificate: its `url` is {}",
            known.url
        )));
    }
    if !yes && sha256.is_none() && !stdin().is_terminal() {
        return Err(Exit::Usage(
            "without a terminal to ask at, say --yes, or better --sha256 with the fingerprint you expect"
                .to_owned(),
        ));
    }
    let state = config.state.clone();
    let house = build_house(config, Clock::system())?;
    let carry_out = async |instruction: Instruction| ask(&state, &house, instruction).await;
    let presented = match carry_out(Instruction::Certificates { device: device.clone() }).await? {
        Outcome::Certificates { pinned, presented } => {
            if let Some(pinned) = &pinned {
                describe("pinned", pinned);
            }
            describe("presented", &presented);
            // A fingerprint that was named is compared in any case: nothing to do is no answer to a wrong one.
            if sha256.is_none() && pinned.is_some_and(|pinned| pinned.sha256 == presented.sha256) {
                say("They are the same: nothing to do.");
                return Ok(());
            }
            presented
        }
        Outcome::Failed(detail) | Outcome::Fine(detail) => return Err(anyhow!(detail).into()),
        Outcome::Listening { .. } | Outcome::Examined(_) => {
            return Err(anyhow!("the running keyward answers something else").into());
        }
    };
    if !yes && sha256.is_none() && !confirmed()? {
        return Err(anyhow!("nothing is changed").into());
    }
    let sha256 = sha256.map_or(presented.sha256, |sha256| sha256.to_string());
    let outcome = carry_out(Instruction::Trust { device, sha256 }).await?;
    // What a server could not save it has in memory. What this process has goes with it.
    if house.devices.iter().any(|device| device.upstream.is_unsaved()) {
        let [_, certs] = &house.folders;
        let trouble = certs.trouble().unwrap_or_default();
        return Err(anyhow!("nothing is changed: {trouble}").into());
    }
    match outcome {
        Outcome::Fine(detail) => say(&detail),
        Outcome::Failed(detail) => return Err(anyhow!(detail).into()),
        Outcome::Certificates { .. } | Outcome::Listening { .. } | Outcome::Examined(_) => {}
    }
    Ok(())
}

async fn ask(state: &Path, house: &House, instruction: Instruction) -> Result<Outcome, Exit> {
    match control::ask(state, &instruction).await {
        Ok(Some(outcome)) => Ok(outcome),
        Ok(None) => Ok(carry_out(house, instruction).await),
        Err(error) => Err(anyhow!("the running keyward does not answer: {error}").into()),
    }
}

fn describe(what: &str, certificate: &Facts) {
    say(&format!("{what:9}  {}", certificate.sha256));
    say(&format!("           {}", certificate.subject));
    say(&format!("           valid from {} until {}", certificate.not_before, certificate.not_after));
}

fn confirmed() -> Result<bool, Exit> {
    say("Accept the presented certificate? Type yes:");
    loop {
        let mut line = String::new();
        stdin().read_line(&mut line).map_err(anyhow::Error::from)?;
        match line.trim().to_ascii_lowercase().as_str() {
            "yes" => return Ok(true),
            // A single key is hit by habit.
            "y" => say("Type the whole word yes:"),
            _ => return Ok(false),
        }
    }
}
