//! What is refused, and what is not.

use std::task::Poll;

use futures_util::FutureExt;
use kontor_core::store::{Commit, CommitError, CounterPredicate, Durability, Key, ReadSet, TxStore, Version, Write};
use kontor_store::RecentLimits;

use crate::subject::{
    Subject, add, begin, commit, commit_as, delete, get, number, points, prefix, put, range, ranges, scan, stamped,
    wait, write,
};

fn conflict(keys: &[&str]) -> Result<Version, CommitError> {
    Err(CommitError::Conflict { keys: keys.iter().map(|key| Key::from(*key)).collect() })
}

pub(crate) fn versions_grow_and_wake_waiters(subject: &mut dyn Subject) {
    let store = subject.open();
    let empty = store.current_version();
    let mut newer = store.wait_newer(empty);
    wait(std::future::poll_fn(|context| {
        assert_eq!(newer.poll_unpin(context), Poll::Pending);
        Poll::Ready(())
    }));
    let first = write(&store, vec![put("a", "1")]);
    assert!(first > empty);
    assert!(wait(newer) >= first);
    let second = write(&store, vec![put("a", "2")]);
    assert!(second > first);
    assert_eq!(store.current_version(), second);
    assert_eq!(wait(store.wait_newer(first)), second);
    assert_eq!(begin(&store).version(), second);
}

pub(crate) fn a_changed_point_conflicts(subject: &mut dyn Subject) {
    let store = subject.open();
    write(&store, vec![put("a", "1"), put("b", "1")]);
    let view_version = begin(&store).version();
    write(&store, vec![put("a", "2")]);
    let transaction = |reads| Commit { view_version, reads, writes: vec![put("c", "1")], ..Commit::default() };
    assert_eq!(commit(&store, transaction(points(&["b", "a"]))), conflict(&["a"]));
    assert_eq!(get(&store, "c"), None);
    commit(&store, transaction(points(&["b", "unknown"]))).unwrap();
    assert_eq!(get(&store, "c").unwrap(), "1");
}

pub(crate) fn an_absent_point_that_appears_conflicts(subject: &mut dyn Subject) {
    let store = subject.open();
    write(&store, vec![put("gone", "1")]);
    let view_version = begin(&store).version();
    write(&store, vec![put("new", "1"), delete("gone")]);
    for key in ["new", "gone"] {
        let reads = points(&[key]);
        let transaction = Commit { view_version, reads, writes: vec![put("c", "1")], ..Commit::default() };
        assert_eq!(commit(&store, transaction), conflict(&[key]));
    }
}

pub(crate) fn a_phantom_in_a_range_conflicts(subject: &mut dyn Subject) {
    let store = subject.open();
    write(&store, vec![put("k1", "1"), put("k5", "1")]);
    let view_version = begin(&store).version();
    write(&store, vec![put("k3", "new"), delete("k5"), put("x", "1")]);
    let cases: [(&str, Option<&str>, &[&str]); 7] = [
        ("k1", Some("k3"), &[]),
        ("k1", Some("k3\0"), &["k3"]),
        ("k3\0", Some("k5"), &[]),
        ("k4", Some("k6"), &["k5"]),
        ("k", Some("l"), &["k3", "k5"]),
        ("y", None, &[]),
        ("w", None, &["x"]),
    ];
    for (start, end, expected) in cases {
        let reads = ranges(vec![range(start, end.map(str::as_bytes))]);
        for writes in [vec![], vec![put("other", "1")]] {
            let outcome = commit(&store, Commit { view_version, reads: reads.clone(), writes, ..Commit::default() });
            if expected.is_empty() {
                assert!(outcome.is_ok(), "{start}..{end:?}: {outcome:?}");
            } else {
                assert_eq!(outcome, conflict(expected), "{start}..{end:?}");
            }
        }
    }
}

pub(crate) fn blind_writes_do_not_conflict(subject: &mut dyn Subject) {
    let store = subject.open();
    let view_version = begin(&store).version();
    for n in 0..20 {
        let writes = vec![put("same", n.to_string())];
        commit(&store, Commit { view_version, writes, ..Commit::default() }).unwrap();
    }
    assert_eq!(get(&store, "same").unwrap(), "19");
}

pub(crate) fn read_only_transactions_are_validated(subject: &mut dyn Subject) {
    let store = subject.open();
    write(&store, vec![put("a", "1")]);
    let view = begin(&store);
    let read = |keys: &[&str]| Commit { view_version: view.version(), reads: points(keys), ..Commit::default() };
    assert_eq!(commit(&store, read(&["a", "b"])), Ok(view.version()));
    write(&store, vec![put("b", "2")]);
    // The view shows what is newer than itself: only validation tells.
    assert_eq!(wait(view.get(b"b")).unwrap().unwrap(), "2");
    for durability in [Durability::Durable, Durability::Visible] {
        assert_eq!(commit_as(&store, read(&["a", "b"]), durability), conflict(&["b"]));
        assert_eq!(commit_as(&store, read(&["a"]), durability), Ok(view.version()));
    }
    let all = Commit { view_version: view.version(), reads: ranges(vec![range([], None)]), ..Commit::default() };
    assert_eq!(commit(&store, all), conflict(&["b"]));
    assert_eq!(store.current_version(), view.version() + 1, "reading changes nothing");
}

pub(crate) fn what_was_read_stands_until_it_changes_and_only_if_it_survives(subject: &mut dyn Subject) {
    let store = subject.open();
    let version = write(&store, vec![put("a", "1")]);
    let (keys, all) = (points(&["a", "b"]), ranges(vec![range("a", Some(b"c"))]));
    write(&store, vec![put("c", "1")]);
    for reads in [&keys, &all] {
        assert!(store.stands(reads, version) >= Some(version), "others' changes are none of its business");
    }
    write(&store, vec![put("b", "2")]);
    for reads in [&keys, &all] {
        assert_eq!(store.stands(reads, version), None);
    }
    let visible = commit_as(&store, Commit { writes: vec![put("a", "2")], ..Commit::default() }, Durability::Visible);
    let visible = visible.unwrap();
    if store.stands(&keys, visible).is_some() {
        // A store with a thread of its own may have synced by itself.
        assert!(store.stats().durable_version >= visible);
    }
    write(&store, vec![put("d", "1")]);
    assert!(store.stands(&keys, visible) >= Some(visible), "a durable commit makes durable what was before it");
    store.close().unwrap();
    assert_eq!(store.stands(&keys, visible), None);
}

pub(crate) fn old_views_are_refused(subject: &mut dyn Subject) {
    let store = subject.open_with(RecentLimits { changes: 10, key_bytes: 1_000_000 });
    write(&store, vec![put("a", "1")]);
    let view_version = begin(&store).version();
    let mut recent = view_version;
    for n in 0..30 {
        recent = write(&store, vec![put(format!("k{n}"), "1")]);
    }
    for writes in [vec![], vec![put("b", "1")]] {
        let old = Commit { view_version, reads: points(&["a"]), writes: writes.clone(), ..Commit::default() };
        assert_eq!(commit(&store, old), Err(CommitError::TooOld));
        assert_eq!(store.stands(&points(&["a"]), view_version), None);
        let new = Commit { view_version: recent, reads: points(&["a"]), writes, ..Commit::default() };
        commit(&store, new).unwrap();
    }
}

pub(crate) fn views_of_the_future_are_refused(subject: &mut dyn Subject) {
    let store = subject.open();
    let version = write(&store, vec![put("a", "1")]);
    for writes in [vec![], vec![put("b", "1")]] {
        let future = Commit { view_version: version + 1, writes, ..Commit::default() };
        assert_eq!(commit(&store, future), Err(CommitError::TooOld));
    }
}

pub(crate) fn stamped_records_are_in_commit_order(subject: &mut dyn Subject) {
    let store = subject.open();
    let mut versions = Vec::new();
    for n in 0..5 {
        let stamped = vec![
            stamped("log/", 1, "/s", &format!("{n}b")),
            stamped("log/", 0, "/s", &format!("{n}a")),
            stamped("index/", 0, "", &format!("{n}")),
        ];
        let view_version = store.current_version();
        versions.push(commit(&store, Commit { view_version, stamped, ..Commit::default() }).unwrap());
    }
    let found = scan(&store, &prefix("log/"), false, 100).entries;
    let values: Vec<_> = found.iter().map(|(_, value)| value.clone()).collect();
    assert_eq!(values, ["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b", "4a", "4b"]);
    for (n, version) in versions.iter().enumerate() {
        let key = |ordinal: u32| [b"log/".as_slice(), &version.to_be_bytes(), &ordinal.to_be_bytes(), b"/s"].concat();
        assert_eq!(found[2 * n].0, key(0));
        assert_eq!(found[2 * n + 1].0, key(1));
    }
    assert_eq!(scan(&store, &prefix("index/"), false, 100).entries.len(), 5);
    // Whoever read the log's end conflicts with the next record.
    let read_end = Commit {
        view_version: versions[3],
        reads: ranges(vec![prefix("log/")]),
        writes: vec![put("seen", "all")],
        ..Commit::default()
    };
    assert!(matches!(commit(&store, read_end), Err(CommitError::Conflict { .. })));
}

pub(crate) fn counters_keep_their_bounds(subject: &mut dyn Subject) {
    let store = subject.open();
    let view_version = begin(&store).version();
    let try_add = |delta, min, max| {
        commit(&store, Commit { view_version, writes: vec![add("n", delta, min, max)], ..Commit::default() })
    };
    let bound = Err(CommitError::Bound { key: b"n".to_vec() });
    assert_eq!(try_add(-1, Some(0), None), bound);
    try_add(10, None, Some(10)).unwrap();
    assert_eq!(try_add(1, None, Some(10)), bound);
    try_add(-10, Some(0), None).unwrap();
    assert_eq!(try_add(-1, Some(0), None), bound);
    try_add(i64::MAX, None, None).unwrap();
    assert_eq!(try_add(1, None, None), bound, "no wrapping");
    assert_eq!(number(get(&store, "n")), i64::MAX);
    // Several additions to one counter in one commit add up, and are checked one by one.
    let writes = vec![add("m", 5, None, Some(5)), add("m", -2, Some(0), None), add("m", 2, None, Some(5))];
    commit(&store, Commit { view_version, writes, ..Commit::default() }).unwrap();
    assert_eq!(number(get(&store, "m")), 5);
    // Who read the counter conflicts with additions; who added without reading did not above.
    let read = Commit { view_version, reads: points(&["m"]), writes: vec![put("x", "")], ..Commit::default() };
    assert_eq!(commit(&store, read), conflict(&["m"]));
}

pub(crate) fn predicates_are_about_what_is_committed(subject: &mut dyn Subject) {
    let store = subject.open();
    let view_version = begin(&store).version();
    write(&store, vec![add("n", 5, None, None)]);
    let cases = [
        (CounterPredicate::AtLeast(5), true),
        (CounterPredicate::AtLeast(6), false),
        (CounterPredicate::Below(6), true),
        (CounterPredicate::Below(5), false),
        (CounterPredicate::Above(4), true),
        (CounterPredicate::Above(5), false),
    ];
    for (predicate, holds) in cases {
        // Before this commit's own writes: the addition does not count.
        for writes in [vec![], vec![add("n", 0, None, None), put("x", "")]] {
            let reads = ReadSet { counters: vec![(b"n".to_vec(), predicate.clone())], ..ReadSet::default() };
            let outcome = commit(&store, Commit { view_version, reads, writes, ..Commit::default() });
            if holds {
                assert!(outcome.is_ok(), "{predicate:?}: {outcome:?}");
            } else {
                assert_eq!(outcome, conflict(&["n"]), "{predicate:?}");
            }
        }
    }
    let absent = ReadSet { counters: vec![(b"none".to_vec(), CounterPredicate::Above(0))], ..ReadSet::default() };
    assert_eq!(commit(&store, Commit { view_version, reads: absent, ..Commit::default() }), conflict(&["none"]));
}

pub(crate) fn a_refused_commit_leaves_nothing(subject: &mut dyn Subject) {
    let store = subject.open();
    let view_version = write(&store, vec![put("a", "1")]);
    let refused = Commit {
        view_version,
        writes: vec![put("b", "1"), delete("a"), add("n", 1, None, None), add("m", -1, Some(0), None)],
        stamped: vec![stamped("log/", 0, "", "x")],
        ..Commit::default()
    };
    assert_eq!(commit(&store, refused), Err(CommitError::Bound { key: b"m".to_vec() }));
    let all = scan(&store, &range([], None), false, 10).entries;
    assert_eq!(all.len(), 1);
    // Its keys are not remembered as changed either.
    let reads = ReadSet { ranges: vec![range([], None)], ..ReadSet::default() };
    commit(&store, Commit { view_version, reads, writes: vec![put("c", "1")], ..Commit::default() }).unwrap();
}

pub(crate) fn bad_writes_are_refused_with_a_reason(subject: &mut dyn Subject) {
    let store = subject.open();
    let view_version = write(&store, vec![put("text", "no number")]);
    let with = |writes: Vec<(Key, Write)>| Commit { view_version, writes, ..Commit::default() };
    let twice = vec![stamped("log/", 0, "", "x"), stamped("log/", 0, "", "y")];
    let cases = [
        (with(vec![add("text", 1, None, None)]), "is no counter"),
        (with(vec![put(vec![b'k'; 100_000], "")]), "key of 100000 bytes"),
        (with(vec![put("big", vec![0; 65 * 1024 * 1024])]), "value of 68157440 bytes"),
        (Commit { view_version, stamped: twice, ..Commit::default() }, "same key (log/"),
    ];
    for (bad, reason) in cases {
        match commit(&store, bad) {
            Err(CommitError::Unavailable(message)) => {
                assert!(message.contains(reason) && message.contains("retry will not help"), "{message}");
            }
            other => panic!("{reason}: {other:?}"),
        }
    }
    write(&store, vec![put("goes", "on")]);
}
