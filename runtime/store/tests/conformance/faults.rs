//! The memory engine's faults: what each does, that seeds decide them, and that a crash loses only what it may.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kontor_core::store::{
    Commit, CommitError, Durability, Key, KeyRange, ReadSet, Scanned, StoreError, TxStore, Value, Version,
};
use kontor_store::{Batch, Engine, EngineError, EngineStats, FaultPlan, MemoryEngine, OccStore, StoreHandle, Visit};

use crate::subject::{commit, commit_as, faulty, get, over, points, put, range, ranges, scan, wait, write};

const ALWAYS: u32 = 1_000_000;

#[test]
fn each_fault_does_what_it_says() {
    let transaction = || Commit { reads: points(&["a"]), writes: vec![put("a", "1")], ..Commit::default() };
    for threaded in [false, true] {
        let outcome = |plan: FaultPlan| {
            let (engine, store) = faulty(plan, threaded);
            let outcome = commit(&store, transaction());
            engine.set_faults(FaultPlan::default());
            (outcome, get(&store, "a").is_some())
        };
        let (error, applied) = outcome(FaultPlan { conflict_ppm: ALWAYS, ..FaultPlan::default() });
        assert_eq!((error, applied), (Err(CommitError::Conflict { keys: vec![b"a".to_vec()] }), false));
        let (error, applied) = outcome(FaultPlan { commit_unavailable_ppm: ALWAYS, ..FaultPlan::default() });
        assert!(matches!(error, Err(CommitError::Unavailable(_))) && !applied);
        let (error, applied) = outcome(FaultPlan { unknown_applied_ppm: ALWAYS, ..FaultPlan::default() });
        assert!(matches!(error, Err(CommitError::OutcomeUnknown(_))) && applied);
        let (error, applied) = outcome(FaultPlan { unknown_lost_ppm: ALWAYS, ..FaultPlan::default() });
        assert!(matches!(error, Err(CommitError::OutcomeUnknown(_))) && !applied);
        let (_, store) = faulty(FaultPlan { read_unavailable_ppm: ALWAYS, ..FaultPlan::default() }, threaded);
        let view = wait(store.begin()).unwrap();
        assert!(matches!(wait(view.get(b"a")), Err(StoreError::Unavailable(_))));
    }
}

/// A run's outcomes as text.
fn trace(seed: u64) -> Vec<String> {
    let plan = FaultPlan {
        seed,
        read_unavailable_ppm: 50_000,
        conflict_ppm: 100_000,
        commit_unavailable_ppm: 50_000,
        unknown_applied_ppm: 50_000,
        unknown_lost_ppm: 50_000,
        crash_at_sync_ppm: 20_000,
    };
    let (mut engine, mut store) = faulty(plan, false);
    let mut trace = Vec::new();
    for n in 0..300_u32 {
        let durability = if n % 3 == 0 { Durability::Durable } else { Durability::Visible };
        let view = wait(store.begin());
        let read = view.as_ref().map(|view| wait(view.get(b"k"))).map_err(Clone::clone);
        let view_version = view.as_ref().map_or(0, |view| view.version());
        let transaction = Commit {
            view_version,
            reads: points(&["k"]),
            writes: vec![put("k", n.to_be_bytes())],
            ..Commit::default()
        };
        let outcome = commit_as(&store, transaction, durability);
        trace.push(format!("{read:?} {outcome:?}"));
        if matches!(outcome, Err(CommitError::Fatal(_))) {
            engine = Arc::new(engine.crash());
            store = over(Arc::clone(&engine), false);
            trace.push(format!("back at {}", store.current_version()));
        }
    }
    trace
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_gives_another() {
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
    let all: String = (1..6).flat_map(trace).collect();
    for expected in ["Conflict", "OutcomeUnknown", "Unavailable", "Fatal", "back at"] {
        assert!(all.contains(expected), "{expected} never happened");
    }
}

/// Numbered commits, some durable; after a crash a prefix is there, at least up to the last acknowledged durable one.
#[test]
fn a_crash_leaves_a_prefix_with_everything_acknowledged_durable() {
    let mut lost_something = false;
    for threaded in [false, true] {
        for seed in 0..100 {
            let (engine, store) = faulty(FaultPlan { seed, ..FaultPlan::default() }, threaded);
            let count = 3 + seed % 7;
            let durable_at = seed % count;
            for n in 0..count {
                let durability = if n == durable_at { Durability::Durable } else { Durability::Visible };
                let writes = vec![put("first", n.to_string()), put("last", n.to_string())];
                commit_as(&store, Commit { writes, ..Commit::default() }, durability).unwrap();
            }
            let store = over(Arc::new(engine.crash()), threaded);
            let (first, last) = (get(&store, "first").unwrap(), get(&store, "last").unwrap());
            assert_eq!(first, last, "half a commit");
            let kept: u64 = std::str::from_utf8(&first).unwrap().parse().unwrap();
            assert!((durable_at..count).contains(&kept), "{durable_at} <= {kept} < {count}");
            assert_eq!(store.current_version(), kept + 1);
            lost_something |= kept + 1 < count;
        }
    }
    assert!(lost_something, "the crashes were too kind to show anything");
}

/// What a durable reader was shown is there after a crash, although its writer did not wait.
#[test]
fn what_a_durable_reader_saw_survives() {
    for threaded in [false, true] {
        for seed in 0..50 {
            let (engine, store) = faulty(FaultPlan { seed, ..FaultPlan::default() }, threaded);
            commit_as(&store, Commit { writes: vec![put("k", "seen")], ..Commit::default() }, Durability::Visible)
                .unwrap();
            let view = wait(store.begin()).unwrap();
            assert_eq!(wait(view.get(b"k")).unwrap().unwrap(), "seen");
            let read = Commit { view_version: view.version(), reads: points(&["k"]), ..Commit::default() };
            commit(&store, read).unwrap();
            assert_eq!(get(&over(Arc::new(engine.crash()), threaded), "k").unwrap(), "seen");
        }
    }
}

/// A durable reader waits for a sync if what it read is not durable yet, by key or by range, and for nobody else's commit.
#[test]
fn a_durable_reader_waits_for_what_it_read_and_no_more() {
    let (_, store) = faulty(FaultPlan::default(), false);
    commit(&store, Commit { writes: vec![put("a", "1"), put("m", "1")], ..Commit::default() }).unwrap();
    let mut syncs = store.stats().syncs;
    for (reads, waits) in [
        (points(&["m"]), true),
        (points(&["a", "m"]), true),
        (ranges(vec![range("l", Some(b"n"))]), true),
        (points(&["a"]), false),
        (ranges(vec![range("a", Some(b"m"))]), false),
        (ReadSet::default(), false),
    ] {
        commit_as(&store, Commit { writes: vec![put("m", "2")], ..Commit::default() }, Durability::Visible).unwrap();
        let view_version = wait(store.begin()).unwrap().version();
        let read = Commit { view_version, reads: reads.clone(), ..Commit::default() };
        commit(&store, read).unwrap();
        assert_eq!(store.stats().syncs > syncs, waits, "{reads:?}");
        syncs = store.stats().syncs;
    }
}

/// An engine that fails in one operation, by an error or a panic.
#[derive(Debug)]
struct Failing {
    inner: MemoryEngine,
    at: &'static str,
    how: fn() -> EngineError,
}

impl Failing {
    fn check(&self, operation: &str) -> Result<(), EngineError> {
        if self.at == operation { Err((self.how)()) } else { Ok(()) }
    }
}

impl Engine for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }
    fn last_version(&self) -> Result<Version, EngineError> {
        self.inner.last_version()
    }
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        self.check("get")?;
        self.inner.get(key)
    }
    fn scan(&self, range: &KeyRange, reverse: bool, limit: usize) -> Result<Scanned, EngineError> {
        self.inner.scan(range, reverse, limit)
    }
    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.check("apply")?;
        self.inner.apply(batch)
    }
    fn sync(&self) -> Result<(), EngineError> {
        self.check("sync")?;
        self.inner.sync()
    }
    fn max_key(&self) -> usize {
        self.inner.max_key()
    }
    fn max_value(&self) -> usize {
        self.inner.max_value()
    }
    fn export(&self, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        self.inner.export(visit)
    }
    fn stats(&self) -> EngineStats {
        self.inner.stats()
    }
}

fn failing(at: &'static str, how: fn() -> EngineError, threaded: bool) -> StoreHandle {
    let engine = Arc::new(Failing { inner: MemoryEngine::default(), at, how });
    StoreHandle::new(if threaded { OccStore::threaded(engine) } else { OccStore::inline(engine) }.unwrap())
}

#[test]
fn an_engine_that_fails_or_panics_stops_the_store() {
    let hows: [fn() -> EngineError; 2] =
        [|| EngineError::Fatal("the disk is gone".to_owned()), || panic!("the disk is gone")];
    for (at, how, threaded) in ["apply", "sync", "get"]
        .into_iter()
        .flat_map(|at| hows.map(|how| (at, how)))
        .flat_map(|(at, how)| [false, true].map(|threaded| (at, how, threaded)))
    {
        let store = failing(at, how, threaded);
        let view = wait(store.begin()).unwrap();
        let first = catch_unwind(AssertUnwindSafe(|| match at {
            "get" => wait(view.get(b"a")).map(|_| 0).map_err(|error| CommitError::Fatal(error.to_string())),
            _ => commit(&store, Commit { writes: vec![put("a", "1")], ..Commit::default() }),
        }))
        .expect("the panic stays inside");
        assert!(matches!(&first, Err(CommitError::Fatal(reason)) if reason.contains("the disk is gone")), "{first:?}");
        // Nothing is acknowledged any more.
        for writes in [vec![], vec![put("b", "1")]] {
            let next = commit(&store, Commit { writes, ..Commit::default() });
            assert!(matches!(&next, Err(CommitError::Fatal(r)) if r.contains("the disk is gone")), "{next:?}");
        }
        assert!(matches!(wait(store.begin()), Err(StoreError::Fatal(_))));
        assert!(matches!(wait(view.get(b"a")), Err(StoreError::Fatal(_))));
        assert!(store.stats().failure.unwrap().contains("the disk is gone"));
        assert!(store.close().is_err());
    }
}

#[test]
fn an_unavailable_engine_refuses_a_group_and_the_store_goes_on() {
    for threaded in [false, true] {
        let store = failing("apply", || EngineError::Unavailable("busy".to_owned()), threaded);
        let before = store.current_version();
        for _ in 0..3 {
            let version = wait(store.begin()).unwrap().version();
            let read = Commit { view_version: version, reads: points(&["a"]), ..Commit::default() };
            // A mark of a commit that never happened must not make this key conflict for ever.
            assert_eq!(commit(&store, read), Ok(version));
            let outcome = commit(&store, Commit { writes: vec![put("a", "1")], ..Commit::default() });
            assert!(matches!(outcome, Err(CommitError::Unavailable(_))), "{outcome:?}");
        }
        assert!(store.current_version() > before);
        assert!(scan(&store, &range([], None), false, 10).entries.is_empty());
    }
}

#[test]
fn visible_commits_become_durable_by_themselves() {
    let (engine, store) = faulty(FaultPlan::default(), true);
    let commit = Commit { writes: vec![put("k", "1")], ..Commit::default() };
    let version = commit_as(&store, commit, Durability::Visible).unwrap();
    // The committer syncs when it has been idle for a moment; this only asks until it has.
    while store.stats().durable_version < version {
        std::thread::yield_now();
    }
    assert_eq!(get(&over(Arc::new(engine.crash()), true), "k").unwrap(), "1");
}

#[test]
fn waiting_commits_share_groups_and_syncs() {
    let (_, store) = faulty(FaultPlan::default(), true);
    let keys: Vec<Key> = (0..2_000_u32).map(|n| n.to_be_bytes().to_vec()).collect();
    wait(async {
        let commits = keys
            .iter()
            .map(|key| store.commit(Commit { writes: vec![put(key, "")], ..Commit::default() }, Durability::Durable));
        futures_util::future::try_join_all(commits).await.unwrap();
    });
    let stats = store.stats();
    assert_eq!(stats.commits, 2_000);
    assert!(stats.groups < 2_000 && stats.syncs <= stats.groups, "{stats:?}");
    assert_eq!(write(&store, vec![put("x", "")]), 2_001);
}

#[test]
fn a_full_queue_refuses_instead_of_waiting() {
    let (_, store) = faulty(FaultPlan::default(), true);
    // An export holds the committer where it applies, so the queue fills.
    let mut refused = 0;
    let mut waiting = Vec::new();
    write(&store, vec![put("a", "")]);
    store
        .export(&mut |_, _| {
            for n in 0..6_000_u32 {
                let commit = Commit { writes: vec![put(n.to_be_bytes(), "")], ..Commit::default() };
                let mut future = store.commit(commit, Durability::Visible);
                let polled = futures_util::FutureExt::now_or_never(&mut future);
                match polled {
                    None => waiting.push(future),
                    Some(Err(CommitError::Unavailable(reason))) => {
                        assert!(reason.contains("4096"), "{reason}");
                        refused += 1;
                    }
                    Some(other) => panic!("{other:?}"),
                }
            }
            Ok(())
        })
        .unwrap();
    assert!(refused > 0 && waiting.len() >= 4_096, "{refused} refused, {} wait", waiting.len());
    wait(async { futures_util::future::try_join_all(waiting).await }).unwrap();
}
