//! Durations and sizes as people write them.

use std::time::Duration;

/// More than this is a slip of the pen, and the sum with the time of day would overflow somewhere.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Reads `"500ms"`, `"2s"`, `"5m"`, `"1h"` or `"30d"`: one number, one unit, nothing else.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.checked_mul(milliseconds)?);
    (duration <= LONGEST).then_some(duration)
}

/// Reads `"10MiB"`, `"64KB"` or `"512B"`: bytes in powers of 1024 or of 1000.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "B" => 1,
        "KB" => 1000,
        "KiB" => 1024,
        "MB" => 1000 * 1000,
        "MiB" => 1024 * 1024,
        "GB" => 1000 * 1000 * 1000,
        "GiB" => 1024 * 1024 * 1024,
        _ => return None,
    };
    number.checked_mul(bytes)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let (number, unit) = text.split_at_checked(text.find(|sign: char| !sign.is_ascii_digit())?)?;
    Some((number.parse().ok()?, unit))
}
