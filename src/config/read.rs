//! Reading the top of the file: everything but the devices' own keys.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use toml::de::DeTable;
use tracing_subscriber::filter::Targets;

use super::report::Report;
use super::section::Section;
use super::url::is_name;
use super::words::nearest;
use super::{Access, Address, Config, Limits, Log, LogFormat, Makes, Malformed, device};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
const FORMATS: [&str; 2] = ["text", "json"];

/// Reads the whole file. Whether all of it could be read is for the report to say.
pub(super) fn config<M: Makes>(report: &Report<'_>, table: &DeTable<'_>, makes: &M) -> Config<M::Driver> {
    let mut top = Section::top(report, table);
    let environment = report.environment;
    let saved = |name: &str| environment.state_directory().map(|folder| folder.join(name));

    let listen = top.parsed("listen");
    let certs = top.path("certs");
    let state = top.path("state");
    let devices = devices(&mut top, makes);
    let access = access(top.section("access"));
    let limits = limits(top.section("limits"));
    let log = log(top.section("log"), report);
    let config = Config {
        file: report.file.to_owned(),
        listen: listen_variable(report).or(listen).unwrap_or_default(),
        certs: environment
            .path("KEYWARD_CERTS")
            .or(certs)
            .or_else(|| saved("certs"))
            .unwrap_or_else(|| top.beside("certs")),
        state: environment
            .path("KEYWARD_STATE")
            .or(state)
            .or_else(|| saved("state"))
            .unwrap_or_else(|| top.beside("state")),
        devices,
        access,
        limits,
        log,
        warnings: Vec::new(),
    };
    top.finish(&["listeners"], true);
    config
}

fn listen_variable(report: &Report<'_>) -> Option<Address> {
    let parsed = report.environment.text("KEYWARD_LISTEN")?.parse();
    parsed.map_err(|Malformed(message)| report.outside_fault("KEYWARD_LISTEN", message)).ok()
}

fn devices<M: Makes>(top: &mut Section<'_>, makes: &M) -> Vec<super::Device<M::Driver>> {
    let section = top.section("devices");
    let read = |(name, at, table): (&str, usize, Section<'_>)| {
        if let Some(message) = device::fault_of_name(name) {
            top.report().fault(at, table.name().to_owned(), message);
        }
        // What is no table has been told of, and has no keys to miss.
        table.is_given().then(|| device::read(name, table, makes))?
    };
    section.sections().into_iter().filter_map(read).collect()
}

fn access(mut section: Section<'_>) -> Access {
    let hosts = section.list("hosts", host_pattern).unwrap_or_default();
    let allow = section.list("allow", network);
    section.finish(&["keys", "origins"], true);
    Access { hosts, allow }
}

fn host_pattern(text: &str) -> Result<String, Malformed> {
    if is_name(text.strip_prefix("*.").unwrap_or(text)) {
        return Ok(text.trim_end_matches('.').to_ascii_lowercase());
    }
    Err(Malformed("expected a host name without port, such as \"meters.example.org\" or \"*.example.org\""))
}

/// A network or a plain address. Callers' IPv4 addresses come unmapped, so networks are too.
fn network(text: &str) -> Result<IpNet, Malformed> {
    let plain = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse::<IpNet>().or_else(|_| plain());
    let network =
        network.map_err(|_| Malformed("expected a network such as \"192.168.0.0/16\", or an address"))?;
    let unmapped = match network {
        IpNet::V6(net) => net.addr().to_ipv4_mapped().zip(net.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    let unmapped = unmapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    Ok(unmapped.map_or(network, IpNet::V4).trunc())
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
    if let Some(message) = level_variable.as_deref().and_then(fault_of_level) {
        report.outside_fault("KEYWARD_LOG", message);
    }
    let format_variable = report.environment.text("KEYWARD_LOG_FORMAT");
    if format_variable.as_deref().is_some_and(|format| !FORMATS.contains(&format)) {
        report.outside_fault("KEYWARD_LOG_FORMAT", "expected \"text\" or \"json\"");
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
