//! What is counted instead of timed, and so is the same on a busy machine: instructions, system calls, allocations. Each
//! is the difference of two runs that differ in the number of requests, so that start and end cancel out.

use std::fs;
use std::path::Path;

use super::device::Device;
use super::load::exactly;
use super::options::Options;
use super::peers::{Below, KEYWARD, Kind, NGINX};
use super::sheet::Sheet;

pub(crate) const INSTRUCTIONS: &str = "k instructions, 16 connections";
pub(crate) const CALLS_1: &str = "system calls, 1 connection";
pub(crate) const CALLS_16: &str = "system calls, 16 connections";
pub(crate) const ALLOCATIONS: &str = "allocations, 16 connections";

/// Requests of the shorter and of the longer run.
const REQUESTS: [u32; 2] = [2_000, 6_000];

/// One thing that is counted.
struct Count {
    row: &'static str,
    connections: usize,
    /// What the program runs below. `{FILE}` is where the result goes.
    below: &'static str,
    /// Reads the count out of the result, or out of what was said.
    read: fn(result: &str, said: &str) -> Option<f64>,
    /// Of one request, in the unit of the row.
    unit: f64,
}

const COUNTS: [Count; 4] = [
    Count {
        row: INSTRUCTIONS,
        connections: 16,
        below: concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/valgrind --tool=callgrind --callgrind-out-file={FILE}"
        ),
        read: |result, _| number(result.lines().find_map(|line| line.strip_prefix("totals: "))?),
        unit: 1e3,
    },
    Count { row: CALLS_1, connections: 1, below: STRACE, read: calls, unit: 1.0 },
    Count { row: CALLS_16, connections: 16, below: STRACE, read: calls, unit: 1.0 },
    Count {
        row: ALLOCATIONS,
        connections: 16,
        below: concat!(env!("CARGO_MANIFEST_DIR"), "/benches/valgrind --tool=dhat --dhat-out-file={FILE}"),
        read: |_, said| {
            let total = said.lines().find_map(|line| line.split_once("Total:"))?.1;
            number(total.split_once(" in ")?.1.split_once(" blocks")?.0)
        },
        unit: 1.0,
    },
];

const STRACE: &str = "strace -f -c -o {FILE}";

/// `100.00  0.012345  3  4567  89 total`, where the fifth word is left out if there were no errors.
fn calls(result: &str, _: &str) -> Option<f64> {
    let total = result.lines().rev().find(|line| line.ends_with(" total"))?;
    number(total.split_whitespace().nth(3)?)
}

/// A number, with commas or without.
fn number(word: &str) -> Option<f64> {
    word.trim().replace(',', "").parse().ok()
}

pub(crate) fn measure(options: &Options, device: &Device, sheet: &mut Sheet) {
    for count in &COUNTS {
        for kind in [&KEYWARD, &NGINX] {
            eprintln!("{}, {} …", count.row, kind.name);
            let [few, many] = REQUESTS.map(|requests| run(count, requests, kind, options, device));
            match few.and_then(|few| many.map(|many| many - few)) {
                Ok(more) => {
                    let requests = REQUESTS.map(f64::from);
                    sheet.note(count.row, kind.name, more / (requests[1] - requests[0]) / count.unit);
                }
                Err(error) => sheet.miss(count.row, kind.name, &error),
            }
        }
    }
}

/// The count of a whole run with so many requests.
fn run(count: &Count, requests: u32, kind: &Kind, options: &Options, device: &Device) -> Result<f64, String> {
    let tool = count.below.split("--tool=").nth(1).unwrap_or("strace").split(' ').next().unwrap_or_default();
    let file = options.folder.join(format!("{tool}.{}.{}.{requests}", kind.name, count.connections));
    let words = count.below.replace("{FILE}", &file.display().to_string());
    let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
    let mut peer = kind.start(options, device, Below { words: &words }, "/device/small")?;
    let asked = exactly(peer.address, "/device/small", requests as usize, count.connections);
    peer.program.stop();
    asked.map_err(|error| error.to_string())?;
    let result = read(&file)?;
    (count.read)(&result, &peer.program.said()).ok_or_else(|| format!("{}: no count in it", file.display()))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}
