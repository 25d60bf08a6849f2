//! One execution of an invocation: what it read, what it would write, and the stack of nested calls. The executor drives it on
//! behalf of the guests; the machine makes it and commits what it holds. Not here: validation and re-execution
//! ([`crate::machine`]), the exchange with other servers ([`Outside`]'s implementation).

mod fetch;
mod queues;
mod recall;
mod tables;

pub use recall::{OpenRecording, Reliance};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rand::RngCore;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::effects::{OutboundContext, OutboundError, OutboundRequest, OutboundResponse};
use crate::executor::Event;
use crate::ids::{InvocationId, MerchantId, PluginId};
use crate::limits::{
    CALL_DEPTH_MAX, LOG_FIELDS_MAX, LOG_LINES_MAX, LOG_MESSAGE_BYTES_MAX, PLUGIN_LIMITS_MAX, PluginLimits,
    RANDOM_BYTES_MAX,
};
use crate::observer::LogLine;
use crate::overlay::{Mark, Overlay};
pub(crate) use crate::queueing::QueuedJob;
use crate::records::SecretValue;
use crate::revision::{InstalledPlugin, Revision};
use crate::store::{Commit, ReadView, StoreError, Value};

/// Why an operation of a guest was refused; maps to the contract's error variants.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum OperationError {
    /// Malformed or too large; says what and what the rule is.
    #[error("{0}")]
    Invalid(String),
    /// The counter would leave its bounds. Nothing was changed.
    #[error("the counter would leave its bounds")]
    Bound,
    /// A limit of the plugin is used up; names it.
    #[error("limit reached: {0}")]
    Limit(String),
    /// Not granted or not possible here.
    #[error("denied: {0}")]
    Denied(String),
    /// The execution cannot go on (store failure): the engine stops the guests with `ExecutionError::Unavailable` / `Host`.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// For whom a chain acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The host: an event, a job, a migration.
    System,
    /// An unauthenticated request.
    Public,
    /// A request with a token; its name.
    Token(String),
    /// A member of the staff; the name.
    Staff(String),
    /// A customer; the id.
    Customer(String),
}

/// Key and value of a guest's table.
pub type TableEntry = (Vec<u8>, Value);

/// Secrets of a merchant, by plugin and name.
pub type Secrets = BTreeMap<(PluginId, String), SecretValue>;

/// Where a nested call began; given back to [`Transaction::leave`].
#[derive(Debug)]
pub struct Savepoint {
    /// Depth of the stack before the call.
    depth: usize,
    mark: Mark,
    events: usize,
    queued: usize,
}

/// A plugin on the stack.
#[derive(Debug)]
struct Frame {
    plugin: PluginId,
}

/// What a plugin has used of its limits. Never given back, not even by a rollback: the work was done.
#[derive(Clone, Copy, Debug, Default)]
struct Consumed {
    reads: u32,
    writes: u32,
    write_bytes: u64,
    events: u32,
    jobs: u32,
}

/// One exchange with another server, checked and granted.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// For whom, under which grant, with which secrets.
    pub context: OutboundContext,
    /// The request.
    pub request: OutboundRequest,
    /// Its number within the invocation, from 0.
    pub ordinal: u32,
    /// Digest of the request: the journal answers only the same one.
    pub digest: String,
    /// Host of the URL, lower case.
    pub host: String,
    /// Path of the URL.
    pub path: String,
}

/// Why an exchange gave no response.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExchangeError {
    /// What the guest is told.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The journal cannot be read or written: the execution must not go on.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Exchanges with other servers, with budgets and journal. The machine gives the real one to invocations that may fetch.
pub trait Outside: Send + Sync + fmt::Debug {
    /// The recorded response, or a live exchange that is recorded before it is returned.
    fn exchange<'a>(
        &'a self,
        installed: &'a InstalledPlugin,
        exchange: Exchange,
    ) -> BoxFuture<'a, Result<OutboundResponse, ExchangeError>>;
}

/// What a transaction begins with.
#[expect(missing_debug_implementations, reason = "a view has nothing to show, and the seed is nobody's business")]
pub struct Begin {
    /// For whom.
    pub merchant: MerchantId,
    /// The invocation.
    pub invocation: InvocationId,
    /// The plugin that is called first.
    pub plugin: PluginId,
    /// What is installed.
    pub revision: Arc<Revision>,
    /// What is committed.
    pub view: Arc<dyn ReadView>,
    /// The invocation's time.
    pub now_ms: u64,
    /// The invocation's randomness.
    pub seed: [u8; 32],
    /// For whom it acts.
    pub actor: Actor,
    /// With which scopes.
    pub scopes: Vec<String>,
    /// The merchant's secrets.
    pub secrets: Arc<Secrets>,
    /// Other servers, if the invocation may fetch.
    pub outside: Option<Arc<dyn Outside>>,
}

/// See the module.
#[derive(Debug)]
pub struct Transaction {
    overlay: Overlay,
    merchant: MerchantId,
    invocation: InvocationId,
    entry: PluginId,
    revision: Arc<Revision>,
    now_ms: u64,
    actor: Actor,
    scopes: Vec<String>,
    secrets: Arc<Secrets>,
    outside: Option<Arc<dyn Outside>>,
    random: ChaCha20Rng,
    stack: Vec<Frame>,
    consumed: BTreeMap<PluginId, Consumed>,
    service_calls: u32,
    events: Vec<Event>,
    event_ordinal: u32,
    job_ordinal: u32,
    fetch_ordinal: u32,
    queued: Vec<QueuedJob>,
    logs: Vec<LogLine>,
    logs_dropped: u32,
    broken: Option<StoreError>,
}

impl Transaction {
    /// Begins an execution. The plugin called first counts as entered; an executor that enters it again at the start does no harm.
    /// Refused if it is not installed in `begin.revision`.
    pub fn begin(begin: Begin) -> Result<Self, OperationError> {
        if !begin.revision.plugins.contains_key(&begin.plugin) {
            return Err(OperationError::Denied(format!("plugin `{}` is not installed", begin.plugin)));
        }
        Ok(Self {
            overlay: Overlay::new(begin.view),
            merchant: begin.merchant,
            invocation: begin.invocation,
            entry: begin.plugin,
            revision: begin.revision,
            now_ms: begin.now_ms,
            actor: begin.actor,
            scopes: begin.scopes,
            secrets: begin.secrets,
            outside: begin.outside,
            random: ChaCha20Rng::from_seed(begin.seed),
            stack: Vec::new(),
            consumed: BTreeMap::new(),
            service_calls: 0,
            events: Vec::new(),
            event_ordinal: 0,
            job_ordinal: 0,
            fetch_ordinal: 0,
            queued: Vec::new(),
            logs: Vec::new(),
            logs_dropped: 0,
            broken: None,
        })
    }

    /// What there is to validate and to commit, without events: for executors' own tests. The machine commits more than that.
    pub fn into_commit(self) -> Commit {
        self.overlay.into_commit()
    }

    // ---- the invocation ----

    /// For whom.
    pub fn merchant(&self) -> &MerchantId {
        &self.merchant
    }

    /// The invocation.
    pub fn invocation(&self) -> &InvocationId {
        &self.invocation
    }

    /// Its time: the same in every execution.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// For whom the chain acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Scopes of the request's token or role.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// What is installed.
    pub fn revision(&self) -> &Arc<Revision> {
        &self.revision
    }

    /// The next `length` bytes of the invocation's random stream (ChaCha20 from the seed; same in every execution).
    pub fn random(&mut self, length: u32) -> Result<Vec<u8>, OperationError> {
        if length > RANDOM_BYTES_MAX {
            return Err(OperationError::Invalid(format!(
                "at most {RANDOM_BYTES_MAX} random bytes at a time, not {length}"
            )));
        }
        let mut bytes = vec![0; length as usize];
        self.random.fill_bytes(&mut bytes);
        Ok(bytes)
    }

    // ---- the call stack: the plugin on top is the one whose tables, limits and grants apply ----

    /// Enters a plugin: a sub-transaction. Refused beyond `CALL_DEPTH_MAX`, `service_calls`, or when the plugin is on the stack already
    /// (re-entrance).
    pub fn enter(&mut self, plugin: &PluginId) -> Result<Savepoint, OperationError> {
        let savepoint = Savepoint {
            depth: self.stack.len(),
            mark: self.overlay.mark(),
            events: self.events.len(),
            queued: self.queued.len(),
        };
        if self.stack.is_empty() && *plugin == self.entry {
            self.stack.push(Frame { plugin: plugin.clone() });
            return Ok(savepoint);
        }
        if !self.revision.plugins.contains_key(plugin) {
            return Err(OperationError::Denied(format!("plugin `{plugin}` is not installed")));
        }
        if *plugin == self.entry || self.stack.iter().any(|frame| frame.plugin == *plugin) {
            return Err(OperationError::Denied(format!(
                "plugin `{plugin}` is already in this chain of calls; calls cannot go in a circle"
            )));
        }
        let depth = self.stack.len() + usize::from(self.stack.first().is_none_or(|frame| frame.plugin != self.entry));
        if depth >= CALL_DEPTH_MAX as usize {
            return Err(OperationError::Limit(format!("depth of service calls ({CALL_DEPTH_MAX})")));
        }
        let allowed = self.limits_of(&self.entry).service_calls;
        if self.service_calls >= allowed {
            return Err(OperationError::Limit(format!("service calls ({allowed})")));
        }
        self.service_calls += 1;
        self.stack.push(Frame { plugin: plugin.clone() });
        Ok(savepoint)
    }

    /// Leaves it: with `keep` its effects join the caller's, otherwise they are undone. What it read stays recorded either way.
    pub fn leave(&mut self, savepoint: Savepoint, keep: bool) {
        self.stack.truncate(savepoint.depth);
        if !keep {
            self.overlay.undo_to(savepoint.mark);
            self.events.truncate(savepoint.events);
            self.queued.truncate(savepoint.queued);
        }
    }

    /// The plugin on top.
    pub fn plugin(&self) -> &PluginId {
        self.stack.last().map_or(&self.entry, |frame| &frame.plugin)
    }

    /// The one below it.
    pub fn caller(&self) -> Option<&PluginId> {
        match self.stack.len() {
            0 => None,
            1 => self.stack.first().filter(|frame| frame.plugin != self.entry).map(|_| &self.entry),
            depth => self.stack.get(depth - 2).map(|frame| &frame.plugin),
        }
    }

    /// The plugin on top as installed.
    #[expect(clippy::expect_used, reason = "begin and enter let only installed plugins in, and revisions never change")]
    pub fn installed(&self) -> &InstalledPlugin {
        self.revision.plugins.get(self.plugin()).expect("a plugin on the stack is installed")
    }

    // ---- effects ----

    /// A log line of the plugin on top; kept when the transaction is not.
    pub fn log(&mut self, level: LogLevel, message: &str, mut fields: Vec<(String, String)>) {
        if self.logs.len() >= LOG_LINES_MAX as usize {
            self.logs_dropped = self.logs_dropped.saturating_add(1);
            return;
        }
        fields.truncate(LOG_FIELDS_MAX);
        for (name, value) in &mut fields {
            truncate_text(name, 256);
            truncate_text(value, LOG_MESSAGE_BYTES_MAX);
        }
        let mut message = message.to_owned();
        truncate_text(&mut message, LOG_MESSAGE_BYTES_MAX);
        self.logs.push(LogLine {
            merchant: self.merchant.clone(),
            plugin: self.plugin().clone(),
            invocation: self.invocation.clone(),
            level,
            message,
            fields,
        });
    }

    /// The secret's value for host-side use (mac), whether or not it may be shown. `Err(Invalid)` undeclared; `Ok(None)` unset.
    pub fn secret(&self, name: &str) -> Result<Option<Arc<str>>, OperationError> {
        if !self.installed().spec.secrets.iter().any(|secret| secret.name == name) {
            return Err(OperationError::Invalid(format!("plugin `{}` declares no secret `{name}`", self.plugin())));
        }
        Ok(self.secrets.get(&(self.plugin().clone(), name.to_owned())).map(|value| value.expose().clone()))
    }

    /// Whether the plugin on top may see it.
    pub fn secret_is_plain(&self, name: &str) -> bool {
        let installed = self.installed();
        installed.spec.secrets.iter().any(|secret| secret.name == name && secret.plain)
            && installed.grants.plain_secrets.iter().any(|granted| granted == name)
    }

    // ---- for the machine ----

    pub(crate) fn overlay(&mut self) -> &mut Overlay {
        &mut self.overlay
    }

    /// Why the execution cannot be believed, whatever the guest made of it.
    pub(crate) fn broken(&self) -> Option<&StoreError> {
        self.broken.as_ref()
    }

    /// Takes back everything since `mark`, and every event and job.
    pub(crate) fn undo_all(&mut self, mark: Mark) {
        self.overlay.undo_to(mark);
        self.events.clear();
        self.queued.clear();
        self.stack.clear();
    }

    pub(crate) fn finish(mut self) -> Finished {
        if self.logs_dropped > 0 {
            let message = format!("{} more log lines of this execution were dropped", self.logs_dropped);
            self.stack.clear();
            self.logs.push(LogLine {
                merchant: self.merchant.clone(),
                plugin: self.entry.clone(),
                invocation: self.invocation.clone(),
                level: LogLevel::Warn,
                message,
                fields: Vec::new(),
            });
        }
        Finished { overlay: self.overlay, events: self.events, queued: self.queued, logs: self.logs }
    }

    fn limits_of(&self, plugin: &PluginId) -> PluginLimits {
        let asked = self.revision.plugins.get(plugin).map_or_else(PluginLimits::default, |p| p.spec.limits);
        asked.capped(PLUGIN_LIMITS_MAX)
    }

    /// Counts against the limits of the plugin on top.
    fn consume(
        &mut self,
        consume: impl FnOnce(&mut Consumed, &PluginLimits) -> Result<(), OperationError>,
    ) -> Result<(), OperationError> {
        let plugin = self.plugin().clone();
        let limits = self.limits_of(&plugin);
        consume(self.consumed.entry(plugin).or_default(), &limits)
    }

    /// Remembers a failure of the store, so that the execution is not believed.
    fn store_result<T>(&mut self, result: Result<T, StoreError>) -> Result<T, OperationError> {
        result.map_err(|error| {
            self.broken.get_or_insert_with(|| error.clone());
            OperationError::Store(error)
        })
    }
}

/// What an execution left, for the machine to commit.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) overlay: Overlay,
    pub(crate) events: Vec<Event>,
    pub(crate) queued: Vec<QueuedJob>,
    pub(crate) logs: Vec<LogLine>,
}

/// Adds `more` to `used` if it stays within `allowed`.
fn take(used: &mut u32, more: usize, allowed: u32, what: &str) -> Result<(), OperationError> {
    let next = u32::try_from(more).ok().and_then(|more| used.checked_add(more)).filter(|next| *next <= allowed);
    match next {
        Some(next) => {
            *used = next;
            Ok(())
        }
        None => Err(OperationError::Limit(format!("{what} ({allowed})"))),
    }
}

/// Cuts at a character boundary.
fn truncate_text(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Of use to who wrote the plugin.
    Trace,
    /// Of use when looking for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Someone should look at it.
    Warn,
    /// Something failed.
    Error,
}
