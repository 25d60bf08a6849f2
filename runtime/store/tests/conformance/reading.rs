//! Keys, values, ranges: a store reads like a sorted map.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use kontor_core::store::{Commit, CommitError, Durability, Key, KeyRange, Value, Write};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::subject::{Subject, begin, commit, commit_as, get, in_threads, put, range, scan, wait, write};

fn keys(scanned: &kontor_core::store::Scanned) -> Vec<Key> {
    scanned.entries.iter().map(|(key, _)| key.clone()).collect()
}

pub(crate) fn keys_are_ordered_bytewise(subject: &mut dyn Subject) {
    let store = subject.open();
    let mut all: Vec<Key> = vec![
        vec![],
        vec![0],
        vec![0, 0],
        vec![0, 0xff],
        vec![1],
        b"a".to_vec(),
        b"a\0".to_vec(),
        b"ab".to_vec(),
        b"b".to_vec(),
        vec![0x7f],
        vec![0x80],
        vec![0xff],
        vec![0xff; 40],
    ];
    for key in all.iter().rev() {
        write(&store, vec![put(key, key)]);
    }
    all.sort();
    let everything = range([], None);
    let found = scan(&store, &everything, false, 100);
    assert_eq!(keys(&found), all);
    assert!(!found.more);
    assert!(found.entries.iter().all(|(key, value)| key == value.as_ref()));
    all.reverse();
    assert_eq!(keys(&scan(&store, &everything, true, 100)), all);
    let asked: Vec<Key> = vec![b"b".to_vec(), b"none".to_vec(), vec![], b"b".to_vec()];
    let found = wait(begin(&store).get_many(&asked)).unwrap();
    let expected: Vec<Option<Value>> =
        vec![Some(Value::from_static(b"b")), None, Some(Value::new()), Some(Value::from_static(b"b"))];
    assert_eq!(found, expected);
}

pub(crate) fn ranges_limits_and_directions(subject: &mut dyn Subject) {
    let store = subject.open();
    write(&store, (0..10).map(|n| put(format!("k{n}"), format!("v{n}"))).collect());
    type Case = (&'static str, Option<&'static str>, bool, usize, &'static [&'static str], bool);
    let cases: [Case; 12] = [
        ("k2", Some("k5"), false, 10, &["k2", "k3", "k4"], false),
        ("k2", Some("k5"), true, 10, &["k4", "k3", "k2"], false),
        ("k2", Some("k5"), false, 2, &["k2", "k3"], true),
        ("k2", Some("k5"), true, 2, &["k4", "k3"], true),
        ("k2", Some("k5"), false, 3, &["k2", "k3", "k4"], false),
        ("k8", None, false, 10, &["k8", "k9"], false),
        ("k8", None, true, 1, &["k9"], true),
        ("k5", Some("k5"), false, 10, &[], false),
        ("k6", Some("k5"), true, 10, &[], false),
        ("x", None, false, 10, &[], false),
        ("k1\0", Some("k2\0"), false, 10, &["k2"], false),
        ("k2", Some("k5"), false, 0, &[], true),
    ];
    for (start, end, reverse, limit, expected, more) in cases {
        let found = scan(&store, &range(start, end.map(str::as_bytes)), reverse, limit);
        let context = format!("{start}..{end:?} reverse {reverse} limit {limit}");
        let expected: Vec<Key> = expected.iter().map(|key| Key::from(*key)).collect();
        assert_eq!(keys(&found), expected, "{context}");
        assert_eq!(found.more, more, "{context}");
    }
}

pub(crate) fn values_of_any_size(subject: &mut dyn Subject) {
    let sizes = [0, 1, 4_094, 4_095, 4_096, 4_097, 8_191, 8_192, 8_193, 262_144, 1_000_003];
    let value = |size: usize, salt: usize| -> Vec<u8> { (0..size).map(|n| (n * 31 + salt) as u8).collect() };
    {
        let store = subject.open();
        for size in sizes {
            write(&store, vec![put(format!("k{size:07}"), value(size, 0))]);
        }
        let found = scan(&store, &range("k", None), false, 100);
        let lengths: Vec<usize> = found.entries.iter().map(|(_, value)| value.len()).collect();
        assert_eq!(lengths, sizes);
        // Each becomes another size.
        for (size, other) in sizes.into_iter().zip(sizes.into_iter().rev()) {
            write(&store, vec![put(format!("k{size:07}"), value(other, 1))]);
        }
    }
    let store = subject.open();
    for (size, other) in sizes.into_iter().zip(sizes.into_iter().rev()) {
        assert_eq!(get(&store, format!("k{size:07}")).unwrap(), value(other, 1), "{size} -> {other}");
    }
    write(&store, sizes.iter().map(|size| (format!("k{size:07}").into_bytes(), Write::Delete)).collect());
    assert!(scan(&store, &range([], None), false, 100).entries.is_empty());
}

pub(crate) fn many_keys(subject: &mut dyn Subject) {
    let count = 5_000_u32;
    let spread = |n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes();
    let store = subject.open();
    for chunk in (0..count).collect::<Vec<_>>().chunks(500) {
        write(&store, chunk.iter().map(|n| put(spread(*n), n.to_be_bytes())).collect());
    }
    let found = scan(&store, &range([], None), false, usize::MAX);
    assert_eq!(found.entries.len(), count as usize);
    assert!(found.entries.is_sorted_by(|a, b| a.0 < b.0));
    let mut backwards = scan(&store, &range([], None), true, usize::MAX).entries;
    backwards.reverse();
    assert_eq!(backwards, found.entries);
    for n in (0..count).step_by(97) {
        assert_eq!(get(&store, spread(n)).unwrap(), n.to_be_bytes().as_slice());
    }
}

/// Readers see the whole of one value or the whole of another.
pub(crate) fn a_large_value_is_replaced_while_it_is_read(subject: &mut dyn Subject) {
    let store = subject.open();
    let value = |round: usize| vec![round as u8; [20_000, 100, 9_000, 50_000][round % 4]];
    write(&store, vec![put("large", value(0)), put("z", "end")]);
    let done = AtomicBool::new(false);
    let reads = in_threads(3, |thread| {
        if thread == 0 {
            for round in 1..60 {
                let commit = Commit { writes: vec![put("large", value(round))], ..Commit::default() };
                commit_as(&store, commit, Durability::Visible).unwrap();
            }
            done.store(true, Ordering::Release);
            return 1;
        }
        let mut reads = 0;
        while reads < 20 || !done.load(Ordering::Acquire) {
            let found = if thread == 1 {
                get(&store, "large").unwrap()
            } else {
                scan(&store, &range([], None), false, 10).entries[0].1.clone()
            };
            let round = (0..60).find(|round| found == value(*round));
            assert!(round.is_some(), "{} bytes, first {}", found.len(), found[0]);
            reads += 1;
        }
        reads
    });
    assert!(reads.iter().all(|reads| *reads > 0));
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, usize),
    Delete(u8),
    Add(u8, i8),
    Scan(u8, Option<u8>, bool, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..24_u8;
    let size = prop_oneof![Just(0), 0..200_usize, 4_000..9_000_usize];
    let step = prop_oneof![
        4 => (key.clone(), size).prop_map(|(key, size)| Step::Put(key, size)),
        2 => key.clone().prop_map(Step::Delete),
        2 => (24..28_u8, any::<i8>()).prop_map(|(key, delta)| Step::Add(key, delta)),
        4 => (key.clone(), proptest::option::of(key), any::<bool>(), 0..30_usize)
            .prop_map(|(start, end, reverse, limit)| Step::Scan(start, end, reverse, limit)),
    ];
    proptest::collection::vec(step, 1..60)
}

fn expected(model: &BTreeMap<Key, Value>, range: &KeyRange, reverse: bool, limit: usize) -> (Vec<(Key, Value)>, bool) {
    if range.end.as_ref().is_some_and(|end| *end <= range.start) {
        return (Vec::new(), false);
    }
    let end = range.end.clone().map_or(Bound::Unbounded, Bound::Excluded);
    let mut all: Vec<_> =
        model.range((Bound::Included(range.start.clone()), end)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if reverse {
        all.reverse();
    }
    let more = all.len() > limit;
    all.truncate(limit);
    (all, more)
}

pub(crate) fn any_sequence_reads_like_a_sorted_map(subject: &mut dyn Subject) {
    let store = std::cell::RefCell::new(Some(subject.open()));
    let subject = std::cell::RefCell::new(subject);
    let model = std::cell::RefCell::new(BTreeMap::<Key, Value>::new());
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&steps(), |steps| {
        let mut model = model.borrow_mut();
        {
            let store = store.borrow();
            let store = store.as_ref().unwrap();
            for step in &steps {
                run_step(store, &mut model, step)?;
            }
        }
        *store.borrow_mut() = None;
        let reopened = subject.borrow_mut().open();
        let found = scan(&reopened, &range([], None), false, usize::MAX).entries;
        prop_assert_eq!(&found, &model.clone().into_iter().collect::<Vec<_>>());
        *store.borrow_mut() = Some(reopened);
        Ok(())
    });
    outcome.unwrap();
}

fn run_step(
    store: &kontor_store::StoreHandle,
    model: &mut BTreeMap<Key, Value>,
    step: &Step,
) -> Result<(), TestCaseError> {
    let one = |write: (Key, Write)| Commit { writes: vec![write], ..Commit::default() };
    match step {
        Step::Put(key, size) => {
            let value = vec![*key; *size];
            commit_as(store, one(put([*key], &value)), Durability::Visible).unwrap();
            model.insert(vec![*key], Value::from(value));
        }
        Step::Delete(key) => {
            commit_as(store, one((vec![*key], Write::Delete)), Durability::Visible).unwrap();
            model.remove([*key].as_slice());
        }
        Step::Add(key, delta) => {
            let old = model.get([*key].as_slice()).cloned();
            let new = crate::subject::number(old) + i64::from(*delta);
            let write = Write::Add { delta: i64::from(*delta), min: Some(-100), max: Some(100) };
            let outcome = commit(store, one((vec![*key], write)));
            if (-100..=100).contains(&new) {
                outcome.unwrap();
                model.insert(vec![*key], Value::copy_from_slice(&new.to_be_bytes()));
            } else {
                prop_assert_eq!(outcome, Err(CommitError::Bound { key: vec![*key] }));
            }
        }
        Step::Scan(start, end, reverse, limit) => {
            let range = KeyRange { start: vec![*start], end: end.map(|end| vec![end]) };
            let found = scan(store, &range, *reverse, *limit);
            prop_assert_eq!((found.entries, found.more), expected(model, &range, *reverse, *limit));
        }
    }
    Ok(())
}
