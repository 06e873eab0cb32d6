//! The figures that Prometheus expects of every process. They are the system's, so it is asked: Linux has them in
//! `/proc`, elsewhere they are left out.

use std::fs;

/// `USER_HZ`, which is this on every architecture that Rust has a Linux for.
const TICKS_A_SECOND: u64 = 100;

/// Those that are known, in the text format of Prometheus.
pub(super) fn text() -> String {
    let figures = [
        ("process_open_fds", "Open file descriptors", open_descriptors()),
        ("process_resident_memory_bytes", "Memory that is not swapped out", resident()),
        ("process_start_time_seconds", "When the process started, in seconds since 1970", started()),
    ];
    let known = figures.into_iter().filter_map(|(name, help, value)| Some((name, help, value?)));
    known
        .map(|(name, help, value)| format!("# HELP {name} {help}.\n# TYPE {name} gauge\n{name} {value}\n"))
        .collect()
}

fn open_descriptors() -> Option<u64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is that of the folder that is read.
    u64::try_from(open.saturating_sub(1)).ok()
}

fn resident() -> Option<u64> {
    let kibibytes = field("/proc/self/status", "VmRSS:")?;
    Some(kibibytes * 1024)
}

fn started() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets, and may hold anything; this is the twenty-second.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    Some(field("/proc/stat", "btime")? + ticks / TICKS_A_SECOND)
}

/// The number after a name at the start of a line.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}
