//! What the machine tells about itself while it runs. The server turns it into traces, logs and metrics; tests count it. Not
//! here: durable state. An observer never influences what happens.

use std::fmt;

use crate::executor::Usage;
use crate::ids::{InvocationId, MerchantId, PluginId};
use crate::revision::RevisionNumber;
use crate::transaction::LogLevel;

/// What caused an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InvocationKind {
    /// An HTTP request.
    Request,
    /// An event delivered.
    Event,
    /// A job that was due.
    Job,
    /// A step of a migration.
    Migration,
}

impl InvocationKind {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Event => "event",
            Self::Job => "job",
            Self::Migration => "migration",
        }
    }
}

/// A log line that a plugin wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// For whom.
    pub merchant: MerchantId,
    /// The plugin that wrote it.
    pub plugin: PluginId,
    /// In which invocation.
    pub invocation: InvocationId,
    /// How grave.
    pub level: LogLevel,
    /// Text.
    pub message: String,
    /// Fields.
    pub fields: Vec<(String, String)>,
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvocationReport {
    /// For whom.
    pub merchant: MerchantId,
    /// The plugin that was called first.
    pub plugin: PluginId,
    /// Its id.
    pub invocation: InvocationId,
    /// What caused it.
    pub kind: InvocationKind,
    /// The revision that it ran on; 0 when it did not get so far.
    pub revision: RevisionNumber,
    /// `ok`, `http-4xx`, `http-5xx`, `replayed`, `gone` (what caused it was consumed already), `retry`, `permanent`, a reason for
    /// which a guest was stopped, or [`crate::error::Error::code`].
    pub outcome: String,
    /// Executions.
    pub executions: u32,
    /// Executions that lost against other invocations.
    pub conflicts: u32,
    /// Whether it ran alone in its merchant in the end.
    pub exclusive: bool,
    /// Start, milliseconds since 1970.
    pub started_ms: u64,
    /// By the environment's clock, from start to durable commit.
    pub duration_ms: u64,
    /// What each plugin used, summed over all executions.
    pub usage: Vec<(PluginId, Usage)>,
}

/// An event or job that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterReport {
    /// For whom.
    pub merchant: MerchantId,
    /// The plugin whose handler failed.
    pub plugin: PluginId,
    /// Event type, or job name.
    pub subject: String,
    /// Event key, or coalescing key.
    pub key: String,
    /// Stable code of the last failure.
    pub code: String,
    /// For people.
    pub message: String,
    /// Attempts made.
    pub attempts: u32,
}

/// An exchange with another server, after it ended. Never carries headers or bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReport {
    /// For whom.
    pub merchant: MerchantId,
    /// The plugin that asked.
    pub plugin: PluginId,
    /// In which invocation.
    pub invocation: InvocationId,
    /// Method.
    pub method: String,
    /// Host name.
    pub host: String,
    /// Status, or a code: `denied`, `invalid`, `rate-limited`, `timeout`, `network`.
    pub outcome: String,
    /// Whether the journal answered instead of the server.
    pub replayed: bool,
    /// By the environment's clock.
    pub duration_ms: u64,
}

/// Is told what happens. All methods do nothing unless implemented; none may block.
pub trait Observer: Send + Sync + fmt::Debug {
    /// A plugin's log line, of the execution that counted.
    fn log(&self, line: &LogLine) {
        let _ = line;
    }
    /// An invocation ended.
    fn invocation(&self, report: &InvocationReport) {
        let _ = report;
    }
    /// A request was answered with what the plugin had answered before, without an invocation.
    fn recalled(&self, merchant: &MerchantId, plugin: &PluginId) {
        let _ = (merchant, plugin);
    }
    /// Something went to the dead letters.
    fn dead_letter(&self, report: &DeadLetterReport) {
        let _ = report;
    }
    /// An exchange ended, or was answered from the journal.
    fn fetch(&self, report: &FetchReport) {
        let _ = report;
    }
    /// A merchant's revision was switched.
    fn revision(&self, merchant: &MerchantId, number: RevisionNumber) {
        let _ = (merchant, number);
    }
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
