//! The machine: runs invocations to a committed end, delivers events, runs jobs, switches revisions.
#![allow(unused_variables, clippy::todo, clippy::unused_async, reason = "bodies follow")]

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::effects::{Environment, Outbound};
use crate::error::Error;
use crate::executor::{Executor, HttpRequest};
use crate::ids::{MerchantId, PluginId};
use crate::observer::Observer;
use crate::records::{
    Answer, DeadLetter, EventPage, JobStatus, PluginUsage, RequestContext, RevisionSummary, SecretStatus, SecretValue,
};
use crate::revision::{InstalledPlugin, Revision, RevisionNumber};
use crate::store::TxStore;

/// What can be tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long an idempotency key is remembered.
    pub idempotency_ms: u64,
    /// Attempts to deliver an event before it goes to the dead letters.
    pub delivery_attempts_max: u32,
    /// First backoff of a failed delivery.
    pub delivery_backoff_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { idempotency_ms: 24 * 60 * 60 * 1000, delivery_attempts_max: 12, delivery_backoff_ms: 500 }
    }
}

/// A piece of background work that is due: an event to deliver, a job, a schedule, housekeeping. Handed out once at a time; when it
/// is dropped without having run, it is handed out again.
#[derive(Debug)]
pub struct WorkItem {
    _private: (),
}

/// What became of a [`WorkItem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkOutcome {
    /// It was done.
    Done,
    /// There was nothing to do any more.
    Nothing,
    /// It failed and will be tried again.
    Retried,
    /// It went to the dead letters.
    Dead,
    /// The host could not do it now (store unavailable, pool exhausted); it will be handed out again.
    Postponed,
}

/// See the module.
#[derive(Debug)]
pub struct Machine {
    _private: (),
}

impl Machine {
    /// Opens the machine over a store: reads which merchants there are and which work was left.
    pub async fn open(
        store: Arc<dyn TxStore>,
        executor: Arc<dyn Executor>,
        environment: Arc<dyn Environment>,
        outbound: Arc<dyn Outbound>,
        observer: Arc<dyn Observer>,
        options: Options,
    ) -> Result<Arc<Self>, Error> {
        todo!()
    }

    // ---- merchants ----
    /// Creates a merchant without plugins (revision 0).
    pub async fn create_merchant(&self, merchant: &MerchantId) -> Result<(), Error> {
        todo!()
    }
    /// All merchants, sorted.
    pub async fn merchants(&self) -> Result<Vec<MerchantId>, Error> {
        todo!()
    }

    // ---- revisions ----
    /// The revision that runs.
    pub async fn current(&self, merchant: &MerchantId) -> Result<Arc<Revision>, Error> {
        todo!()
    }
    /// Any revision.
    pub async fn revision(&self, merchant: &MerchantId, number: RevisionNumber) -> Result<Arc<Revision>, Error> {
        todo!()
    }
    /// Newest first, those below `before` if given.
    pub async fn revisions(
        &self,
        merchant: &MerchantId,
        before: Option<RevisionNumber>,
        limit: usize,
    ) -> Result<Vec<RevisionSummary>, Error> {
        todo!()
    }
    /// Checks `plugins`, migrates tables, writes a new revision and makes it current, if `expected_parent` still is. The caller has
    /// prepared the code before.
    pub async fn switch(
        &self,
        merchant: &MerchantId,
        expected_parent: RevisionNumber,
        plugins: BTreeMap<PluginId, InstalledPlugin>,
        reason: &str,
    ) -> Result<Arc<Revision>, Error> {
        todo!()
    }
    /// Makes the set of plugins of revision `to` current again, as a new revision.
    pub async fn rollback(
        &self,
        merchant: &MerchantId,
        expected_parent: RevisionNumber,
        to: RevisionNumber,
        reason: &str,
    ) -> Result<Arc<Revision>, Error> {
        todo!()
    }

    // ---- requests ----
    /// Answers a request by `plugin`. Statuses of 400 and above are answers too, and changed nothing.
    pub async fn request(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        request: HttpRequest,
        context: RequestContext,
    ) -> Result<Answer, Error> {
        todo!()
    }

    // ---- events ----
    /// Events after `position` (`None`: from the beginning), at most `limit` (up to 1,000).
    pub async fn events_since(
        &self,
        merchant: &MerchantId,
        position: Option<&str>,
        limit: usize,
    ) -> Result<EventPage, Error> {
        todo!()
    }
    /// The position after the newest event.
    pub async fn events_end(&self, merchant: &MerchantId) -> Result<String, Error> {
        todo!()
    }
    /// Resolves once a commit newer than `version` is visible, with its version.
    pub async fn wait_for_commit(&self, version: u64) -> u64 {
        todo!()
    }
    /// Queues the events after `after` up to `until` (inclusive) again for one subscriber. Returns how many.
    pub async fn replay_events(
        &self,
        merchant: &MerchantId,
        subscriber: &PluginId,
        after: Option<&str>,
        until: Option<&str>,
    ) -> Result<u64, Error> {
        todo!()
    }

    // ---- dead letters, jobs ----
    /// Oldest first, after the id `after`.
    pub async fn dead_letters(
        &self,
        merchant: &MerchantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Error> {
        todo!()
    }
    /// Puts it back in the queue, with attempts counted anew.
    pub async fn replay_dead_letter(&self, merchant: &MerchantId, id: &str) -> Result<(), Error> {
        todo!()
    }
    /// All of one plugin. Returns how many.
    pub async fn replay_dead_letters(&self, merchant: &MerchantId, plugin: &PluginId) -> Result<u64, Error> {
        todo!()
    }
    /// Forgets it.
    pub async fn discard_dead_letter(&self, merchant: &MerchantId, id: &str) -> Result<(), Error> {
        todo!()
    }
    /// Jobs of a plugin that run or wait, at most `limit`.
    pub async fn jobs(&self, merchant: &MerchantId, plugin: &PluginId, limit: usize) -> Result<Vec<JobStatus>, Error> {
        todo!()
    }

    // ---- secrets ----
    /// Sets a secret that the installed plugin declares.
    pub async fn set_secret(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        name: &str,
        value: SecretValue,
    ) -> Result<(), Error> {
        todo!()
    }
    /// Forgets a secret; not being set is no error.
    pub async fn unset_secret(&self, merchant: &MerchantId, plugin: &PluginId, name: &str) -> Result<(), Error> {
        todo!()
    }
    /// The secrets that the plugin declares, without values.
    pub async fn secrets(&self, merchant: &MerchantId, plugin: &PluginId) -> Result<Vec<SecretStatus>, Error> {
        todo!()
    }

    // ---- records of the host (tokens, installed packages ...), for the server; durable when they return ----
    /// A record. `merchant: None` is host-wide.
    pub async fn host_get(&self, merchant: Option<&MerchantId>, key: &str) -> Result<Option<Vec<u8>>, Error> {
        todo!()
    }
    /// Writes a record.
    pub async fn host_put(&self, merchant: Option<&MerchantId>, key: &str, value: Vec<u8>) -> Result<(), Error> {
        todo!()
    }
    /// Removes a record.
    pub async fn host_delete(&self, merchant: Option<&MerchantId>, key: &str) -> Result<(), Error> {
        todo!()
    }
    /// Records whose key begins with `prefix`, sorted.
    pub async fn host_list(
        &self,
        merchant: Option<&MerchantId>,
        prefix: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        todo!()
    }

    // ---- background work: as steps, so that a pump and a simulator can drive it ----
    /// Up to `limit` items that are due at `now_ms`.
    pub async fn due_work(&self, now_ms: u64, limit: usize) -> Result<Vec<WorkItem>, Error> {
        todo!()
    }
    /// Runs one.
    pub async fn run(&self, item: WorkItem) -> WorkOutcome {
        todo!()
    }
    /// When [`Machine::due_work`] is worth calling again if nothing new is queued.
    pub fn next_due_ms(&self) -> Option<u64> {
        todo!()
    }
    /// A number that grows whenever work is queued.
    pub fn work_generation(&self) -> u64 {
        todo!()
    }
    /// Resolves once [`Machine::work_generation`] is above `generation`.
    pub fn wait_for_work(&self, generation: u64) -> BoxFuture<'static, ()> {
        todo!()
    }
    /// Drives all background work, at most `concurrency` items at a time, until `stop` resolves; then lets what runs end. Several
    /// pumps may run beside each other (one per thread).
    pub async fn pump(self: Arc<Self>, concurrency: usize, stop: BoxFuture<'static, ()>) -> Result<(), Error> {
        todo!()
    }

    // ---- telemetry ----
    /// What each plugin used since the process started.
    pub fn usage(&self) -> BTreeMap<(MerchantId, PluginId), PluginUsage> {
        todo!()
    }
    /// The store below.
    pub fn store(&self) -> &Arc<dyn TxStore> {
        todo!()
    }
}
