//! Files of secrets beside a configuration that is being written.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf, absolute};

use anyhow::anyhow;
use zeroize::Zeroizing;

use super::document::folder;
use super::draft::Draft;
use super::given::Value;
use super::stanza::{Entry, named_from, quoted};
use super::{Exit, person};
use crate::disk::hand_over;
use crate::secret::Secret;
use crate::vendor::Kind;

/// No secret is longer.
const LONGEST: u64 = 64 * 1024;
/// So many names are tried for a file where others have the first ones.
const NAMES: usize = 100;

/// The files made for one device. Unless they are kept they go with this.
#[derive(Default)]
pub(super) struct SecretFiles {
    made: Vec<PathBuf>,
}

impl SecretFiles {
    /// A make's keys as the table has them. A secret that somebody typed gets a file, for its owner alone. What is in
    /// the folder is named from there if `is_relative`, and in full otherwise.
    ///
    /// # Errors
    /// What can't be read or written.
    pub(super) fn entries(
        &mut self,
        draft: &Draft,
        beside: &Path,
        is_relative: bool,
    ) -> Result<Vec<Entry>, Exit> {
        let place = absolute(beside).map_err(anyhow::Error::from)?;
        let named = |file: &Path| {
            let name = if is_relative { named_from(&place, file) } else { file.display().to_string() };
            format!("{{ file = {} }}", quoted(&name))
        };
        let mut entries = Vec::new();
        for (key, value) in &draft.keys {
            let value = match value {
                Value::Text(text) => quoted(text),
                Value::Variable(name) => format!("{{ env = {} }}", quoted(name)),
                Value::File(file) => named(&absolute(file).map_err(anyhow::Error::from)?),
                Value::Typed(secret) => {
                    named(&self.write(&place, &format!("{}.{}", draft.name, key.name), secret)?)
                }
                Value::Stdin => return Err(person::given_up()),
            };
            let entry = Entry::new(key.name, value);
            entries.push(if key.kind == Kind::Secret {
                entry.noted("read anew before each login")
            } else {
                entry
            });
        }
        Ok(entries)
    }

    /// Writes a secret into a new file of this name, or of the next one that is free.
    fn write(&mut self, place: &Path, name: &str, secret: &Secret) -> Result<PathBuf, Exit> {
        let names = (2..NAMES).map(|number| format!("{name}-{number}"));
        for name in std::iter::once(name.to_owned()).chain(names) {
            let file = place.join(name);
            // Only a file that is not there yet is made, so that no other mode and no link of somebody's counts.
            let made = File::options().write(true).create_new(true).mode(0o600).open(&file);
            let made = match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made,
            };
            let mut made = made.map_err(|error| anyhow!("{} can't be written: {error}", file.display()))?;
            self.made.push(file.clone());
            let written = made.write_all(secret.expose().as_bytes()).and_then(|()| made.write_all(b"\n"));
            let written =
                written.and_then(|()| hand_over(&made, folder(&file))).and_then(|()| made.sync_all());
            written.map_err(|error| anyhow!("{} can't be written: {error}", file.display()))?;
            return Ok(file);
        }
        Err(anyhow!("{} is there already, and so are its like: move them away", place.join(name).display())
            .into())
    }

    /// The names of what was made.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.made.iter().filter_map(|file| file.file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    /// They are there to stay.
    pub(super) fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for SecretFiles {
    fn drop(&mut self) {
        for file in &self.made {
            drop(fs::remove_file(file));
        }
    }
}

/// Reads what can be read once only: standard input, and files that are none (`<(…)` in a shell).
///
/// # Errors
/// What can't be read, or that two are to come from standard input.
pub(super) async fn read_streams(mut draft: Draft) -> Result<Draft, Exit> {
    // Whoever is to write there may take their time, and a signal is to be heard meanwhile.
    let read = tokio::task::spawn_blocking(move || replace_streams(&mut draft).map(|()| draft));
    read.await.map_err(anyhow::Error::from)?
}

fn replace_streams(draft: &mut Draft) -> Result<(), Exit> {
    let mut is_read = false;
    for (_, value) in &mut draft.keys {
        let secret = match &*value {
            Value::Stdin if is_read => {
                let why = "standard input brings one secret, not two: name a file for the other";
                return Err(Exit::Usage(why.to_owned()));
            }
            Value::Stdin => {
                is_read = true;
                read(io::stdin().lock(), "standard input")?
            }
            Value::File(file) => match fs::metadata(file) {
                Ok(facts) if !facts.is_file() && !facts.is_dir() => {
                    let opened = File::open(file);
                    let opened =
                        opened.map_err(|error| anyhow!("{} can't be read: {error}", file.display()))?;
                    read(opened, &file.display().to_string())?
                }
                // What is wrong with it the reader of the configuration says best.
                _ => continue,
            },
            _ => continue,
        };
        *value = Value::Typed(secret);
    }
    Ok(())
}

fn read(from: impl Read, name: &str) -> Result<Secret, Exit> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    let read = from.take(LONGEST).read_to_end(&mut bytes);
    read.map_err(|error| anyhow!("{name} can't be read: {error}"))?;
    let text = str::from_utf8(&bytes).map_err(|_| anyhow!("{name} brings no UTF-8 text"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() { Err(anyhow!("{name} brings nothing").into()) } else { Ok(Secret::new(text)) }
}

#[cfg(test)]
mod tests;
