//! Times, figures and lists as a person says them.

use std::time::Duration;

use maud::{Markup, html};

use crate::clock::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A while in its largest unit. Nobody plans by more.
fn in_words(while_: Duration) -> String {
    let (count, unit) = match while_.as_secs() {
        0..MINUTE => return "less than a minute".to_owned(),
        seconds @ ..HOUR => (seconds / MINUTE, "minute"),
        seconds if seconds < 2 * DAY => (seconds / HOUR, "hour"),
        seconds => (seconds / DAY, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// When something was.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    time(at, &past(now.since(at)))
}

fn past(while_: Duration) -> String {
    if while_.as_secs() < MINUTE { "just now".to_owned() } else { format!("{} ago", in_words(while_)) }
}

/// How long something lasts, or since when it is over.
pub(super) fn left(end: Timestamp, now: Timestamp) -> Markup {
    match now < end {
        true => time(end, &format!("for {}", in_words(end.since(now)))),
        false => time(end, &format!("ended {}", past(now.since(end)))),
    }
}

fn time(at: Timestamp, words: &str) -> Markup {
    html! { time datetime=(at) title=(at) { (words) } }
}

/// How long an answer took.
pub(super) fn latency(took: Duration) -> String {
    match took.as_secs_f64() * 1000.0 {
        millis if millis < 10.0 => format!("{millis:.1} ms"),
        millis if millis < 1000.0 => format!("{millis:.0} ms"),
        millis => format!("{:.1} s", millis / 1000.0),
    }
}

/// A count in groups of three digits, with narrow spaces between them that no line is broken at.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many names are said, and the rest counted.
const SAID: usize = 4;

/// Names and their verb.
pub(super) fn are(names: &[&str]) -> String {
    let (said, rest) = names.split_at(names.len().min(SAID));
    let verb = if names.len() == 1 { "is" } else { "are" };
    match (said, rest.len()) {
        ([only], 0) => format!("{only} {verb}"),
        ([first @ .., last], 0) => format!("{} and {last} {verb}", first.join(", ")),
        (said, more) => format!("{} and {more} more {verb}", said.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_largest_unit_and_to_the_second_beside() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let is = |seconds, words: &str| {
            let while_ = Duration::from_secs(seconds);
            let said = ago(now.minus(while_), now).into_string();
            let past = if seconds < 60 { "just now".to_owned() } else { format!("{words} ago") };
            assert!(said.contains(&format!(">{past}<")), "{seconds}: {said}");
            let said = left(now.plus(while_), now).into_string();
            assert!(seconds == 0 || said.contains(&format!(">for {words}<")), "{seconds}: {said}");
        };
        is(0, "less than a minute");
        is(59, "less than a minute");
        is(60, "1 minute");
        is(3599, "59 minutes");
        is(3600, "1 hour");
        is(47 * 3600, "47 hours");
        is(48 * 3600, "2 days");
        is(203 * 86_400 + 5, "203 days");
        let ended = left(now.minus(Duration::from_secs(120)), now).into_string();
        assert_eq!(
            ended,
            "<time datetime=\"2027-01-15T07:58:00Z\" title=\"2027-01-15T07:58:00Z\">ended 2 minutes ago</time>"
        );
    }

    #[test]
    fn figures_and_names_are_told_as_a_person_would() {
        assert_eq!(latency(Duration::from_micros(420)), "0.4 ms");
        assert_eq!(latency(Duration::from_millis(123)), "123 ms");
        assert_eq!(latency(Duration::from_millis(2450)), "2.5 s");
        for (number, words) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(count(number).replace('\u{202f}', " "), words);
        }
        assert_eq!(are(&["a"]), "a is");
        assert_eq!(are(&["a", "b"]), "a and b are");
        assert_eq!(are(&["a", "b", "c", "d"]), "a, b, c and d are");
        assert_eq!(are(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more are");
    }
}
