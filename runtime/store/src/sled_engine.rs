//! An embedded engine: sled 0.34.7, used so that little is lost at a power cut (ARCHITECTURE.md says what). sled as it comes does
//! lose it; what this adapter does about that:
//!
//! - sled's `flush` never calls fsync: after it, our own handle of sled's file is synced (`sync`).
//! - sled never syncs what it writes at creation: it is flushed and every file and directory synced before first use.
//! - Big pages would go to separate files that sled never syncs: values are chunked ([`crate::sled_layout`]), and a file
//!   appearing there stops the store.
//! - One tree, one batch a group, one thread that writes, and only sled's plain operations.
//! - sled does not open again after some crashes: its snapshots are seen to first ([`crate::sled_snapshots`]).
//! - sled's own periodic flush stays on: only there is space reclaimed.
//! - An error or a panic of sled is final: the process must end, and recovery at the next start goes by what is on disk.
//! - sled needs several times the live data: an export counts that, and the stats carry an alarm.
//!
//! Not here: the directory, its lock and its format file ([`crate::directory`]).

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use kontor_core::store::{Key, KeyRange, Scanned, Value, Version};

use crate::directory::{Directory, sync_everything};
use crate::engine::{Batch, Engine, EngineError, EngineStats, Visit, is_empty_range};
use crate::layout::{LAYOUT_KEY, VERSION_KEY, caller_key, data_key, data_range};
use crate::shared::{describe_panic, lock};
use crate::sled_layout::{
    ChunkedHead, Head, LAYOUT, STORED_BYTES_MAX, chunked_key, chunked_range, decode, encode_inline, is_chunked,
};
use crate::sled_snapshots;
use crate::space::space_alarm;

/// Longest key: an index page of sled holds up to 256 of them and must stay well below its 512 KiB segment.
const KEY_BYTES_MAX: usize = 1_024;
/// Largest value; the host's own limit is far below.
const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often sled flushes by itself and reclaims space.
const FLUSH_EVERY_MS: u64 = 300;
/// A store closed a moment ago in this process may still hold sled's lock: how long its threads are waited for.
const REOPEN_WAIT: Duration = Duration::from_secs(5);
/// Reads of a value whose chunks are replaced meanwhile, before it is called damage.
const CHUNK_READS_MAX: u32 = 1_000;

/// See the module.
pub(crate) struct SledEngine {
    database: Kept,
    /// Our own handle of sled's file, for fdatasync.
    file: File,
    blobs: PathBuf,
    /// Hashes of keys whose value is chunked, with how many keys share one: most writes need not read what they replace.
    chunked: Mutex<HashMap<u64, u32>>,
    live_bytes: AtomicU64,
    failure: OnceLock<String>,
    /// Dropped after sled, so that whoever takes the directory next finds sled's own lock free.
    directory: Option<Directory>,
}

impl fmt::Debug for SledEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledEngine").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// sled's handle. After sled failed it is never dropped: it would try to write once more, and panic.
struct Kept {
    database: Option<sled::Db>,
    failed: AtomicBool,
}

impl Deref for Kept {
    type Target = sled::Db;

    fn deref(&self) -> &sled::Db {
        #[expect(clippy::expect_used, reason = "taken only when this is dropped")]
        self.database.as_ref().expect("sled's handle is there")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.failed.load(Ordering::Acquire) {
            std::mem::forget(self.database.take());
        }
    }
}

/// `live_bytes` before the first export.
const LIVE_BYTES_UNKNOWN: u64 = u64::MAX;

impl SledEngine {
    /// Files without which a store that was created is damaged.
    pub(crate) const FILES: [&'static str; 2] = ["db", "conf"];

    /// Creates a database in `path`, which must not exist, durably.
    pub(crate) fn create(path: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        let engine = Self::start(path, cache_bytes)?;
        engine.guarded(|| {
            engine.database.insert(LAYOUT_KEY, LAYOUT)?;
            engine.database.insert(VERSION_KEY, &0_u64.to_be_bytes())?;
            engine.database.flush()?;
            Ok(())
        })?;
        sync_everything(path).map_err(|error| EngineError::Fatal(format!("syncing the new database: {error}")))?;
        Ok(engine)
    }

    /// Opens the database in `path`.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        let engine = Self::start(path, cache_bytes)?;
        engine.check_blobs()?;
        let layout = engine.guarded(|| engine.database.get(LAYOUT_KEY))?;
        if layout.as_deref() != Some(LAYOUT) {
            return Err(EngineError::Fatal(
                "its layout record is missing or unknown: sled recovered less than was written".to_owned(),
            ));
        }
        engine.last_version()?;
        engine.load_chunked()?;
        Ok(engine)
    }

    fn start(path: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        let prepared = |error| EngineError::Fatal(format!("preparing sled's snapshots: {error}"));
        sled_snapshots::before_opening(path).map_err(prepared)?;
        let began = Instant::now();
        let database = loop {
            let opened = catch_unwind(AssertUnwindSafe(|| {
                sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(Some(FLUSH_EVERY_MS)).open()
            }));
            match opened {
                Ok(Ok(database)) => break database,
                // We hold the directory's lock, so whoever holds sled's is a thread of a store just closed in here.
                Ok(Err(sled::Error::Io(error)))
                    if error.to_string().contains("could not acquire lock") && began.elapsed() < REOPEN_WAIT =>
                {
                    std::thread::yield_now();
                }
                Ok(Err(error)) => return Err(EngineError::Fatal(describe(&error))),
                Err(panic) => {
                    return Err(EngineError::Fatal(describe_panic("sled", panic.as_ref())));
                }
            }
        };
        sled_snapshots::after_opening(path).map_err(prepared)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path.join("db"))
            .map_err(|error| EngineError::Fatal(format!("opening sled's file to sync it: {error}")))?;
        Ok(Self {
            database: Kept { database: Some(database), failed: AtomicBool::new(false) },
            file,
            blobs: path.join("blobs"),
            chunked: Mutex::new(HashMap::new()),
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

    fn load_chunked(&self) -> Result<(), EngineError> {
        let (start, end) = chunked_range();
        self.guarded(|| {
            let mut chunked = lock(&self.chunked);
            for entry in self.database.range(start..end) {
                let (key, _) = entry?;
                *chunked.entry(hash(caller_key(&key))).or_default() += 1;
            }
            Ok(())
        })
    }

    /// Calls sled. After an error or a panic nothing calls it again.
    fn guarded<T>(&self, operation: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, EngineError> {
        if let Some(reason) = self.failure.get() {
            return Err(EngineError::Fatal(reason.clone()));
        }
        match catch_unwind(AssertUnwindSafe(operation)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.fail_with_sled(describe(&error))),
            Err(panic) => Err(self.fail_with_sled(describe_panic("sled", panic.as_ref()))),
        }
    }

    fn fail(&self, reason: String) -> EngineError {
        EngineError::Fatal(self.failure.get_or_init(|| reason).clone())
    }

    fn fail_with_sled(&self, reason: String) -> EngineError {
        self.database.failed.store(true, Ordering::Release);
        self.fail(reason)
    }

    /// A file there holds a page that a power cut would lose.
    fn check_blobs(&self) -> Result<(), EngineError> {
        let mut entries = match fs::read_dir(&self.blobs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(self.fail(format!("listing {}: {error}", self.blobs.display())));
            }
        };
        match entries.next() {
            None => Ok(()),
            Some(_) => Err(self.fail(format!(
                "sled wrote a page into {}, which it never syncs: a power cut would damage the store; copy it into a \
                 fresh directory (backup, then restore) and report this",
                self.blobs.display()
            ))),
        }
    }

    fn stored(&self, key: &[u8]) -> Result<Option<sled::IVec>, EngineError> {
        self.guarded(|| self.database.get(data_key(key)))
    }

    /// The value of what was found at a key's place. While its chunks are replaced it is looked up again.
    fn value(&self, key: &[u8], stored: sled::IVec) -> Result<Option<Value>, EngineError> {
        let mut stored = stored;
        for _ in 0..CHUNK_READS_MAX {
            let head = match self.head(key, &stored)? {
                Head::Inline(value) => return Ok(Some(Value::copy_from_slice(value))),
                Head::Chunked(head) => head,
            };
            if let Some(value) = self.chunks(head)? {
                return Ok(Some(value));
            }
            match self.stored(key)? {
                Some(now) => stored = now,
                None => return Ok(None),
            }
        }
        Err(self.fail(format!("the value at {} is damaged: a chunk is missing", key.escape_ascii())))
    }

    fn head<'a>(&self, key: &[u8], stored: &'a [u8]) -> Result<Head<'a>, EngineError> {
        decode(stored).ok_or_else(|| {
            self.fail(format!("the value at {} is damaged: its header is not one of ours", key.escape_ascii()))
        })
    }

    /// All chunks together; `None` when one is missing.
    fn chunks(&self, head: ChunkedHead) -> Result<Option<Value>, EngineError> {
        let mut value = Vec::new();
        for index in 0..head.chunks() {
            match self.guarded(|| self.database.get(head.chunk_key(index)))? {
                Some(chunk) => value.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
        if value.len() as u64 == head.length {
            return Ok(Some(Value::from(value)));
        }
        Err(self.fail("a value is damaged: its chunks do not add up to its length".to_owned()))
    }

    /// Adds the removal of a key's chunks to the batch, if it has any. True when it had.
    fn remove_chunks(&self, key: &[u8], batch: &mut sled::Batch) -> Result<bool, EngineError> {
        if !lock(&self.chunked).contains_key(&hash(key)) {
            return Ok(false);
        }
        let Some(stored) = self.stored(key)? else {
            return Ok(false);
        };
        let Head::Chunked(head) = self.head(key, &stored)? else {
            return Ok(false);
        };
        for index in 0..head.chunks() {
            batch.remove(head.chunk_key(index));
        }
        batch.remove(chunked_key(key));
        Ok(true)
    }

    fn forget_chunked(&self, key: &[u8]) {
        let mut chunked = lock(&self.chunked);
        if let Some(count) = chunked.get_mut(&hash(key)) {
            *count -= 1;
            if *count == 0 {
                chunked.remove(&hash(key));
            }
        }
    }
}

impl Engine for SledEngine {
    fn name(&self) -> &'static str {
        "sled"
    }

    fn last_version(&self) -> Result<Version, EngineError> {
        let stored = self.guarded(|| self.database.get(VERSION_KEY))?;
        stored
            .and_then(|stored| <[u8; 8]>::try_from(stored.as_ref()).ok())
            .map(Version::from_be_bytes)
            .ok_or_else(|| self.fail("its version record is missing or damaged".to_owned()))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        match self.stored(key)? {
            Some(stored) => self.value(key, stored),
            None => Ok(None),
        }
    }

    fn scan(&self, range: &KeyRange, reverse: bool, limit: usize) -> Result<Scanned, EngineError> {
        if is_empty_range(range) {
            return Ok(Scanned::default());
        }
        let (start, end) = data_range(range);
        let (found, more) = self.guarded(|| {
            let mut entries = self.database.range(start..end);
            let mut next = || {
                if reverse { entries.next_back() } else { entries.next() }
            };
            let mut found = Vec::new();
            while found.len() < limit {
                match next() {
                    Some(entry) => found.push(entry?),
                    None => return Ok((found, false)),
                }
            }
            let more = next().transpose()?.is_some();
            Ok((found, more))
        })?;
        let mut entries = Vec::with_capacity(found.len());
        for (stored_key, stored) in found {
            let key = caller_key(&stored_key).to_vec();
            // Removed since: whoever sees that fails validation, so leaving it out is as good as anything.
            if let Some(value) = self.value(&key, stored)? {
                entries.push((key, value));
            }
        }
        Ok(Scanned { entries, more })
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let mut writes = sled::Batch::default();
        let (mut added, mut removed): (Vec<Key>, Vec<Key>) = (Vec::new(), Vec::new());
        for (ordinal, (key, value)) in (0_u32..).zip(batch.writes) {
            let was_chunked = self.remove_chunks(&key, &mut writes)?;
            match value {
                None => writes.remove(data_key(&key)),
                Some(value) if is_chunked(value.len()) => {
                    let head = ChunkedHead { version: batch.version, ordinal, length: value.len() as u64 };
                    for (index, chunk) in (0_u32..).zip(value.chunks(STORED_BYTES_MAX)) {
                        writes.insert(head.chunk_key(index), chunk);
                    }
                    writes.insert(chunked_key(&key), &[]);
                    writes.insert(data_key(&key), head.encode());
                    added.push(key.clone());
                }
                Some(value) => writes.insert(data_key(&key), encode_inline(&value)),
            }
            if was_chunked {
                removed.push(key);
            }
        }
        writes.insert(VERSION_KEY, &batch.version.to_be_bytes());
        self.guarded(|| self.database.apply_batch(writes))?;
        for key in &added {
            *lock(&self.chunked).entry(hash(key)).or_default() += 1;
        }
        for key in &removed {
            self.forget_chunked(key);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.guarded(|| self.database.flush())?;
        // What sled calls a flush is in the kernel's cache only.
        self.file.sync_data().map_err(|error| self.fail_with_sled(format!("syncing sled's file: {error}")))?;
        self.check_blobs()
    }

    fn max_key(&self) -> usize {
        KEY_BYTES_MAX
    }

    fn max_value(&self) -> usize {
        VALUE_BYTES_MAX
    }

    fn export(&self, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let (start, end) = data_range(&KeyRange { start: Vec::new(), end: None });
        let mut entries = self.database.range(start..end);
        let mut live_bytes = 0_u64;
        while let Some((stored_key, stored)) = self.guarded(|| entries.next().transpose())? {
            let key = caller_key(&stored_key);
            if let Some(value) = self.value(key, stored)? {
                live_bytes += (key.len() + value.len()) as u64;
                visit(key, &value)?;
            }
        }
        self.live_bytes.store(live_bytes, Ordering::Relaxed);
        Ok(())
    }

    fn note_live_bytes(&self, bytes: u64) {
        self.live_bytes.store(bytes, Ordering::Relaxed);
    }

    fn stats(&self) -> EngineStats {
        let disk_bytes = self.file.metadata().ok().map(|metadata| metadata.len());
        let live_bytes = Some(self.live_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes != LIVE_BYTES_UNKNOWN);
        let alarm = self.failure.get().cloned().or_else(|| space_alarm(disk_bytes?, live_bytes?));
        EngineStats { engine: self.name(), disk_bytes, live_bytes, alarm }
    }
}

fn describe(error: &sled::Error) -> String {
    format!("sled: {error}")
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(version: Version, writes: Vec<(&str, Option<Vec<u8>>)>) -> Batch {
        let writes = writes.into_iter().map(|(key, value)| (key.into(), value.map(Value::from))).collect();
        Batch { version, writes }
    }

    fn stored_keys(engine: &SledEngine) -> usize {
        engine.database.iter().count()
    }

    #[test]
    fn replacing_a_large_value_leaves_no_chunks_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sled");
        let engine = SledEngine::create(&path, 1 << 20).unwrap();
        let empty = stored_keys(&engine);
        let large = |n: usize| Some(vec![7_u8; n * STORED_BYTES_MAX]);
        engine.apply(batch(1, vec![("a", large(3)), ("b", large(1))])).unwrap();
        // A head and a mark each, 3 + 1 chunks.
        assert_eq!(stored_keys(&engine), empty + 8);
        engine.apply(batch(2, vec![("a", large(2))])).unwrap();
        assert_eq!(stored_keys(&engine), empty + 7);
        engine.sync().unwrap();
        drop(engine);
        let engine = SledEngine::open(&path, 1 << 20).unwrap();
        assert_eq!(engine.get(b"a").unwrap().unwrap(), vec![7_u8; 2 * STORED_BYTES_MAX]);
        engine.apply(batch(3, vec![("a", Some(b"small".to_vec())), ("b", None)])).unwrap();
        assert_eq!(stored_keys(&engine), empty + 1);
        assert!(lock(&engine.chunked).is_empty());
        assert_eq!(engine.last_version(), Ok(3));
    }

    #[test]
    fn a_file_among_the_blobs_stops_the_engine() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sled");
        let engine = SledEngine::create(&path, 1 << 20).unwrap();
        engine.apply(batch(1, vec![("a", Some(b"x".to_vec()))])).unwrap();
        engine.sync().unwrap();
        fs::create_dir_all(path.join("blobs")).unwrap();
        fs::write(path.join("blobs").join("1"), b"page").unwrap();
        for _ in 0..2 {
            match engine.sync() {
                Err(EngineError::Fatal(reason)) => {
                    assert!(reason.contains("never syncs"), "{reason}")
                }
                other => panic!("{other:?}"),
            }
            assert!(engine.get(b"a").is_err());
        }
        drop(engine);
        assert!(matches!(SledEngine::open(&path, 1 << 20), Err(EngineError::Fatal(_))));
    }

    #[test]
    fn a_lost_chunk_is_damage_and_not_another_value() {
        let directory = tempfile::tempdir().unwrap();
        let engine = SledEngine::create(&directory.path().join("sled"), 1 << 20).unwrap();
        engine.apply(batch(1, vec![("a", Some(vec![7; 10_000]))])).unwrap();
        let head = ChunkedHead { version: 1, ordinal: 0, length: 10_000 };
        engine.database.remove(head.chunk_key(1)).unwrap();
        match engine.get(b"a") {
            Err(EngineError::Fatal(reason)) => assert!(reason.contains("damaged"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}
