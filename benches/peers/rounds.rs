//! Loads that are measured in rounds: every peer in turn, and again, so that whatever else the machine does meets all.

use std::time::Duration;

use super::device::{Device, LARGE};
use super::load::{Caller, exactly, wrk};
use super::options::Options;
use super::peers::Peer;
use super::sheet::Sheet;

/// One load.
pub(crate) struct Load {
    pub(crate) row: &'static str,
    part: &'static str,
    path: &'static str,
    connections: u32,
    /// The length of what is sent.
    body: usize,
}

const fn load(
    row: &'static str,
    part: &'static str,
    path: &'static str,
    connections: u32,
    body: usize,
) -> Load {
    Load { row, part, path, connections, body }
}

pub(crate) const LOADS: [Load; 6] = [
    load("200 B, 1 connection", "small", "/device/small", 1, 0),
    load("200 B, 16 connections", "small", "/device/small", 16, 0),
    load("200 B, 64 connections", "small", "/device/small", 64, 0),
    load("50 KB, 16 connections", "medium", "/device/medium", 16, 0),
    load("8 KB in 8 chunks, 16 connections", "chunked", "/device/chunked", 16, 0),
    load("50 KB sent, 16 connections", "upload", "/device/upload", 16, 50 * 1024),
];

/// The row of the long answers.
pub(crate) const LARGE_ROW: &str = "100 MB, 1 connection";
/// What rows of figures other than processor time begin with.
pub(crate) const P50: &str = "p50 ms, ";
pub(crate) const NEW: &str = "new connections, ";
pub(crate) const OPENED: &str = "connections to the device, most by one load";
pub(crate) const PEAK: &str = "most under the loads up to 64 connections, MiB";

/// Measures every load with every peer. A peer that fails a load is left out of it.
pub(crate) fn measure(options: &Options, device: &Device, peers: &[Peer], sheet: &mut Sheet) {
    for load in LOADS.iter().filter(|load| options.wants(load.part)) {
        eprintln!("{} …", load.row);
        // The first time opens connections and fills pools.
        let mut able: Vec<_> = peers.iter().filter(|peer| warm(load, device, peer, sheet)).collect();
        for _ in 0..options.rounds {
            able.retain(|peer| once(options, load, device, peer, sheet));
        }
    }
    for peer in peers {
        sheet.note(PEAK, peer.name, mebibytes(peer.program.peak()));
    }
    if options.wants("large") {
        eprintln!("{LARGE_ROW} …");
        let mut able: Vec<_> = peers.iter().collect();
        for _ in 0..options.rounds.min(3) {
            able.retain(|peer| stream(peer, sheet));
        }
    }
}

fn warm(load: &Load, device: &Device, peer: &Peer, sheet: &mut Sheet) -> bool {
    let before = device.arrived();
    let done = wrk(&peer.url(load.path), load.connections, 1.0, load.body, true, || {});
    let opened = device.arrived().connections - before.connections;
    match &done {
        Ok(_) => sheet.note(OPENED, peer.name, f64::from(u32::try_from(opened).unwrap_or(u32::MAX))),
        Err(error) => sheet.miss(load.row, peer.name, error),
    }
    done.is_ok()
}

/// One peer, one round.
fn once(options: &Options, load: &Load, device: &Device, peer: &Peer, sheet: &mut Sheet) -> bool {
    let (mut warm, cpu) = (0, peer.program.cpu());
    let note = || warm = device.arrived().connections;
    let done = match wrk(&peer.url(load.path), load.connections, options.seconds, load.body, true, note) {
        Ok(done) => done,
        Err(error) => {
            sheet.miss(load.row, peer.name, &error);
            return false;
        }
    };
    let used = peer.program.cpu().saturating_sub(cpu);
    sheet.note(load.row, peer.name, micros(used) / done.requests);
    sheet.note(&format!("{P50}{}", load.row), peer.name, micros(done.p50) / 1e3);
    let opened = device.arrived().connections - warm;
    sheet.note(
        &format!("{NEW}{}", load.row),
        peer.name,
        f64::from(u32::try_from(opened).unwrap_or(u32::MAX)),
    );
    true
}

/// One long answer.
fn stream(peer: &Peer, sheet: &mut Sheet) -> bool {
    let cpu = peer.program.cpu();
    match Caller::new(peer.address).and_then(|mut caller| caller.ask("/device/large")) {
        Ok(length) if length == LARGE => {
            sheet.note(LARGE_ROW, peer.name, micros(peer.program.cpu().saturating_sub(cpu)));
            true
        }
        Ok(length) => {
            sheet.miss(LARGE_ROW, peer.name, &format!("{length} bytes came"));
            false
        }
        Err(error) => {
            sheet.miss(LARGE_ROW, peer.name, &error.to_string());
            false
        }
    }
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// From KiB.
pub(crate) fn mebibytes(kibibytes: u64) -> f64 {
    f64::from(u32::try_from(kibibytes).unwrap_or(u32::MAX)) / 1024.0
}

/// A few requests, so that what is made at first use is there.
pub(crate) fn settle(peer: &Peer) {
    if let Err(error) = exactly(peer.address, "/device/small", 64, 4) {
        eprintln!("{}: {error}", peer.name);
    }
}
