//! Why a host does not start.

use std::net::SocketAddr;

/// Says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] kontor_store::OpenError),
    /// The machine.
    #[error("the transaction machine does not start: {0}")]
    Machine(#[from] kontor_core::error::Error),
    /// The engine.
    #[error("{0}")]
    Engine(String),
    /// The HTTP client for plugins.
    #[error(transparent)]
    Outbound(#[from] crate::outbound::OutboundSetupError),
    /// The data directory.
    #[error("{0}")]
    Data(String),
    /// The address.
    #[error("cannot listen on {address}: {source}; stop what listens there, or choose another address or port 0")]
    Listen {
        /// As asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl StartError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Machine(error) => error.code(),
            Self::Engine(_) => "engine-setup",
            Self::Outbound(_) => "outbound-setup",
            Self::Data(_) => "data-directory",
            Self::Listen { .. } => "listen",
        }
    }
}
