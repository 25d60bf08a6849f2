//! What the machine asks of whatever runs plugins (the engine, or a fake in tests): execute one call inside one transaction.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::ids::PluginId;
use crate::revision::Revision;
use crate::transaction::{Reliance, Transaction};

/// A header: lower-case name, value.
pub type Header = (String, String);

/// An HTTP request for a plugin's route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// Upper case.
    pub method: String,
    /// Below the plugin's prefix, beginning with `/`.
    pub path: String,
    /// Without `?`.
    pub query: String,
    /// Lower-case names.
    pub headers: Vec<Header>,
    /// Raw.
    pub body: Vec<u8>,
    /// The plugin's prefix.
    pub base_path: String,
    /// The peer.
    pub remote_address: String,
    /// Position of the route in the plugin's manifest, if it is known: requests for one route are alike. The plugin does not see it.
    pub route: Option<usize>,
}

/// A plugin's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// 400 and above roll back.
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<Header>,
    /// Raw.
    pub body: Vec<u8>,
}

/// An event as delivered (CloudEvents 1.0 attributes).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Unique within the merchant.
    pub id: String,
    /// Emitting plugin.
    pub source: PluginId,
    /// Reverse-domain type.
    pub event_type: String,
    /// What it is about; orders delivery.
    pub key: String,
    /// The emitting invocation's `now`.
    pub time_ms: u64,
    /// JSON text.
    pub payload: String,
}

/// A job as run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Unique within the merchant.
    pub id: String,
    /// Declared in the manifest.
    pub name: String,
    /// Coalescing key.
    pub key: Option<String>,
    /// JSON text.
    pub payload: String,
    /// From 1.
    pub attempt: u32,
    /// When due.
    pub due_ms: u64,
}

/// What to execute at the start of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `http-handler.handle`
    Http(Arc<HttpRequest>),
    /// `event-handler.handle`, with the attempt from 1.
    Event(Event, u32),
    /// `job-handler.run`
    Job(Job),
    /// `lifecycle.migrate`
    Migrate {
        /// The version that wrote the tables, if any.
        from_version: Option<String>,
        /// Where the last step ended.
        cursor: String,
    },
}

/// What a call returned, when the plugin did its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Call::Http`].
    Http(HttpResponse),
    /// To [`Call::Event`] and [`Call::Job`].
    Done,
    /// To [`Call::Migrate`]: the next cursor, `None` at the end.
    Migrated(Option<String>),
}

/// Why a call did not do its work: what it did is rolled back.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExecutionError {
    /// The handler asks for another try.
    #[error("the handler asks to try again: {0}")]
    Retry(String),
    /// The handler asks for another try, not before so many milliseconds.
    #[error("the handler asks to try again in {0} ms")]
    RetryAfter(u64),
    /// The handler says that another try is useless.
    #[error("the handler failed for good: {0}")]
    Permanent(String),
    /// The guest was stopped: a limit, a trap, malformed data. Names the plugin that broke, which may be a nested one.
    #[error("{plugin} was stopped ({code}): {message}")]
    Stopped {
        /// Which plugin.
        plugin: PluginId,
        /// Stable code, such as `fuel-exhausted`, `memory-limit`, `stack-overflow`, `trap`, `timeout`, `event-limit`, `malformed-data`.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// The host cannot run it now (pool exhausted, store unavailable); try again later.
    #[error("the host cannot run this now: {0}")]
    Unavailable(String),
    /// The plugin's code is missing or the store stopped: a fault of the host.
    #[error("host fault: {0}")]
    Host(String),
}

/// What one plugin used up in an execution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls into the plugin.
    pub calls: u64,
    /// Fuel burnt.
    pub fuel: u64,
    /// Highest linear memory, bytes.
    pub memory_bytes: u64,
}

/// The result of an execution, with the transaction handed back for validation and commit.
#[derive(Debug)]
pub struct Executed {
    /// Handed back, whatever happened.
    pub transaction: Box<Transaction>,
    /// What the entry call returned.
    pub result: Result<Reply, ExecutionError>,
    /// By plugin, in the order first called.
    pub usage: Vec<(PluginId, Usage)>,
}

/// Runs a call, with everything that it calls, inside a transaction. What implementations keep between executions changes no result.
pub trait Executor: Send + Sync + fmt::Debug {
    /// Executes `call` in `plugin` of `revision`. Resolves whatever the guests do.
    fn execute<'a>(
        &'a self,
        revision: Arc<Revision>,
        plugin: &'a PluginId,
        call: Call,
        transaction: Box<Transaction>,
    ) -> BoxFuture<'a, Executed>;

    /// What `plugin` of `revision` answered to the same request before, if that would be its answer today as well: it depends on nothing
    /// but the request, the revision and what was read, and all of that `stands`. `None` says nothing.
    fn recall(
        &self,
        revision: &Arc<Revision>,
        plugin: &PluginId,
        request: &HttpRequest,
        stands: &dyn Fn(&Reliance) -> bool,
    ) -> Option<Arc<HttpResponse>> {
        let _ = (revision, plugin, request, stands);
        None
    }
}
