//! Values read lately, in memory, in front of an engine that has to look for them; [`Cached`] is itself an engine. Not here: what is
//! missing (only values that exist are kept) and ranges, which the engine always reads itself.
//!
//! It saves more than looking: fjall lets nobody read while it syncs the list of its tables, some ten milliseconds after every
//! flush and compaction. What is read often is not in its way then.
//!
//! Why nobody is given what is gone: whoever fills an entry announces it before asking the engine, and [`Engine::apply`] takes out
//! every key that it wrote, announcements too, after the engine has applied the batch and before it returns. A value read from the engine
//! before that finds its announcement gone and is not kept.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use kontor_core::store::{Key, KeyRange, Scanned, Value, Version};
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle, GuardResult};

use crate::engine::{Batch, Engine, EngineError, EngineStats, Injected, Visit};
use crate::give_way;

/// Largest value that is kept: larger ones cost more memory than looking for them costs time.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// What an entry takes beside its key and value, about.
const ENTRY_BYTES: usize = 128;
/// What an entry takes on average, to begin with.
const ENTRY_BYTES_EXPECTED: u64 = 1024;

/// Weighs an entry by its bytes.
#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Value> for Bytes {
    fn weight(&self, key: &Key, value: &Value) -> u64 {
        (key.len() + value.len() + ENTRY_BYTES) as u64
    }
}

/// See the module.
pub struct Cached<S = RandomState> {
    engine: Arc<dyn Engine>,
    values: Cache<Key, Value, Bytes, S>,
}

impl<S> fmt::Debug for Cached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Cached {
    /// Keeps up to `bytes_max` bytes of what is read from `engine`. Nobody else may write to the engine. Keys are hashed with a secret of
    /// this process, since plugins choose them.
    pub fn new(engine: Arc<dyn Engine>, bytes_max: u64) -> Self {
        Self::with_hasher(engine, bytes_max, RandomState::new())
    }
}

impl<S: BuildHasher + Clone> Cached<S> {
    /// The same with another hash. What is forgotten when depends on it: where that must be the same in every run, so must the hash.
    pub fn with_hasher(engine: Arc<dyn Engine>, bytes_max: u64, hasher: S) -> Self {
        let entries = usize::try_from(bytes_max / ENTRY_BYTES_EXPECTED).unwrap_or(usize::MAX);
        Self { engine, values: Cache::with(entries, bytes_max, Bytes, hasher, DefaultLifecycle::default()) }
    }
}

impl<S: BuildHasher + Clone + Send + Sync + 'static> Engine for Cached<S> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn last_version(&self) -> Result<Version, EngineError> {
        self.engine.last_version()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        match self.values.get_value_or_guard(key, Some(Duration::ZERO)) {
            GuardResult::Value(value) => Ok(Some(value)),
            GuardResult::Guard(announced) => {
                let value = self.engine.get(key)?;
                if let Some(value) = value.as_ref().filter(|value| value.len() <= VALUE_BYTES_MAX) {
                    // A copy: the engine's may keep a whole block of a table in memory.
                    let _ = announced.insert(Value::copy_from_slice(value));
                }
                Ok(value)
            }
            // Somebody else is filling it.
            GuardResult::Timeout => self.engine.get(key),
        }
    }

    fn scan(&self, range: &KeyRange, reverse: bool, limit: usize) -> Result<Scanned, EngineError> {
        self.engine.scan(range, reverse, limit)
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let keys: Vec<Key> = batch.writes.iter().map(|(key, _)| key.clone()).collect();
        let applied = self.engine.apply(batch);
        give_way::between_steps(keys.len());
        // Also when it failed: who knows what is there now.
        for (number, key) in keys.iter().enumerate() {
            self.values.remove(key.as_slice());
            give_way::while_at(number);
        }
        applied
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.engine.sync()
    }

    fn max_key(&self) -> usize {
        self.engine.max_key()
    }

    fn max_value(&self) -> usize {
        self.engine.max_value()
    }

    fn export(&self, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        self.engine.export(visit)
    }

    fn note_live_bytes(&self, bytes: u64) {
        self.engine.note_live_bytes(bytes);
    }

    fn stats(&self) -> EngineStats {
        self.engine.stats()
    }

    fn inject(&self) -> Injected {
        self.engine.inject()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    /// Remembers one value a key, counts reads, and lets a test do something between reading and returning.
    #[derive(Default)]
    struct Counting {
        values: Mutex<std::collections::BTreeMap<Key, Value>>,
        reads: AtomicUsize,
        meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    }

    impl fmt::Debug for Counting {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Counting")
        }
    }

    impl Engine for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }
        fn last_version(&self) -> Result<Version, EngineError> {
            Ok(0)
        }
        fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let value = self.values.lock().unwrap().get(key).cloned();
            let meanwhile = self.meanwhile.lock().unwrap().take();
            if let Some(meanwhile) = meanwhile {
                meanwhile();
            }
            Ok(value)
        }
        fn scan(&self, _: &KeyRange, _: bool, _: usize) -> Result<Scanned, EngineError> {
            Ok(Scanned::default())
        }
        fn apply(&self, batch: Batch) -> Result<(), EngineError> {
            let mut values = self.values.lock().unwrap();
            for (key, value) in batch.writes {
                match value {
                    Some(value) => values.insert(key, value),
                    None => values.remove(&key),
                };
            }
            Ok(())
        }
        fn sync(&self) -> Result<(), EngineError> {
            Ok(())
        }
        fn max_key(&self) -> usize {
            1_000
        }
        fn max_value(&self) -> usize {
            1_000_000
        }
        fn export(&self, _: &mut Visit<'_>) -> Result<(), EngineError> {
            Ok(())
        }
        fn stats(&self) -> EngineStats {
            EngineStats::default()
        }
    }

    fn write(value: Option<&[u8]>) -> Batch {
        Batch { version: 1, writes: vec![(b"key".to_vec(), value.map(Value::copy_from_slice))] }
    }

    fn subject() -> (Arc<Counting>, Arc<Cached>) {
        let counting = Arc::new(Counting::default());
        let cached = Arc::new(Cached::new(Arc::clone(&counting) as Arc<dyn Engine>, 1 << 20));
        (counting, cached)
    }

    #[test]
    fn what_was_read_is_read_once_until_it_is_written() {
        let (counting, cached) = subject();
        for value in [Some(b"one".as_slice()), Some(b"two"), None, Some(b"three")] {
            cached.apply(write(value)).unwrap();
            let before = counting.reads.load(Ordering::Relaxed);
            for _ in 0..3 {
                assert_eq!(cached.get(b"key").unwrap().as_deref(), value);
            }
            // What is missing is not kept.
            let expected = if value.is_some() { 1 } else { 3 };
            assert_eq!(counting.reads.load(Ordering::Relaxed) - before, expected, "{value:?}");
        }
        cached.apply(write(Some(&[7; VALUE_BYTES_MAX + 1]))).unwrap();
        assert_eq!(cached.get(b"key").unwrap().map(|value| value.len()), Some(VALUE_BYTES_MAX + 1));
        assert_eq!(cached.values.len(), 0);
    }

    #[test]
    fn what_is_written_while_it_is_read_is_not_kept_as_it_was() {
        let (counting, cached) = subject();
        cached.apply(write(Some(b"old"))).unwrap();
        let writer = Arc::clone(&cached);
        *counting.meanwhile.lock().unwrap() = Some(Box::new(move || writer.apply(write(Some(b"new"))).unwrap()));
        // Read before it was written: either would be right.
        assert_eq!(cached.get(b"key").unwrap().as_deref(), Some(b"old".as_slice()));
        assert_eq!(cached.get(b"key").unwrap().as_deref(), Some(b"new".as_slice()));
    }

    #[test]
    fn nobody_reads_what_was_there_before_an_apply_that_returned() {
        const WRITES: u64 = 20_000;
        let (_, cached) = subject();
        let applied = AtomicU64::new(0);
        cached.apply(write(Some(&0_u64.to_be_bytes()))).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let before = applied.load(Ordering::Acquire);
                        let value = cached.get(b"key").unwrap().unwrap();
                        let value = u64::from_be_bytes(value.as_ref().try_into().unwrap());
                        assert!(value >= before, "{value} after {before} was applied");
                        if before == WRITES {
                            return;
                        }
                    }
                });
            }
            for number in 1..=WRITES {
                cached.apply(write(Some(&number.to_be_bytes()))).unwrap();
                applied.store(number, Ordering::Release);
            }
        });
    }
}
