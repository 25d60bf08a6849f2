//! What views, callers and the committer of one store share: the engine behind a fail-stop guard, the versions, what changed
//! lately, who waits for what. Not here: deciding commits ([`crate::committer`]).

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_channel::oneshot;
use kontor_core::store::{CommitError, Key, StoreError, Version};

use crate::engine::{Engine, EngineError};
use crate::recent::{Recent, RecentLimits};

/// Waiters kept before cancelled ones are looked for.
const WAITERS_BEFORE_PRUNING: usize = 64;

/// Counts since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commits: AtomicU64,
    pub(crate) read_only: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) too_old: AtomicU64,
    pub(crate) bounds: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A poisoned lock is taken all the same: a panic of the engine or the committer stops the store through `failure`.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See the module. Locks are held for memory operations only, never over an engine call, except `applying`.
#[derive(Debug)]
pub(crate) struct Shared {
    engine: Arc<dyn Engine>,
    /// The newest version whose writes are all in the engine. Views begin here.
    published: AtomicU64,
    /// The newest version that survives a power cut.
    durable: AtomicU64,
    /// Why the store stopped, once it has.
    failure: OnceLock<String>,
    closed: AtomicBool,
    /// Marked before a group is applied, so that whoever saw any of it fails validation.
    pub(crate) recent: Mutex<Recent>,
    version_waiters: Mutex<Vec<(Version, oneshot::Sender<()>)>>,
    /// Held by the committer while it applies and by an export: an export sees one version.
    pub(crate) applying: Mutex<()>,
    /// While the store is exported live: keys that changed since they may have been read.
    pub(crate) changed: Mutex<Option<BTreeSet<Key>>>,
    pub(crate) counts: Counts,
}

impl Shared {
    pub(crate) fn new(engine: Arc<dyn Engine>, limits: RecentLimits) -> Result<Self, StoreError> {
        let version = engine.last_version().map_err(|error| match error {
            EngineError::Unavailable(message) => StoreError::Unavailable(message),
            EngineError::Fatal(message) => StoreError::Fatal(message),
        })?;
        Ok(Self {
            engine,
            published: AtomicU64::new(version),
            durable: AtomicU64::new(version),
            failure: OnceLock::new(),
            closed: AtomicBool::new(false),
            recent: Mutex::new(Recent::new(version, limits)),
            version_waiters: Mutex::new(Vec::new()),
            applying: Mutex::new(()),
            changed: Mutex::new(None),
            counts: Counts::default(),
        })
    }

    pub(crate) fn published(&self) -> Version {
        self.published.load(Ordering::Acquire)
    }

    pub(crate) fn durable(&self) -> Version {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, version: Version) {
        self.durable.store(version, Ordering::Release);
    }

    /// Makes `version` what views begin at, and wakes who waits for it. Only the committer calls it, in order.
    pub(crate) fn publish(&self, version: Version) {
        self.published.store(version, Ordering::Release);
        let mut waiters = lock(&self.version_waiters);
        let mut index = 0;
        while let Some((after, sender)) = waiters.get(index) {
            if *after < version || sender.is_canceled() {
                let (_, sender) = waiters.swap_remove(index);
                // The waiter may have gone away: nothing to tell then.
                let _ = sender.send(());
            } else {
                index += 1;
            }
        }
    }

    /// Resolves once a version newer than `version` is published; never, if the store stops before.
    pub(crate) async fn wait_newer(&self, version: Version) -> Version {
        loop {
            let receiver = {
                // The publisher stores the version before it takes this lock: looking under it misses no wake-up.
                let mut waiters = lock(&self.version_waiters);
                let published = self.published();
                if published > version {
                    return published;
                }
                if waiters.len() >= WAITERS_BEFORE_PRUNING {
                    waiters.retain(|(_, sender)| !sender.is_canceled());
                }
                let (sender, receiver) = oneshot::channel();
                waiters.push((version, sender));
                receiver
            };
            if receiver.await.is_err() {
                // The sender lives as long as `self`, which this future borrows.
                futures_util::future::pending::<()>().await;
            }
        }
    }

    /// Stops the store for good. The first reason stays.
    pub(crate) fn fail(&self, reason: String) {
        if self.failure.set(reason).is_ok() {
            tracing::error!(
                engine = self.engine.name(),
                reason = self.failure.get().map(String::as_str),
                "the store has stopped; nothing is acknowledged any more, the process must end"
            );
        }
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether the store still serves.
    pub(crate) fn serving(&self) -> Result<(), StoreError> {
        if let Some(reason) = self.failure() {
            return Err(StoreError::Fatal(reason.to_owned()));
        }
        if self.is_closed() {
            return Err(StoreError::Unavailable("it was closed; open it again".to_owned()));
        }
        Ok(())
    }

    /// Calls the engine. A fatal error and a panic stop the store.
    pub(crate) fn call<T>(
        &self,
        operation: impl FnOnce(&dyn Engine) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        if let Some(reason) = self.failure() {
            return Err(EngineError::Fatal(reason.to_owned()));
        }
        let result = catch_unwind(AssertUnwindSafe(|| operation(self.engine.as_ref())))
            .unwrap_or_else(|panic| Err(EngineError::Fatal(describe_panic(self.engine.name(), panic.as_ref()))));
        if let Err(EngineError::Fatal(reason)) = &result {
            self.fail(reason.clone());
        }
        result
    }

    /// Calls the engine for a read.
    pub(crate) fn read<T>(
        &self,
        operation: impl FnOnce(&dyn Engine) -> Result<T, EngineError>,
    ) -> Result<T, StoreError> {
        self.serving()?;
        self.call(operation).map_err(|error| match error {
            EngineError::Unavailable(message) => StoreError::Unavailable(message),
            EngineError::Fatal(message) => StoreError::Fatal(message),
        })
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// What to answer a commit whose committer is gone.
    pub(crate) fn gone(&self) -> CommitError {
        match self.serving() {
            Err(StoreError::Fatal(reason)) => CommitError::Fatal(reason),
            Err(StoreError::Unavailable(reason)) => CommitError::Unavailable(reason),
            Ok(()) => CommitError::Fatal("the committer ended unexpectedly".to_owned()),
        }
    }
}

/// A sentence about a caught panic.
pub(crate) fn describe_panic(whose: &str, panic: &(dyn std::any::Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    format!("{whose} panicked: {message}")
}
