//! The memory engine: for tests and simulation. It keeps what is applied apart from what is synced, so that a crash loses
//! what a crash may lose, and injects faults by seed. Nothing here waits, sleeps or looks at a clock.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, RwLock};

use kontor_core::store::{Key, KeyRange, Scanned, Value, Version};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::engine::{Batch, Engine, EngineError, EngineStats, Injected, Visit, is_empty_range};
use crate::shared::lock;

/// Longest key: more than the host's limit, so that its own limit is the one that is met.
const KEY_BYTES_MAX: usize = 64 * 1024;
/// Largest value.
const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Which faults happen how often, in parts per million of the occasions. The same plan on the same sequence of calls injects
/// the same faults. The default injects none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// Seed of all of it.
    pub seed: u64,
    /// A read is unavailable.
    pub read_unavailable_ppm: u32,
    /// A commit is refused although nothing that it read has changed.
    pub conflict_ppm: u32,
    /// A commit is refused as unavailable.
    pub commit_unavailable_ppm: u32,
    /// A commit happens and its outcome is reported as unknown.
    pub unknown_applied_ppm: u32,
    /// A commit does not happen and its outcome is reported as unknown.
    pub unknown_lost_ppm: u32,
    /// The machine loses power when asked to sync: the store stops, [`MemoryEngine::crash`] brings back what survived.
    pub crash_at_sync_ppm: u32,
}

/// The bytes, as the process sees them.
#[derive(Clone, Debug, Default)]
struct Content {
    entries: BTreeMap<Key, Value>,
    version: Version,
}

impl Content {
    fn apply(&mut self, batch: &Batch) {
        for (key, value) in &batch.writes {
            match value {
                Some(value) => self.entries.insert(key.clone(), value.clone()),
                None => self.entries.remove(key),
            };
        }
        self.version = batch.version;
    }
}

/// What a power cut leaves, and what it may take.
#[derive(Debug, Default)]
struct Disk {
    synced: Content,
    /// Applied, not synced, oldest first.
    unsynced: Vec<Batch>,
}

#[derive(Debug)]
struct Faults {
    plan: FaultPlan,
    random: ChaCha8Rng,
}

impl Faults {
    fn new(plan: FaultPlan) -> Self {
        Self { plan, random: ChaCha8Rng::seed_from_u64(plan.seed) }
    }

    /// Draws whether something that happens `ppm` times in a million happens now. Draws nothing when it never does.
    fn happens(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.random.random_range(0..1_000_000) < ppm
    }
}

/// See the module.
#[derive(Debug)]
pub struct MemoryEngine {
    content: RwLock<Content>,
    disk: Mutex<Disk>,
    faults: Mutex<Faults>,
    crashed: std::sync::atomic::AtomicBool,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new(FaultPlan::default())
    }
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new(plan: FaultPlan) -> Self {
        Self::starting_with(Content::default(), Faults::new(plan))
    }

    fn starting_with(content: Content, faults: Faults) -> Self {
        Self {
            disk: Mutex::new(Disk { synced: content.clone(), unsynced: Vec::new() }),
            content: RwLock::new(content),
            faults: Mutex::new(faults),
            crashed: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Cuts the power: this engine answers nothing any more; the one returned holds everything synced and, by the plan's
    /// randomness, the first few batches of what was not.
    pub fn crash(&self) -> Self {
        self.stop();
        let mut disk = lock(&self.disk);
        let mut faults = lock(&self.faults);
        let kept = faults.random.random_range(0..=disk.unsynced.len());
        let mut survived = std::mem::take(&mut disk.synced);
        for batch in disk.unsynced.drain(..).take(kept) {
            survived.apply(&batch);
        }
        // The next life has faults of its own, as determined as this one's.
        let seed = faults.random.random();
        Self::starting_with(survived, Faults::new(FaultPlan { seed, ..faults.plan }))
    }

    /// Ends the process in an orderly way: as [`MemoryEngine::crash`], but nothing applied is lost.
    pub fn restart(&self) -> Self {
        self.stop();
        let content = self.content.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let mut faults = lock(&self.faults);
        let seed = faults.random.random();
        Self::starting_with(content, Faults::new(FaultPlan { seed, ..faults.plan }))
    }

    /// Replaces the plan, from the next call on.
    pub fn set_faults(&self, plan: FaultPlan) {
        *lock(&self.faults) = Faults::new(plan);
    }

    fn stop(&self) {
        self.crashed.store(true, std::sync::atomic::Ordering::Release);
    }

    fn running(&self) -> Result<(), EngineError> {
        if self.crashed.load(std::sync::atomic::Ordering::Acquire) {
            return Err(EngineError::Fatal("the memory engine crashed, as its fault plan wanted".to_owned()));
        }
        Ok(())
    }

    fn read<T>(&self, operation: impl FnOnce(&Content) -> T) -> Result<T, EngineError> {
        self.running()?;
        {
            let mut faults = lock(&self.faults);
            let ppm = faults.plan.read_unavailable_ppm;
            if faults.happens(ppm) {
                return Err(EngineError::Unavailable("injected".to_owned()));
            }
        }
        let content = self.content.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(operation(&content))
    }
}

impl Engine for MemoryEngine {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn last_version(&self) -> Result<Version, EngineError> {
        self.running()?;
        Ok(self.content.read().unwrap_or_else(std::sync::PoisonError::into_inner).version)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        self.read(|content| content.entries.get(key).cloned())
    }

    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, EngineError> {
        self.read(|content| keys.iter().map(|key| content.entries.get(key).cloned()).collect())
    }

    fn scan(&self, range: &KeyRange, reverse: bool, limit: usize) -> Result<Scanned, EngineError> {
        if is_empty_range(range) {
            self.running()?;
            return Ok(Scanned::default());
        }
        self.read(|content| {
            let end = match &range.end {
                Some(end) => Bound::Excluded(end.as_slice()),
                None => Bound::Unbounded,
            };
            let found = content.entries.range::<[u8], _>((Bound::Included(range.start.as_slice()), end));
            let owned = |(key, value): (&Key, &Value)| (key.clone(), value.clone());
            if reverse { take(found.rev().map(owned), limit) } else { take(found.map(owned), limit) }
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.running()?;
        self.content.write().unwrap_or_else(std::sync::PoisonError::into_inner).apply(&batch);
        lock(&self.disk).unsynced.push(batch);
        Ok(())
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.running()?;
        {
            let mut faults = lock(&self.faults);
            let ppm = faults.plan.crash_at_sync_ppm;
            if faults.happens(ppm) {
                self.stop();
                return self.running();
            }
        }
        let mut disk = lock(&self.disk);
        let Disk { synced, unsynced } = &mut *disk;
        for batch in unsynced.drain(..) {
            synced.apply(&batch);
        }
        Ok(())
    }

    fn max_key(&self) -> usize {
        KEY_BYTES_MAX
    }

    fn max_value(&self) -> usize {
        VALUE_BYTES_MAX
    }

    fn export(&self, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        self.running()?;
        let entries = self.content.read().unwrap_or_else(std::sync::PoisonError::into_inner).entries.clone();
        entries.iter().try_for_each(|(key, value)| visit(key, value))
    }

    fn stats(&self) -> EngineStats {
        EngineStats { engine: self.name(), ..EngineStats::default() }
    }

    fn inject(&self) -> Injected {
        let mut faults = lock(&self.faults);
        let plan = faults.plan;
        for (ppm, injected) in [
            (plan.conflict_ppm, Injected::Conflict),
            (plan.commit_unavailable_ppm, Injected::Unavailable),
            (plan.unknown_applied_ppm, Injected::UnknownApplied),
            (plan.unknown_lost_ppm, Injected::UnknownLost),
        ] {
            if faults.happens(ppm) {
                return injected;
            }
        }
        Injected::Nothing
    }
}

/// The first `limit` entries, and whether there are more.
fn take(mut found: impl Iterator<Item = (Key, Value)>, limit: usize) -> Scanned {
    let entries: Vec<_> = found.by_ref().take(limit).collect();
    Scanned { entries, more: found.next().is_some() }
}
