//! Files that outlive the process: read without being led elsewhere or held up, written whole or not at all.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::fs::OFlags;
use rustix::io::Errno;
use tempfile::TempDir;
use zeroize::Zeroizing;

/// What is being written is called so, until it is whole and gets its name.
const UNFINISHED: &str = ".saving-";
/// What a disk has room for at the least, unless it is full.
const PAGE: usize = 4096;
/// So many unusable files are kept of one name; a later one takes the place of the last.
const KEPT: usize = 3;

/// Whether the file may be a symbolic link to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// The links of Docker and Kubernetes, say, or of an operator.
    Followed,
    /// Where only we write there are none, unless somebody wants to lead us elsewhere.
    Refused,
}

/// How a file is opened: nothing that stands in its place can hold us up, a FIFO without a writer least of all.
pub fn open_flags(links: Links) -> i32 {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = if links == Links::Refused { flags | OFlags::NOFOLLOW } else { flags };
    flags.bits().cast_signed()
}

/// Reads a regular file whole.
///
/// # Errors
/// When it is not there, is no regular file or can't be read; [`io::ErrorKind::FileTooLarge`] when it has more than
/// `longest` bytes.
pub fn read(file: &Path, longest: u64, links: Links) -> io::Result<Zeroizing<Vec<u8>>> {
    let opened = File::options().read(true).custom_flags(open_flags(links)).open(file);
    let opened = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) if links == Links::Refused => io::Error::other("it is a symbolic link"),
        _ => error,
    })?;
    let facts = opened.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    // With room for all of it, so that no copy of a secret is left where a vector grew.
    let room = usize::try_from(facts.len().min(longest)).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
    let length = opened.take(longest + 1).read_to_end(&mut bytes)?;
    if u64::try_from(length).is_ok_and(|length| length > longest) {
        let error = format!("it is larger than {longest} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, error));
    }
    Ok(bytes)
}

/// What the system says of an error, or a text with that in it, for a person: without the number that it has there.
pub fn plain(error: &impl Display) -> String {
    const NUMBER: &str = " (os error ";
    let mut text = error.to_string();
    while let Some(at) = text.find(NUMBER)
        && let Some(length) = text.get(at..).and_then(|rest| rest.find(')'))
    {
        text.replace_range(at..=at + length, "");
    }
    text
}

/// Makes a temporary folder for its owner alone, whatever the umask. It goes with the value.
///
/// # Errors
/// When it can't be made.
pub fn private_folder(prefix: &str) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(prefix).permissions(fs::Permissions::from_mode(0o700)).tempdir()
}

/// Gives a file that the administrator has just made in a folder to whoever has that: a service of another user has to
/// read it. Whatever bears its name by now is left alone.
///
/// # Errors
/// When whose they are can't be found out or changed.
pub fn hand_over(made: &File, folder: &Path) -> io::Result<()> {
    let (ours, theirs) = (made.metadata()?, folder.metadata()?);
    if ours.uid() == 0 && theirs.uid() != 0 {
        fchown(made, Some(theirs.uid()), Some(theirs.gid()))?;
    }
    Ok(())
}

/// The same with a folder, which is known by its name alone: something else that bears it by now is given to nobody, unless
/// it is a folder with nothing in it.
fn hand_over_folder(place: &Path) -> io::Result<()> {
    let flags = open_flags(Links::Refused) | OFlags::DIRECTORY.bits().cast_signed();
    let made = File::options().read(true).custom_flags(flags).open(place)?;
    let is_bare = made.metadata()?.permissions().mode() & 0o7777 == 0o700;
    let is_entry = |name: &[u8]| name != b"." && name != b"..";
    let mut entries = rustix::fs::Dir::read_from(&made)?;
    if !is_bare || entries.any(|entry| entry.is_ok_and(|entry| is_entry(entry.file_name().to_bytes()))) {
        return Ok(());
    }
    let above = place.parent().filter(|above| !above.as_os_str().is_empty());
    hand_over(&made, above.unwrap_or(Path::new(".")))
}

/// Writes something into a folder that nobody sees and that goes at once. A full disk still takes files with nothing in
/// them, and may not say before the end that it has no room.
fn try_to_write(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&[b'.'; PAGE])?;
    file.sync_all()
}

/// A folder that we write to.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// What it means that nothing can be written, in words for a person.
    loss: &'static str,
    /// Whether it has ever been there.
    was_there: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Folder {
    /// The folder at this path, which need not exist yet. `loss`: what it means when nothing can be written there.
    pub fn new(path: impl Into<PathBuf>, loss: &'static str) -> Self {
        Self { path: path.into(), loss, was_there: AtomicBool::new(false), trouble: Mutex::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why nothing can be written there, as far as was last seen, and what that means.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Makes the folder for its owner alone, and finds out whether it can be written.
    pub fn prepare(&self) {
        let made = self.make(!self.was_there.load(Ordering::Relaxed));
        self.note(made.and_then(|()| try_to_write(&self.path)));
    }

    /// Finds out whether the folder can be written, or could be made, and makes nothing.
    pub fn examine(&self) {
        let mut place = self.path.as_path();
        // What it would be made in.
        while place.symlink_metadata().is_err()
            && let Some(above) = place.parent()
        {
            place = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        }
        self.note(try_to_write(place));
    }

    /// Finds out whether a folder that could not be written can be by now.
    pub fn try_again(&self) {
        if self.trouble().is_some() {
            self.prepare();
        }
    }

    /// Removes what was being written when an earlier process was killed. Nobody else may write there now.
    pub fn clean(&self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes())
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(file = %entry.path().display(), %error, "what a killed keyward left can't be removed");
            }
        }
    }

    /// What the file of this name holds; `None`: there is none.
    ///
    /// # Errors
    /// See [`read`]. It is no symbolic link.
    pub fn read(&self, name: &str, longest: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        match read(&self.path.join(name), longest, Links::Refused) {
            Ok(bytes) => Ok(Some(bytes)),
            // Where a folder belongs and is none, there is no file either.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a file for its owner alone: whatever happens, it is the old one or the new one, whole. Says whether
    /// that worked; the first failure and the end of it are told in the log.
    pub fn write(&self, name: &str, contents: &[u8]) -> bool {
        self.note(self.try_write(name, contents))
    }

    fn try_write(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        self.make(false)?;
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path)?;
        file.write_all(contents)?;
        // Better root's than not saved: where root may not give anything away, the reader of the file says so.
        drop(hand_over(file.as_file(), &self.path));
        file.as_file().sync_all()?;
        let place = self.path.join(name);
        // The one thing whose place a file can't take.
        if place.symlink_metadata().is_ok_and(|facts| facts.is_dir()) {
            self.set_aside(name)?;
        }
        file.persist(place)?;
        File::open(&self.path)?.sync_all()
    }

    /// Gives a file that is of no use another name, so that it is kept and another one takes its place.
    ///
    /// # Errors
    /// When it can't be renamed.
    pub fn set_aside(&self, name: &str) -> io::Result<PathBuf> {
        let names = (1..=KEPT).map(|nth| self.path.join(format!("{name}.unusable-{nth}")));
        let free = names.clone().find(|aside| aside.symlink_metadata().is_err());
        let aside = free.or_else(|| names.last()).unwrap_or_default();
        fs::rename(self.path.join(name), &aside)?;
        Ok(aside)
    }

    /// `with_parents`: also the folders that it is in. Once it was there, who has removed those has meant it.
    fn make(&self, with_parents: bool) -> io::Result<()> {
        if self.path.is_dir() {
            self.was_there.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let is_missing = |place: &&Path| !place.as_os_str().is_empty() && !place.is_dir();
        let most = if with_parents { usize::MAX } else { 1 };
        let missing: Vec<_> = self.path.ancestors().take_while(is_missing).take(most).collect();
        for place in missing.into_iter().rev() {
            match fs::DirBuilder::new().mode(0o700).create(place) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !place.is_dir() => {
                    return Err(error);
                }
                _ => drop(hand_over_folder(place)),
            }
        }
        self.was_there.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Makes sure that nobody but its owner sees what is in it.
    ///
    /// # Errors
    /// When it is somebody else's.
    pub fn close_to_others(&self) -> io::Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700))
    }

    /// Whether others than its owner may put files there.
    pub fn is_open_to_writers(&self) -> bool {
        self.path.metadata().is_ok_and(|facts| facts.permissions().mode() & 0o022 != 0)
    }

    fn note(&self, outcome: io::Result<()>) -> bool {
        let place = self.path.display();
        let trouble = outcome
            .err()
            .map(|error| format!("the folder {place} can't be written ({}): {}", plain(&error), self.loss));
        let fine = trouble.is_none();
        let mut noted = self.trouble.lock();
        match (&*noted, &trouble) {
            (None, Some(trouble)) => tracing::warn!("{trouble}"),
            (Some(_), None) => tracing::info!("the folder {place} can be written again"),
            _ => {}
        }
        *noted = trouble;
        fine
    }
}

#[cfg(test)]
mod tests;
