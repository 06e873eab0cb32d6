//! `keyward check`.

use std::path::PathBuf;

use anyhow::anyhow;
use futures_util::stream::{FuturesOrdered, StreamExt};

use super::{Exit, load, say, tell};
use crate::clock::Clock;
use crate::config::Environment;
use crate::disk::Folder;
use crate::server::operate::{Instruction, Outcome, carry_out};
use crate::server::{build_house, control, examine_doors, examine_folders, folders, warnings};

pub(super) async fn check(
    named: Option<PathBuf>,
    environment: Environment,
    offline: bool,
) -> Result<(), Exit> {
    let config = load(named.as_deref(), &environment)?;
    for warning in warnings(&config) {
        tell(&format!("warning: {warning}"));
    }
    examine_doors(&config)?;
    // On its own it only looks; what is missing is made where devices are visited.
    let trouble = match offline {
        true => examine_folders(&config).iter().find_map(Folder::trouble),
        false => folders(&config).iter().find_map(|folder| folder.trouble()),
    };
    if let Some(trouble) = trouble {
        return Err(anyhow!(trouble).into());
    }
    let names: Vec<_> = config.devices.iter().map(|device| device.name.clone()).collect();
    if offline {
        let devices =
            if names.len() == 1 { "1 device".to_owned() } else { format!("{} devices", names.len()) };
        say(&format!("{} is fine: {devices}", config.file.display()));
        return Ok(());
    }
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let state = config.state.clone();
    let house = build_house(config, Clock::system())?;
    let mut visits: FuturesOrdered<_> = names
        .into_iter()
        .map(|device| async {
            let instruction = Instruction::Check { device: device.clone() };
            let outcome = match control::ask(&state, &instruction).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => carry_out(&house, instruction).await,
                Err(error) => Outcome::Failed(format!("the running keyward does not answer: {error}")),
            };
            (device, outcome)
        })
        .collect();
    let (mut visited, mut failed) = (0, 0);
    while let Some((device, outcome)) = visits.next().await {
        visited += 1;
        match outcome {
            Outcome::Fine(detail) => say(&format!("ok    {device:width$}  {detail}")),
            Outcome::Failed(detail) => {
                failed += 1;
                say(&format!("FAIL  {device:width$}  {detail}"));
            }
            Outcome::Certificates { .. } | Outcome::Listening(_) => {}
        }
    }
    if failed > 0 { Err(anyhow!("{failed} of {visited} devices can't be used").into()) } else { Ok(()) }
}
