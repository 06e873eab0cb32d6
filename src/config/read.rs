//! Reading the top of the file: everything but the devices' own keys.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeTable;
use tracing_subscriber::filter::Targets;

use super::report::Report;
use super::section::Section;
use super::whereabouts::folder;
use super::words::nearest;
use super::{
    Address, Config, Limits, Listener, Location, Log, LogFormat, Makes, Malformed, access, device, listener,
};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
const FORMATS: [&str; 2] = ["text", "json"];

/// Reads the whole file. Whether all of it could be read is for the report to say.
pub(super) fn config<M: Makes>(report: &Report<'_>, table: &DeTable<'_>, makes: &M) -> Config<M::Driver> {
    let mut top = Section::top(report, table);
    let environment = report.environment;

    let listen = top.parsed("listen");
    let listen_at = match environment.text("KEYWARD_LISTEN") {
        Some(_) => Location::Variable("KEYWARD_LISTEN"),
        None => top.location("listen"),
    };
    let certs = top.path("certs");
    let state = top.path("state");
    let listen = listen_variable(report).or(listen).unwrap_or_default();
    let (names, devices) = devices(&mut top, makes);
    let listeners = listeners(&mut top, &names, &listen);
    let access = access::read(top.section("access"), &names);
    let limits = limits(top.section("limits"));
    let log = log(top.section("log"), report);
    let config = Config {
        file: report.file.to_owned(),
        listen,
        listen_at,
        listeners,
        certs: folder(environment, "KEYWARD_CERTS", certs, report.file, "certs"),
        state: folder(environment, "KEYWARD_STATE", state, report.file, "state"),
        devices,
        access,
        limits,
        log,
        warnings: Vec::new(),
    };
    top.finish(&[], true);
    config
}

fn listen_variable(report: &Report<'_>) -> Option<Address> {
    let text = report.environment.text("KEYWARD_LISTEN")?;
    let parsed = text.parse();
    parsed.map_err(|Malformed(message)| report.outside_fault("KEYWARD_LISTEN", &text, message)).ok()
}

/// The devices with all names that stand there, those of broken tables too.
fn devices<'a, M: Makes>(top: &mut Section<'a>, makes: &M) -> (Vec<&'a str>, Vec<super::Device<M::Driver>>) {
    let sections = top.section("devices").sections();
    let names = sections.iter().map(|(name, ..)| *name).collect();
    let mut hosts = BTreeSet::new();
    let read = |(name, at, table): (&str, usize, Section<'_>)| {
        if let Some(message) = device::fault_of_name(name) {
            top.report().fault(at, table.name().to_owned(), message);
        }
        // What is no table has been told of, and has no keys to miss.
        table.is_given().then(|| device::read(name, table, makes, &mut hosts))?
    };
    (names, sections.into_iter().filter_map(read).collect())
}

fn listeners(top: &mut Section<'_>, devices: &[&str], first: &Address) -> Vec<Listener> {
    let mut taken = vec![first.clone()];
    let mut listeners = Vec::new();
    for table in top.tables("listeners") {
        let read = listener::read(table, devices, &taken);
        taken.extend(read.iter().map(|listener| listener.listen.clone()));
        listeners.extend(read);
    }
    listeners
}

fn limits(mut section: Section<'_>) -> Limits {
    let usual = Limits::default();
    let limits = Limits {
        connections: section.count("connections", 1..=65_536).unwrap_or(usual.connections),
        head_timeout: section.duration("head_timeout").unwrap_or(usual.head_timeout),
        idle_timeout: section.duration("idle_timeout").unwrap_or(usual.idle_timeout),
        keep_alive: section.duration("keep_alive").unwrap_or(usual.keep_alive),
    };
    section.finish(&[], true);
    limits
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 256,
            head_timeout: seconds(10),
            idle_timeout: seconds(30),
            keep_alive: seconds(60),
        }
    }
}

fn log(mut section: Section<'_>, report: &Report<'_>) -> Log {
    let level = section.text("level");
    if let Some(message) = level.as_deref().and_then(fault_of_level) {
        section.refuse("level", message);
    }
    let format = section.choice("format", &FORMATS);
    section.finish(&[], true);

    let level_variable = report.environment.text("KEYWARD_LOG");
    if let Some((text, message)) =
        level_variable.as_deref().and_then(|text| Some((text, fault_of_level(text)?)))
    {
        report.outside_fault("KEYWARD_LOG", text, &message);
    }
    let format_variable = report.environment.text("KEYWARD_LOG_FORMAT");
    if let Some(text) = format_variable.as_deref().filter(|format| !FORMATS.contains(format)) {
        report.outside_fault("KEYWARD_LOG_FORMAT", text, "expected \"text\" or \"json\"");
    }
    let format = format_variable.as_deref().or(format);
    Log {
        level: level_variable.or(level).unwrap_or_else(|| "info".to_owned()),
        format: if format == Some("json") { LogFormat::Json } else { LogFormat::Text },
    }
}

/// What is wrong with a level or a list of directives, if something is.
///
/// To the filter a word that is no level is the name of a target, of which it then shows everything.
fn fault_of_level(text: &str) -> Option<String> {
    const EXPECTED: &str =
        "expected error, warn, info, debug or trace, or a directive such as \"info,hyper=debug\"";
    for word in text.split(',').map(str::trim) {
        let is_directive = word.contains(['=', '[']) || word.contains("::");
        if !is_directive && !LEVELS.contains(&word.to_ascii_lowercase().as_str()) {
            let hint = nearest(word, &LEVELS).map(|near| format!("; did you mean \"{near}\"?"));
            return Some(format!("{EXPECTED}{}", hint.unwrap_or_default()));
        }
    }
    text.parse::<Targets>().err().map(|_| EXPECTED.to_owned())
}
