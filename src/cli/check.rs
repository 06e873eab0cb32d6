//! `keyward check`.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::anyhow;
use futures_util::stream::{FuturesOrdered, StreamExt};

use super::beside::beside;
use super::report::Report;
use super::terminal::{Paint, during};
use super::words::{devices, option, pasteable};
use super::{ConfigArgument, Exit, load, say, tell};
use crate::clock::Clock;
use crate::config::Environment;
use crate::disk::plain;
use crate::server::operate::{Instruction, Outcome, carry_out};
use crate::server::{build_house, control, examine_doors, examine_folders, folders, warnings};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Only read proxy.toml, ask no device
    #[arg(long)]
    offline: bool,
    /// Print a report for an issue, without address or secret
    #[arg(long, conflicts_with = "offline")]
    report: bool,
}

impl Arguments {
    /// The configuration that it was told to read.
    pub(super) fn named(&self) -> Option<&Path> {
        self.config.config.as_deref()
    }
}

pub(super) async fn check(arguments: Arguments, environment: Environment) -> Result<(), Exit> {
    let Arguments { config: ConfigArgument { config: named }, offline, report } = arguments;
    let environment = beside(named.as_deref(), environment).await;
    let config = load(named.as_deref(), &environment)?;
    for warning in warnings::warnings(&config) {
        tell(&format!("warning: {warning}"));
    }
    examine_doors(&config)?;
    // On its own it only looks; what is missing is made where devices are visited.
    let troubles = match offline {
        true => examine_folders(&config).map(|folder| folder.trouble()),
        false => folders(&config).map(|folder| folder.trouble()),
    };
    let troubles: Vec<_> = troubles.into_iter().flatten().collect();
    troubles.iter().for_each(|trouble| tell(trouble));
    let names: Vec<_> = config.devices.iter().map(|device| device.name.clone()).collect();
    if offline {
        if !troubles.is_empty() {
            return Err(Exit::Told);
        }
        say(&format!("{} is fine: {}", config.file.display(), devices(names.len())));
        return Ok(());
    }
    let report = report.then(|| Report::of(&config));
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let state = config.state.clone();
    let house = build_house(config, Clock::system())?;
    let mut visits: FuturesOrdered<_> = names
        .iter()
        .map(|device| async {
            let instruction = match report {
                Some(_) => Instruction::Examine { device: device.clone() },
                None => Instruction::Check { device: device.clone() },
            };
            match control::ask(&state, &instruction).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => carry_out(&house, instruction).await,
                // Nothing can be written there either, which has been said: that is no reason not to visit.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && !troubles.is_empty() => {
                    carry_out(&house, instruction).await
                }
                Err(error) => {
                    Outcome::Failed(format!("the running keyward does not answer: {}", plain(&error)))
                }
            }
        })
        .collect();
    let paint = Paint::new(&environment);
    let option = option(named.as_deref(), &environment);
    let mut outcomes = Vec::new();
    let mut failed = 0;
    for device in &names {
        let Some(outcome) = during(&format!("asking {device}"), visits.next()).await else { break };
        failed += usize::from(match &outcome {
            Outcome::Failed(_) => true,
            Outcome::Examined(found) => found.fault.is_some(),
            _ => false,
        });
        match outcome {
            Outcome::Fine(detail) => say(&format!("{}    {device:width$}  {detail}", paint.good("ok"))),
            Outcome::Failed(detail) if report.is_none() => {
                let detail = pasteable(&detail, &option);
                say(&format!("{}  {device:width$}  {detail}", paint.bad("FAIL")));
            }
            outcome => outcomes.push(outcome),
        }
    }
    if let Some(report) = &report {
        say(&report.with(&outcomes));
    }
    match (failed, names.len()) {
        (0, _) if troubles.is_empty() => Ok(()),
        // Lines of their own have said so.
        (0, _) | (_, 1) => Err(Exit::Told),
        (failed, visited) => Err(anyhow!("{failed} of {visited} devices can't be used").into()),
    }
}
