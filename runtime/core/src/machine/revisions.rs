//! Revisions: the immutable sets of plugins of a merchant, and the switch from one to the next. Tables are migrated before the switch,
//! in steps that are transactions of their own; the switch itself is one commit. History is never rewritten: a rollback is a new
//! revision with an old set.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};

use super::host_transaction::transact;
use super::invoke::{Ended, Invocation, On, Opened, Trigger};
use super::merchants::{MerchantState, decode_head, encode_head};
use super::validation::check_plugins;
use super::{Machine, schedules};
use crate::codec::{decode, encode};
use crate::error::Error;
use crate::executor::{Call, ExecutionError, Reply};
use crate::ids::{InvocationId, MerchantId, PluginId};
use crate::keys::{KeyBuilder, Space};
use crate::limits::{MIGRATION_RETRIES_MAX, MIGRATION_STEPS_MAX, PAGE_ENTRIES_MAX};
use crate::observer::InvocationKind;
use crate::overlay::Overlay;
use crate::records::RevisionSummary;
use crate::revision::{InstalledPlugin, Revision, RevisionNumber};
use crate::store::{Durability, Key};
use crate::transaction::Actor;

/// Longest wait before a step of a migration is tried again: someone is waiting for the switch.
const STEP_WAIT_MS_MAX: u64 = 5_000;

/// Which version wrote a plugin's tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TableVersion {
    version: String,
}

/// How far a migration has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MigrationState {
    from_version: Option<String>,
    to_version: String,
    digest: String,
    cursor: String,
    steps: u32,
    done: bool,
}

fn table_version_key(merchant: &MerchantId, plugin: &PluginId) -> Key {
    KeyBuilder::new(merchant, Space::TableVersion).name(plugin.as_str()).key()
}

fn migration_key(merchant: &MerchantId, plugin: &PluginId) -> Key {
    KeyBuilder::new(merchant, Space::Migration).name(plugin.as_str()).key()
}

fn revision_key(merchant: &MerchantId, number: RevisionNumber) -> Key {
    KeyBuilder::new(merchant, Space::Revision).number(number).key()
}

impl Machine {
    /// The revision that runs.
    pub async fn current(&self, merchant: &MerchantId) -> Result<Arc<Revision>, Error> {
        if let Some(standing) = self.standing_head(merchant) {
            return Ok(standing);
        }
        let state = self.merchant(merchant).await?;
        let view = self.parts.store.begin().await?;
        self.head(&state, view.as_ref()).await
    }

    /// Any revision.
    pub async fn revision(&self, merchant: &MerchantId, number: RevisionNumber) -> Result<Arc<Revision>, Error> {
        let state = self.merchant(merchant).await?;
        let view = self.parts.store.begin().await?;
        let revision = state.revision(view.as_ref(), number).await?;
        revision.ok_or_else(|| Error::RevisionUnknown { merchant: merchant.clone(), number })
    }

    /// Newest first, those below `before` if given.
    pub async fn revisions(
        &self,
        merchant: &MerchantId,
        before: Option<RevisionNumber>,
        limit: usize,
    ) -> Result<Vec<RevisionSummary>, Error> {
        let current = self.current(merchant).await?.number;
        let mut range = KeyBuilder::new(merchant, Space::Revision).range();
        if let Some(before) = before {
            range.end = Some(revision_key(merchant, before));
        }
        let mut overlay = Overlay::new(self.parts.store.begin().await?);
        let found = overlay.scan(&range, true, limit.clamp(1, PAGE_ENTRIES_MAX), usize::MAX).await?;
        let mut summaries = Vec::with_capacity(found.entries.len());
        for (_, value) in found.entries {
            let revision: Revision = decode("revision", &value)?;
            summaries.push(RevisionSummary {
                number: revision.number,
                parent: revision.parent,
                created_at_ms: revision.created_at_ms,
                reason: revision.reason,
                plugins: revision.plugins.into_iter().map(|(id, plugin)| (id, plugin.spec.version)).collect(),
                current: revision.number == current,
            });
        }
        Ok(summaries)
    }

    /// Checks `plugins`, migrates tables, writes a new revision and makes it current, if `expected_parent` still is. The caller has
    /// prepared the code before. A migration that was interrupted goes on where it was.
    pub async fn switch(
        &self,
        merchant: &MerchantId,
        expected_parent: RevisionNumber,
        plugins: BTreeMap<PluginId, InstalledPlugin>,
        reason: &str,
    ) -> Result<Arc<Revision>, Error> {
        self.switch_to(merchant, expected_parent, plugins, reason, true).await
    }

    /// Makes the set of plugins of revision `to` current again, as a new revision. Tables are not migrated back: the older version works
    /// with what the newer one left, and a later upgrade migrates again from the older version.
    pub async fn rollback(
        &self,
        merchant: &MerchantId,
        expected_parent: RevisionNumber,
        to: RevisionNumber,
        reason: &str,
    ) -> Result<Arc<Revision>, Error> {
        let plugins = self.revision(merchant, to).await?.plugins.clone();
        self.switch_to(merchant, expected_parent, plugins, reason, false).await
    }

    async fn switch_to(
        &self,
        merchant: &MerchantId,
        expected_parent: RevisionNumber,
        plugins: BTreeMap<PluginId, InstalledPlugin>,
        reason: &str,
        migrate: bool,
    ) -> Result<Arc<Revision>, Error> {
        let plugins = check_plugins(plugins)?;
        let state = self.merchant(merchant).await?;
        let _one_at_a_time = state.switching.exclusive().await;
        let view = self.parts.store.begin().await?;
        let current = self.head(&state, view.as_ref()).await?.number;
        if current != expected_parent {
            return Err(Error::RevisionConflict { expected: expected_parent, current });
        }
        let newest = view.scan(&KeyBuilder::new(merchant, Space::Revision).range(), true, 1).await?;
        let newest: Option<Revision> =
            newest.entries.first().map(|(_, value)| decode("revision", value)).transpose()?;
        let next = Arc::new(Revision {
            number: newest.map_or(0, |revision| revision.number) + 1,
            parent: expected_parent,
            created_at_ms: self.parts.environment.now_ms(),
            reason: reason.chars().take(1_000).collect(),
            plugins,
        });
        drop(view);
        if migrate {
            for plugin in next.plugins.keys() {
                self.migrate(&state, &next, plugin).await?;
            }
        }
        self.commit_revision(&state, &next).await?;
        state.remember(next.clone());
        self.look_for_work(merchant, &next).await?;
        self.parts.observer.revision(merchant, next.number);
        Ok(next)
    }

    async fn commit_revision(&self, state: &MerchantState, next: &Arc<Revision>) -> Result<(), Error> {
        let merchant = &state.id;
        let now_ms = self.parts.environment.now_ms();
        transact!(self, Durability::Durable, |overlay| {
            let current = match overlay.get(&state.head_key()).await? {
                Some(bytes) => decode_head(&bytes)?,
                None => return Err(Error::MerchantUnknown(merchant.clone())),
            };
            if current == next.number {
                // Our own commit, of whose outcome we had not heard.
                return Ok(());
            }
            if current != next.parent {
                return Err(Error::RevisionConflict { expected: next.parent, current });
            }
            overlay.put(revision_key(merchant, next.number), encode(next.as_ref())?);
            overlay.put(state.head_key(), encode_head(next.number)?);
            for (plugin, installed) in &next.plugins {
                let version = TableVersion { version: installed.spec.version.clone() };
                overlay.put(table_version_key(merchant, plugin), encode(&version)?);
                overlay.delete(migration_key(merchant, plugin));
            }
            schedules::align(overlay, merchant, next, now_ms).await
        })
    }

    /// Brings the tables of one plugin to the version in `next`.
    async fn migrate(&self, state: &Arc<MerchantState>, next: &Arc<Revision>, plugin: &PluginId) -> Result<(), Error> {
        let Some(installed) = next.plugins.get(plugin) else {
            return Ok(());
        };
        let merchant = &state.id;
        let begun = transact!(self, Durability::Durable, |overlay| {
            let old: Option<TableVersion> = match overlay.get(&table_version_key(merchant, plugin)).await? {
                Some(bytes) => Some(decode("table version", &bytes)?),
                None => None,
            };
            if old.as_ref().is_some_and(|old| old.version == installed.spec.version) {
                return Ok(None);
            }
            let key = migration_key(merchant, plugin);
            if let Some(bytes) = overlay.get(&key).await? {
                let begun: MigrationState = decode("migration", &bytes)?;
                if begun.digest == installed.spec.digest && begun.to_version == installed.spec.version {
                    return Ok(Some(begun));
                }
            }
            let begun = MigrationState {
                from_version: old.map(|old| old.version),
                to_version: installed.spec.version.clone(),
                digest: installed.spec.digest.clone(),
                cursor: String::new(),
                steps: 0,
                done: false,
            };
            overlay.put(key, encode(&begun)?);
            Ok(Some(begun))
        })?;
        let Some(mut at) = begun else { return Ok(()) };
        let mut retries = 0;
        while !at.done {
            if at.steps >= MIGRATION_STEPS_MAX {
                let message = format!("it did not end after {MIGRATION_STEPS_MAX} steps");
                return Err(Error::MigrationFailed { plugin: plugin.clone(), message });
            }
            match self.migration_step(state, next, plugin, &at).await? {
                Step::Done(after) => {
                    at = after;
                    retries = 0;
                }
                Step::Again(wait_ms, message) => {
                    retries += 1;
                    if retries > MIGRATION_RETRIES_MAX {
                        return Err(Error::MigrationFailed { plugin: plugin.clone(), message });
                    }
                    self.parts.environment.sleep(wait_ms.min(STEP_WAIT_MS_MAX)).await;
                }
            }
        }
        Ok(())
    }

    async fn migration_step(
        &self,
        state: &Arc<MerchantState>,
        next: &Arc<Revision>,
        plugin: &PluginId,
        at: &MigrationState,
    ) -> Result<Step, Error> {
        let id = format!("mig/{plugin}/{}/{}/{}", next.number, at.to_version, at.steps);
        let invocation = Invocation {
            merchant: state.clone(),
            plugin: plugin.clone(),
            id: InvocationId::new(&id),
            kind: InvocationKind::Migration,
            actor: Actor::System,
            scopes: Vec::new(),
            now_ms: self.parts.environment.now_ms(),
            seed: self.parts.environment.entropy(),
            outside: None,
            on: On::Next(next.clone()),
            durability: Durability::Visible,
        };
        let key = migration_key(&state.id, plugin);
        let mut trigger = MigrationTrigger { key: key.clone(), at: at.clone() };
        let settled = self.invoke(&invocation, &mut trigger).await?;
        let failed = |message: String| Err(Error::MigrationFailed { plugin: plugin.clone(), message });
        match settled.result {
            Ended::Executed(Ok(Reply::Migrated(cursor))) => Ok(Step::Done(at.after(cursor))),
            Ended::Executed(Err(ExecutionError::Retry(message))) => Ok(Step::Again(500, message)),
            Ended::Executed(Err(ExecutionError::RetryAfter(ms))) => Ok(Step::Again(ms, "asks to try again".to_owned())),
            Ended::Executed(Err(error)) => failed(error.to_string()),
            Ended::Gone => failed("another migration of the same plugin went ahead".to_owned()),
            Ended::Executed(Ok(_)) | Ended::Answered(_) => {
                Err(Error::HostFault("the executor answered a migration with something else".to_owned()))
            }
        }
    }
}

/// What one step came to.
enum Step {
    Done(MigrationState),
    Again(u64, String),
}

impl MigrationState {
    fn after(&self, cursor: Option<String>) -> Self {
        Self { done: cursor.is_none(), cursor: cursor.unwrap_or_default(), steps: self.steps + 1, ..self.clone() }
    }
}

#[derive(Debug)]
struct MigrationTrigger {
    key: Key,
    at: MigrationState,
}

impl Trigger for MigrationTrigger {
    fn open<'a>(&'a mut self, overlay: &'a mut Overlay) -> BoxFuture<'a, Result<Opened, Error>> {
        async move {
            let Some(bytes) = overlay.get(&self.key).await? else {
                return Ok(Opened::Gone);
            };
            let stored: MigrationState = decode("migration", &bytes)?;
            if stored != self.at {
                return Ok(Opened::Gone);
            }
            let (from_version, cursor) = (self.at.from_version.clone(), self.at.cursor.clone());
            Ok(Opened::Execute(Call::Migrate { from_version, cursor }))
        }
        .boxed()
    }

    fn close<'a>(
        &'a mut self,
        overlay: &'a mut Overlay,
        _revision: &'a Revision,
        result: &'a Result<Reply, ExecutionError>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            if let Ok(Reply::Migrated(cursor)) = result {
                overlay.put(self.key.clone(), encode(&self.at.after(cursor.clone()))?);
            }
            Ok(())
        }
        .boxed()
    }
}
