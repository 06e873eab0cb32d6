//! How many callers the descriptors of this process suffice for.

use rustix::process::{Resource, getrlimit};

use crate::config::Config;

/// For the log, the folders, sockets of our own, names and clouds.
const RESERVE: usize = 48;
/// Fewer callers' connections are never allowed: whoever gives us so few descriptors has to see them run out.
const FEWEST: usize = 16;

/// The callers' connections that there are descriptors for beside those that devices may need, and what to do when
/// they are fewer than configured.
pub(super) fn connections<D>(config: &Config<D>) -> (usize, Option<String>) {
    let allowed = getrlimit(Resource::Nofile).current.and_then(|allowed| usize::try_from(allowed).ok());
    let devices: usize =
        config.devices.iter().map(|device| device.max_connections + device.max_streams).sum();
    suffice(allowed.unwrap_or(usize::MAX), config.limits.connections, devices + RESERVE)
}

fn suffice(allowed: usize, wanted: usize, others: usize) -> (usize, Option<String>) {
    let left = allowed.saturating_sub(others).max(FEWEST);
    if left >= wanted {
        return (wanted, None);
    }
    let warning = format!(
        "the {allowed} file descriptors that this process may have suffice for {left} connections of callers, not for \
         the {wanted} of `connections` under [limits]: allow {} (`ulimit -Hn`, or LimitNOFILE= of a service)",
        wanted + others
    );
    (left, Some(warning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_callers_are_let_in_as_there_are_descriptors_for_but_never_none() {
        assert_eq!(suffice(usize::MAX, 256, 60), (256, None));
        assert_eq!(suffice(316, 256, 60), (256, None));
        let (fewer, warning) = suffice(200, 256, 60);
        assert_eq!(fewer, 140);
        assert!(warning.unwrap().contains("allow 316"));
        assert_eq!(suffice(32, 256, 60).0, FEWEST);
        assert_eq!(suffice(32, 4, 60), (4, None));
    }
}
