//! What a host can be told at its start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kontor_store::EngineKind;

use crate::limits;

/// How a host is started.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Everything that the host keeps: store, packages, compiled code, the first admin token.
    pub data_dir: PathBuf,
    /// The store.
    pub store: EngineKind,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Accept packages that no trusted publisher signed.
    pub dev_mode: bool,
    /// Public keys of publishers whose packages are accepted (Ed25519, hexadecimal).
    pub trusted_keys: Vec<String>,
    /// Invocations over HTTP at once; more wait, many more are answered 503.
    pub invocations_max: usize,
    /// How long requests may take to finish at shutdown.
    pub drain_timeout: Duration,
    /// Whether cookies are only for `https` (set it behind a proxy that ends TLS).
    pub secure_cookies: bool,
}

impl HostOptions {
    /// A host with its data in `data_dir`, on a free port of the loopback address.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            store: EngineKind::Sled,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            dev_mode: false,
            trusted_keys: Vec::new(),
            invocations_max: limits::INVOCATIONS_DEFAULT,
            drain_timeout: Duration::from_secs(20),
            secure_cookies: false,
        }
    }
}
