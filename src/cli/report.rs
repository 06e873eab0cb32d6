//! `keyward check --report`: what a person can paste into an issue.

use std::net::IpAddr;
use std::path::{Path, absolute};

use crate::config::{BaseUrl, Config, Device, Rights, Trust};
use crate::server::operate::{Findings, Outcome, Pinning};
use crate::vendor::Driver;

/// Shorter words are in every sentence, and tell nothing.
const TELLING: usize = 3;
/// A number of so many digits names something.
const LONG: usize = 8;

/// What is to be told of a configuration and its devices.
pub(super) struct Report {
    head: String,
    devices: Vec<Subject>,
}

/// A device as the report has it, and what it must not have of it.
struct Subject {
    what: String,
    private: Vec<(String, &'static str)>,
}

impl Report {
    /// A report before anything was found.
    pub(super) fn of(config: &Config<Driver>) -> Self {
        let doors: Vec<_> =
            config.doors().iter().map(|door| door_of(&door.listen.host, door.tls.is_some())).collect();
        let head = format!(
            "keyward {} on {} {}{}\ndoors: {}\ncallers: keys {}, networks {}\n",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH,
            // It resolves names by itself, other than the system does.
            if cfg!(target_feature = "crt-static") { ", static" } else { "" },
            doors.join("; "),
            config.access.keys.len(),
            if config.access.allow.is_some() { "as listed" } else { "private" },
        );
        Self {
            head,
            devices: config.devices.iter().map(|device| Subject::of(device, &config.file)).collect(),
        }
    }

    /// The report with what was found, in the order of the devices.
    pub(super) fn with(&self, outcomes: &[Outcome]) -> String {
        let devices = self.devices.iter().zip(outcomes).map(|(subject, outcome)| {
            let found = match outcome {
                Outcome::Examined(found) => words(found),
                Outcome::Failed(detail) | Outcome::Fine(detail) => detail.clone(),
                Outcome::Certificates { .. } | Outcome::Listening { .. } => String::new(),
            };
            format!("\n{}\n  {}\n", subject.what, subject.masked(&found))
        });
        let devices: String = devices.collect();
        format!("{}{}", self.head, devices.trim_end())
    }
}

impl Subject {
    fn of(device: &Device<Driver>, file: &Path) -> Self {
        let url = &device.url;
        let trust = match (&device.trust, url.is_tls()) {
            (_, false) => "no TLS",
            (Trust::Pin, _) => "trust pin",
            (Trust::PinStrict, _) => "trust pin, strict",
            (Trust::Public, _) => "trust public",
            (Trust::Any, _) => "trust any",
            (Trust::Ca { .. }, _) => "trust ca",
            (Trust::Sha256(_), _) => "trust sha256",
        };
        let access = match device.access {
            Rights::Full => "access full",
            Rights::Read => "access read",
        };
        let cache = if device.cache.is_on() { "cache on" } else { "cache off" };
        let what = format!("{}: {}, {}, {trust}, {access}, {cache}", device.name, device.vendor, form(url));
        let account = device.driver.vendor.account();
        let names = account.who.iter().chain(&account.asks_as).map(|name| ((*name).to_owned(), "<account>"));
        let mut private: Vec<_> = [(url.authority(), "<address>"), (url.host().to_owned(), "<address>")]
            .into_iter()
            .chain(names)
            .collect();
        // A person's name is in many a path.
        let folder =
            absolute(file).ok().and_then(|file| file.parent().map(|folder| folder.display().to_string()));
        private.extend(folder.map(|folder| (folder, "<folder>")));
        // A longer one may have a shorter one in it.
        private.retain(|(text, _)| text.len() >= TELLING);
        private.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self { what, private }
    }

    fn masked(&self, text: &str) -> String {
        let text =
            self.private.iter().fold(text.to_owned(), |text, (private, mask)| text.replace(private, mask));
        without_numbers(&text)
    }
}

/// The text without the serial numbers of others: no time and no size is as long.
fn without_numbers(text: &str) -> String {
    let (mut told, mut digits) = (String::new(), String::new());
    for letter in text.chars().map(Some).chain([None]) {
        match letter {
            Some(digit) if digit.is_ascii_digit() => digits.push(digit),
            other => {
                told += if digits.len() < LONG { &digits } else { "<number>" };
                digits.clear();
                told.extend(other);
            }
        }
    }
    told
}

/// An address by its form.
fn form(url: &BaseUrl) -> String {
    let scheme = if url.is_tls() { "https" } else { "http" };
    let usual = if url.is_tls() { 443 } else { 80 };
    let port = if url.port() == usual { String::new() } else { format!(", a port other than {usual}") };
    let path = if url.path().is_empty() { "" } else { ", a base path" };
    format!("{scheme} to {}{port}{path}", host(url.host()))
}

fn host(host: &str) -> &'static str {
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => "this machine",
        Ok(IpAddr::V4(address)) if address.is_private() || address.is_link_local() => {
            "a private IPv4 address"
        }
        Ok(IpAddr::V4(_)) => "a public IPv4 address",
        Ok(IpAddr::V6(_)) => "an IPv6 address",
        Err(_) if host == "localhost" => "this machine",
        Err(_) if host.trim_end_matches('.').ends_with(".local") => "a .local name",
        Err(_) if host.contains('.') => "a name",
        Err(_) => "a name without a dot",
    }
}

fn door_of(listen: &str, tls: bool) -> String {
    let place = match listen.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => "every address",
        _ => host(listen),
    };
    format!("{} at {place}", if tls { "https" } else { "http" })
}

/// What was found, without what tells one device from another.
fn words(found: &Findings) -> String {
    if let Some(told) = &found.fault {
        return format!("FAIL {}: {}", told.name, told.detail);
    }
    let mut said = vec![match found.status {
        Some(status) => format!("ok, answers {status}"),
        None => "ok".to_owned(),
    }];
    said.extend(
        found
            .described
            .iter()
            .filter(|(what, _)| what != "serial")
            .map(|(what, value)| format!("{what} {value}")),
    );
    said.extend(found.certificate.iter().map(|_| match found.pinned {
        Pinning::JustNow => "certificate pinned just now".to_owned(),
        Pinning::Before => "certificate as pinned".to_owned(),
        Pinning::Unsaved => "certificate accepted, its pin can't be saved".to_owned(),
        Pinning::None => "certificate accepted".to_owned(),
    }));
    said.extend(found.session_until.iter().map(|until| format!("session until {until}")));
    said.join(", ")
}

#[cfg(test)]
mod tests;
