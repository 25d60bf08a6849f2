//! [`open`]: from options to a running store, or an error that says what to do. Not here: what the store does.

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use kontor_core::store::{StoreError, TxStore};

use crate::cached::Cached;
use crate::directory::{Content, Directory};
use crate::engine::{Engine, EngineError};
use crate::fjall_engine::FjallEngine;
use crate::memory::MemoryEngine;
use crate::occ::OccStore;
use crate::recent::RecentLimits;
use crate::sled_engine::SledEngine;

/// Which engine keeps the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// Embedded: sled, in a directory.
    Sled,
    /// The embedded default: fjall, in a directory.
    #[default]
    Fjall,
    /// In memory: gone with the process.
    Memory,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sled, Self::Fjall, Self::Memory];

    /// Its name in options and format files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Fjall => "fjall",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = OpenError;

    fn from_str(name: &str) -> Result<Self, OpenError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| OpenError::UnknownEngine { asked: name.to_owned() })
    }
}

/// Share of the memory for caches that keeps single values.
const VALUES_SHARE: u64 = 8;

/// How to open a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Which engine.
    pub engine: EngineKind,
    /// The store's directory, made when it does not exist. The memory engine does not use it.
    pub directory: PathBuf,
    /// Memory for what was read lately: an eighth for values, the rest for the engine's own cache.
    pub cache_bytes: u64,
    /// Written into a new store's format file: program and version.
    pub created_by: String,
    /// What is remembered for validation.
    pub recent: RecentLimits,
}

impl StoreOptions {
    /// Cache: 256 MiB holds the working set of a store of about a million entries.
    pub const CACHE_BYTES: u64 = 256 * 1024 * 1024;

    fn values_bytes(&self) -> u64 {
        self.cache_bytes / VALUES_SHARE
    }

    fn engine_cache_bytes(&self) -> u64 {
        self.cache_bytes - self.values_bytes()
    }

    /// The default engine in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            engine: EngineKind::default(),
            directory: directory.into(),
            cache_bytes: Self::CACHE_BYTES,
            created_by: concat!("kontor-store ", env!("CARGO_PKG_VERSION")).to_owned(),
            recent: RecentLimits::default(),
        }
    }

    /// A store in memory.
    pub fn memory() -> Self {
        Self { engine: EngineKind::Memory, ..Self::new(PathBuf::new()) }
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// There is no such engine.
    #[error("there is no storage engine named {asked:?}: use \"sled\", \"fjall\" or \"memory\"")]
    UnknownEngine {
        /// What was asked for.
        asked: String,
    },
    /// Another process uses the directory.
    #[error(
        "the store in {} is in use{}: stop the other process, or give this one a directory of its own",
        directory.display(),
        process.map(|id| format!(" by process {id}")).unwrap_or_default()
    )]
    Locked {
        /// The store's directory.
        directory: PathBuf,
        /// Who, where it could be read.
        process: Option<u32>,
    },
    /// A newer (or older) program wrote it.
    #[error(
        "the store in {} has format version {found}, this program knows {supported}: use the program that wrote it, or \
         restore a backup made by a program that both understand",
        directory.display()
    )]
    UnknownFormat {
        /// The store's directory.
        directory: PathBuf,
        /// In the format file.
        found: u64,
        /// What this program knows.
        supported: u64,
    },
    /// Another engine wrote it.
    #[error(
        "the store in {} was made by engine {found:?}, asked was {asked:?}: open it with {found:?} (--store {found}), or copy \
         it into a new directory with `kontor store copy --to {asked}`",
        directory.display()
    )]
    OtherEngine {
        /// The store's directory.
        directory: PathBuf,
        /// In the format file.
        found: String,
        /// In the options.
        asked: &'static str,
    },
    /// Part of it is gone or unreadable.
    #[error(
        "the store in {} is damaged: {what}. Nothing was changed. Keep a copy of the directory, then restore the last \
         backup into an empty one",
        directory.display()
    )]
    Damaged {
        /// The store's directory.
        directory: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The directory holds something else.
    #[error(
        "{} is not a store and not empty (it holds {entry:?}): give an empty or a new directory",
        directory.display()
    )]
    NotAStore {
        /// The directory.
        directory: PathBuf,
        /// Something that is in it.
        entry: String,
    },
    /// The directory cannot be written.
    #[error(
        "cannot write to {} ({doing}: {reason}): give a directory that this user may write, or change its permissions",
        directory.display()
    )]
    NotWritable {
        /// The directory.
        directory: PathBuf,
        /// During which step.
        doing: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The system failed.
    #[error("{doing} in {} failed: {reason}: check the disk (space, health) and try again", directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// During which step.
        doing: &'static str,
        /// What the system said.
        reason: String,
    },
    /// A new one was to be made.
    #[error("there is a store in {} already: give an empty or a new directory", directory.display())]
    Exists {
        /// The store's directory.
        directory: PathBuf,
    },
    /// A store in memory cannot be made for later.
    #[error("the engine \"memory\" keeps nothing: use \"sled\" or \"fjall\"")]
    NotKept,
    /// The engine runs, the store above it does not.
    #[error("the store could not start: {0}")]
    Start(#[from] StoreError),
}

impl OpenError {
    /// A stable code for scripts and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownEngine { .. } => "store_engine_unknown",
            Self::Locked { .. } => "store_locked",
            Self::UnknownFormat { .. } => "store_format_unknown",
            Self::OtherEngine { .. } => "store_engine_other",
            Self::Damaged { .. } => "store_damaged",
            Self::NotAStore { .. } => "store_directory_foreign",
            Self::NotWritable { .. } => "store_directory_not_writable",
            Self::Io { .. } => "store_io",
            Self::Exists { .. } => "store_exists",
            Self::NotKept => "store_not_kept",
            Self::Start(_) => "store_start",
        }
    }
}

/// A running store. Clones are the same store; see [`OccStore::close`] for its end.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    store: Arc<OccStore>,
}

impl StoreHandle {
    /// A handle of a store made by hand, on an engine of one's own.
    pub fn new(store: OccStore) -> Self {
        Self { store: Arc::new(store) }
    }

    /// As what the transaction machine wants.
    pub fn tx_store(&self) -> Arc<dyn TxStore> {
        Arc::clone(&self.store) as Arc<dyn TxStore>
    }
}

impl Deref for StoreHandle {
    type Target = OccStore;

    fn deref(&self) -> &OccStore {
        &self.store
    }
}

/// Which engine made the store in a directory; `None` when there is no store, or one that says nothing known.
pub fn engine_in(directory: &Path) -> Option<EngineKind> {
    Directory::engine_in(directory)?.parse().ok()
}

/// Opens the store, creating it when the directory is empty or does not exist.
pub fn open(options: &StoreOptions) -> Result<StoreHandle, OpenError> {
    let engine: Arc<dyn Engine> = match options.engine {
        EngineKind::Memory => Arc::new(MemoryEngine::default()),
        EngineKind::Sled => {
            let (engine, directory) = SLED.open(options)?;
            Arc::new(Cached::new(Arc::new(engine.keeping(directory)), options.values_bytes()))
        }
        EngineKind::Fjall => {
            let (engine, directory) = FJALL.open(options)?;
            Arc::new(Cached::new(Arc::new(engine.keeping(directory)), options.values_bytes()))
        }
    };
    Ok(StoreHandle::new(OccStore::threaded_with(engine, options.recent)?))
}

/// Makes a new store that `fill` has filled; it is one only when `fill` has succeeded.
pub(crate) fn create_with<E: From<OpenError>>(
    options: &StoreOptions,
    fill: impl FnOnce(&dyn Engine) -> Result<(), E>,
) -> Result<(), E> {
    match options.engine {
        EngineKind::Memory => Err(E::from(OpenError::NotKept)),
        EngineKind::Sled => SLED.create(options, fill),
        EngineKind::Fjall => FJALL.create(options, fill),
    }
}

const SLED: Opening<SledEngine> =
    Opening { create: SledEngine::create, open: SledEngine::open, files: &SledEngine::FILES };
const FJALL: Opening<FjallEngine> =
    Opening { create: FjallEngine::create, open: FjallEngine::open, files: &FjallEngine::FILES };

/// How an engine that keeps files comes to life.
struct Opening<E> {
    create: fn(&Path, u64) -> Result<E, EngineError>,
    open: fn(&Path, u64) -> Result<E, EngineError>,
    /// Without these a store that was created is damaged.
    files: &'static [&'static str],
}

impl<G: Engine> Opening<G> {
    fn open(&self, options: &StoreOptions) -> Result<(G, Directory), OpenError> {
        let (directory, content) = Directory::take(&options.directory, options.engine.name())?;
        match content {
            Content::New => {
                let engine = self.create_engine(options, &directory)?;
                directory.complete_creation(&options.created_by)?;
                Ok((engine, directory))
            }
            Content::Store => {
                directory.require(self.files)?;
                let opened = (self.open)(&directory.engine_path(), options.engine_cache_bytes());
                let engine = opened.map_err(|error| match error {
                    EngineError::Fatal(what) => OpenError::Damaged { directory: options.directory.clone(), what },
                    EngineError::Unavailable(reason) => io(options, "opening the database", reason),
                })?;
                Ok((engine, directory))
            }
        }
    }

    fn create<E: From<OpenError>>(
        &self,
        options: &StoreOptions,
        fill: impl FnOnce(&dyn Engine) -> Result<(), E>,
    ) -> Result<(), E> {
        let (directory, content) = Directory::take(&options.directory, options.engine.name())?;
        if content == Content::Store {
            return Err(E::from(OpenError::Exists { directory: options.directory.clone() }));
        }
        let engine = self.create_engine(options, &directory)?;
        fill(&engine)?;
        directory.complete_creation(&options.created_by)?;
        Ok(())
    }

    fn create_engine(&self, options: &StoreOptions, directory: &Directory) -> Result<G, OpenError> {
        (self.create)(&directory.engine_path(), options.engine_cache_bytes())
            .map_err(|error| io(options, "creating the database", error.to_string()))
    }
}

fn io(options: &StoreOptions, doing: &'static str, reason: String) -> OpenError {
    OpenError::Io { directory: options.directory.clone(), doing, reason }
}
