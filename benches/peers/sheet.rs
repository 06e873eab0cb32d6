//! Figures by row and peer, and Markdown made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What was measured, each time it was.
#[derive(Default)]
pub(crate) struct Sheet {
    figures: BTreeMap<(String, &'static str), Vec<f64>>,
    /// What could not be measured.
    missing: BTreeSet<(String, &'static str)>,
}

/// How a figure is written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) digits: usize,
    /// Whether the least and the most are told beside the median.
    pub(crate) spread: bool,
}

pub(crate) const PLAIN: Style = Style { digits: 1, spread: false };
pub(crate) const WHOLE: Style = Style { digits: 0, spread: false };
pub(crate) const RATIO: Style = Style { digits: 2, spread: true };

impl Sheet {
    pub(crate) fn note(&mut self, row: &str, peer: &'static str, figure: f64) {
        self.figures.entry((row.to_owned(), peer)).or_default().push(figure);
    }

    /// Says once why a figure is not there.
    pub(crate) fn miss(&mut self, row: &str, peer: &'static str, why: &str) {
        eprintln!("not available: {row}, {peer}: {why}");
        self.missing.insert((row.to_owned(), peer));
    }

    pub(crate) fn all(&self, row: &str, peer: &'static str) -> &[f64] {
        self.figures.get(&(row.to_owned(), peer)).map_or(&[], Vec::as_slice)
    }

    /// How one compares with another, paired within each round.
    pub(crate) fn ratios(&self, row: &str, peer: &'static str, beside: &'static str) -> Vec<f64> {
        let pairs = self.all(row, peer).iter().zip(self.all(row, beside));
        pairs.filter(|(_, beside)| **beside > 0.0).map(|(one, beside)| one / beside).collect()
    }

    /// A cell of a table.
    pub(crate) fn cell(&self, row: &str, peer: &'static str, style: Style) -> String {
        if self.missing.contains(&(row.to_owned(), peer)) {
            return "not available".to_owned();
        }
        written(self.all(row, peer), style)
    }

    /// A table of rows by peers.
    pub(crate) fn table(&self, title: &str, peers: &[&'static str], rows: &[(&str, Style)]) -> String {
        let mut table = heading(title, peers);
        for (row, style) in rows {
            let cells: Vec<_> = peers.iter().map(|peer| self.cell(row, peer, *style)).collect();
            if cells.iter().any(|cell| cell != NOTHING) {
                line(&mut table, row, &cells);
            }
        }
        table
    }
}

/// What stands where nothing was measured.
pub(crate) const NOTHING: &str = "–";

pub(crate) fn heading(title: &str, columns: &[&str]) -> String {
    format!("\n| {title} | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

pub(crate) fn line(table: &mut String, row: &str, cells: &[String]) {
    // Writing into a text does not fail.
    let _ = writeln!(table, "| {row} | {} |", cells.join(" | "));
}

/// The median of figures, and how far they go.
pub(crate) fn written(figures: &[f64], style: Style) -> String {
    let Some(median) = median(figures) else { return NOTHING.to_owned() };
    let digits = style.digits;
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if style.spread && figures.len() > 1 {
        format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
    } else {
        format!("{median:.digits$}")
    }
}

fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (below, above) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*below, *above))
}
