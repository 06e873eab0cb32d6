//! The file as it is read, whatever stands in its place.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::report::Errors;
use crate::disk::{self, Links};

/// Larger than any configuration.
const LONGEST: u64 = 1024 * 1024;

/// Its bytes. Nobody waits for a pipe that nobody writes to, or reads from a device that never ends.
///
/// # Errors
/// See [`disk::read`].
pub(super) fn bytes(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    disk::read(file, LONGEST, Links::Followed)
}

/// Its text, with every secret that stands in it.
///
/// # Errors
/// That it is not there, can't be read or is no text.
pub fn text(file: &Path) -> Result<Zeroizing<String>, Errors> {
    let bytes = bytes(file).map_err(|error| {
        Errors::whole(
            file,
            match error.kind() {
                io::ErrorKind::NotFound => "is not there: put it back".to_owned(),
                _ if file.is_dir() => "is a folder, and is to be a file".to_owned(),
                _ => format!("cannot be read: {}", disk::plain(&error)),
            },
        )
    })?;
    match str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).map(String::from_utf8_lossy).unwrap_or_default();
            Err(Errors::at(file, &valid, valid.len(), "not UTF-8 text; save the file in that encoding"))
        }
    }
}
