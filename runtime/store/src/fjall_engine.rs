//! The engine fjall 3: a log-structured tree behind a journal. What this adapter takes care of:
//!
//! - One keyspace, one batch a group, one thread that writes. A batch is in the journal before it is visible.
//! - Acknowledged means that `persist` has synced the journal (fdatasync); fjall itself only hands it to the system.
//! - What a power cut tears at the journal's end is cut off before fjall, which would refuse it, sees it
//!   ([`crate::fjall_journal`]).
//! - A store whose journal or version mark is missing is refused: fjall would begin a new one without a word.
//! - An error or a panic of fjall is final: the process must end, and recovery at the next start goes by what is on disk.
//!
//! Not here: the directory, its lock and its format file ([`crate::directory`]).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use kontor_core::store::{KeyRange, Scanned, Value, Version};

use crate::directory::{Directory, sync_everything};
use crate::engine::{Batch, Engine, EngineError, EngineStats, Visit, is_empty_range};
use crate::fjall_journal::{self, Stamp};
use crate::give_way;
use crate::layout::{LAYOUT_KEY, VERSION_KEY, caller_key, data_key, data_range};
use crate::shared::describe_panic;
use crate::space::space_alarm;

/// The one keyspace.
const KEYSPACE: &str = "kontor";
/// This layout.
const LAYOUT: &[u8] = b"1";
/// Longest key: fjall takes 65,535 bytes; what sled takes is enough, and a store can be copied between the two.
const KEY_BYTES_MAX: usize = 1_024;
/// Largest value; the host's own limit is far below.
const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// All journals together: what is read again at most when a store is opened after a crash.
const JOURNALS_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Flushes and compactions at a time. They compete with requests for the processors; and with more than one, fjall's first worker, which
/// never compacts, passes what is to be compacted round in a circle, without pause, for as long as the others are busy.
const WORKERS: usize = 1;
/// Share of the cache's size that is written to memory before it goes to a table, and its bounds.
const MEMTABLE_SHARE: u64 = 7;
const MEMTABLE_BYTES_MIN: u64 = 256 * 1024;
const MEMTABLE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// A store closed a moment ago in this process may still hold fjall's lock: how long its threads are waited for.
const REOPEN_WAIT: Duration = Duration::from_secs(5);
/// `live_bytes` before the first export.
const LIVE_BYTES_UNKNOWN: u64 = u64::MAX;

/// See the module.
pub(crate) struct FjallEngine {
    keyspace: Keyspace,
    database: Database,
    /// Version of the last batch applied, and of the last one known to be synced.
    applied: AtomicU64,
    synced: AtomicU64,
    live_bytes: AtomicU64,
    failure: OnceLock<String>,
    /// Dropped after fjall, so that whoever takes the directory next finds fjall's own lock free.
    directory: Option<Directory>,
}

impl fmt::Debug for FjallEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallEngine").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl FjallEngine {
    /// Files without which a store that was created is damaged. That there is a journal is checked when it is read.
    pub(crate) const FILES: [&'static str; 1] = ["version"];

    /// Creates a database in `path`, which must not exist, durably.
    pub(crate) fn create(path: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        let engine = Self::start(path, cache_bytes)?;
        engine.guarded(|| {
            let mut batch = engine.database.batch();
            batch.insert(&engine.keyspace, LAYOUT_KEY, LAYOUT);
            batch.insert(&engine.keyspace, VERSION_KEY, Stamp { version: 0, synced: 0 }.encode());
            batch.commit()?;
            engine.database.persist(PersistMode::SyncAll)
        })?;
        sync_everything(path).map_err(|error| EngineError::Fatal(format!("syncing the new database: {error}")))?;
        Ok(engine)
    }

    /// Opens the database in `path`.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        let cut_bytes = fjall_journal::mend(path).map_err(EngineError::Fatal)?;
        if cut_bytes > 0 {
            tracing::info!(cut_bytes, "the journal ended in a batch that a power cut tore; it was never acknowledged");
        }
        let engine = Self::start(path, cache_bytes)?;
        let layout = engine.guarded(|| engine.keyspace.get(LAYOUT_KEY))?;
        if layout.as_deref() != Some(LAYOUT) {
            return Err(EngineError::Fatal(
                "its layout record is missing or unknown: fjall recovered less than was written".to_owned(),
            ));
        }
        let version = engine.last_version()?;
        // fjall syncs its journal while it recovers.
        engine.applied.store(version, Ordering::Release);
        engine.synced.store(version, Ordering::Release);
        Ok(engine)
    }

    fn start(path: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        let memtable_bytes = (cache_bytes / MEMTABLE_SHARE).clamp(MEMTABLE_BYTES_MIN, MEMTABLE_BYTES_MAX);
        let open = || {
            let database = Database::builder(path)
                .cache_size(cache_bytes)
                .worker_threads(WORKERS)
                .max_journaling_size(JOURNALS_BYTES_MAX)
                .journal_compression(CompressionType::None)
                .open()?;
            let options = || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes);
            let keyspace = database.keyspace(KEYSPACE, options)?;
            Ok((database, keyspace))
        };
        let began = Instant::now();
        let (database, keyspace) = loop {
            match catch_unwind(AssertUnwindSafe(open)) {
                Ok(Ok(opened)) => break opened,
                // We hold the directory's lock, so whoever holds fjall's is a thread of a store just closed in here.
                Ok(Err(fjall::Error::Locked)) if began.elapsed() < REOPEN_WAIT => std::thread::yield_now(),
                Ok(Err(error)) => return Err(EngineError::Fatal(describe(&error))),
                Err(panic) => return Err(EngineError::Fatal(describe_panic("fjall", panic.as_ref()))),
            }
        };
        Ok(Self {
            keyspace,
            database,
            applied: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            live_bytes: AtomicU64::new(LIVE_BYTES_UNKNOWN),
            failure: OnceLock::new(),
            directory: None,
        })
    }

    /// Keeps the directory taken as long as the engine lives.
    pub(crate) fn keeping(mut self, directory: Directory) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Calls fjall. After an error or a panic nothing calls it again.
    fn guarded<T>(&self, operation: impl FnOnce() -> fjall::Result<T>) -> Result<T, EngineError> {
        if let Some(reason) = self.failure.get() {
            return Err(EngineError::Fatal(reason.clone()));
        }
        match catch_unwind(AssertUnwindSafe(operation)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.fail(describe(&error))),
            Err(panic) => Err(self.fail(describe_panic("fjall", panic.as_ref()))),
        }
    }

    fn fail(&self, reason: String) -> EngineError {
        EngineError::Fatal(self.failure.get_or_init(|| reason).clone())
    }
}

impl Engine for FjallEngine {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn last_version(&self) -> Result<Version, EngineError> {
        let stored = self.guarded(|| self.keyspace.get(VERSION_KEY))?;
        stored
            .and_then(|stored| Stamp::decode(&stored))
            .map(|stamp| stamp.version)
            .ok_or_else(|| self.fail("its version record is missing or damaged".to_owned()))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        Ok(self.guarded(|| self.keyspace.get(data_key(key)))?.map(Value::from))
    }

    fn scan(&self, range: &KeyRange, reverse: bool, limit: usize) -> Result<Scanned, EngineError> {
        if is_empty_range(range) {
            return Ok(Scanned::default());
        }
        let (start, end) = data_range(range);
        self.guarded(|| {
            let mut found = self.keyspace.range(start..end);
            let mut next = || {
                if reverse { found.next_back() } else { found.next() }
            };
            let mut entries = Vec::new();
            while entries.len() < limit {
                let Some(entry) = next() else {
                    return Ok(Scanned { entries, more: false });
                };
                let (key, value) = entry.into_inner()?;
                entries.push((caller_key(&key).to_vec(), Value::from(value)));
            }
            let more = next().map(fjall::Guard::key).transpose()?.is_some();
            Ok(Scanned { entries, more })
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let version = batch.version;
        self.guarded(|| {
            let mut writes = self.database.batch();
            for (number, (key, value)) in batch.writes.into_iter().enumerate() {
                give_way::while_at(number);
                match value {
                    Some(value) => writes.insert(&self.keyspace, data_key(&key), fjall::Slice::from(value)),
                    None => writes.remove(&self.keyspace, data_key(&key)),
                }
            }
            let stamp = Stamp { version, synced: self.synced.load(Ordering::Acquire) };
            writes.insert(&self.keyspace, VERSION_KEY, stamp.encode());
            give_way::between_steps(writes.len());
            writes.commit()
        })?;
        self.applied.store(version, Ordering::Release);
        Ok(())
    }

    fn sync(&self) -> Result<(), EngineError> {
        let applied = self.applied.load(Ordering::Acquire);
        self.guarded(|| self.database.persist(PersistMode::SyncData))?;
        self.synced.store(applied, Ordering::Release);
        Ok(())
    }

    fn max_key(&self) -> usize {
        KEY_BYTES_MAX
    }

    fn max_value(&self) -> usize {
        VALUE_BYTES_MAX
    }

    fn export(&self, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let (start, end) = data_range(&KeyRange { start: Vec::new(), end: None });
        let mut found = self.guarded(|| Ok(self.keyspace.range(start..end)))?;
        let mut live_bytes = 0_u64;
        while let Some((key, value)) = self.guarded(|| found.next().map(fjall::Guard::into_inner).transpose())? {
            let key = caller_key(&key);
            live_bytes += (key.len() + value.len()) as u64;
            visit(key, &value)?;
        }
        self.live_bytes.store(live_bytes, Ordering::Relaxed);
        Ok(())
    }

    fn note_live_bytes(&self, bytes: u64) {
        self.live_bytes.store(bytes, Ordering::Relaxed);
    }

    fn stats(&self) -> EngineStats {
        let measured = catch_unwind(AssertUnwindSafe(|| self.database.disk_space()));
        let disk_bytes = measured.ok().and_then(Result::ok);
        let live_bytes = Some(self.live_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes != LIVE_BYTES_UNKNOWN);
        let alarm = self.failure.get().cloned().or_else(|| space_alarm(disk_bytes?, live_bytes?));
        EngineStats { engine: self.name(), disk_bytes, live_bytes, alarm }
    }
}

/// fjall's errors are written for its developers.
fn describe(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => format!("fjall: {error}"),
        fjall::Error::Storage(error) => format!("fjall: {error}"),
        fjall::Error::Poisoned => {
            "fjall: an earlier write failed in the background; the disk is full or failing".to_owned()
        }
        other => format!("fjall: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::FileExt;
    use std::path::PathBuf;

    use super::*;

    const CACHE_BYTES: u64 = 2 << 20;

    fn batch(version: Version, writes: Vec<(&str, Option<Vec<u8>>)>) -> Batch {
        let writes = writes.into_iter().map(|(key, value)| (key.into(), value.map(Value::from))).collect();
        Batch { version, writes }
    }

    fn journal(path: &Path) -> PathBuf {
        let mut found: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.retain(|path| path.extension().is_some_and(|extension| extension == "jnl"));
        found.sort();
        found.pop().unwrap()
    }

    /// Where a byte sequence is in the journal.
    fn place_of(journal: &Path, needle: &[u8]) -> u64 {
        let bytes = fs::read(journal).unwrap();
        bytes.windows(needle.len()).position(|window| window == needle).unwrap() as u64
    }

    fn overwrite(journal: &Path, place: u64, bytes: &[u8]) {
        OpenOptions::new().write(true).open(journal).unwrap().write_all_at(bytes, place).unwrap();
    }

    #[test]
    fn a_batch_torn_in_its_middle_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fjall");
        let engine = FjallEngine::create(&path, CACHE_BYTES).unwrap();
        engine.apply(batch(1, vec![("a", Some(b"synced".to_vec()))])).unwrap();
        engine.sync().unwrap();
        engine.apply(batch(2, vec![("b", Some(vec![7; 20_000])), ("c", Some(b"torn".to_vec()))])).unwrap();
        drop(engine);
        // The page in the middle of the large value never reached the disk; what comes after it did.
        let journal = journal(&path);
        overwrite(&journal, place_of(&journal, &[7; 20_000]) + 8_192, &[0; 4_096]);
        for _ in 0..2 {
            let engine = FjallEngine::open(&path, CACHE_BYTES).unwrap();
            assert_eq!(engine.last_version(), Ok(1));
            assert_eq!(engine.get(b"a").unwrap().unwrap(), "synced");
            assert_eq!(engine.get(b"b").unwrap(), None);
            assert_eq!(engine.get(b"c").unwrap(), None);
        }
        let engine = FjallEngine::open(&path, CACHE_BYTES).unwrap();
        engine.apply(batch(2, vec![("c", Some(b"again".to_vec()))])).unwrap();
        engine.sync().unwrap();
        drop(engine);
        assert_eq!(FjallEngine::open(&path, CACHE_BYTES).unwrap().get(b"c").unwrap().unwrap(), "again");
    }

    #[test]
    fn damage_below_what_was_synced_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fjall");
        let engine = FjallEngine::create(&path, CACHE_BYTES).unwrap();
        for version in 1..=3 {
            engine.apply(batch(version, vec![("a", Some(vec![version as u8; 5_000]))])).unwrap();
            engine.sync().unwrap();
        }
        drop(engine);
        let journal = journal(&path);
        overwrite(&journal, place_of(&journal, &[2; 5_000]) + 100, b"rot");
        let before = fs::read(&journal).unwrap();
        match FjallEngine::open(&path, CACHE_BYTES) {
            Err(EngineError::Fatal(reason)) => {
                assert!(reason.contains("after version 1, although version 2 was synced"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert!(fs::read(&journal).unwrap() == before, "the journal was changed");
    }

    #[test]
    fn a_store_without_its_journal_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fjall");
        drop(FjallEngine::create(&path, CACHE_BYTES).unwrap());
        fs::remove_file(journal(&path)).unwrap();
        match FjallEngine::open(&path, CACHE_BYTES) {
            Err(EngineError::Fatal(reason)) => assert!(reason.contains("journal"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_went_from_memory_to_tables_is_there_after_opening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fjall");
        let engine = FjallEngine::create(&path, CACHE_BYTES).unwrap();
        for version in 1..=200_u64 {
            let key = format!("key {:03}", version % 50);
            engine.apply(batch(version, vec![(&key, Some(vec![version as u8; 9_000]))])).unwrap();
        }
        engine.sync().unwrap();
        drop(engine);
        let engine = FjallEngine::open(&path, CACHE_BYTES).unwrap();
        assert_eq!(engine.last_version(), Ok(200));
        for version in 151..=200_u64 {
            let key = format!("key {:03}", version % 50);
            assert_eq!(engine.get(key.as_bytes()).unwrap().unwrap(), vec![version as u8; 9_000]);
        }
    }
}
