//! The effects that the machine cannot have by itself: time, entropy, the outside world. The server gives the real ones, tests
//! and the simulator scripted ones.

use std::fmt;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::ids::{InvocationId, MerchantId, PluginId};

/// Time and entropy.
pub trait Environment: Send + Sync + fmt::Debug {
    /// Milliseconds since 1970-01-01T00:00:00Z. May jump; the machine never assumes that it grows.
    fn now_ms(&self) -> u64;
    /// Fresh entropy: the seed of an invocation.
    fn entropy(&self) -> [u8; 32];
    /// Resolves after about `duration_ms`. Used for backoff only.
    fn sleep(&self, duration_ms: u64) -> BoxFuture<'static, ()>;
}

/// A request to another server, after the machine checked the grant and before secrets are filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundRequest {
    /// Upper case.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    /// Raw.
    pub body: Vec<u8>,
    /// For the whole exchange.
    pub timeout_ms: u32,
}

/// What the other server answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundResponse {
    /// HTTP status.
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    /// Raw.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutboundError {
    /// Not granted, or a private address.
    #[error("denied: {0}")]
    Denied(String),
    /// Malformed.
    #[error("invalid: {0}")]
    Invalid(String),
    /// Budget used up; milliseconds until it is worth trying.
    #[error("rate budget used up, try again in {0} ms")]
    RateLimited(u64),
    /// No answer in time.
    #[error("timeout: {0}")]
    Timeout(String),
    /// Connection or protocol.
    #[error("network: {0}")]
    Network(String),
}

/// For whom and under which grant a request goes out.
#[derive(Clone, Debug)]
pub struct OutboundContext {
    /// The merchant.
    pub merchant: MerchantId,
    /// The plugin.
    pub plugin: PluginId,
    /// The invocation.
    pub invocation: InvocationId,
    /// Whether the grant for this host allows plain `http`.
    pub allow_http: bool,
    /// Whether the grant for this host allows private and loopback addresses.
    pub allow_private: bool,
    /// `idempotency-key` to send.
    pub idempotency_key: String,
    /// Secrets to fill in for `{secret:NAME}` in headers (and in form bodies where the manifest says so): name and value.
    pub secrets: Vec<(String, String)>,
}

/// The outside world.
pub trait Outbound: Send + Sync + fmt::Debug {
    /// One exchange. Redirects are not followed.
    fn fetch(
        &self,
        context: OutboundContext,
        request: OutboundRequest,
    ) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>>;
}
