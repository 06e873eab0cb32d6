//! Programs that are measured: started on a core of their own, looked at from outside, stopped by their number.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tokio::time::Instant;

use super::load::PATIENCE;

/// The core of whatever is measured.
const PROXY_CORE: &str = "0";
/// The core of the load and of the device.
const LOAD_CORE: &str = "1";
/// The kernel tells times in hundredths of a second, whatever its own clock is.
const TICK: Duration = Duration::from_millis(10);

/// Puts this process on the core of load and device, with every thread that it will have.
pub(crate) fn stay_on_the_core_of_the_load() -> Result<(), String> {
    let own = std::process::id().to_string();
    let set =
        Command::new("taskset").args(["-a", "-c", "-p", LOAD_CORE, &own]).stdout(Stdio::null()).status();
    match set {
        Ok(status) if status.success() => Ok(()),
        _ => Err("no core of its own for the load: this needs two cores and `taskset`".to_owned()),
    }
}

/// A program that runs on the core of what is measured. It is stopped when this is dropped.
pub(crate) struct Running {
    child: Child,
    log: String,
}

impl Running {
    /// Starts `words` in a folder. What it says goes into a file there.
    pub(crate) fn start(words: &[String], folder: &Path, name: &str) -> io::Result<Self> {
        let log = folder.join(format!("{name}.said"));
        let said = File::create(&log)?;
        let child = Command::new("taskset")
            .args(["-c", PROXY_CORE])
            .args(words)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        Ok(Self { child, log: log.display().to_string() })
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// What it said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its processor time so far, user and system, with all its processes.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u32 = self.tree().into_iter().map(ticks).sum();
        TICK * ticks
    }

    /// Its memory, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.tree().into_iter().map(|id| status(id, "VmRSS:")).sum()
    }

    /// The most memory that it had since [`Running::forget_peak`], in KiB.
    pub(crate) fn peak(&self) -> u64 {
        self.tree().into_iter().map(|id| status(id, "VmHWM:")).sum()
    }

    pub(crate) fn forget_peak(&self) {
        for id in self.tree() {
            // Where the kernel refuses this the peak is that since the start, which is an upper bound.
            drop(fs::write(format!("/proc/{id}/clear_refs"), "5"));
        }
    }

    /// Tells it to end and waits until it has.
    pub(crate) fn stop(&mut self) {
        if self.has_ended() {
            return;
        }
        // To all of it: strace passes no signal on.
        let tree = self.tree().into_iter().map(|id| id.to_string());
        drop(Command::new("kill").arg("-TERM").args(tree).stderr(Stdio::null()).status());
        let told = Instant::now();
        while !self.has_ended() {
            if told.elapsed() > PATIENCE {
                drop(self.child.kill());
                drop(self.child.wait());
                return;
            }
            sleep(TICK);
        }
    }

    /// Its process and all below it.
    fn tree(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut looked_at = 0;
        while let Some(id) = found.get(looked_at).copied() {
            let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
            looked_at += 1;
        }
        found
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// utime, stime, and those of children that have ended and were waited for (proc_pid_stat(5)).
fn ticks(id: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name before the parenthesis may hold blanks.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = after_name.split_whitespace().skip(11).take(4);
    fields.filter_map(|field| field.parse::<u32>().ok()).sum()
}

/// A figure of /proc/PID/status.
fn status(id: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
