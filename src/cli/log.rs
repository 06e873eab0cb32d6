//! The log: to standard error, as text for people or JSON for machines.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Log, LogFormat};

/// Begins to log. A bare level is that of keyward; libraries speak up from `warn` on, since at lower levels some
/// of them write down what passes through them.
pub(super) fn begin(log: &Log) {
    let directives = match log.level.as_str() {
        level @ ("off" | "error" | "warn" | "info" | "debug" | "trace") => format!("warn,keyward={level}"),
        directives => directives.to_owned(),
    };
    let filter = directives.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let layer = match log.format {
        LogFormat::Text => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let begun = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    // A second call finds the log begun already.
    drop(begun);
    std::panic::set_hook(Box::new(|panic| {
        // What it says may hold anything; where it was is enough to find it.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "an error of keyward's own");
    }));
}
