//! A configuration file on its way to the disk: a new one, or one with a device more.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use tempfile::{Builder, NamedTempFile};
use toml_edit::{DocumentMut, Item, Table, value};
use zeroize::Zeroizing;

use super::Exit;
use crate::config;
use crate::disk::hand_over;

/// Who reads a new file: it has no secret in it, and the service that reads it may have another user.
const MODE: u32 = 0o644;

/// A file that was there before, as it was read.
pub(super) struct Document {
    /// Where it really is: a link to it stays a link.
    place: PathBuf,
    text: Zeroizing<String>,
    parsed: DocumentMut,
}

impl Document {
    /// Reads it.
    ///
    /// # Errors
    /// When it is not there or is no TOML.
    pub(super) fn read(file: &Path) -> Result<Self, Exit> {
        let place = file.canonicalize().map_err(|error| unreadable(file, &error))?;
        let text = config::text(&place).map_err(|errors| Exit::Usage(errors.to_string()))?;
        let parsed = text.parse().map_err(|_| {
            Exit::Usage(format!("{} is no TOML: `keyward check --offline` says where", file.display()))
        })?;
        Ok(Self { place, text, parsed })
    }

    /// Where it really is.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// The names of its devices.
    pub(super) fn devices(&self) -> Vec<String> {
        let devices = self.parsed.get("devices").and_then(Item::as_table_like);
        devices.into_iter().flat_map(|devices| devices.iter().map(|(name, _)| name.to_owned())).collect()
    }

    /// The text with one device more. What stood there stands there still, to the byte.
    ///
    /// # Errors
    /// When the file has its devices in a form that no table can be added to.
    pub(super) fn with(&self, name: &str, table: &str) -> Result<String, Exit> {
        let takes_tables = match self.parsed.get("devices") {
            None => true,
            Some(Item::Table(devices)) => !devices.is_dotted(),
            Some(_) => false,
        };
        let whole = if takes_tables { appended(&self.text, table) } else { self.inserted(name, table)? };
        // It is somebody's file: nothing is written that does not say what it said and one thing more.
        let is_right = whole.parse::<DocumentMut>().is_ok_and(|read| {
            let devices = read.get("devices").and_then(Item::as_table_like);
            devices.is_some_and(|devices| {
                devices.len() == self.devices().len() + 1 && devices.contains_key(name)
            })
        });
        if is_right { Ok(whole) } else { Err(unextendable(&self.place, table)) }
    }

    /// Into `devices = { … }` and `devices.x.y = …`, below which there can be no table of its own.
    fn inserted(&self, name: &str, table: &str) -> Result<String, Exit> {
        let unextendable = || unextendable(&self.place, table);
        // Printed anew, line ends, a byte order mark and what ends without a line end would not be what they were.
        let is_kept = !self.text.contains("\r\n") && !self.text.starts_with('\u{feff}');
        if !is_kept || self.parsed.to_string() != *self.text {
            return Err(unextendable());
        }
        let read: DocumentMut = table.parse().map_err(|_| unextendable())?;
        let added = read.get("devices").and_then(|devices| devices.get(name)?.as_table());
        let added = added.cloned().map(Table::into_inline_table).ok_or_else(unextendable)?;
        let mut whole = self.parsed.clone();
        let devices = whole.get_mut("devices").and_then(Item::as_table_like_mut).ok_or_else(unextendable)?;
        devices.insert(name, value(added));
        Ok(whole.to_string())
    }

    /// Puts the new text in the place of the old one, in one step and with the old one's mode and owner.
    ///
    /// # Errors
    /// When it can't be written, or somebody has changed it meanwhile.
    pub(super) fn replace(&self, text: &str) -> Result<(), Exit> {
        let facts = self.place.metadata().map_err(|error| unreadable(&self.place, &error))?;
        let new = written(&self.place, text, facts.mode() & 0o7777)?;
        let ours = new.as_file().metadata().map_err(anyhow::Error::from)?;
        if (ours.uid(), ours.gid()) != (facts.uid(), facts.gid()) {
            fchown(new.as_file(), Some(facts.uid()), Some(facts.gid())).with_context(|| {
                format!(
                    "{} belongs to somebody else, and would not any more: ask its owner to do this",
                    self.place.display()
                )
            })?;
        }
        // The umask has taken from the mode, and a change of the owner takes away what it gave to who runs it.
        new.as_file()
            .set_permissions(Permissions::from_mode(facts.mode() & 0o7777))
            .map_err(anyhow::Error::from)?;
        if !config::text(&self.place).is_ok_and(|now| now == self.text) {
            return Err(anyhow!(
                "{} was changed meanwhile: nothing is written; try again",
                self.place.display()
            )
            .into());
        }
        new.persist(&self.place)
            .with_context(|| format!("{} can't be replaced: nothing is changed", self.place.display()))?;
        settle(&self.place);
        Ok(())
    }
}

/// Whether something can be written beside a file: to be known before somebody is asked for a lot.
///
/// # Errors
/// Why not.
pub(super) fn examine(file: &Path) -> Result<(), Exit> {
    let tried = tempfile::tempfile_in(folder(file));
    tried.with_context(|| unwritable(file))?;
    Ok(())
}

fn unwritable(file: &Path) -> String {
    let folder = folder(file);
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    format!("nothing can be written in {}", absolute.display())
}

/// Writes a file that is not there yet.
///
/// # Errors
/// When it is there by now, or can't be written.
pub(super) fn create(place: &Path, text: &str) -> Result<(), Exit> {
    let new = written(place, text, MODE)?;
    hand_over(new.as_file(), folder(new.path())).map_err(anyhow::Error::from)?;
    new.persist_noclobber(place).with_context(|| format!("{} can't be written", place.display()))?;
    settle(place);
    Ok(())
}

/// The text in a file of another name in the same folder.
fn written(place: &Path, text: &str, mode: u32) -> Result<NamedTempFile, Exit> {
    let unwritable = || unwritable(place);
    let mut builder = Builder::new();
    builder.prefix(".saving-").permissions(Permissions::from_mode(mode));
    let mut new = builder.tempfile_in(folder(place)).with_context(unwritable)?;
    new.write_all(text.as_bytes()).with_context(unwritable)?;
    new.as_file().sync_all().with_context(unwritable)?;
    Ok(new)
}

/// Has the new name reach the disk too. By now the file is there, and what is beside it belongs to it: a disk that
/// does not want to be waited for is no reason to say that it is not.
fn settle(place: &Path) {
    drop(File::open(folder(place)).and_then(|folder| folder.sync_all()));
}

/// The folder that a file is in.
pub(super) fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Behind all else, with a line between, and with the line ends that the file has.
fn appended(text: &str, table: &str) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let gap = match text {
        "" => String::new(),
        text if text.ends_with('\n') => end.to_owned(),
        _ => end.repeat(2),
    };
    format!("{text}{gap}{}", table.replace('\n', end))
}

fn unreadable(file: &Path, error: &io::Error) -> Exit {
    Exit::Usage(format!("{} can't be read: {error}", file.display()))
}

fn unextendable(place: &Path, table: &str) -> Exit {
    let place = place.display();
    Exit::Usage(format!("{place} has its devices in a form that this can't add to. Add by hand:\n\n{table}"))
}

#[cfg(test)]
mod tests;
