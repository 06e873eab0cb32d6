//! keyward beside nginx, HAProxy, Caddy, npm's http-proxy and a proxy made of Python's requests: each before the same
//! HTTPS device, on a core of its own, with load and device on the other. `just bench` installs what is missing, runs
//! this, and prints the tables of docs/performance.md.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the tables are what a run is for, and somebody waits for minutes"
)]

mod callers;
mod counts;
mod device;
mod load;
mod options;
mod peers;
mod process;
mod recall;
mod report;
mod rounds;
mod sheet;

use std::fs;
use std::process::ExitCode;

use device::Device;
use options::Options;
use peers::{Below, KINDS};
use sheet::Sheet;

fn main() -> ExitCode {
    match run() {
        Ok(tables) => {
            println!("{tables}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, String> {
    let options = Options::read(std::env::args().skip(1))?;
    process::stay_on_the_core_of_the_load()?;
    fs::create_dir_all(&options.folder).map_err(|error| error.to_string())?;
    peers::install(&options).map_err(|error| error.to_string())?;
    let device = Device::start().map_err(|error| error.to_string())?;
    let mut sheet = Sheet::default();
    if options.wants("counts") {
        counts::measure(&options, &device, &mut sheet);
    }
    rounds(&options, &device, &mut sheet);
    if options.wants("start") {
        callers::starts(&options, &device, &mut sheet);
    }
    callers::memory(&options, &device, &mut sheet);
    if options.wants("cache") {
        recall::measure(&options, &device, &mut sheet);
    }
    if options.wants("size") {
        report::size(&options, &mut sheet);
    }
    if let Some(head) = device.refused() {
        eprintln!("the device was asked without its token, so some figure is that of a refusal:\n{head}");
    }
    Ok(report::tables(&options, &sheet))
}

/// The loads, with everybody running all along.
fn rounds(options: &Options, device: &Device, sheet: &mut Sheet) {
    if !["small", "medium", "chunked", "upload", "large"].iter().any(|part| options.wants(part)) {
        return;
    }
    let mut peers = Vec::new();
    for kind in &KINDS {
        match kind.start(options, device, Below::default(), "/device/small") {
            Ok(peer) => peers.push(peer),
            Err(error) => sheet.miss(report::EVERYTHING, kind.name, &error),
        }
    }
    for peer in &peers {
        rounds::settle(peer);
    }
    rounds::measure(options, device, &peers, sheet);
}
