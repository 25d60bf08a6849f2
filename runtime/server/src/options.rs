//! What a host can be told at its start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kontor_store::{EngineKind, StoreOptions};

use crate::limits;

/// How a host is started.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Everything that the host keeps: store, packages, compiled code, the first admin token.
    pub data_dir: PathBuf,
    /// The engine of the store. One that exists is opened with the engine that made it, or not at all.
    pub store: EngineKind,
    /// Memory for the store's cache.
    pub store_cache_bytes: u64,
    /// Where compiled plugins are kept between starts; default: below the data. Hosts of one user on one machine may share it.
    pub code_cache_dir: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Accept packages that no trusted publisher signed.
    pub dev_mode: bool,
    /// Public keys of publishers whose packages are accepted (Ed25519, hexadecimal).
    pub trusted_keys: Vec<String>,
    /// Invocations over HTTP at once; more wait, many more are answered 503.
    pub invocations_max: usize,
    /// Backups by the clock.
    pub backups: Option<BackupSchedule>,
    /// How long requests may take to finish at shutdown.
    pub drain_timeout: Duration,
    /// Whether cookies are only for `https` (set it behind a proxy that ends TLS).
    pub secure_cookies: bool,
}

impl HostOptions {
    /// A host with its data in `data_dir`, on a free port of the loopback address. The engine is that of the store which is
    /// there, or the default.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            store: kontor_store::engine_in(&store_dir(&data_dir)).unwrap_or_default(),
            store_cache_bytes: StoreOptions::CACHE_BYTES,
            data_dir,
            code_cache_dir: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            dev_mode: false,
            trusted_keys: Vec::new(),
            invocations_max: limits::INVOCATIONS_DEFAULT,
            backups: None,
            drain_timeout: Duration::from_secs(20),
            secure_cookies: false,
        }
    }
}

/// Backups that a host makes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSchedule {
    /// Each backup is a directory in here.
    pub directory: PathBuf,
    /// How often; the first after this much time.
    pub every: Duration,
    /// Complete ones that are kept; older ones are removed.
    pub keep: usize,
}

/// Where in the data directory the store is.
pub fn store_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("store")
}
