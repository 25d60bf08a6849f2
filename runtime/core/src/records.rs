//! What the machine stores and shows besides the plugins' own rows: dead letters, waiting jobs, pages of the log. Not here:
//! where they are stored ([`crate::keys`]) and when they change ([`crate::machine`]).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::executor::{Event, HttpResponse, Job};
use crate::ids::{InvocationId, PluginId};
use crate::revision::RevisionNumber;
use crate::transaction::Actor;

/// A secret's value. Shown by nothing: not by `Debug`, not in errors. It lies in the store as it is; encryption at rest is a
/// later matter of the store's operator (an encrypted volume) and of a key service.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Arc<str>);

impl SecretValue {
    /// Wraps a value.
    pub fn new(value: &str) -> Self {
        Self(value.into())
    }

    /// The value. Whoever calls this keeps it out of logs.
    pub fn expose(&self) -> &Arc<str> {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(redacted)")
    }
}

/// A secret that a plugin declares, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretStatus {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whether the plugin asks to see it.
    pub plain: bool,
    /// Whether the merchant has set it.
    pub set: bool,
}

/// For whom a request acts, and how it is deduplicated. The server has authenticated it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// The invocation's id: unique per request; the same for a repetition with the same idempotency key.
    pub invocation: InvocationId,
    /// For whom.
    pub actor: Actor,
    /// Scopes of the token or role.
    pub scopes: Vec<String>,
    /// Whether the route declares `outbound`.
    pub may_fetch: bool,
    /// The client's `Idempotency-Key`, 1 to 255 visible ASCII characters.
    pub idempotency: Option<String>,
    /// The revision whose routes admitted the request. When another one is current by then, the answer is
    /// [`crate::error::Error::RevisionChanged`] and the server admits again: so no request runs under a route's old rules.
    pub admitted_by: Option<RevisionNumber>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the plugin answered; 400 and above changed nothing.
    pub response: HttpResponse,
    /// Whether it is the kept answer to an earlier request with the same idempotency key.
    pub replayed: bool,
    /// The revision that answered.
    pub revision: RevisionNumber,
    /// Executions that it took.
    pub executions: u32,
}

/// A revision in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionSummary {
    /// Its number.
    pub number: RevisionNumber,
    /// The revision it was made from.
    pub parent: RevisionNumber,
    /// When.
    pub created_at_ms: u64,
    /// Why.
    pub reason: String,
    /// Plugins and versions, sorted.
    pub plugins: Vec<(PluginId, String)>,
    /// Whether it is the one that runs.
    pub current: bool,
}

/// An event in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedEvent {
    /// Where it stands; orders like the commits.
    pub position: String,
    /// The event.
    pub event: Event,
}

/// A part of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// In commit order.
    pub events: Vec<LoggedEvent>,
    /// Where to go on; equal to the position asked for when nothing is newer.
    pub next: String,
    /// Whether there is more already.
    pub more: bool,
    /// The store's version that was read: give it to [`crate::machine::Machine::wait_for_commit`].
    pub version: u64,
}

/// What was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadSubject {
    /// An event, for one subscriber.
    Event(Event),
    /// A job.
    Job(Job),
}

/// An event or a job that was given up, kept until someone replays or discards it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// For replay and discard; orders by time.
    pub id: String,
    /// The plugin whose handler failed.
    pub plugin: PluginId,
    /// What.
    pub subject: DeadSubject,
    /// Stable code of the last failure.
    pub code: String,
    /// For people.
    pub message: String,
    /// Attempts made.
    pub attempts: u32,
    /// When it was given up.
    pub at_ms: u64,
}

/// A job in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Whose.
    pub plugin: PluginId,
    /// The job; `attempt` is the next or running one.
    pub job: Job,
    /// Whether it runs (or ran when the process ended, and will run again).
    pub running: bool,
}

/// What a plugin used since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginUsage {
    /// Invocations that began in it.
    pub invocations: u64,
    /// Calls into it, service calls included.
    pub calls: u64,
    /// Fuel burnt, executions that lost included.
    pub fuel: u64,
    /// Executions of its invocations that lost.
    pub conflicts: u64,
    /// Invocations that ended with an error.
    pub failures: u64,
    /// Highest linear memory, bytes.
    pub memory_bytes_max: u64,
}
