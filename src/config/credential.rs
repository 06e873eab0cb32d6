//! Where a secret stands, and reading it from there.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Environment;
use crate::disk::{self, Links};
use crate::secret::Secret;

/// No secret is longer; a file that is was named by mistake.
const LONGEST: u64 = 64 * 1024;

/// Where a secret stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In an environment variable, which cannot change while we run.
    Env {
        /// The variable's name.
        name: String,
        /// What it held at the start.
        value: Secret,
    },
    /// In a file, which is read anew each time.
    File(PathBuf),
    /// In the configuration itself.
    Plain(Secret),
}

/// A secret is not where the configuration says; the text names the place and what to do, never what stands
/// there.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is missing or empty.
    #[error("environment variable {0} is not set or empty; set it where keyward is started")]
    Unset(String),
    /// The variable holds something else than text.
    #[error("environment variable {0} is not UTF-8 text")]
    Garbled(String),
    /// The file is another user's: of an image, or of a service, nobody knows by heart who runs it.
    #[error(
        "user {user}, as whom keyward runs, may not read the secret file {}: chown it to that user, or let a unit of \
         systemd hand it over (LoadCredential=)",
        file.display()
    )]
    Forbidden {
        /// The file.
        file: PathBuf,
        /// Our number.
        user: u32,
    },
    /// The file is missing or may not be read.
    #[error("cannot read the secret file {}: {}; put the secret there, readable by keyward", file.display(), disk::plain(source))]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why it could not be read.
        source: io::Error,
    },
    /// The file has nothing in it.
    #[error("the secret file {} is empty; put the secret there", .0.display())]
    Empty(PathBuf),
    /// The file holds something that is no secret.
    #[error("the secret file {} is too long or not UTF-8 text; put the secret alone there", .0.display())]
    Odd(PathBuf),
}

impl SecretSource {
    /// The secret in the environment variable `name`.
    ///
    /// # Errors
    /// When the variable is not set, empty or not text.
    pub fn variable(name: &str, environment: &Environment) -> Result<Self, SecretError> {
        let value = environment.value(name).ok_or_else(|| SecretError::Unset(name.to_owned()))?;
        let value = value.to_str().ok_or_else(|| SecretError::Garbled(name.to_owned()))?;
        Ok(Self::Env { name: name.to_owned(), value: Secret::new(value) })
    }

    /// The secret as it is now; of a file, one newline at the end is cut.
    ///
    /// # Errors
    /// When a file cannot be read or holds no secret.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Env { value, .. } | Self::Plain(value) => Ok(value.clone()),
            Self::File(file) => read(file),
        }
    }
}

fn read(file: &Path) -> Result<Secret, SecretError> {
    let bytes = disk::read(file, LONGEST, Links::Followed).map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge => SecretError::Odd(file.to_owned()),
        io::ErrorKind::PermissionDenied => {
            SecretError::Forbidden { file: file.to_owned(), user: rustix::process::geteuid().as_raw() }
        }
        _ => SecretError::Unreadable { file: file.to_owned(), source },
    })?;
    let text = str::from_utf8(&bytes).map_err(|_| SecretError::Odd(file.to_owned()))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() { Err(SecretError::Empty(file.to_owned())) } else { Ok(Secret::new(text)) }
}

/// The mode of a file that others than its owner may read, where that matters.
///
/// Folders that a container engine or service manager fills guard the files in them.
pub(super) fn loose_mode(file: &Path, environment: &Environment) -> Option<u32> {
    let mode = file.metadata().ok()?.permissions().mode() & 0o777;
    let place = file.canonicalize().ok()?;
    let guarded = [Some(PathBuf::from("/run/secrets")), environment.path("CREDENTIALS_DIRECTORY")];
    let guarded = guarded.into_iter().flatten().filter_map(|folder| folder.canonicalize().ok());
    let open = mode & 0o044 != 0 && !guarded.into_iter().any(|folder| place.starts_with(folder));
    open.then_some(mode)
}
