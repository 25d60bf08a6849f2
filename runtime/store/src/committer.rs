//! Decides commits: validates, evaluates counters, assigns versions, applies one batch a group, publishes, syncs, replies.
//! There is one committer a store, so it alone changes the engine. Not here: threads and queues ([`crate::occ`]).
//!
//! The order within a group is what makes reading the engine's latest state safe:
//!
//! 1. each member is validated against `recent`, which earlier members have marked already;
//! 2. its keys are marked with its version **before** anything is applied;
//! 3. the batch is applied, then its version is published, then everybody gets a reply.
//!
//! Whoever read something of a group that was not published when its view began finds the mark when it is validated, because
//! the mark came before the write that it saw. Whoever is validated before the mark saw nothing of the group. Whoever began
//! after the publication sees all of the group. So what passes validation read exactly the state at its view's version, and
//! that state still holds where the commit is placed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use futures_channel::oneshot;
use kontor_core::store::{
    Commit, CommitError, Committed, CounterPredicate, Durability, Key, StampedPut, StoreError, Value, Version, Write,
};

use crate::engine::{Batch, EngineError, Injected};
use crate::give_way;
use crate::recent::{CONFLICT_KEYS_MAX, Refusal};
use crate::shared::{Shared, count, lock};

/// Keys marked before others get the lock: less than a tenth of a millisecond.
const MARKED_AT_ONCE: usize = 64;

/// A commit that waits for its decision.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) commit: Commit,
    pub(crate) durability: Durability,
    pub(crate) reply: oneshot::Sender<Result<Committed, CommitError>>,
}

/// What a group changes, newest value per key; earlier members' writes are seen by later ones through it.
type Overlay = BTreeMap<Key, Option<Value>>;

/// A member of a group after validation.
struct Decided {
    result: Result<Committed, CommitError>,
    durability: Durability,
    reply: oneshot::Sender<Result<Committed, CommitError>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// The last version assigned.
    last: Version,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let last = shared.published();
        Self { shared, last }
    }

    /// Whether something published does not survive a power cut yet.
    pub(crate) fn has_undurable(&self) -> bool {
        self.shared.failure().is_none() && self.shared.durable() < self.shared.published()
    }

    /// What callers and the committer share.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Makes `version` durable, if it is not yet.
    pub(crate) fn sync_to(&self, version: Version) -> Result<(), StoreError> {
        if self.shared.durable() >= version {
            return self.shared.failure().map_or(Ok(()), |reason| Err(StoreError::Fatal(reason.to_owned())));
        }
        self.sync()
    }

    /// Makes everything published durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let target = self.shared.published();
        if let Some(reason) = self.shared.failure() {
            return Err(StoreError::Fatal(reason.to_owned()));
        }
        if self.shared.durable() >= target {
            return Ok(());
        }
        count(&self.shared.counts.syncs);
        match self.shared.call(|engine| engine.sync()) {
            Ok(()) => {
                self.shared.set_durable(target);
                Ok(())
            }
            Err(EngineError::Unavailable(message)) => Err(StoreError::Unavailable(message)),
            Err(EngineError::Fatal(message)) => Err(StoreError::Fatal(message)),
        }
    }

    /// Decides a group and replies to each member.
    pub(crate) fn process(&mut self, group: Vec<Pending>) {
        count(&self.shared.counts.groups);
        let mut overlay = Overlay::new();
        let before = self.last;
        let mut decided: Vec<Decided> = Vec::with_capacity(group.len());
        for Pending { commit, durability, reply } in group {
            let result = self.decide(commit, &mut overlay);
            decided.push(Decided { result, durability, reply });
        }
        if self.last > before {
            match self.apply(overlay) {
                Ok(()) => {}
                Err(EngineError::Unavailable(message)) => {
                    // Nothing was applied, but the versions are used up: they are published as empty ones.
                    replace_successes(&mut decided, &CommitError::Unavailable(message));
                }
                Err(EngineError::Fatal(message)) => {
                    replace_all(&mut decided, &CommitError::Fatal(message));
                    send(decided);
                    return;
                }
            }
            self.shared.publish(self.last);
        }
        // Losers are told after the publication: what they execute next sees what they lost against.
        let (durable, now): (Vec<_>, Vec<_>) =
            decided.into_iter().partition(|member| member.durability == Durability::Durable && member.result.is_ok());
        send(now);
        self.finish_durable(durable);
    }

    fn finish_durable(&self, mut members: Vec<Decided>) {
        let target = members.iter().filter_map(|member| member.result.as_ref().ok()).map(|c| c.version).max();
        let Some(target) = target else {
            return;
        };
        if self.shared.durable() < target
            && let Err(error) = self.sync()
        {
            let error = match error {
                StoreError::Fatal(message) => CommitError::Fatal(message),
                StoreError::Unavailable(message) => CommitError::OutcomeUnknown(message),
            };
            replace_all(&mut members, &error);
        }
        send(members);
    }

    fn apply(&self, overlay: Overlay) -> Result<(), EngineError> {
        let batch = Batch { version: self.last, writes: overlay.into_iter().collect() };
        let _applying = lock(&self.shared.applying);
        // Noted only after it is applied: a live export that took the keys earlier would read what was there before, and never again.
        let is_exported = lock(&self.shared.changed).is_some();
        let keys = is_exported.then(|| batch.writes.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>());
        let applied = self.shared.call(|engine| engine.apply(batch));
        if let (Some(changed), Some(keys)) = (lock(&self.shared.changed).as_mut(), keys) {
            changed.extend(keys);
        }
        applied
    }

    /// Validates one member and, when it holds, marks its keys and adds its writes to the group.
    fn decide(&mut self, commit: Commit, overlay: &mut Overlay) -> Result<Committed, CommitError> {
        if self.shared.serving().is_err() {
            return Err(self.shared.gone());
        }
        let injected = self.shared.engine().inject();
        refuse_injected(injected, &commit)?;
        self.check_sizes(&commit)?;
        validate(&self.shared, &commit).map_err(|refusal| refused(&self.shared, refusal))?;
        self.check_counters(&commit, overlay)?;
        let version = if commit.writes.is_empty() && commit.stamped.is_empty() {
            count(&self.shared.counts.read_only);
            self.last
        } else {
            let writes = self.evaluate(commit, overlay)?;
            self.last += 1;
            let entries = writes.len();
            give_way::between_steps(entries);
            self.mark(&writes);
            give_way::between_steps(entries);
            overlay.extend(writes);
            give_way::between_steps(entries);
            count(&self.shared.counts.commits);
            self.last
        };
        match injected {
            Injected::UnknownApplied => Err(CommitError::OutcomeUnknown("injected: it was applied".to_owned())),
            _ => Ok(Committed { version }),
        }
    }

    /// Marks what a member changes, a few keys at a time: everybody who reads asks for the same lock, and a commit may have thousands of keys.
    /// In between, whoever is validated has seen nothing of the group yet, since it is not applied.
    fn mark(&self, writes: &Overlay) {
        let mut keys = writes.keys();
        loop {
            let mut recent = lock(&self.shared.recent);
            recent.mark(self.last, keys.by_ref().take(MARKED_AT_ONCE));
            if keys.len() == 0 {
                recent.complete(self.last);
                return;
            }
        }
    }

    /// Keys and values that the engine cannot hold are refused before anything happens.
    fn check_sizes(&self, commit: &Commit) -> Result<(), CommitError> {
        let engine = self.shared.engine();
        let (key_max, value_max) = (engine.max_key(), engine.max_value());
        let written = commit.writes.iter().map(|(key, write)| match write {
            Write::Put(value) => (key.len(), value.len()),
            Write::Delete | Write::Add { .. } => (key.len(), 0),
        });
        let stamped =
            commit.stamped.iter().map(|put| (put.prefix.len() + STAMP_BYTES + put.suffix.len(), put.value.len()));
        for (key, value) in written.chain(stamped) {
            if key > key_max || value > value_max {
                return Err(CommitError::Unavailable(format!(
                    "engine {} takes keys up to {key_max} bytes and values up to {value_max} bytes; this commit has a \
                     key of {key} bytes with a value of {value} bytes: make it smaller, a retry will not help",
                    engine.name()
                )));
            }
        }
        Ok(())
    }

    /// Evaluates the predicates against what is committed, earlier members of the group included.
    fn check_counters(&self, commit: &Commit, overlay: &Overlay) -> Result<(), CommitError> {
        let mut failed = Vec::new();
        for (key, predicate) in &commit.reads.counters {
            let value = self.counter(key, &Overlay::new(), overlay)?;
            let holds = match predicate {
                CounterPredicate::AtLeast(bound) => value >= *bound,
                CounterPredicate::Below(bound) => value < *bound,
                CounterPredicate::Above(bound) => value > *bound,
            };
            if !holds && failed.len() < CONFLICT_KEYS_MAX {
                failed.push(key.clone());
            }
        }
        if failed.is_empty() {
            Ok(())
        } else {
            count(&self.shared.counts.conflicts);
            Err(CommitError::Conflict { keys: failed })
        }
    }

    /// The commit's writes with counters added and stamps completed.
    fn evaluate(&self, commit: Commit, overlay: &Overlay) -> Result<Overlay, CommitError> {
        let mut writes = Overlay::new();
        for (key, write) in commit.writes {
            match write {
                Write::Put(value) => {
                    writes.insert(key, Some(value));
                }
                Write::Delete => {
                    writes.insert(key, None);
                }
                Write::Add { delta, min, max } => {
                    let value = self
                        .counter(&key, &writes, overlay)?
                        .checked_add(delta)
                        .filter(|value| min.is_none_or(|min| *value >= min) && max.is_none_or(|max| *value <= max));
                    let Some(value) = value else {
                        count(&self.shared.counts.bounds);
                        return Err(CommitError::Bound { key });
                    };
                    writes.insert(key, Some(Value::copy_from_slice(&value.to_be_bytes())));
                }
            }
        }
        let version = self.last + 1;
        for put in commit.stamped {
            let StampedPut { value, .. } = &put;
            let value = value.clone();
            match writes.entry(stamped_key(put, version)) {
                Entry::Vacant(entry) => {
                    entry.insert(Some(value));
                }
                Entry::Occupied(entry) => {
                    return Err(CommitError::Unavailable(format!(
                        "two records of the commit have the same key ({}): give each its own ordinal or suffix, a \
                         retry will not help",
                        entry.key().escape_ascii()
                    )));
                }
            }
        }
        Ok(writes)
    }

    /// The counter as it is now: this commit's writes, then the group's, then the engine's.
    fn counter(&self, key: &[u8], own: &Overlay, group: &Overlay) -> Result<i64, CommitError> {
        let stored = match own.get(key).or_else(|| group.get(key)) {
            Some(value) => value.clone(),
            None => self.shared.call(|engine| engine.get(key)).map_err(|error| match error {
                EngineError::Unavailable(message) => CommitError::Unavailable(message),
                EngineError::Fatal(message) => CommitError::Fatal(message),
            })?,
        };
        let Some(stored) = stored else {
            return Ok(0);
        };
        <[u8; 8]>::try_from(stored.as_ref()).map(i64::from_be_bytes).map_err(|_| {
            CommitError::Unavailable(format!(
                "the value at {} is no counter: it has {} bytes instead of 8; a retry will not help",
                key.escape_ascii(),
                stored.len()
            ))
        })
    }
}

/// Bytes of version and ordinal in a stamped key.
const STAMP_BYTES: usize = 12;

/// `prefix ++ version ++ ordinal ++ suffix`.
fn stamped_key(put: StampedPut, version: Version) -> Key {
    let mut key = put.prefix;
    key.reserve(STAMP_BYTES + put.suffix.len());
    key.extend_from_slice(&version.to_be_bytes());
    key.extend_from_slice(&put.ordinal.to_be_bytes());
    key.extend_from_slice(&put.suffix);
    key
}

/// Whether what was read still holds. Takes the lock on `recent` and nothing else.
pub(crate) fn validate(shared: &Shared, commit: &Commit) -> Result<(), Refusal> {
    if commit.view_version > shared.published() {
        // A view of another life of the store: its version says nothing here.
        return Err(Refusal::TooOld);
    }
    lock(&shared.recent).check(commit.view_version, &commit.reads)
}

/// The error for a refusal, counted.
pub(crate) fn refused(shared: &Shared, refusal: Refusal) -> CommitError {
    match refusal {
        Refusal::Conflict { keys, .. } => {
            count(&shared.counts.conflicts);
            CommitError::Conflict { keys }
        }
        Refusal::TooOld => {
            count(&shared.counts.too_old);
            CommitError::TooOld
        }
    }
}

/// The error that a fault plan wants, if any.
pub(crate) fn refuse_injected(injected: Injected, commit: &Commit) -> Result<(), CommitError> {
    match injected {
        Injected::Nothing | Injected::UnknownApplied => Ok(()),
        Injected::Conflict => {
            let points = commit.reads.points.iter();
            let keys = points.chain(commit.reads.ranges.iter().map(|range| &range.start));
            Err(CommitError::Conflict { keys: keys.take(CONFLICT_KEYS_MAX).cloned().collect() })
        }
        Injected::Unavailable => Err(CommitError::Unavailable("injected".to_owned())),
        Injected::UnknownLost => Err(CommitError::OutcomeUnknown("injected: it was not applied".to_owned())),
    }
}

fn replace_successes(members: &mut [Decided], error: &CommitError) {
    for member in members.iter_mut().filter(|member| member.result.is_ok()) {
        member.result = Err(error.clone());
    }
}

fn replace_all(members: &mut [Decided], error: &CommitError) {
    for member in members {
        member.result = Err(error.clone());
    }
}

fn send(members: Vec<Decided>) {
    for member in members {
        // Whoever asked may have gone away; the commit stands all the same.
        let _ = member.reply.send(member.result);
    }
}
