//! `keyward check`.

use std::path::PathBuf;

use anyhow::anyhow;
use futures_util::stream::{FuturesOrdered, StreamExt};

use super::{Exit, load, say, tell};
use crate::clock::Clock;
use crate::config::Environment;
use crate::server::operate::{Order, Outcome, carry_out};
use crate::server::{control, furnish, warnings};

pub(super) async fn check(
    named: Option<PathBuf>,
    environment: Environment,
    offline: bool,
) -> Result<(), Exit> {
    let config = load(named.as_deref(), &environment)?;
    for warning in warnings(&config) {
        tell(&format!("warning: {warning}"));
    }
    let names: Vec<_> = config.devices.iter().map(|device| device.name.clone()).collect();
    if offline {
        let devices =
            if names.len() == 1 { "1 device".to_owned() } else { format!("{} devices", names.len()) };
        say(&format!("{} is fine: {devices}", config.file.display()));
        return Ok(());
    }
    for folder in [&config.state, &config.certs] {
        if let Err(error) = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder)) {
            return Err(anyhow!("the folder {folder:?} can't be written: {error}").into());
        }
    }
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let state = config.state.clone();
    let house = furnish(config, Clock::system())?;
    let mut visits: FuturesOrdered<_> = names
        .into_iter()
        .map(|device| async {
            let order = Order::Check { device: device.clone() };
            let outcome = match control::ask(&state, &order).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => carry_out(&house, order).await,
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
            Outcome::Certificates { .. } => {}
        }
    }
    if failed > 0 { Err(anyhow!("{failed} of {visited} devices can't be used").into()) } else { Ok(()) }
}
