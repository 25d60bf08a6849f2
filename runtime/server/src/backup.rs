//! Backups: the whole of a host as files in a directory, written while it runs; and what is done with them without one.
//!
//! ```text
//! kontor-backup.json    what it is of, and the sums of the other files; written last, so it exists = the backup is complete
//! store.archive         the store (see `kontor_store::write_archive`)
//! packages/*.kontor     packed plugins
//! admin-token           the host's first admin token, if it is still in the data directory
//! ```
//!
//! A backup holds secrets as the store does: keep it as safe. Not here: when backups are made ([`crate::host`]).

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};

use kontor_core::audit::{Audit, AuditReport, Problem};
use kontor_core::store::TxStore as _;
use kontor_store::{
    ArchiveError, ArchiveSummary, EngineKind, OccStore, OpenError, Progress, StoreOptions, copy_store,
    create_directories, engine_in, read_archive, restore_archive, write_archive,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::options::store_dir;

const FORMAT_VERSION: u64 = 1;
const MANIFEST: &str = "kontor-backup.json";
const STORE_FILE: &str = "store.archive";
const PACKAGES: &str = "packages";
const TOKEN_FILE: &str = "admin-token";

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSummary {
    /// Of the backup's format.
    pub format_version: u64,
    /// When, milliseconds since 1970.
    pub created_at_ms: u64,
    /// Program and version.
    pub created_by: String,
    /// The engine of the store; it can be restored into another.
    pub engine: String,
    /// The store.
    pub store: ArchiveSummary,
    /// The other files.
    pub files: Vec<BackupFile>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Below the backup's directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its sum, hexadecimal.
    pub sha256: String,
}

/// What a look at a store or at a backup found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// What was looked at.
    pub path: PathBuf,
    /// The store's version.
    pub version: u64,
    /// The store's content.
    pub audit: AuditReport,
}

/// Why there is no backup, or why it is not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The destination holds something.
    #[error("{} is not empty: give a new directory for the backup", .0.display())]
    NotEmpty(PathBuf),
    /// No backup there.
    #[error("{} is no complete backup ({MANIFEST} {why}): give the directory that `kontor backup` wrote", path.display())]
    NotABackup {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file is not what it was.
    #[error("the backup's file {} is damaged or missing: use another backup", .0.display())]
    Damaged(PathBuf),
    /// The data directory holds a store.
    #[error("there is a store in {} already: give an empty or a new data directory", .0.display())]
    StoreExists(PathBuf),
    /// The data directory holds none.
    #[error("there is no store in {}: give the data directory of a host (--data-dir)", .0.display())]
    NoStore(PathBuf),
    /// The store or its archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// With which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> Self {
        Self::Archive(error.into())
    }
}

impl BackupError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotEmpty(_) => "backup-destination-not-empty",
            Self::NotABackup { .. } => "not-a-backup",
            Self::Damaged(_) => "backup-damaged",
            Self::StoreExists(_) => "store-exists",
            Self::NoStore(_) => "no-store",
            Self::Archive(error) => error.code(),
            Self::File { .. } => "file",
        }
    }
}

type Result<T> = std::result::Result<T, BackupError>;

fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { doing, path, source }
}

/// Writes a backup of a live store and of the files in `data_dir` into a new or empty directory.
pub fn write(
    store: &OccStore,
    data_dir: &Path,
    destination: &Path,
    created_at_ms: u64,
    progress: &mut Progress<'_>,
) -> Result<BackupSummary> {
    create_directories(destination).map_err(file("make the directory", destination))?;
    let mut entries = fs::read_dir(destination).map_err(file("list", destination))?;
    if entries.next().is_some() {
        return Err(BackupError::NotEmpty(destination.to_owned()));
    }
    close_to_others(destination).map_err(file("close to other users", destination))?;
    let archive = destination.join(STORE_FILE);
    let mut output = BufWriter::new(File::create_new(&archive).map_err(file("write", &archive))?);
    let summary = write_archive(store, &mut output, progress)?;
    let output = output.into_inner().map_err(|error| file("write", &archive)(error.into_error()))?;
    output.sync_all().map_err(file("write", &archive))?;
    // After the store: every package that its revisions name was kept before them.
    let mut files = Vec::new();
    create_directories(&destination.join(PACKAGES)).map_err(file("make the directory", destination))?;
    for name in names_in(&data_dir.join(PACKAGES))? {
        if name.ends_with(".kontor") {
            files.push(copy(data_dir, destination, &format!("{PACKAGES}/{name}"))?);
        }
    }
    if data_dir.join(TOKEN_FILE).is_file() {
        files.push(copy(data_dir, destination, TOKEN_FILE)?);
    }
    let summary = BackupSummary {
        format_version: FORMAT_VERSION,
        created_at_ms,
        created_by: concat!("kontor ", env!("CARGO_PKG_VERSION")).to_owned(),
        engine: store.stats().engine.engine.to_owned(),
        store: summary,
        files,
    };
    let manifest = destination.join(MANIFEST);
    let json = serde_json::to_vec_pretty(&summary).map_err(|error| file("write", &manifest)(error.into()))?;
    let draft = destination.join("kontor-backup.new");
    fs::write(&draft, json).and_then(|()| File::open(&draft)?.sync_all()).map_err(file("write", &draft))?;
    fs::rename(&draft, &manifest).map_err(file("write", &manifest))?;
    for directory in [destination.join(PACKAGES), destination.to_owned()] {
        File::open(&directory).and_then(|opened| opened.sync_all()).map_err(file("sync", &directory))?;
    }
    Ok(summary)
}

/// A backup holds secrets.
#[cfg(unix)]
fn close_to_others(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}

#[cfg(not(unix))]
fn close_to_others(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// The names in a directory, sorted; none when there is no directory.
fn names_in(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file("list", directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(file("list", directory))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Copies one file below two directories, durably, with its permissions.
fn copy(from: &Path, to: &Path, name: &str) -> Result<BackupFile> {
    let (source, target) = (from.join(name), to.join(name));
    let bytes = fs::copy(&source, &target).map_err(file("copy", &source))?;
    File::open(&target).and_then(|copied| copied.sync_all()).map_err(file("write", &target))?;
    Ok(BackupFile { path: name.to_owned(), bytes, sha256: sum(&target)? })
}

fn sum(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut input = File::open(path).map_err(file("read", path))?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match input.read(&mut buffer).map_err(file("read", path))? {
            0 => return Ok(hex::encode(hash.finalize())),
            bytes => hash.update(buffer.get(..bytes).unwrap_or_default()),
        }
    }
}

/// What a backup says of itself, once its files (but for the store's archive) are what they were.
pub fn inspect(backup: &Path) -> Result<BackupSummary> {
    let not = |why: String| BackupError::NotABackup { path: backup.to_owned(), why };
    let bytes = fs::read(backup.join(MANIFEST)).map_err(|error| not(format!("cannot be read: {error}")))?;
    let summary: BackupSummary =
        serde_json::from_slice(&bytes).map_err(|error| not(format!("cannot be understood: {error}")))?;
    if summary.format_version != FORMAT_VERSION {
        return Err(not(format!("has format version {}, this program knows {FORMAT_VERSION}", summary.format_version)));
    }
    for known in &summary.files {
        let path = backup.join(&known.path);
        if !sum(&path).is_ok_and(|sum| sum == known.sha256) {
            return Err(BackupError::Damaged(path));
        }
    }
    Ok(summary)
}

/// Makes a data directory of a backup. What was interrupted is done again from the beginning.
pub fn restore(
    backup: &Path,
    data_dir: &Path,
    engine: EngineKind,
    progress: &mut Progress<'_>,
) -> Result<BackupSummary> {
    let summary = inspect(backup)?;
    if engine_in(&store_dir(data_dir)).is_some() {
        return Err(BackupError::StoreExists(data_dir.to_owned()));
    }
    create_directories(&data_dir.join(PACKAGES)).map_err(file("make the directory", data_dir))?;
    for known in &summary.files {
        copy(backup, data_dir, &known.path)?;
    }
    let path = backup.join(STORE_FILE);
    let mut input = BufReader::new(File::open(&path).map_err(file("read", &path))?);
    // Last: a data directory with a store has all that its store needs.
    let restored = restore_archive(&store_options(data_dir, engine), &mut input, progress)?;
    if restored != summary.store {
        return Err(BackupError::Damaged(path));
    }
    Ok(summary)
}

fn store_options(data_dir: &Path, engine: EngineKind) -> StoreOptions {
    StoreOptions {
        engine,
        created_by: concat!("kontor ", env!("CARGO_PKG_VERSION")).to_owned(),
        ..StoreOptions::new(store_dir(data_dir))
    }
}

/// Opens the store of a data directory that no host uses.
fn open_existing(data_dir: &Path) -> Result<kontor_store::StoreHandle> {
    let engine = engine_in(&store_dir(data_dir)).ok_or_else(|| BackupError::NoStore(data_dir.to_owned()))?;
    Ok(kontor_store::open(&store_options(data_dir, engine))?)
}

/// Copies the data directory of a host that does not run to a new one, with another engine or the same. Gives the number of entries.
pub fn copy_data(from: &Path, to: &Path, engine: EngineKind, progress: &mut Progress<'_>) -> Result<u64> {
    if engine_in(&store_dir(to)).is_some() {
        return Err(BackupError::StoreExists(to.to_owned()));
    }
    let store = open_existing(from)?;
    create_directories(&to.join(PACKAGES)).map_err(file("make the directory", to))?;
    for name in names_in(&from.join(PACKAGES))? {
        copy(from, to, &format!("{PACKAGES}/{name}"))?;
    }
    if from.join(TOKEN_FILE).is_file() {
        copy(from, to, TOKEN_FILE)?;
    }
    let entries = copy_store(&store, &store_options(to, engine), progress)?;
    store.close().map_err(ArchiveError::from)?;
    Ok(entries)
}

/// Looks at all of a store that no host uses, or of a backup.
pub fn verify(path: &Path, progress: &mut Progress<'_>) -> Result<Verification> {
    let mut verification =
        if path.join(MANIFEST).exists() { verify_backup(path, progress)? } else { verify_store(path, progress)? };
    let kept = names_in(&path.join(PACKAGES))?;
    for digest in &verification.audit.packages {
        let name = format!("{}.kontor", digest.replace(':', "-"));
        if !kept.contains(&name) {
            verification.audit.problem_count += 1;
            verification.audit.problems.push(Problem {
                code: "package-missing".to_owned(),
                at: format!("{PACKAGES}/{name}"),
                what: "a plugin that is installed has no package: upload it again".to_owned(),
            });
        }
    }
    Ok(verification)
}

fn verify_store(data_dir: &Path, progress: &mut Progress<'_>) -> Result<Verification> {
    let store = open_existing(data_dir)?;
    let mut audit = Audit::new(store.current_version());
    let mut entries = 0;
    let exported = store.export(&mut |key, value| {
        entries += 1;
        progress(entries);
        audit.visit(key, value);
        Ok(())
    });
    let version = exported.map_err(ArchiveError::from)?;
    store.close().map_err(ArchiveError::from)?;
    Ok(Verification { path: data_dir.to_owned(), version, audit: audit.finish() })
}

fn verify_backup(backup: &Path, progress: &mut Progress<'_>) -> Result<Verification> {
    let summary = inspect(backup)?;
    let path = backup.join(STORE_FILE);
    let mut input = BufReader::new(File::open(&path).map_err(file("read", &path))?);
    // Later records of a key replace earlier ones, so the content is known at the end.
    let mut content = std::collections::BTreeMap::new();
    let mut records = 0;
    let read = read_archive(&mut input, &mut |key, value| {
        records += 1;
        progress(records);
        content.insert(key.to_vec(), value.map(<[u8]>::to_vec));
        Ok(())
    })?;
    if read != summary.store {
        return Err(BackupError::Damaged(path));
    }
    let mut audit = Audit::new(read.version);
    for (key, value) in &content {
        if let Some(value) = value {
            audit.visit(key, value);
        }
    }
    Ok(Verification { path: backup.to_owned(), version: read.version, audit: audit.finish() })
}
