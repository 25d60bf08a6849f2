//! The stores under test, and small helpers to speak with them.

use std::future::Future;
use std::sync::Arc;

use kontor_core::store::{
    Commit, CommitError, Committed, Durability, Key, KeyRange, ReadSet, ReadView, Scanned, StampedPut, TxStore, Value,
    Version, Write,
};
use kontor_store::{EngineKind, FaultPlan, MemoryEngine, OccStore, RecentLimits, StoreHandle, StoreOptions, open};

/// A store that can be opened again with what it held.
pub(crate) trait Subject {
    /// Opens it; the first time it is empty. The one opened before has been dropped.
    fn open_with(&mut self, recent: RecentLimits) -> StoreHandle;
    fn open(&mut self) -> StoreHandle {
        self.open_with(RecentLimits::default())
    }
}

pub(crate) struct Memory {
    engine: Arc<MemoryEngine>,
    threaded: bool,
    opened: bool,
}

impl Memory {
    pub(crate) fn inline() -> Self {
        Self { engine: Arc::default(), threaded: false, opened: false }
    }

    pub(crate) fn threaded() -> Self {
        Self { threaded: true, ..Self::inline() }
    }
}

impl Subject for Memory {
    fn open_with(&mut self, recent: RecentLimits) -> StoreHandle {
        if self.opened {
            self.engine = Arc::new(self.engine.restart());
        }
        self.opened = true;
        let engine = Arc::clone(&self.engine);
        StoreHandle::new(if self.threaded {
            OccStore::threaded_with(engine, recent).unwrap()
        } else {
            OccStore::inline_with(engine, recent).unwrap()
        })
    }
}

/// An engine with files in a directory.
pub(crate) struct Embedded {
    engine: EngineKind,
    directory: tempfile::TempDir,
}

/// The engines that keep files.
pub(crate) const EMBEDDED: [EngineKind; 2] = [EngineKind::Sled, EngineKind::Fjall];

impl Embedded {
    pub(crate) fn new(engine: EngineKind) -> Self {
        Self { engine, directory: tempfile::tempdir().unwrap() }
    }
}

impl Subject for Embedded {
    fn open_with(&mut self, recent: RecentLimits) -> StoreHandle {
        open(&StoreOptions { recent, ..options(self.engine, self.directory.path()) }).unwrap()
    }
}

/// A small cache, so that both engines go to their files.
pub(crate) fn options(engine: EngineKind, path: &std::path::Path) -> StoreOptions {
    StoreOptions { engine, cache_bytes: 4 * 1024 * 1024, ..StoreOptions::new(path) }
}

/// A memory store whose engine the test keeps.
pub(crate) fn faulty(plan: FaultPlan, threaded: bool) -> (Arc<MemoryEngine>, StoreHandle) {
    let engine = Arc::new(MemoryEngine::new(plan));
    (Arc::clone(&engine), over(engine, threaded))
}

pub(crate) fn over(engine: Arc<MemoryEngine>, threaded: bool) -> StoreHandle {
    let store = if threaded { OccStore::threaded(engine) } else { OccStore::inline(engine) };
    StoreHandle::new(store.unwrap())
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> (Key, Write) {
    (key.as_ref().to_vec(), Write::Put(Value::copy_from_slice(value.as_ref())))
}

pub(crate) fn delete(key: impl AsRef<[u8]>) -> (Key, Write) {
    (key.as_ref().to_vec(), Write::Delete)
}

pub(crate) fn add(key: impl AsRef<[u8]>, delta: i64, min: Option<i64>, max: Option<i64>) -> (Key, Write) {
    (key.as_ref().to_vec(), Write::Add { delta, min, max })
}

pub(crate) fn stamped(prefix: &str, ordinal: u32, suffix: &str, value: &str) -> StampedPut {
    StampedPut {
        prefix: prefix.into(),
        ordinal,
        suffix: suffix.into(),
        value: Value::copy_from_slice(value.as_bytes()),
    }
}

pub(crate) fn range(start: impl AsRef<[u8]>, end: Option<&[u8]>) -> KeyRange {
    KeyRange { start: start.as_ref().to_vec(), end: end.map(<[u8]>::to_vec) }
}

pub(crate) fn prefix(prefix: &str) -> KeyRange {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().unwrap() += 1;
    KeyRange { start: prefix.into(), end: Some(end) }
}

pub(crate) fn points(keys: &[&str]) -> ReadSet {
    ReadSet { points: keys.iter().map(|key| Key::from(*key)).collect(), ..ReadSet::default() }
}

pub(crate) fn ranges(ranges: Vec<KeyRange>) -> ReadSet {
    ReadSet { ranges, ..ReadSet::default() }
}

pub(crate) fn begin(store: &StoreHandle) -> Arc<dyn ReadView> {
    wait(store.begin()).unwrap()
}

pub(crate) fn get(store: &StoreHandle, key: impl AsRef<[u8]>) -> Option<Value> {
    wait(begin(store).get(key.as_ref())).unwrap()
}

pub(crate) fn scan(store: &StoreHandle, range: &KeyRange, reverse: bool, limit: usize) -> Scanned {
    wait(begin(store).scan(range, reverse, limit)).unwrap()
}

pub(crate) fn number(value: Option<Value>) -> i64 {
    value.map_or(0, |value| i64::from_be_bytes(value.as_ref().try_into().unwrap()))
}

pub(crate) fn commit(store: &StoreHandle, commit: Commit) -> Result<Version, CommitError> {
    commit_as(store, commit, Durability::Durable)
}

pub(crate) fn commit_as(store: &StoreHandle, commit: Commit, durability: Durability) -> Result<Version, CommitError> {
    wait(store.commit(commit, durability)).map(|Committed { version }| version)
}

/// Writes without having read anything.
pub(crate) fn write(store: &StoreHandle, writes: Vec<(Key, Write)>) -> Version {
    commit(store, Commit { view_version: store.current_version(), writes, ..Commit::default() }).unwrap()
}

/// Runs `body(index)` in that many threads and gives their results in order.
pub(crate) fn in_threads<T: Send>(threads: usize, body: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let body = &body;
        let handles: Vec<_> = (0..threads).map(|index| scope.spawn(move || body(index))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}
