//! What is written into a configuration: a device's table, and the file around the first one.

use std::net::IpAddr;
use std::path::Path;

use super::draft::Draft;
use crate::config::Address;
use crate::vendor::{MAKES, Make};

/// Where notes begin, behind what they are of.
const NOTES_AT: usize = 37;

/// The editor schema, as it lies beside a file of ours.
pub(super) const SCHEMA: &str = include_str!("../proxy.schema.json");
/// Its name there.
pub(super) const SCHEMA_FILE: &str = "proxy.schema.json";

/// One line of a table.
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// The value, in TOML.
    pub(super) value: String,
    /// What there is to say about it.
    pub(super) note: String,
    /// Whether it is only shown, as a comment.
    pub(super) is_shown: bool,
}

impl Entry {
    /// A line that holds.
    pub(super) fn new(key: &str, value: String) -> Self {
        Self { key: key.to_owned(), value, note: String::new(), is_shown: false }
    }

    /// A line to uncomment.
    fn shown(key: &str, value: &str, note: &str) -> Self {
        Self { key: key.to_owned(), value: value.to_owned(), note: note.to_owned(), is_shown: true }
    }

    /// The same line with a note behind it.
    pub(super) fn noted(self, note: &str) -> Self {
        Self { note: note.to_owned(), ..self }
    }
}

/// A text in TOML.
pub(super) fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// A name as a key in TOML. One with a dot in it needs quotes.
pub(super) fn key(name: &str) -> String {
    toml_edit::Key::new(name).to_string()
}

/// A device's table, with a comment before it.
pub(super) fn table(comment: &str, name: &str, entries: &[Entry]) -> String {
    let key = key(name);
    let width = entries.iter().map(|entry| entry.key.len() + usize::from(entry.is_shown)).max().unwrap_or(0);
    let mut text = format!("# {comment}\n[devices.{key}]\n");
    for Entry { key, value, note, is_shown } in entries {
        let mark = if *is_shown { "#" } else { "" };
        let line = format!("{:width$} = {value}", format!("{mark}{key}"));
        match note.as_str() {
            "" => text += &line,
            note => text += &aligned(&line, note),
        }
        text.push('\n');
    }
    text
}

/// What a device of this make is called at the beginning of a sentence.
fn one(make: &Make) -> String {
    let product = make.product;
    let is_sounded = product.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']);
    if is_sounded { format!("An {product}") } else { format!("A {product}") }
}

/// What a door is called on this machine, where one that is open to every address has none of its own.
pub(super) fn called(door: &Address) -> Address {
    let is_any = door.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
    if is_any { local(door) } else { door.clone() }
}

fn local(door: &Address) -> Address {
    Address { host: "localhost".to_owned(), port: door.port }
}

/// The table of a device that somebody was asked about, with what it may need next.
pub(super) fn device(draft: &Draft, values: Vec<Entry>, door: &Address) -> String {
    let door = if door.is_loopback() { local(door) } else { called(door) };
    let comment = format!("{}, at http://{door}/{}/…", one(draft.make), draft.name);
    let mut entries = vec![
        Entry::new("vendor", quoted(draft.make.name)),
        Entry::new("url", quoted(&draft.url.to_string())),
    ];
    entries.extend(values);
    if draft.make.acts_on_get.is_none() {
        entries.push(Entry::shown(
            "acts_on_get",
            "[\"/\"]",
            "paths whose GET changes something; [] if none does",
        ));
    } else {
        entries.push(Entry::shown("access", "\"full\"", "\"read\": callers may look, and change nothing"));
        entries.push(Entry::shown("cache", "\"0s\"", "\"5s\": for so long an answer may be from memory"));
    }
    table(&comment, &draft.name, &entries)
}

/// A whole file for its first device.
pub(super) fn file(device: &str) -> String {
    let makes: Vec<_> = MAKES.iter().map(|make| make.name).collect();
    format!(
        "#:schema ./{SCHEMA_FILE}\n\
         # The devices whose keys keyward keeps. `keyward init` wrote this; it is yours to change.\n\
         #\n\
         #   keyward check               can each device be reached and logged in to?\n\
         #   keyward run                 serve them; a changed file is taken over by itself\n\
         #   keyward add NAME            ask for one more device and write it below\n\
         #\n\
         # Lines that begin with `#` and no space are settings to uncomment; what they say is the default. Paths are\n\
         # relative to this file. Makes are {}.\n\
         \n\
         {}\n{}\n{}\n\
         \n\
         {device}",
        makes.join(", "),
        aligned("#listen = \"127.0.0.1:8480\"", "\"0.0.0.0:8480\" serves the whole network"),
        aligned("#certs  = \"certs\"", "the devices' certificates, pinned at the first contact"),
        aligned("#state  = \"state\"", "sessions that outlive a restart"),
    )
}

fn aligned(line: &str, note: &str) -> String {
    let width = NOTES_AT - 1;
    format!("{line:width$} # {note}")
}

/// A path as a file beside `folder` names it.
pub(super) fn named_from(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}
