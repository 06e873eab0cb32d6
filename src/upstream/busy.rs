//! What is told to who did not get their turn, or no answer in time.

use std::time::Duration;

use super::Upstream;
use super::replay::Sent;
use super::trouble::Trouble;

/// What a request waits for.
pub(super) enum Stage {
    /// Its turn among others.
    Queue,
    Connection,
    /// The time after the request before it.
    Pace,
    /// That the device takes it, as far as it has not yet, and answers.
    Answer(Sent),
}

impl Upstream {
    /// What a request is told that had come so far at its deadline.
    pub(super) fn overdue(&self, stage: &Stage, within: Duration) -> Trouble {
        match stage {
            Stage::Queue => Trouble::Busy(format!(
                "every connection to {} (`max_connections`, {}) was in use until `timeout`: ask less often, or raise one of \
                 them",
                self.label(),
                self.settings.max_connections
            )),
            Stage::Pace => Trouble::Busy(format!(
                "requests to {} are {:?} apart, and this one's turn did not come until `timeout`: ask less often, or raise \
                 `timeout` (or lower `min_interval`, if it is set)",
                self.label(),
                self.settings.min_interval.max(self.settings.path_interval)
            )),
            Stage::Answer(sent) if !sent.is_set() => Trouble::RequestTimeout(format!(
                "the request was not sent to {} in time (`timeout`, {:?}): its body came too slowly, or the device \
                 does not take it",
                self.label(),
                self.settings.timeout
            )),
            Stage::Connection | Stage::Answer(_) => self.late(within),
        }
    }

    pub(super) fn late(&self, within: Duration) -> Trouble {
        let timeout = self.settings.timeout;
        let advice = match within <= timeout {
            true => format!("(`timeout`, {timeout:?}): if it is only slow, raise it"),
            false => format!("({within:?}, for a login): if it is only slow, raise `timeout` above that"),
        };
        Trouble::ResponseTimeout(format!("{} has not begun to answer in time {advice}", self.label()))
    }

    pub(super) fn full_path(&self) -> Trouble {
        Trouble::Busy(format!(
            "as many requests as may ({}, `max_waiting`) already wait for this path of {}, which takes one in {:?}: ask \
             less often, or raise it",
            self.settings.max_waiting,
            self.label(),
            self.settings.path_interval
        ))
    }

    pub(super) fn full(&self) -> Trouble {
        Trouble::Busy(format!(
            "as many requests as may ({}, `max_waiting`) already wait for a connection to {}: ask less often, or \
             raise it",
            self.settings.max_waiting,
            self.label()
        ))
    }

    pub(super) fn no_stream(&self) -> Trouble {
        let (most, device) = (self.settings.max_streams, &self.settings.device);
        let open = match most {
            0 => "none may be open".to_owned(),
            1 => "one is open".to_owned(),
            most => format!("{most} are open"),
        };
        Trouble::Busy(format!(
            "of event streams and upgraded connections to {device} {open}, and no more may be: end one, or raise it \
             under [devices.{device}] in proxy.toml: max_streams = {}",
            most + 1
        ))
    }
}
