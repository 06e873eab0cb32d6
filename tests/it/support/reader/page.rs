//! What the README says: its commands, and what it shows of their answers.

use std::fs;
use std::path::Path;

/// A command, and what the README shows of its answer.
pub(super) struct Command {
    pub(super) at: String,
    pub(super) line: String,
    pub(super) shown: Vec<String>,
    /// It stands in a sentence, not after a `$`.
    is_told: bool,
}

/// The text of a file of this repository.
pub(super) fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Every command of the README in its order: the lines after a `$`, and once each those that only a sentence tells of.
pub(super) fn commands() -> Vec<Command> {
    let text = file("README.md");
    let mut commands = Vec::new();
    let (mut block, mut prose) = (None, String::new());
    for (number, line) in text.lines().enumerate() {
        let at = format!("README.md:{}", number + 1);
        match (block, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                commands.extend(told(&std::mem::take(&mut prose), &at));
                block = Some(kind == "console");
            }
            (Some(_), Some(_)) => block = None,
            (Some(true), None) => match line.strip_prefix("$ ") {
                Some(line) => {
                    let line = line.split(" #").next().unwrap_or_default().trim().to_owned();
                    commands.push(Command { at, line, shown: Vec::new(), is_told: false });
                }
                None => commands.last_mut().expect("a command").shown.push(line.to_owned()),
            },
            (Some(false), None) => {}
            (None, None) => prose = prose + line + " ",
        }
    }
    commands.extend(told(&prose, "README.md, at its end"));
    let once = |nth: usize, command: &Command| {
        let mut others = commands.iter().enumerate().filter(|(_, other)| other.line == command.line);
        !command.is_told || others.all(|(other, it)| it.is_told && other >= nth)
    };
    let kept: Vec<_> = commands.iter().enumerate().map(|(nth, command)| once(nth, command)).collect();
    commands.into_iter().zip(kept).filter_map(|(command, is_kept)| is_kept.then_some(command)).collect()
}

/// The commands in what stands between blocks, the next of which is there.
fn told(prose: &str, at: &str) -> Vec<Command> {
    let spans = prose.split('`').skip(1).step_by(2);
    let commands = spans.filter(|span| span.starts_with("keyward ") || span.starts_with("cargo "));
    let at = format!("before {at}");
    commands
        .map(|line| Command { at: at.clone(), line: line.to_owned(), shown: Vec::new(), is_told: true })
        .collect()
}

/// The first configuration that the README shows.
pub(super) fn first_configuration() -> String {
    let text = file("README.md");
    let (_, rest) = text.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// What remains of a text without what is each time another: numbers, fingerprints, and how much space is between words.
pub(super) fn skeleton(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        match word.split(':').take(2).all(is_byte) && word.contains(':') {
            true => "<fingerprint>".to_owned() + if word.ends_with(',') { "," } else { "" },
            false => without_numbers(word),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn is_byte(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
}

fn without_numbers(word: &str) -> String {
    let mut kept = String::new();
    let mut letters = word.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '-' if letters.peek().is_some_and(char::is_ascii_digit) => {}
            '0'..='9' => {
                while letters.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {}
                kept.push('0');
            }
            other => kept.push(other),
        }
    }
    kept
}
