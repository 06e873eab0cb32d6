//! What a service manager is told (systemd's sd_notify(3)): that keyward serves, reads its configuration anew, ends, and
//! is alive. Without one this does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

use super::words::devices;
use crate::gateway::House;

/// It serves what this house has.
pub(super) fn ready(house: &House) {
    let status = match &house.broken {
        Some(_) => "proxy.toml was changed and can't be read: the former one stays".to_owned(),
        None => format!("serves {}", devices(house.devices.len())),
    };
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// It reads its configuration.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// It has been told to stop.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("lets what is under way finish")]);
}

/// Says twice in every interval of the watchdog that tasks are run, if there is one.
pub(super) fn watchdog() -> Option<impl Future<Output = ()> + Send + 'static> {
    let often =
        sd_notify::watchdog_enabled().map(|interval| interval / 2).filter(|often| !often.is_zero())?;
    Some(async move {
        let mut ticks = tokio::time::interval(often.max(Duration::from_millis(100)));
        loop {
            ticks.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    })
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager can't be told");
    }
}
