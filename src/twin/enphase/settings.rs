//! What an Enphase gateway is set to.

use std::time::Duration;

use crate::secret::Secret;

/// Which way in the gateway's firmware has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// Below 7: Digest with the end of the serial.
    Five,
    /// Early 7: the cookie must come beside the bearer.
    Seven,
    /// 8.3: a bearer without a cookie opens a session each time.
    Eight,
}

/// What a gateway is set to.
#[derive(Clone)]
pub struct EnphaseSettings {
    /// Its serial, which is the `aud` of its tokens.
    pub serial: String,
    /// Its firmware.
    pub firmware: Firmware,
    /// How many sessions it has room for.
    pub max_sessions: usize,
    /// How long a session lives without being used.
    pub session_lifetime: Duration,
    /// After how many uses an answer brings a new `sessionId` in place of the old; 0: never.
    pub rotate_every: usize,
    /// How long `/production.json` takes.
    pub production_delay: Duration,
    /// Whether firmware below 7 resets a connection whose second request is the authorised one, as 3.18.10 does.
    pub resets_reused: bool,
}

impl Default for EnphaseSettings {
    fn default() -> Self {
        Self {
            serial: "121935144671".to_owned(),
            firmware: Firmware::Eight,
            max_sessions: 8,
            session_lifetime: Duration::from_secs(600),
            rotate_every: 0,
            production_delay: Duration::ZERO,
            resets_reused: false,
        }
    }
}

impl EnphaseSettings {
    /// The password of firmware below 7: the end of the serial.
    pub(super) fn pin(&self) -> Secret {
        Secret::new(self.serial.get(self.serial.len().saturating_sub(6)..).unwrap_or_default())
    }
}
