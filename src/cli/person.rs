//! Asking the person at the terminal.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::task::spawn_blocking;

use super::{Exit, tell};
use crate::secret::Secret;

/// Somebody at a terminal. When this goes, the terminal is as it was: whoever leaves in the middle of a password wants
/// to see again what they type.
pub(super) struct Person {
    before: Option<Termios>,
}

impl Person {
    /// Whoever sits at standard input, if it is a terminal.
    pub(super) fn at_terminal() -> Option<Self> {
        io::stdin().is_terminal().then(|| Self { before: tcgetattr(io::stdin()).ok() })
    }

    /// Asks for a line; without one `usual` holds.
    ///
    /// # Errors
    /// When there will be no answer.
    pub(super) async fn line(&self, asked: &str, usual: Option<&str>) -> Result<String, Exit> {
        let usual = usual.map(str::to_owned);
        let shown = usual.as_ref().map(|usual| format!(" [{usual}]")).unwrap_or_default();
        loop {
            prompt(&format!("{asked}{shown}: "));
            let read = spawn_blocking(|| {
                let mut line = String::new();
                io::stdin().read_line(&mut line).map(|length| (length > 0).then_some(line))
            });
            let Ok(Ok(Some(line))) = read.await else { return Err(given_up()) };
            match (line.trim(), &usual) {
                ("", Some(usual)) => return Ok(usual.clone()),
                ("", None) => {}
                (line, _) => return Ok(line.to_owned()),
            }
        }
    }

    /// Asks for a line that can be read as something; what can't is asked for again.
    ///
    /// # Errors
    /// When there will be no answer.
    pub(super) async fn parsed<T, E: std::fmt::Display>(
        &self,
        asked: &str,
        usual: Option<&str>,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, Exit> {
        loop {
            match read(&self.line(asked, usual).await?) {
                Ok(value) => return Ok(value),
                Err(why) => tell(&format!("  {why}")),
            }
        }
    }

    /// Asks for a secret, which is not shown; `None`: nothing was typed.
    ///
    /// # Errors
    /// When there will be no answer.
    pub(super) async fn secret(&self, asked: &str) -> Result<Option<Secret>, Exit> {
        prompt(&format!("{asked} (not shown): "));
        let typed = spawn_blocking(|| {
            // The question is there already, and the end of the line is ours to write.
            rpassword::read_password().map(Secret::from)
        });
        let Ok(Ok(typed)) = typed.await else { return Err(given_up()) };
        Ok((!typed.is_empty()).then_some(typed))
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Where there is no terminal any more there is nothing to put back.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Questions go where they are seen though the output is kept in a file.
fn prompt(question: &str) {
    let mut terminal = io::stderr();
    drop(write!(terminal, "{question}"));
    drop(terminal.flush());
}

/// Nobody answers any more.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("given up")]
pub(super) struct GivenUp;

/// Why it ends when nobody answers.
pub(super) fn given_up() -> Exit {
    Exit::Failed(GivenUp.into())
}
