//! What waiting costs: a start, callers who say nothing, readers who do not read.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use super::device::Device;
use super::load::Caller;
use super::options::Options;
use super::peers::{Below, KINDS, Kind, Peer};
use super::rounds::{mebibytes, micros, settle};
use super::sheet::Sheet;

pub(crate) const START: &str = "start to first answer, ms";
pub(crate) const IDLE: &str = "idle, MiB";
pub(crate) const CALLERS: &str = "with 1000 idle callers, MiB";
pub(crate) const STREAM_PEAK: &str = "peak MiB while 100 MB pass";
pub(crate) const READER: &str = "per stalled reader of 100 MB, KiB";
/// As many as wait.
const IDLE_CALLERS: usize = 1000;
/// As many as do not read.
const STALLED: u32 = 32;
/// After so long nothing more is buffered for somebody who does not read.
const FULL: Duration = Duration::from_secs(3);

/// Starts each of them a few times in turn.
pub(crate) fn starts(options: &Options, device: &Device, sheet: &mut Sheet) {
    eprintln!("{START} …");
    for _ in 0..options.rounds {
        for kind in &KINDS {
            match kind.start(options, device, Below::default(), "/device/small") {
                Ok(peer) => sheet.note(START, peer.name, micros(peer.began) / 1e3),
                Err(error) => sheet.miss(START, kind.name, &error),
            }
        }
    }
}

/// Memory with nobody there, with 1000 who wait, while a long answer passes, and with some who stall: of a program started for that alone, since
/// what was once taken is not always given back.
pub(crate) fn memory(options: &Options, device: &Device, sheet: &mut Sheet) {
    for kind in &KINDS {
        if options.wants("idle") {
            eprintln!("{CALLERS}, {} …", kind.name);
            with(kind, options, device, sheet, CALLERS, |peer, sheet| {
                sheet.note(IDLE, peer.name, mebibytes(peer.program.memory()));
                let callers: Vec<_> = (0..IDLE_CALLERS).map(|_| waiting(peer)).collect::<io::Result<_>>()?;
                sheet.note(CALLERS, peer.name, mebibytes(peer.program.memory()));
                drop(callers);
                Ok(())
            });
        }
        if options.wants("large") {
            eprintln!("{STREAM_PEAK}, {} …", kind.name);
            with(kind, options, device, sheet, STREAM_PEAK, |peer, sheet| {
                peer.program.forget_peak();
                Caller::new(peer.address)?.ask("/device/large")?;
                sheet.note(STREAM_PEAK, peer.name, mebibytes(peer.program.peak()));
                Ok(())
            });
        }
        if options.wants("slow") {
            eprintln!("{READER}, {} …", kind.name);
            with(kind, options, device, sheet, READER, |peer, sheet| {
                let before = mebibytes(peer.program.memory());
                let readers: Vec<_> =
                    (0..STALLED).map(|nth| stalled(peer, nth)).collect::<io::Result<_>>()?;
                sleep(FULL);
                let taken = mebibytes(peer.program.memory()) - before;
                sheet.note(READER, peer.name, taken * 1024.0 / f64::from(STALLED));
                drop(readers);
                Ok(())
            });
        }
    }
}

fn with(
    kind: &Kind,
    options: &Options,
    device: &Device,
    sheet: &mut Sheet,
    row: &str,
    act: impl FnOnce(&Peer, &mut Sheet) -> io::Result<()>,
) {
    let measured = kind.start(options, device, Below::default(), "/device/small").and_then(|peer| {
        settle(&peer);
        act(&peer, sheet).map_err(|error| error.to_string())
    });
    if let Err(error) = measured {
        sheet.miss(row, kind.name, &error);
    }
}

/// Somebody who asked once and stays.
fn waiting(peer: &Peer) -> io::Result<Caller> {
    let mut caller = Caller::new(peer.address)?;
    caller.ask("/device/small")?;
    Ok(caller)
}

/// Somebody who asks for much and reads none of it.
fn stalled(peer: &Peer, nth: u32) -> io::Result<Caller> {
    let mut caller = Caller::new(peer.address)?;
    caller.send(&format!("/device/large?n={nth}"))?;
    Ok(caller)
}
