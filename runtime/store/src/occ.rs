//! [`OccStore`]: a transactional store by optimistic concurrency over any [`Engine`]. Not here: how a group is decided
//! ([`crate::committer`], which also argues why views are safe), what an engine does with bytes.
//!
//! Threaded: one committer thread drains a bounded queue in groups; a group is one batch and one sync, and the next group
//! gathers meanwhile. Inline: the caller's commit is a group of its own, executed before `commit` yields; the same calls in
//! the same order give the same results, which is what a deterministic simulation needs.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kontor_core::keys::successor;
use kontor_core::store::{
    Commit, CommitError, Committed, Durability, Key, KeyRange, ReadSet, ReadView, Scanned, StoreError, TxStore, Value,
    Version,
};

use crate::committer::{Committer, Pending, refuse_injected, refused, validate};
use crate::engine::{Engine, EngineError, EngineStats, Injected, Visit};
use crate::recent::{RecentLimits, Refusal};
use crate::shared::{Shared, count, describe_panic, lock};

/// Requests that wait for the committer at most; beyond it commits are refused as unavailable.
const QUEUE_REQUESTS_MAX: usize = 4_096;
/// Members of a group at most: bounds what a crash tears away at once and how long one group takes.
const GROUP_COMMITS_MAX: usize = 512;
/// Bytes of keys and values after which a group takes no more members.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Commits that nobody waits to be durable are made durable after this much idleness.
const IDLE_SYNC: Duration = Duration::from_millis(100);

/// Entries that a live export reads at once.
const LIVE_PAGE_ENTRIES: usize = 1_000;
/// Changed keys that are kept in memory during a live export.
const LIVE_CHANGES_MAX: usize = 50_000;
/// How often a live export reads again what changed before it keeps commits away for the last time: each time it is less.
const LIVE_ROUNDS: u32 = 3;

/// Called with each record of a live export; an error ends it.
pub type VisitLive<'a> = dyn FnMut(&[u8], Option<&[u8]>) -> Result<(), EngineError> + 'a;

/// Has the committer note what changes, until it is dropped.
struct Tracking<'a>(&'a Shared);

impl<'a> Tracking<'a> {
    fn begin(shared: &'a Shared) -> Result<Self, StoreError> {
        let _applying = lock(&shared.applying);
        let mut changed = lock(&shared.changed);
        if changed.is_some() {
            return Err(StoreError::Unavailable("it is being exported already; wait until that is done".to_owned()));
        }
        *changed = Some(BTreeSet::new());
        drop(changed);
        Ok(Self(shared))
    }
}

impl Drop for Tracking<'_> {
    fn drop(&mut self) {
        *lock(&self.0.changed) = None;
    }
}

/// Numbers for operators, since the store was opened.
#[derive(Clone, Debug, Default)]
pub struct StoreStats {
    /// The newest version visible.
    pub version: Version,
    /// The newest version that survives a power cut.
    pub durable_version: Version,
    /// Commits that wrote.
    pub commits: u64,
    /// Read-only transactions that held.
    pub read_only: u64,
    /// Groups of commits: commits / groups is how well group commit works.
    pub groups: u64,
    /// Syncs of the engine.
    pub syncs: u64,
    /// Commits refused because something read had changed.
    pub conflicts: u64,
    /// Commits refused because their view was too old.
    pub too_old: u64,
    /// Commits refused because a counter would have left its bounds.
    pub bounds: u64,
    /// Changes remembered for validation.
    pub recent_changes: usize,
    /// Views older than this are too old.
    pub floor: Version,
    /// Why the store stopped, if it has.
    pub failure: Option<String>,
    /// The engine's own.
    pub engine: EngineStats,
}

/// What goes through the queue.
#[derive(Debug)]
enum Request {
    Commit(Pending),
    /// Make this version durable, then reply.
    Sync(Version, oneshot::Sender<Result<(), StoreError>>),
    /// Make everything durable, reply, end.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

enum Driver {
    Inline(Mutex<Committer>),
    Threaded { queue: SyncSender<Request>, thread: Mutex<Option<JoinHandle<()>>> },
}

/// See the module.
pub struct OccStore {
    shared: Arc<Shared>,
    driver: Driver,
}

impl fmt::Debug for OccStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OccStore")
            .field("engine", &self.shared.engine().name())
            .field("version", &self.shared.published())
            .finish_non_exhaustive()
    }
}

impl OccStore {
    /// Commits execute in the caller, one after the other.
    pub fn inline(engine: Arc<dyn Engine>) -> Result<Self, StoreError> {
        Self::inline_with(engine, RecentLimits::default())
    }

    /// As [`OccStore::inline`], remembering as much as `limits` says.
    pub fn inline_with(engine: Arc<dyn Engine>, limits: RecentLimits) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(engine, limits)?);
        let committer = Committer::new(Arc::clone(&shared));
        Ok(Self { shared, driver: Driver::Inline(Mutex::new(committer)) })
    }

    /// Commits execute in groups in a thread of their own. Dropping the store makes everything durable and ends the thread.
    pub fn threaded(engine: Arc<dyn Engine>) -> Result<Self, StoreError> {
        Self::threaded_with(engine, RecentLimits::default())
    }

    /// As [`OccStore::threaded`], remembering as much as `limits` says.
    pub fn threaded_with(engine: Arc<dyn Engine>, limits: RecentLimits) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(engine, limits)?);
        let committer = Committer::new(Arc::clone(&shared));
        let (queue, requests) = sync_channel(QUEUE_REQUESTS_MAX);
        let thread = std::thread::Builder::new()
            .name("store-committer".to_owned())
            .spawn(move || run(committer, &requests))
            .map_err(|error| StoreError::Unavailable(format!("cannot start the committer's thread: {error}")))?;
        Ok(Self { shared, driver: Driver::Threaded { queue, thread: Mutex::new(Some(thread)) } })
    }

    /// Numbers for operators; cheap.
    pub fn stats(&self) -> StoreStats {
        let counts = &self.shared.counts;
        let (recent_changes, floor) = {
            let recent = lock(&self.shared.recent);
            (recent.len(), recent.floor())
        };
        StoreStats {
            version: self.shared.published(),
            durable_version: self.shared.durable(),
            commits: counts.commits.load(Ordering::Relaxed),
            read_only: counts.read_only.load(Ordering::Relaxed),
            groups: counts.groups.load(Ordering::Relaxed),
            syncs: counts.syncs.load(Ordering::Relaxed),
            conflicts: counts.conflicts.load(Ordering::Relaxed),
            too_old: counts.too_old.load(Ordering::Relaxed),
            bounds: counts.bounds.load(Ordering::Relaxed),
            recent_changes,
            floor,
            failure: self.shared.failure().map(str::to_owned),
            engine: self.shared.engine().stats(),
        }
    }

    /// Visits every entry in key order as of one version, which is returned. Commits wait meanwhile, reads do not. An error
    /// or a panic of the visitor ends the export as unavailable and harms nothing else.
    pub fn export(&self, visit: &mut Visit<'_>) -> Result<Version, StoreError> {
        let _applying = lock(&self.shared.applying);
        let mut visit_safely = |key: &[u8], value: &[u8]| {
            catch_unwind(AssertUnwindSafe(|| visit(key, value)))
                .unwrap_or_else(|panic| Err(EngineError::Unavailable(describe_panic("the visitor", panic.as_ref()))))
                .map_err(|error| EngineError::Unavailable(error.to_string()))
        };
        self.shared.read(|engine| {
            let version = engine.last_version()?;
            engine.export(&mut visit_safely)?;
            Ok(version)
        })
    }

    /// Gives every entry to `visit` while commits go on, then what changed meanwhile, until all that it was given, later records
    /// replacing earlier ones, is the store at the version returned. `None` is a key that is gone. One at a time.
    pub fn export_live(&self, visit: &mut VisitLive<'_>) -> Result<Version, StoreError> {
        let _tracking = Tracking::begin(&self.shared)?;
        let mut live_bytes = 0;
        let mut range = KeyRange { start: Key::new(), end: None };
        loop {
            let page = self.shared.read(|engine| engine.scan(&range, false, LIVE_PAGE_ENTRIES))?;
            for (key, value) in &page.entries {
                live_bytes += (key.len() + value.len()) as u64;
                visit(key, Some(value)).map_err(|error| StoreError::Unavailable(error.to_string()))?;
            }
            // What changed is read again from time to time, so that it stays small.
            if lock(&self.shared.changed).as_ref().is_some_and(|changed| changed.len() > LIVE_CHANGES_MAX) {
                self.visit_changed(visit)?;
            }
            match page.entries.last() {
                Some((last, _)) if page.more => range.start = successor(last),
                _ => break,
            }
        }
        for _ in 0..LIVE_ROUNDS {
            self.visit_changed(visit)?;
        }
        let _applying = lock(&self.shared.applying);
        self.visit_changed(visit)?;
        self.shared.engine().note_live_bytes(live_bytes);
        self.shared.read(|engine| engine.last_version())
    }

    /// What changed since this was last called, as it is now.
    fn visit_changed(&self, visit: &mut VisitLive<'_>) -> Result<(), StoreError> {
        let changed = lock(&self.shared.changed).replace(BTreeSet::new()).unwrap_or_default();
        for key in changed {
            let value = self.shared.read(|engine| engine.get(&key))?;
            visit(&key, value.as_deref()).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        }
        Ok(())
    }

    /// Makes everything durable and ends the committer. Afterwards everything is refused. The engine, and with it the lock
    /// on its directory, goes when the store and all its views are dropped.
    pub fn close(&self) -> Result<(), StoreError> {
        // First, so that whoever still waits in the queue is refused with the right reason.
        self.shared.close();
        match &self.driver {
            Driver::Inline(committer) => lock(committer).sync(),
            Driver::Threaded { queue, thread } => {
                let Some(thread) = lock(thread).take() else {
                    return Ok(());
                };
                let (reply, outcome) = oneshot::channel();
                // A full queue drains: waiting here is bounded by the groups before us.
                let _ = queue.send(Request::Close(reply));
                let _ = thread.join();
                match outcome.now_or_never() {
                    Some(Ok(result)) => result,
                    _ => {
                        let reason = self.shared.failure().unwrap_or("the committer ended unexpectedly");
                        Err(StoreError::Fatal(reason.to_owned()))
                    }
                }
            }
        }
    }

    fn enqueue(&self, queue: &SyncSender<Request>, request: Request) -> Result<(), CommitError> {
        queue.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => {
                CommitError::Unavailable(format!("{QUEUE_REQUESTS_MAX} commits wait already; try again in a moment"))
            }
            TrySendError::Disconnected(_) => self.shared.gone(),
        })
    }

    /// Waits until `version` survives a power cut.
    async fn wait_durable(&self, version: Version) -> Result<(), CommitError> {
        if self.shared.durable() >= version {
            return Ok(());
        }
        let result = match &self.driver {
            Driver::Inline(committer) => lock(committer).sync(),
            Driver::Threaded { queue, .. } => {
                let (reply, outcome) = oneshot::channel();
                self.enqueue(queue, Request::Sync(version, reply))?;
                outcome.await.map_err(|_| self.shared.gone())?
            }
        };
        result.map_err(|error| match error {
            StoreError::Unavailable(message) => CommitError::Unavailable(message),
            StoreError::Fatal(message) => CommitError::Fatal(message),
        })
    }

    /// Whether all that was read is as it was at the version that survives a power cut: others' commits since then are none of its
    /// business.
    fn rests_on_what_is_durable(&self, commit: &Commit) -> bool {
        lock(&self.shared.recent).check(self.shared.durable(), &commit.reads).is_ok()
    }

    /// A transaction that only read needs no place in the queue: it is placed at its view's version.
    async fn commit_read_only(&self, commit: Commit, durability: Durability) -> Result<Committed, CommitError> {
        if self.shared.serving().is_err() {
            return Err(self.shared.gone());
        }
        let injected = self.shared.engine().inject();
        refuse_injected(injected, &commit)?;
        if let Err(refusal) = validate(&self.shared, &commit) {
            if let Refusal::Conflict { newest, .. } = &refusal
                && *newest > self.shared.published()
            {
                // Lost against a group that is being applied: an execution begun before its publication would lose again.
                self.published_or_failed(*newest).await;
            }
            return Err(refused(&self.shared, refusal));
        }
        let version = commit.view_version;
        if durability == Durability::Durable && !self.rests_on_what_is_durable(&commit) {
            self.wait_durable(version).await?;
        }
        count(&self.shared.counts.read_only);
        if injected == Injected::UnknownApplied {
            return Err(CommitError::OutcomeUnknown("injected: it only read".to_owned()));
        }
        Ok(Committed { version })
    }

    /// Waits until `version` is published. A committer that fails meanwhile never publishes, but answers the queue.
    async fn published_or_failed(&self, version: Version) {
        let queue = match &self.driver {
            Driver::Inline(committer) => {
                drop(lock(committer));
                return;
            }
            Driver::Threaded { queue, .. } => queue,
        };
        let (reply, outcome) = oneshot::channel();
        // Requests are answered in order: an answer to this one comes after the group's publication.
        if self.enqueue(queue, Request::Sync(0, reply)).is_ok() {
            let _ = outcome.await;
        }
        debug_assert!(self.shared.serving().is_err() || self.shared.published() >= version);
    }

    async fn commit_writes(&self, commit: Commit, durability: Durability) -> Result<Committed, CommitError> {
        let (reply, outcome) = oneshot::channel();
        let pending = Pending { commit, durability, reply };
        match &self.driver {
            Driver::Inline(committer) => lock(committer).process(vec![pending]),
            Driver::Threaded { queue, .. } => self.enqueue(queue, Request::Commit(pending))?,
        }
        outcome.await.unwrap_or_else(|_| Err(self.shared.gone()))
    }
}

impl Drop for OccStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "closing the store failed");
        }
    }
}

impl TxStore for OccStore {
    fn begin(&self) -> BoxFuture<'_, Result<Arc<dyn ReadView>, StoreError>> {
        let begun = self.shared.serving().map(|()| {
            let version = self.shared.published();
            Arc::new(OccView { shared: Arc::clone(&self.shared), version }) as Arc<dyn ReadView>
        });
        std::future::ready(begun).boxed()
    }

    fn commit(&self, commit: Commit, durability: Durability) -> BoxFuture<'_, Result<Committed, CommitError>> {
        // Predicates are about what is committed last, which only the committer knows.
        if commit.writes.is_empty() && commit.stamped.is_empty() && commit.reads.counters.is_empty() {
            self.commit_read_only(commit, durability).boxed()
        } else {
            self.commit_writes(commit, durability).boxed()
        }
    }

    fn current_version(&self) -> Version {
        self.shared.published()
    }

    fn wait_newer(&self, version: Version) -> BoxFuture<'_, Version> {
        self.shared.wait_newer(version).boxed()
    }

    fn unchanged_since(&self, key: &[u8], version: Version) -> bool {
        self.shared.serving().is_ok() && lock(&self.shared.recent).unchanged_since(key, version)
    }

    fn stands(&self, reads: &ReadSet, version: Version) -> Option<Version> {
        self.shared.serving().ok()?;
        let durable = self.shared.durable();
        let recent = lock(&self.shared.recent);
        let newest = recent.none_changed_since(reads, version)?;
        recent.check(durable, reads).is_ok().then_some(newest)
    }
}

/// Reads the engine's latest state; see [`crate::committer`] why that is safe.
struct OccView {
    shared: Arc<Shared>,
    version: Version,
}

impl ReadView for OccView {
    fn version(&self) -> Version {
        self.version
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        async move { self.shared.read(|engine| engine.get(key)) }.boxed()
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Value>>, StoreError>> {
        async move { self.shared.read(|engine| engine.get_many(keys)) }.boxed()
    }

    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        reverse: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Scanned, StoreError>> {
        async move { self.shared.read(|engine| engine.scan(range, reverse, limit)) }.boxed()
    }

    fn unchanged_since(&self, reads: &ReadSet, version: Version) -> Option<Version> {
        self.shared.serving().ok()?;
        lock(&self.shared.recent).none_changed_since(reads, version)
    }
}

/// The committer's thread: gathers a group, decides it, again, until it is told to end.
fn run(mut committer: Committer, queue: &Receiver<Request>) {
    loop {
        let first = if committer.has_undurable() {
            match queue.recv_timeout(IDLE_SYNC) {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) => {
                    // A failure is kept in the store's state and answers whoever comes next.
                    let _ = committer.sync();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        } else {
            match queue.recv() {
                Ok(request) => request,
                Err(_) => return,
            }
        };
        let gathered = Gathered::gather(first, queue);
        let shared = committer.shared();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| gathered.serve(&mut committer)));
        match outcome {
            Ok(true) => {}
            Ok(false) => return,
            Err(panic) => {
                shared.fail(describe_panic("the committer", panic.as_ref()));
                return;
            }
        }
    }
}

/// What one round of the committer serves.
#[derive(Default)]
struct Gathered {
    group: Vec<Pending>,
    bytes: usize,
    syncs: Vec<(Version, oneshot::Sender<Result<(), StoreError>>)>,
    close: Option<oneshot::Sender<Result<(), StoreError>>>,
}

impl Gathered {
    /// Takes what waits, up to a group's bounds.
    fn gather(first: Request, queue: &Receiver<Request>) -> Self {
        let mut gathered = Self::default();
        let mut next = Some(first);
        while let Some(request) = next.take() {
            match request {
                Request::Commit(pending) => {
                    gathered.bytes += pending.commit.written_bytes();
                    gathered.group.push(pending);
                }
                Request::Sync(version, reply) => gathered.syncs.push((version, reply)),
                Request::Close(reply) => gathered.close = Some(reply),
            }
            let full = gathered.group.len() + gathered.syncs.len() >= GROUP_COMMITS_MAX
                || gathered.bytes >= GROUP_BYTES_MAX
                || gathered.close.is_some();
            if !full {
                next = queue.try_recv().ok();
            }
        }
        gathered
    }

    /// False when the committer must end.
    fn serve(self, committer: &mut Committer) -> bool {
        if !self.group.is_empty() {
            committer.process(self.group);
        }
        for (version, reply) in self.syncs {
            let _ = reply.send(committer.sync_to(version));
        }
        let Some(reply) = self.close else {
            return true;
        };
        let _ = reply.send(committer.sync());
        false
    }
}
