//! Jobs: durable work of this plugin for later, each an invocation of its own.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::kontor::host::{handler_types as wire, jobs};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::plugin::HandlerError;

/// A job as run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Unique within the merchant.
    pub id: String,
    /// As declared in `plugin.toml`.
    pub name: String,
    /// Coalescing key; for a scheduled job the schedule's name.
    pub key: Option<String>,
    /// JSON text.
    pub payload: String,
    /// 1 for the first run.
    pub attempt: u32,
    /// When it was due.
    pub due: Timestamp,
}

impl Job {
    pub(crate) fn from_wire(job: wire::Job) -> Self {
        Self {
            id: job.id,
            name: job.name,
            key: job.key,
            payload: job.payload,
            attempt: job.attempt,
            due: Timestamp::from_ms(job.due_ms),
        }
    }

    /// The payload as a `T`; what does not fit goes to the dead letters.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        serde_json::from_str(&self.payload).map_err(|error| {
            HandlerError::permanent(format!("the payload of the job `{}` does not fit: {error}", self.name))
        })
    }
}

/// A kind of job with its payload. A constant of the plugin, declared under `jobs` in `plugin.toml`:
///
/// ```ignore
/// const PUSH_STOCK: JobType<PushStock> = JobType::new("push-stock");
/// PUSH_STOCK.enqueue(&push).key(&sku).send()?;
/// if let Some(push) = PUSH_STOCK.read(&job)? { .. }
/// ```
pub struct JobType<T> {
    name: &'static str,
    payload: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for JobType<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobType").field(&self.name).finish()
    }
}

impl<T> JobType<T> {
    /// The kind of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, payload: PhantomData }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Removes the waiting job of this key. True if there was one.
    pub fn cancel(&self, key: &str) -> Result<bool> {
        Ok(jobs::cancel(self.name, key)?)
    }
}

impl<T: Serialize> JobType<T> {
    /// Describes a job; [`Enqueue::send`] queues it.
    pub fn enqueue<'a>(&'a self, payload: &'a T) -> Enqueue<'a, T> {
        enqueue(self.name, payload)
    }
}

impl<T: DeserializeOwned> JobType<T> {
    /// The payload, if `job` is of this kind.
    pub fn read(&self, job: &Job) -> Result<Option<T>, HandlerError> {
        (job.name == self.name).then(|| job.json()).transpose()
    }
}

/// Describes a job; [`Enqueue::send`] queues it.
pub fn enqueue<'a, T: Serialize + ?Sized>(name: &'a str, payload: &'a T) -> Enqueue<'a, T> {
    Enqueue { name, payload, key: None, due: Timestamp::default() }
}

/// A job being described.
#[derive(Debug)]
#[must_use = "nothing is queued without `send`"]
pub struct Enqueue<'a, T: ?Sized> {
    name: &'a str,
    payload: &'a T,
    key: Option<&'a str>,
    due: Timestamp,
}

impl<'a, T: Serialize + ?Sized> Enqueue<'a, T> {
    /// Coalescing key: a waiting job of the same name and key is replaced (the latest payload wins, the earlier due time
    /// stays), and two of one key never run at once.
    pub fn key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }

    /// Not before `due`. Without it: at once.
    pub fn due(mut self, due: Timestamp) -> Self {
        self.due = due;
        self
    }

    /// Queues it; it exists when the invocation commits. Returns its id.
    pub fn send(self) -> Result<String> {
        let payload = serde_json::to_string(self.payload).map_err(|error| {
            Error::new(500, "job-encode", format!("The payload of the job `{}` cannot be JSON: {error}.", self.name))
        })?;
        Ok(jobs::enqueue(&jobs::JobRequest {
            name: self.name.to_owned(),
            key: self.key.map(str::to_owned),
            payload,
            due_ms: self.due.as_ms(),
        })?)
    }
}
