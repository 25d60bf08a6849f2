//! Many threads at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use kontor_core::store::{Commit, CommitError, Durability, ReadSet, TxStore};
use kontor_store::StoreHandle;

use crate::subject::{
    Subject, add, begin, commit, commit_as, get, in_threads, number, points, prefix, put, scan, stamped, wait, write,
};

const THREADS: usize = 64;

/// Reads, adds one, writes, until it wins.
fn increment(store: &StoreHandle, key: &str) {
    for _ in 0..100_000 {
        let view = begin(store);
        let value = number(wait(view.get(key.as_bytes())).unwrap()) + 1;
        let outcome = commit(
            store,
            Commit {
                view_version: view.version(),
                reads: points(&[key]),
                writes: vec![put(key, value.to_be_bytes())],
                ..Commit::default()
            },
        );
        match outcome {
            Ok(_) => return,
            Err(CommitError::Conflict { keys }) => assert_eq!(keys, [key.as_bytes()]),
            Err(CommitError::TooOld) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("never won");
}

pub(crate) fn no_update_is_lost(subject: &mut dyn Subject) {
    const EACH: usize = 5;
    {
        let store = subject.open();
        in_threads(THREADS, |_| (0..EACH).for_each(|_| increment(&store, "n")));
        assert_eq!(number(get(&store, "n")), (THREADS * EACH) as i64);
        assert!(store.stats().commits >= (THREADS * EACH) as u64);
    }
    assert_eq!(number(get(&subject.open(), "n")), (THREADS * EACH) as i64);
}

/// 64 threads take from 100, and put back sometimes: what was taken and not put back is what is missing.
pub(crate) fn counters_never_leave_their_bounds(subject: &mut dyn Subject) {
    let store = subject.open();
    write(&store, vec![add("left", 100, None, None)]);
    let taken: i64 = in_threads(THREADS, |thread| {
        let mut taken = 0;
        for round in 0..6 {
            let delta = if round == 3 && thread % 4 == 0 && taken > 0 { 1 } else { -1 };
            let writes = vec![add("left", delta, Some(0), Some(100)), put(format!("t{thread}/{round}"), "")];
            // No reads: no conflict is possible, only the bound.
            match commit(&store, Commit { view_version: store.current_version(), writes, ..Commit::default() }) {
                Ok(_) => taken -= delta,
                Err(CommitError::Bound { key }) => assert_eq!(key, b"left"),
                Err(other) => panic!("{other:?}"),
            }
        }
        taken
    })
    .into_iter()
    .sum();
    let left = number(get(&store, "left"));
    assert_eq!(left + taken, 100);
    assert_eq!(left, 0, "64 x 6 attempts empty it");
    assert_eq!(store.stats().conflicts, 0);
}

pub(crate) fn stamps_are_unique_under_concurrency(subject: &mut dyn Subject) {
    let store = subject.open();
    let mut versions: Vec<u64> = in_threads(16, |thread| {
        (0..10)
            .map(|n| {
                let stamped = vec![stamped("log/", 0, "", &format!("{thread}/{n}"))];
                commit_as(&store, Commit { stamped, ..Commit::default() }, Durability::Durable).unwrap()
            })
            .collect::<Vec<_>>()
    })
    .concat();
    versions.sort_unstable();
    assert_eq!(versions.iter().collect::<BTreeSet<_>>().len(), 160);
    let found = scan(&store, &prefix("log/"), false, 1_000).entries;
    let stamps: Vec<u64> =
        found.iter().map(|(key, _)| u64::from_be_bytes(key["log/".len()..]["".len()..8].try_into().unwrap())).collect();
    assert_eq!(stamps, versions);
}

/// A follower that waits and reads the log by position misses no record.
pub(crate) fn waiters_see_every_version(subject: &mut dyn Subject) {
    const RECORDS: usize = 200;
    let store = subject.open();
    let writing = AtomicBool::new(true);
    let seen = in_threads(5, |thread| {
        if thread > 0 {
            for n in 0..RECORDS / 4 {
                let stamped = vec![stamped("log/", 0, "", &format!("{thread}/{n}"))];
                commit_as(&store, Commit { stamped, ..Commit::default() }, Durability::Visible).unwrap();
            }
            return RECORDS;
        }
        let mut position = prefix("log/");
        let mut seen = 0;
        let mut version = 0;
        while seen < RECORDS {
            version = wait(store.wait_newer(version));
            loop {
                let view = begin(&store);
                let found = wait(view.scan(&position, false, 50)).unwrap();
                // Seen is believed only when it validates: until then records of a running group may be missing.
                let reads = ReadSet { ranges: vec![position.clone()], ..ReadSet::default() };
                let check = Commit { view_version: view.version(), reads, ..Commit::default() };
                if commit_as(&store, check, Durability::Visible).is_err() {
                    continue;
                }
                let Some((last, _)) = found.entries.last() else {
                    break;
                };
                seen += found.entries.len();
                position.start = [last.as_slice(), &[0]].concat();
            }
        }
        writing.store(false, Ordering::Release);
        seen
    });
    assert_eq!(seen, [RECORDS; 5]);
    assert!(!writing.load(Ordering::Acquire));
}
