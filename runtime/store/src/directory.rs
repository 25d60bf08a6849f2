//! A store's directory: who may use it (one process), what is in it (the format file), how it is created so that a crash
//! meanwhile leaves nothing ambiguous. Not here: what an engine keeps in its own folder.
//!
//! ```text
//! <dir>/kontor-store.lock       locked by the process that uses the store; holds its number
//! <dir>/kontor-store.json       format version, engine, what created it; written last, so it exists = creation completed
//! <dir>/kontor-store.creating   exists while the store is created; what else is there then is nobody's data
//! <dir>/<engine>/               the engine's files
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::open::OpenError;

/// The version of the directory's format that this program writes and reads.
const FORMAT_VERSION: u64 = 1;
const FORMAT_FILE: &str = "kontor-store.json";
const LOCK_FILE: &str = "kontor-store.lock";
const CREATING_FILE: &str = "kontor-store.creating";

/// The format file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    format_version: u64,
    engine: String,
    created_by: String,
}

/// The part of the format file that every version has.
#[derive(Deserialize)]
struct FormatVersion {
    format_version: u64,
}

/// Keeps the directory for this process while it lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    engine: &'static str,
    lock: File,
}

/// What the directory holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing yet: create the engine's files, then call [`Directory::complete_creation`].
    New,
    /// A store of the engine asked for.
    Store,
}

impl Drop for Directory {
    /// Closing alone would leave the lock with a child process that is just being started and inherited the handle.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(directory = %self.path.display(), %error, "unlocking the store's directory failed");
        }
    }
}

impl Directory {
    /// Takes the directory, making it when it does not exist, and looks at what it holds.
    pub(crate) fn take(path: &Path, engine: &'static str) -> Result<(Self, Content), OpenError> {
        create_directories(path).map_err(|error| writing(path, "creating the directory", &error))?;
        refuse_foreign(path, engine)?;
        let lock = take_lock(path)?;
        let directory = Self { path: path.to_owned(), engine, lock };
        let content = directory.look()?;
        Ok((directory, content))
    }

    /// The engine's folder.
    pub(crate) fn engine_path(&self) -> PathBuf {
        self.path.join(self.engine)
    }

    /// Which engine made the store in `path`, as its format file says; `None` when there is no store.
    pub(crate) fn engine_in(path: &Path) -> Option<String> {
        let bytes = fs::read(path.join(FORMAT_FILE)).ok()?;
        serde_json::from_slice::<Format>(&bytes).ok().map(|format| format.engine)
    }

    fn look(&self) -> Result<Content, OpenError> {
        let creating = self.path.join(CREATING_FILE);
        let format_file = self.path.join(FORMAT_FILE);
        match fs::read(&format_file) {
            Ok(bytes) => {
                self.check_format(&bytes)?;
                if creating.exists() {
                    // A crash after the format file was written: the creation was complete.
                    fs::remove_file(&creating).map_err(|error| writing(&self.path, "removing a mark", &error))?;
                }
                Ok(Content::Store)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if self.engine_path().exists() && !creating.exists() {
                    return Err(OpenError::Damaged {
                        directory: self.path.clone(),
                        what: format!("{FORMAT_FILE} is missing although there is data"),
                    });
                }
                self.begin_creation(&creating)?;
                Ok(Content::New)
            }
            Err(error) => Err(reading(&self.path, "reading the format file", &error)),
        }
    }

    fn check_format(&self, bytes: &[u8]) -> Result<(), OpenError> {
        let damaged = |what: String| OpenError::Damaged { directory: self.path.clone(), what };
        let version: FormatVersion = serde_json::from_slice(bytes)
            .map_err(|error| damaged(format!("{FORMAT_FILE} cannot be read ({error})")))?;
        if version.format_version != FORMAT_VERSION {
            return Err(OpenError::UnknownFormat {
                directory: self.path.clone(),
                found: version.format_version,
                supported: FORMAT_VERSION,
            });
        }
        let format: Format = serde_json::from_slice(bytes)
            .map_err(|error| damaged(format!("{FORMAT_FILE} cannot be read ({error})")))?;
        if format.engine != self.engine {
            return Err(OpenError::OtherEngine {
                directory: self.path.clone(),
                found: format.engine,
                asked: self.engine,
            });
        }
        Ok(())
    }

    /// Clears what an interrupted creation left; the mark says that it is nobody's data.
    fn begin_creation(&self, creating: &Path) -> Result<(), OpenError> {
        let fail = |error: io::Error| writing(&self.path, "creating the store", &error);
        File::create(creating).and_then(|file| file.sync_all()).map_err(fail)?;
        sync_directory(&self.path).map_err(fail)?;
        if self.engine_path().exists() {
            fs::remove_dir_all(self.engine_path()).map_err(fail)?;
        }
        Ok(())
    }

    /// The engine's files are there and durable: from now on this is a store.
    pub(crate) fn complete_creation(&self, created_by: &str) -> Result<(), OpenError> {
        let fail = |error: io::Error| writing(&self.path, "writing the format file", &error);
        let format = Format {
            format_version: FORMAT_VERSION,
            engine: self.engine.to_owned(),
            created_by: created_by.to_owned(),
        };
        let mut json = serde_json::to_string_pretty(&format).map_err(|error| fail(error.into()))?;
        json.push('\n');
        let draft = self.path.join(format!("{FORMAT_FILE}.new"));
        let mut file = File::create(&draft).map_err(fail)?;
        file.write_all(json.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
        fs::rename(&draft, self.path.join(FORMAT_FILE)).map_err(fail)?;
        sync_directory(&self.path).map_err(fail)?;
        fs::remove_file(self.path.join(CREATING_FILE)).map_err(fail)?;
        if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent).map_err(fail)?;
        }
        Ok(())
    }

    /// Refuses when one of the engine's files is gone: it would make a new one, empty, without a word.
    pub(crate) fn require(&self, files: &[&str]) -> Result<(), OpenError> {
        for file in files {
            if !self.engine_path().join(file).is_file() {
                return Err(OpenError::Damaged {
                    directory: self.path.clone(),
                    what: format!("{}/{file} is missing", self.engine),
                });
            }
        }
        Ok(())
    }
}

/// Creates a directory, and those above it, so that a power cut does not take them away again with what is put into them.
pub fn create_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        // Made by a process that ended before it could sync.
        return parent_of(path).map_or(Ok(()), sync_directory);
    }
    if let Some(parent) = parent_of(path)
        && !parent.exists()
    {
        create_directories(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !path.is_dir() => return Err(error),
        _ => {}
    }
    parent_of(path).map_or(Ok(()), sync_directory)
}

/// The directory above; `None` for a root and for a name alone, which is in the current directory.
fn parent_of(path: &Path) -> Option<&Path> {
    path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// Syncs a directory's entries.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Syncs every file and directory below `path`, deepest first, then `path`.
pub(crate) fn sync_everything(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_everything(&entry.path())?;
        } else {
            OpenOptions::new().read(true).write(true).open(entry.path())?.sync_all()?;
        }
    }
    sync_directory(path)
}

/// A directory with something else in it is not ours to write into.
fn refuse_foreign(path: &Path, engine: &str) -> Result<(), OpenError> {
    let fail = |error: io::Error| reading(path, "listing the directory", &error);
    let mut foreign = None;
    for entry in fs::read_dir(path).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
        if name.starts_with("kontor-store.") {
            return Ok(());
        }
        if name != engine {
            foreign = Some(name);
        }
    }
    match foreign {
        Some(entry) => Err(OpenError::NotAStore { directory: path.to_owned(), entry }),
        None => Ok(()),
    }
}

fn take_lock(path: &Path) -> Result<File, OpenError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.join(LOCK_FILE))
        .map_err(|error| writing(path, "opening the lock file", &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message: a holder that cannot be read is left out of it.
            let _ = file.read_to_string(&mut holder);
            return Err(OpenError::Locked { directory: path.to_owned(), process: holder.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => {
            return Err(writing(path, "locking the lock file", &error));
        }
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|error| writing(path, "writing the lock file", &error))?;
    Ok(file)
}

fn reading(path: &Path, doing: &'static str, error: &io::Error) -> OpenError {
    OpenError::Io { directory: path.to_owned(), doing, reason: error.to_string() }
}

fn writing(path: &Path, doing: &'static str, error: &io::Error) -> OpenError {
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists => {
            OpenError::NotWritable { directory: path.to_owned(), doing, reason: error.to_string() }
        }
        _ => reading(path, doing, error),
    }
}
