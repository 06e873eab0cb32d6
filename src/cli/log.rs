//! The log: to standard error, as text for people or JSON for machines. It never holds anybody up: who reads it may
//! be slow, stuck or gone, and the disk it goes to full. The journal of systemd knows the time by itself, and is told how
//! grave a line is as sd-daemon(3) has it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{Level, Metadata};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::terminal::is_painted;
use crate::config::{self, Environment};
use crate::metrics::Source;

/// So many lines may wait to be written: about 256 KB, and 4 MB where each is as long as it may be. Their places take 32 KB
/// from the start.
const WAITING: usize = 1024;

/// A line is cut after so many bytes, whatever a caller or a device has it hold.
const LONGEST: usize = 4096;
/// What stands where something was cut off.
const CUT: &str = " [cut]";

/// So long may the last lines take: whoever does not read them must not keep the process from its end.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The log, and what is counted of it. Dropping it writes what still waits, which may take a second.
pub(super) struct Log {
    too_many: ErrorCounter,
    unwritten: Arc<AtomicU64>,
    panics: Arc<AtomicU64>,
    _guard: WorkerGuard,
}

impl Log {
    /// Begins to log. A bare level is that of keyward; libraries speak up from `warn` on, since at lower levels some
    /// of them write down what passes through them.
    pub(super) fn begin(log: &config::Log, environment: &Environment) -> Self {
        let directives = match log.level.as_str() {
            level @ ("off" | "error" | "warn" | "info" | "debug" | "trace") => {
                format!("warn,keyward={level}")
            }
            directives => directives.to_owned(),
        };
        let filter = directives.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
        let unwritten = Arc::<AtomicU64>::default();
        let (lines, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(WAITING)
            .thread_name("log")
            .finish(StandardError { unwritten: Arc::clone(&unwritten) });
        let too_many = lines.error_counter();
        let form = match log.format {
            config::LogFormat::Text if is_painted(&io::stderr(), environment) => Form::Painted,
            config::LogFormat::Text if is_journal(environment) => Form::Journal,
            config::LogFormat::Text => Form::Plain,
            config::LogFormat::Json => Form::Json,
        };
        let layer = fmt::layer()
            .with_writer(Paper { to: lines, form })
            // What can't be written is counted here and not told on standard error, which is what fails.
            .log_internal_errors(false)
            .with_target(false);
        let layer = match log.format {
            config::LogFormat::Text if form == Form::Journal => layer.with_ansi(false).without_time().boxed(),
            config::LogFormat::Text => layer.with_ansi(form == Form::Painted).boxed(),
            config::LogFormat::Json => layer.json().flatten_event(true).boxed(),
        };
        let begun = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
        // A second call finds the log begun already.
        drop(begun);
        Self { too_many, unwritten, panics: count_panics(), _guard: guard }
    }

    /// Writes what still waits, as far as somebody reads it.
    pub(super) async fn end(self) {
        drop(timeout(LAST_WORDS, spawn_blocking(move || drop(self))).await);
    }

    /// How many lines were dropped.
    pub(super) fn dropped_lines(&self) -> Source {
        let (too_many, unwritten) = (self.too_many.clone(), Arc::clone(&self.unwritten));
        Box::new(move || {
            u64::try_from(too_many.dropped_lines()).unwrap_or(u64::MAX) + unwritten.load(Ordering::Relaxed)
        })
    }

    /// How often something panicked, in whatever thread.
    pub(super) fn panics(&self) -> Source {
        let panics = Arc::clone(&self.panics);
        Box::new(move || panics.load(Ordering::Relaxed))
    }
}

fn count_panics() -> Arc<AtomicU64> {
    let panics = Arc::<AtomicU64>::default();
    let counter = Arc::clone(&panics);
    std::panic::set_hook(Box::new(move |panic| {
        counter.fetch_add(1, Ordering::Relaxed);
        // What it says may hold anything; where it was is enough to find it.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "an error of keyward's own");
    }));
    panics
}

/// Standard error, as a thread of its own writes to it. A line that can't be written is counted.
struct StandardError {
    unwritten: Arc<AtomicU64>,
}

impl Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if io::stderr().write_all(line).is_err() {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a line is like.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    /// With the library's escape sequences for colours.
    Painted,
    /// Without the time, which stands beside it there.
    Journal,
    Json,
}

/// Whether standard error is the journal of systemd, as systemd.exec(5) says.
fn is_journal(environment: &Environment) -> bool {
    let facts = io::stderr().as_fd().try_clone_to_owned().and_then(|stderr| File::from(stderr).metadata());
    let place = facts.map(|facts| format!("{}:{}", facts.dev(), facts.ino()));
    place.is_ok_and(|place| environment.journal_stream().is_some_and(|stream| stream == place))
}

/// How grave the journal takes an event to be.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Where events are written.
struct Paper {
    to: NonBlocking,
    form: Form,
}

impl<'a> MakeWriter<'a> for Paper {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        Lines { to: self.to.clone(), form: self.form, before: "" }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Lines {
        let before = if self.form == Form::Journal { priority(*event.level()) } else { "" };
        Lines { before, ..self.make_writer() }
    }
}

/// Takes an event at a time, whole.
struct Lines {
    to: NonBlocking,
    form: Form,
    before: &'static str,
}

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = one_line(&String::from_utf8_lossy(event), self.form);
        // In one piece, as whatever is written there is.
        self.to.write_all([self.before, &line].concat().as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One event is one line, and shows what is in it: a caller or a device could end the line in the middle of a value
/// and begin another. Escape sequences are the library's where it paints; it escapes those of others.
fn one_line(event: &str, form: Form) -> String {
    let event = event.strip_suffix('\n').unwrap_or(event);
    let mut line = String::with_capacity(event.len().min(LONGEST) + CUT.len() + 1);
    for letter in event.chars() {
        if line.len() >= LONGEST {
            line.push_str(CUT);
            // What was begun would be no JSON; as a text in some it can be read all the same.
            if form == Form::Json {
                line = serde_json::json!({ "cut": line }).to_string();
            }
            break;
        }
        if letter.is_control() && !(form == Form::Painted && letter == '\u{1b}') {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests;
