//! Packed plugins on disk, by content: `<data>/packages/sha256-<hex>.kontor`. A file is written, synced and renamed, so it is whole or not
//! there; it is verified whenever it is read.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::api::PackageSignature;
use crate::environment::time_ordered_id;
use crate::install::accept_signature;
use crate::packed::{PackageReader, Unpacked};
use crate::problem::Problem;

/// Why a package cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    /// Never uploaded.
    #[error("there is no package `{0}` here: upload it first")]
    Unknown(String),
    /// The digest is malformed.
    #[error("`{0}` is not a digest: it looks like `sha256:` and 64 hexadecimal digits")]
    Digest(String),
    /// Not a package.
    #[error("{0}")]
    Invalid(String),
    /// The file is not what its name says.
    #[error("the package file {} is damaged: remove it and upload the package again", .0.display())]
    Damaged(PathBuf),
    /// The disk.
    #[error("the package file {} cannot be {action}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

/// The directory of packages.
#[derive(Clone, Debug)]
pub(crate) struct PackageStore {
    directory: PathBuf,
    reader: Arc<dyn PackageReader>,
}

impl PackageStore {
    /// Opens it, creating it when missing.
    pub(crate) fn open(data_dir: &Path, reader: Arc<dyn PackageReader>) -> Result<Self, PackageError> {
        let directory = data_dir.join("packages");
        kontor_store::create_directories(&directory).map_err(|source| PackageError::Io {
            action: "kept: its directory cannot be made",
            path: directory.clone(),
            source,
        })?;
        Ok(Self { directory, reader })
    }

    /// Checks and keeps a package. Keeping it twice changes nothing.
    pub(crate) async fn keep(&self, bytes: Vec<u8>, dev_mode: bool) -> Result<Arc<Unpacked>, Problem> {
        let this = self.clone();
        blocking(move || {
            let unpacked = this.reader.read(bytes.clone()).map_err(PackageError::Invalid)?;
            accept_signature(dev_mode, unpacked.signature, &unpacked.spec)?;
            let path = this.path(&unpacked.spec.digest)?;
            // The digest leaves the signature out: a publisher's takes the place of a weaker one.
            if !path.exists() || unpacked.signature == PackageSignature::Publisher {
                write_whole(&path, &bytes)?;
            }
            Ok(Arc::new(unpacked))
        })
        .await
    }

    /// Reads and verifies a package.
    pub(crate) async fn load(&self, digest: &str) -> Result<Arc<Unpacked>, PackageError> {
        let (this, digest) = (self.clone(), digest.to_owned());
        blocking(move || {
            let path = this.path(&digest)?;
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(PackageError::Unknown(digest)),
                Err(source) => return Err(PackageError::Io { action: "read", path, source }),
            };
            match this.reader.read(bytes) {
                Ok(unpacked) if unpacked.spec.digest == digest => Ok(Arc::new(unpacked)),
                Ok(_) => Err(PackageError::Damaged(path)),
                Err(reason) => {
                    tracing::warn!(%reason, "a kept package cannot be read");
                    Err(PackageError::Damaged(path))
                }
            }
        })
        .await
    }

    /// The digests of all packages, sorted.
    pub(crate) async fn digests(&self) -> Result<Vec<String>, PackageError> {
        let directory = self.directory.clone();
        blocking(move || {
            let io = |source| PackageError::Io { action: "listed", path: directory.clone(), source };
            let mut digests = Vec::new();
            for entry in fs::read_dir(&directory).map_err(io)? {
                let name = entry.map_err(io)?.file_name();
                let hex = name.to_str().and_then(|n| n.strip_prefix("sha256-")).and_then(|n| n.strip_suffix(".kontor"));
                digests.extend(hex.map(|hex| format!("sha256:{hex}")));
            }
            digests.sort();
            Ok(digests)
        })
        .await
    }

    fn path(&self, digest: &str) -> Result<PathBuf, PackageError> {
        let hex = digest
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
            .ok_or_else(|| PackageError::Digest(digest.chars().take(80).collect()))?;
        Ok(self.directory.join(format!("sha256-{hex}.kontor")))
    }
}

/// Writes beside, syncs, renames, syncs the directory.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PackageError> {
    let io = |source| PackageError::Io { action: "written", path: path.to_owned(), source };
    let temporary = path.with_extension(format!("tmp-{}", time_ordered_id()));
    let written = (|| {
        let mut file = fs::File::create_new(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    })();
    if written.is_err() {
        let _best_effort = fs::remove_file(&temporary);
    }
    written.map_err(io)
}

async fn blocking<T: Send + 'static, E: From<PackageError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => Err(PackageError::Invalid(format!("reading the package broke off: {panic}")).into()),
    }
}
