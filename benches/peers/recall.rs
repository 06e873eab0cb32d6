//! Answers from memory beside those of nginx: a hit, a herd, and callers who poll.

use std::thread::sleep;
use std::time::Duration;

use tokio::time::Instant;

use super::device::Device;
use super::load::{Caller, at_once, wrk};
use super::options::Options;
use super::peers::{Below, KEYWARD_CACHED, Kind, NGINX, Peer};
use super::rounds::micros;
use super::sheet::Sheet;

pub(crate) const HIT: &str = "answered from memory, 16 connections";
pub(crate) const HERD: &str = "requests at the device for 100 callers at once";
pub(crate) const POLL: &str = "requests at the device while 100 callers poll";
pub(crate) const AT_ONCE: &str = "of them at one time";
const CALLERS: usize = 100;
/// How often a caller polls.
const EVERY: Duration = Duration::from_millis(250);
/// Longer than anything is kept.
const OVER: Duration = Duration::from_millis(2500);

pub(crate) fn measure(options: &Options, device: &Device, sheet: &mut Sheet) {
    let start =
        |kind: &Kind, sheet: &mut Sheet| match kind.start(options, device, Below::default(), "/cached/small")
        {
            Ok(peer) => Some(peer),
            Err(error) => {
                for row in [HIT, HERD, POLL, AT_ONCE] {
                    sheet.miss(row, kind.name, &error);
                }
                None
            }
        };
    let peers: Vec<_> = [&KEYWARD_CACHED, &NGINX].into_iter().filter_map(|kind| start(kind, sheet)).collect();
    eprintln!("{HIT} …");
    for _ in 0..options.rounds {
        for peer in &peers {
            hit(options, peer, sheet);
        }
    }
    for peer in &peers {
        eprintln!("{HERD}, {} …", peer.name);
        herd(device, peer, sheet);
        eprintln!("{POLL}, {} …", peer.name);
        poll(options, device, peer, sheet);
    }
}

fn hit(options: &Options, peer: &Peer, sheet: &mut Sheet) {
    let cpu = peer.program.cpu();
    match wrk(&peer.url("/cached/small"), 16, options.seconds, 0, false, || {}) {
        Ok(done) => {
            let used = peer.program.cpu().saturating_sub(cpu);
            sheet.note(HIT, peer.name, micros(used) / done.requests);
        }
        Err(error) => sheet.miss(HIT, peer.name, &error),
    }
}

/// All ask for what nobody has yet, while the device takes its time.
fn herd(device: &Device, peer: &Peer, sheet: &mut Sheet) {
    let before = device.arrived().requests;
    let answers =
        at_once(CALLERS, |_| Caller::new(peer.address).and_then(|mut caller| caller.ask("/cached/delayed")));
    let arrived = device.arrived().requests - before;
    match answers.into_iter().collect::<Result<Vec<_>, _>>() {
        Ok(_) => sheet.note(HERD, peer.name, count(arrived)),
        Err(error) => sheet.miss(HERD, peer.name, &error.to_string()),
    }
}

/// All ask for the same again and again.
fn poll(options: &Options, device: &Device, peer: &Peer, sheet: &mut Sheet) {
    sleep(OVER);
    device.most_at_once();
    let before = device.arrived().requests;
    let end = Instant::now() + Duration::from_secs_f64(options.poll);
    let answers = at_once(CALLERS, |_| {
        let mut caller = Caller::new(peer.address)?;
        while Instant::now() < end {
            caller.ask("/cached/delayed")?;
            sleep(EVERY);
        }
        std::io::Result::Ok(())
    });
    let (arrived, at_once) = (device.arrived().requests - before, device.most_at_once());
    match answers.into_iter().collect::<Result<(), _>>() {
        Ok(()) => {
            sheet.note(POLL, peer.name, count(arrived));
            sheet.note(AT_ONCE, peer.name, count(at_once));
        }
        Err(error) => sheet.miss(POLL, peer.name, &error.to_string()),
    }
}

fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
