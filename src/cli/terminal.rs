//! The person at the terminal: colours, and a sign of life where something takes longer.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::{Instant, interval_at};

use crate::config::Environment;

/// What is over within this time needs no sign of life; a sign of life has a new figure as often.
const SECOND: Duration = Duration::from_secs(1);

/// Whether a stream shows colours.
pub(super) fn is_painted(stream: &impl IsTerminal, environment: &Environment) -> bool {
    stream.is_terminal() && environment.wants_colours()
}

/// Words of a line, in colours where there are any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// For standard output.
    pub(super) fn new(environment: &Environment) -> Self {
        Self { on: is_painted(&io::stdout(), environment) }
    }

    /// What went well.
    pub(super) fn good(self, words: &str) -> String {
        self.with("32", words)
    }

    /// What did not.
    pub(super) fn bad(self, words: &str) -> String {
        self.with("1;31", words)
    }

    fn with(self, code: &str, words: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{words}\u{1b}[0m") } else { words.to_owned() }
    }
}

/// Waits for something. After a second a person who watches is told what for, and since when.
pub(super) async fn during<T>(what: &str, something: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return something.await;
    }
    tokio::pin!(something);
    let begun = Instant::now();
    let mut seconds = interval_at(begun + SECOND, SECOND);
    let _line = Line;
    loop {
        tokio::select! {
            biased;
            outcome = &mut something => return outcome,
            _ = seconds.tick() => {
                let mut terminal = io::stderr();
                drop(write!(terminal, "\r{what} … {} s", begun.elapsed().as_secs()));
                drop(terminal.flush());
            }
        }
    }
}

/// The line of a sign of life, which is gone when that is over, however it ended.
struct Line;

impl Drop for Line {
    fn drop(&mut self) {
        // To its beginning, and empty (ECMA-48, EL).
        drop(write!(io::stderr(), "\r\u{1b}[K"));
    }
}
