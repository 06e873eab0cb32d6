//! The tables as they stand in docs/performance.md.

use std::fs;

use super::callers::{CALLERS, IDLE, READER, START, STREAM_PEAK};
use super::counts::{ALLOCATIONS, CALLS_1, CALLS_16, INSTRUCTIONS};
use super::options::Options;
use super::peers::KINDS;
use super::recall::{AT_ONCE, HERD, HIT, POLL};
use super::rounds::{LARGE_ROW, LOADS, NEW, OPENED, P50, PEAK, mebibytes};
use super::sheet::{NOTHING, PLAIN, RATIO, Sheet, Style, WHOLE, heading, line, written};

pub(crate) const EVERYTHING: &str = "everything";
pub(crate) const SIZE: &str = "binary, stripped, MB";
const HUNDREDTHS: Style = Style { digits: 2, spread: false };
const KEYWARD: &str = "keyward";
const NGINX: &str = "nginx";

/// How large keyward is as it is released.
pub(crate) fn size(options: &Options, sheet: &mut Sheet) {
    match fs::metadata(options.released()) {
        Ok(file) => sheet.note(SIZE, KEYWARD, mebibytes(file.len() / 1024) * 1.048_576),
        Err(error) => sheet.miss(SIZE, KEYWARD, &error.to_string()),
    }
}

/// Every table that there are figures for.
pub(crate) fn tables(options: &Options, sheet: &Sheet) -> String {
    let peers = KINDS.map(|kind| kind.name);
    let mut text = targets(options, sheet);
    let mut cpu = heading("CPU × nginx: median (least–most)", &with_nginx(&peers));
    for row in LOADS.iter().map(|load| load.row).chain([LARGE_ROW]) {
        let ratio = |peer: &&'static str| match sheet.cell(row, peer, PLAIN) {
            missing if missing == "not available" => missing,
            _ => written(&sheet.ratios(row, peer, NGINX), RATIO),
        };
        let mut cells: Vec<_> = peers.iter().filter(|peer| **peer != NGINX).map(ratio).collect();
        cells.push(sheet.cell(row, NGINX, WHOLE));
        if cells.iter().any(|cell| cell != NOTHING) {
            line(&mut cpu, row, &cells);
        }
    }
    text += &cpu;
    let waits: Vec<_> = LOADS.iter().map(|load| format!("{P50}{}", load.row)).collect();
    let mut rows: Vec<_> = waits.iter().map(|row| (row.as_str(), HUNDREDTHS)).collect();
    rows.extend([
        (START, WHOLE),
        (IDLE, PLAIN),
        (PEAK, PLAIN),
        (CALLERS, PLAIN),
        (READER, WHOLE),
        (STREAM_PEAK, PLAIN),
    ]);
    text += &sheet.table("waiting and memory", &peers, &rows);
    let mut opened = heading("connections to the device, most in a round", &peers);
    line(&mut opened, "opened by the first load of a kind", &peers.map(|peer| most(sheet, OPENED, peer)));
    for row in LOADS.iter().map(|load| load.row) {
        let cells = peers.map(|peer| most(sheet, &format!("{NEW}{row}"), peer));
        if cells.iter().any(|cell| cell != NOTHING) {
            line(&mut opened, &format!("opened when warm: {row}"), &cells);
        }
    }
    text += &opened;
    let counted =
        [(INSTRUCTIONS, PLAIN), (CALLS_1, HUNDREDTHS), (CALLS_16, HUNDREDTHS), (ALLOCATIONS, PLAIN)];
    text += &sheet.table("counts per request of 200 B", &[KEYWARD, NGINX], &counted);
    let recall = [(HIT, PLAIN), (HERD, WHOLE), (POLL, WHOLE), (AT_ONCE, WHOLE)];
    text + &sheet.table("answers kept for 2 s (CPU in µs)", &[KEYWARD, NGINX], &recall)
}

fn with_nginx(peers: &[&'static str]) -> Vec<&'static str> {
    peers.iter().copied().filter(|peer| *peer != NGINX).chain(["nginx itself, µs"]).collect()
}

fn most(sheet: &Sheet, row: &str, peer: &'static str) -> String {
    let most = sheet.all(row, peer).iter().copied().reduce(f64::max);
    most.map_or_else(|| NOTHING.to_owned(), |most| format!("{most:.0}"))
}

/// What keyward is to reach, and where it is.
fn targets(options: &Options, sheet: &Sheet) -> String {
    let own = |row: &str, style| sheet.cell(row, KEYWARD, style);
    let ratio = |row: &str| match own(row, PLAIN) {
        cell if cell == "not available" => cell,
        _ => written(&sheet.ratios(row, KEYWARD, NGINX), RATIO),
    };
    let [one, sixteen, sixty_four, medium, ..] = LOADS;
    let poll = format!("≤ {:.0}", (options.poll / 2.0).floor() + 1.0);
    let new = LOADS.iter().flat_map(|load| sheet.all(&format!("{NEW}{}", load.row), KEYWARD)).copied();
    let new = new.reduce(f64::max).map_or_else(|| NOTHING.to_owned(), |most| format!("{most:.0}"));
    let rows: [(&str, &str, &str, String); 20] = [
        ("instructions beside nginx, 16 connections", "≤ 1.1", "0.8", ratio(INSTRUCTIONS)),
        ("allocations", "≤ 14", "4", own(ALLOCATIONS, PLAIN)),
        ("system calls, 1 connection", "≤ 6.2", "6", own(CALLS_1, HUNDREDTHS)),
        ("system calls, 16 connections", "≤ 4.5", "4.1", own(CALLS_16, HUNDREDTHS)),
        ("CPU beside nginx, 200 B, 1 connection", "≤ 1.05", "0.9", ratio(one.row)),
        ("CPU beside nginx, 200 B, 16 connections", "≤ 1.05", "0.9", ratio(sixteen.row)),
        ("CPU beside nginx, 200 B, 64 connections", "≤ 1.15", "1.0", ratio(sixty_four.row)),
        ("CPU beside nginx, 50 KB, 16 connections", "≤ 0.75", "0.6", ratio(medium.row)),
        ("CPU beside nginx, 100 MB", "≤ 1.1", "", ratio(LARGE_ROW)),
        ("peak while 100 MB pass, MiB", "≤ 12", "", own(STREAM_PEAK, PLAIN)),
        ("an answer from memory beside nginx's", "≤ 1.0", "0.7", ratio(HIT)),
        ("p50 beside nginx, 1 connection", "≤ 1", "0.85", ratio(&format!("{P50}{}", one.row))),
        ("memory idle, MiB", "≤ 7", "5", own(IDLE, PLAIN)),
        ("memory with 1000 idle callers, MiB", "≤ 20", "15", own(CALLERS, PLAIN)),
        ("memory per stalled reader, KiB", "≤ 256", "64", own(READER, WHOLE)),
        ("start to first answer beside nginx", "≤ 1.0", "0.5", ratio(START)),
        (
            "requests at the device while 100 callers poll, an answer kept for 2 s",
            &poll,
            "",
            own(POLL, WHOLE),
        ),
        ("of them at one time", "1", "", own(AT_ONCE, WHOLE)),
        ("new connections to the device when warm", "0", "", new),
        ("binary, stripped, MB", "≤ 8", "5", own(SIZE, HUNDREDTHS)),
    ];
    let mut table = heading("keyward", &["at most", "better", "measured"]);
    for (row, must, stretch, cell) in rows.into_iter().filter(|(.., cell)| cell != NOTHING) {
        line(&mut table, row, &[must.to_owned(), stretch.to_owned(), cell]);
    }
    table
}
