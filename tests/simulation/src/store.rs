//! The host's store as tasks meet it: the real one over the memory engine, with pauses in which others run and time passes. A pause
//! lies before a commit and after it, so that a crash finds commits of which nobody was told.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt};
use kontor_core::store::{
    Commit, CommitError, Committed, Durability, Key, KeyRange, ReadSet, ReadView, Scanned, StoreError, TxStore, Value,
    Version,
};
use kontor_store::OccStore;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::scheduler::pause;
use crate::timeline::Timeline;

/// How slow the store is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tempo {
    /// Of 1,000 reads so many let others run first.
    pub(crate) read_pauses: u32,
    /// Of 1,000 commits so many take a while.
    pub(crate) slow_commits: u32,
    /// How long that is at most.
    pub(crate) slow_ms_max: u64,
    /// Of 1,000 commits so many lose although nothing that they read has changed: so many losses in a row that losers queue, and run alone.
    pub(crate) lost_commits: u32,
}

/// What the rest of the run learns from the store.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Grows with every commit that wrote.
    pub(crate) commits: AtomicU64,
    /// The store has stopped; set once per life.
    pub(crate) stopped: AtomicBool,
}

#[derive(Debug)]
struct Pace {
    tempo: Tempo,
    random: Mutex<ChaCha8Rng>,
    timeline: Arc<Timeline>,
}

impl Pace {
    async fn read(&self) {
        let now = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            self.tempo.read_pauses > 0 && random.random_ratio(self.tempo.read_pauses, 1_000)
        };
        if now {
            pause().await;
        }
    }

    /// Whether a commit is to lose.
    fn loses(&self) -> bool {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        self.tempo.lost_commits > 0 && random.random_ratio(self.tempo.lost_commits, 1_000)
    }

    async fn commit(&self) {
        let slow_ms = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            let slow = self.tempo.slow_commits > 0 && random.random_ratio(self.tempo.slow_commits, 1_000);
            if slow { random.random_range(1..=self.tempo.slow_ms_max.max(1)) } else { 0 }
        };
        match slow_ms {
            0 => pause().await,
            slow_ms => self.timeline.sleep(slow_ms).await,
        }
    }
}

/// See the module.
pub(crate) struct SimStore {
    inner: OccStore,
    pace: Arc<Pace>,
    pulse: Arc<Pulse>,
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl SimStore {
    pub(crate) fn new(inner: OccStore, tempo: Tempo, seed: u64, timeline: Arc<Timeline>, pulse: Arc<Pulse>) -> Self {
        let pace = Pace { tempo, random: Mutex::new(ChaCha8Rng::seed_from_u64(seed)), timeline };
        Self { inner, pace: Arc::new(pace), pulse }
    }
}

struct SimView {
    inner: Arc<dyn ReadView>,
    pace: Arc<Pace>,
    pulse: Arc<Pulse>,
}

fn noticed<T>(pulse: &Pulse, result: Result<T, StoreError>) -> Result<T, StoreError> {
    if matches!(result, Err(StoreError::Fatal(_))) {
        pulse.stopped.store(true, Ordering::Relaxed);
    }
    result
}

impl ReadView for SimView {
    fn version(&self) -> Version {
        self.inner.version()
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        async move {
            self.pace.read().await;
            noticed(&self.pulse, self.inner.get(key).await)
        }
        .boxed()
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Value>>, StoreError>> {
        async move {
            self.pace.read().await;
            noticed(&self.pulse, self.inner.get_many(keys).await)
        }
        .boxed()
    }

    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        reverse: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Scanned, StoreError>> {
        async move {
            self.pace.read().await;
            noticed(&self.pulse, self.inner.scan(range, reverse, limit).await)
        }
        .boxed()
    }

    fn unchanged_since(&self, reads: &ReadSet, version: Version) -> Option<Version> {
        self.inner.unchanged_since(reads, version)
    }
}

impl TxStore for SimStore {
    fn begin(&self) -> BoxFuture<'_, Result<Arc<dyn ReadView>, StoreError>> {
        async move {
            pause().await;
            let inner = noticed(&self.pulse, self.inner.begin().await)?;
            let view = SimView { inner, pace: Arc::clone(&self.pace), pulse: Arc::clone(&self.pulse) };
            Ok(Arc::new(view) as Arc<dyn ReadView>)
        }
        .boxed()
    }

    fn commit(&self, commit: Commit, durability: Durability) -> BoxFuture<'_, Result<Committed, CommitError>> {
        async move {
            self.pace.commit().await;
            if self.pace.loses() {
                // The last key read is not the revision's: a loss on that is taken for a switch.
                let keys = commit.reads.points.into_iter().rev().take(1).collect();
                return Err(CommitError::Conflict { keys });
            }
            let writes = !commit.writes.is_empty() || !commit.stamped.is_empty();
            let result = self.inner.commit(commit, durability).await;
            if writes {
                self.pulse.commits.fetch_add(1, Ordering::Relaxed);
            }
            if matches!(result, Err(CommitError::Fatal(_))) {
                self.pulse.stopped.store(true, Ordering::Relaxed);
            }
            self.pace.commit().await;
            result
        }
        .boxed()
    }

    fn current_version(&self) -> Version {
        self.inner.current_version()
    }

    fn wait_newer(&self, version: Version) -> BoxFuture<'_, Version> {
        self.inner.wait_newer(version)
    }

    fn unchanged_since(&self, key: &[u8], version: Version) -> bool {
        self.inner.unchanged_since(key, version)
    }

    fn stands(&self, reads: &ReadSet, version: Version) -> Option<Version> {
        self.inner.stands(reads, version)
    }
}
