//! Reading one device's table.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::section::Section;
use super::url::is_name;
use super::words::{is_harmless, listed, nearest};
use super::{BaseUrl, Cache, Defaults, Device, Makes, Malformed, PathPattern, Rights, cache, trust};
use crate::secret::Secret;

/// Paths that are ours, or that browsers and crawlers ask at every root.
const TAKEN: [&str; 5] = ["favicon.ico", "healthz", "metrics", "readyz", "robots.txt"];

/// More connections or requests than this at one device is a slip of the pen.
const MOST: usize = 10_000;

/// What is wrong with a device's name, if something is.
pub fn fault_of_name(name: &str) -> Option<&'static str> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_plain = name.bytes().all(|byte| is_letter(byte) || b"._-".contains(&byte));
    if TAKEN.contains(&name) {
        Some("this name is taken by a path of keyward's own; choose another")
    } else if !is_plain
        || !name.bytes().next().is_some_and(is_letter)
        || name.ends_with('.')
        || name.len() > 63
    {
        Some(
            "a device's name is of a-z, 0-9, `.`, `_` and `-`, begins with a letter or digit, \
             does not end with a dot, and is at most 63 long",
        )
    } else {
        None
    }
}

/// Reads the table of the device `name`. `None`: what is wrong has been noted.
/// `taken` are the host names of the devices before it.
pub(super) fn read<M: Makes>(
    name: &str,
    mut table: Section<'_>,
    makes: &M,
    taken: &mut BTreeSet<String>,
) -> Option<Device<M::Driver>> {
    let source = Secret::new(table.rendered());
    let known = vendor(&mut table, makes);
    let is_known = known.is_some();
    // Where the vendor is unknown the rest is read all the same, to tell what else is wrong.
    let defaults = known.unwrap_or(Defaults {
        name: "",
        connect_timeout: Duration::from_secs(5),
        max_connections: 4,
        acts_on_get: None,
    });
    table.require("url", "the device's base URL, such as \"https://10.0.40.2\"");
    let url: Option<BaseUrl> = table.parsed("url");
    let trust = trust::read(&mut table);
    if trust.is_some() && url.as_ref().is_some_and(|url| !url.is_tls()) {
        table.refuse(
            "trust",
            "there is no certificate on http://; remove this key, or write https:// in `url`",
        );
    }
    let access = match table.choice("access", &["full", "read"]) {
        Some("read") => Rights::Read,
        _ => Rights::Full,
    };
    let hosts = table.list("hosts", host).unwrap_or_default();
    if let Some(host) = hosts.iter().find(|host| !taken.insert(host.to_string())) {
        table.refuse("hosts", format!("{host} stands there twice, or is another device's"));
    }
    let acting = table.list("acts_on_get", str::parse);
    let kept = cache::read(&mut table);
    let stale_if_error = table.pause("stale_if_error");
    if is_known && defaults.acts_on_get.is_none() && !table.has("acts_on_get") {
        let message = "of this vendor it is not known which GETs change something; \
                       list their path prefixes in `acts_on_get` ([] if none does)";
        // What could not be read was meant to be something.
        let needs = [
            ("access", access == Rights::Read),
            ("cache", kept.as_ref().map_or_else(|| table.has("cache"), Cache::is_on)),
            (
                "stale_if_error",
                stale_if_error.map_or_else(|| table.has("stale_if_error"), |it| !it.is_zero()),
            ),
        ];
        needs.iter().filter(|(_, is_needed)| *is_needed).for_each(|(key, _)| table.refuse(key, message));
    }
    let generic: &[&str] = &["/"];
    let usual =
        || defaults.acts_on_get.unwrap_or(generic).iter().map(|prefix| PathPattern::of(prefix)).collect();
    let connect_timeout = table.duration("connect_timeout").unwrap_or(defaults.connect_timeout);
    let timeout = table.duration("timeout").unwrap_or(Duration::from_secs(45));
    let idle_timeout = table.duration("idle_timeout").unwrap_or(Duration::from_secs(60));
    let max_body = table.size("max_body");
    let max_connections = table.count("max_connections", 1..=MOST).unwrap_or(defaults.max_connections);
    let max_waiting = table.count("max_waiting", 1..=MOST).unwrap_or(64);
    let max_streams = table.count("max_streams", 0..=MOST).unwrap_or(2);
    let min_interval = table.pause("min_interval").unwrap_or_default();
    let stale_after = table.duration("stale_after").unwrap_or(Duration::from_secs(2));
    let driver = if is_known { build(&mut table, defaults.name, makes) } else { None };
    table.finish(&[], is_known);
    Some(Device {
        name: name.to_owned(),
        vendor: defaults.name,
        url: url?,
        trust: trust.unwrap_or_default(),
        access,
        hosts,
        acts_on_get: acting.unwrap_or_else(usual),
        connect_timeout,
        timeout,
        idle_timeout,
        max_body,
        max_connections,
        max_waiting,
        max_streams,
        min_interval,
        cache: kept.unwrap_or_default(),
        stale_if_error: stale_if_error.unwrap_or_default(),
        stale_after,
        driver: driver?,
        source,
    })
}

/// A host name that a device has to itself.
fn host(text: &str) -> Result<String, Malformed> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" {
        return Err(Malformed("localhost leads to all devices; \"<device>.localhost\" is a name of its own"));
    }
    if !is_name(text) || name.parse::<IpAddr>().is_ok() {
        return Err(Malformed("expected a host name without port, such as \"solar.home.arpa\""));
    }
    Ok(name)
}

fn build<M: Makes>(table: &mut Section<'_>, vendor: &'static str, makes: &M) -> Option<M::Driver> {
    let faults = table.report().faults();
    let driver = makes.build(vendor, table);
    // A vendor that gives up without a word must not make its device vanish.
    if driver.is_none() && table.report().faults() == faults {
        table.refuse("vendor", "the keys of this vendor do not go together");
    }
    driver
}

fn vendor<M: Makes>(table: &mut Section<'_>, makes: &M) -> Option<Defaults> {
    let names = makes.names();
    table.require("vendor", &format!("one of {}", listed(&names)));
    let name = table.text("vendor")?;
    let found = makes.defaults(&name);
    if found.is_none() {
        let hint = match nearest(&name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", listed(&names)),
        };
        let name = if is_harmless(&name) { format!(" `{name}`") } else { String::new() };
        table.refuse("vendor", format!("unknown vendor{name}; {hint}"));
    }
    found
}
