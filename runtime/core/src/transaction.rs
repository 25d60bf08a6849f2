//! One execution of an invocation: what it read, what it would write, and the stack of nested calls. SKELETON: signatures fixed, bodies to come.
#![allow(unused_variables, dead_code, missing_docs, clippy::todo)]

use std::sync::Arc;

use crate::effects::{OutboundError, OutboundRequest, OutboundResponse};
use crate::ids::{InvocationId, MerchantId, PluginId};
use crate::revision::{InstalledPlugin, Revision};
use crate::store::{StoreError, Value};

/// Why an operation of a guest was refused; maps to the contract's error variants.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum OperationError {
    #[error("{0}")]
    Invalid(String),
    #[error("the counter would leave its bounds")]
    Bound,
    #[error("limit reached: {0}")]
    Limit(String),
    #[error("denied: {0}")]
    Denied(String),
    /// The execution cannot go on (store failure): the engine stops the guests with `ExecutionError::Unavailable` / `Host`.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// For whom a chain acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    System,
    Public,
    Token(String),
    Staff(String),
    Customer(String),
}

/// Key and value of a guest's table.
pub type TableEntry = (Vec<u8>, Value);

/// Where a nested call began; given back to [`Transaction::leave`].
#[derive(Debug)]
pub struct Savepoint {
    _private: (),
}

/// See the module.
#[derive(Debug)]
pub struct Transaction {
    _private: (),
}

impl Transaction {
    // ---- the invocation ----
    pub fn merchant(&self) -> &MerchantId { todo!() }
    pub fn invocation(&self) -> &InvocationId { todo!() }
    pub fn now_ms(&self) -> u64 { todo!() }
    pub fn actor(&self) -> &Actor { todo!() }
    pub fn scopes(&self) -> &[String] { todo!() }
    pub fn revision(&self) -> &Arc<Revision> { todo!() }
    /// The next `length` bytes of the invocation's random stream (ChaCha20 from the seed; same in every execution).
    pub fn random(&mut self, length: u32) -> Result<Vec<u8>, OperationError> { todo!() }

    // ---- the call stack: the plugin on top is the one whose tables, limits and grants apply ----
    /// Enters a plugin: a sub-transaction. Refused beyond `CALL_DEPTH_MAX`, `service_calls`, or when the plugin is on the stack already (re-entrance).
    pub fn enter(&mut self, plugin: &PluginId) -> Result<Savepoint, OperationError> { todo!() }
    /// Leaves it: with `keep` its effects join the caller's, otherwise they are undone. What it read stays recorded either way.
    pub fn leave(&mut self, savepoint: Savepoint, keep: bool) { todo!() }
    /// The plugin on top.
    pub fn plugin(&self) -> &PluginId { todo!() }
    /// The one below it.
    pub fn caller(&self) -> Option<&PluginId> { todo!() }
    pub fn installed(&self) -> &InstalledPlugin { todo!() }

    // ---- tables of the plugin on top ----
    pub async fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Value>, OperationError> { todo!() }
    pub async fn get_many(&mut self, table: &str, keys: &[Vec<u8>]) -> Result<Vec<Option<Value>>, OperationError> { todo!() }
    pub async fn scan(&mut self, table: &str, start: Option<&[u8]>, end: Option<&[u8]>, reverse: bool, limit: u32) -> Result<Vec<TableEntry>, OperationError> { todo!() }
    pub fn put(&mut self, table: &str, key: &[u8], value: Vec<u8>) -> Result<(), OperationError> { todo!() }
    pub fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), OperationError> { todo!() }
    pub async fn counter_add(&mut self, table: &str, key: &[u8], delta: i64, min: Option<i64>, max: Option<i64>) -> Result<(), OperationError> { todo!() }
    pub async fn counter_get(&mut self, table: &str, key: &[u8]) -> Result<i64, OperationError> { todo!() }
    pub async fn counter_at_least(&mut self, table: &str, key: &[u8], threshold: i64) -> Result<bool, OperationError> { todo!() }

    // ---- events, jobs ----
    pub fn emit(&mut self, event_type: &str, key: &str, payload: &str) -> Result<String, OperationError> { todo!() }
    pub async fn enqueue(&mut self, name: &str, key: Option<&str>, payload: &str, due_ms: u64) -> Result<String, OperationError> { todo!() }
    pub async fn cancel_job(&mut self, name: &str, key: &str) -> Result<bool, OperationError> { todo!() }

    // ---- effects ----
    /// Grant, budget, journal, then the exchange. Replays what the journal has.
    pub async fn fetch(&mut self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError> { todo!() }
    /// A log line of the plugin on top; kept when the transaction is not.
    pub fn log(&mut self, level: LogLevel, message: &str, fields: Vec<(String, String)>) { todo!() }
    /// The secret's value for host-side use (mac), whether or not it may be shown. `Err(Invalid)` undeclared; `Ok(None)` unset.
    pub fn secret(&self, name: &str) -> Result<Option<Arc<str>>, OperationError> { todo!() }
    /// Whether the plugin on top may see it.
    pub fn secret_is_plain(&self, name: &str) -> bool { todo!() }
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}
