//! A device that asks to be left alone is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::call::Trip;
use super::fault::{Fault, Kind};
use crate::clock::Clock;
use crate::vendor::retry_after;

/// However long a device asks for, it is looked at again after this.
const LONGEST: Duration = Duration::from_secs(3600);

/// Until when a device is not to be read, by its own word.
#[derive(Debug, Default)]
pub struct Respite {
    until: Mutex<Option<(Instant, StatusCode)>>,
    /// Whether that is anything: every request looks, and nearly none finds it so.
    is_wanted: AtomicBool,
}

impl Respite {
    /// Takes the device's word, and gives for how long: 429 or 503 with `Retry-After` (RFC 9110 section 10.2.3).
    pub(super) fn learn(&self, status: StatusCode, headers: &HeaderMap, clock: &Clock) -> Option<Duration> {
        if ![StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status) {
            return None;
        }
        let wait = retry_after(headers, clock.now()).filter(|wait| !wait.is_zero())?.min(LONGEST);
        let mut until = self.until.lock();
        *until = Some((clock.instant() + wait, status));
        self.is_wanted.store(true, Ordering::Relaxed);
        Some(wait)
    }

    /// Lets a request go on, unless it only reads and the device wants its peace.
    pub(super) fn respect(&self, Trip { hop, acts, .. }: &Trip, clock: &Clock) -> Result<(), Fault> {
        if !self.is_wanted.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut respite = self.until.lock();
        let Some((until, status)) = *respite else { return Ok(()) };
        let left = until.saturating_duration_since(clock.instant());
        if left.is_zero() {
            *respite = None;
            self.is_wanted.store(false, Ordering::Relaxed);
            return Ok(());
        }
        if *acts {
            return Ok(());
        }
        let detail = format!(
            "{} has answered {status} and asked to be left alone for {} s more: ask less often, or set `cache` under \
             [devices.{}]",
            hop.device.name,
            left.as_secs().max(1),
            hop.device.name
        );
        Err(Fault { retry_after: Some(left), ..Fault::new(Kind::DeviceBusy, detail) })
    }
}
