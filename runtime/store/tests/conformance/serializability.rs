//! Random small transactions run concurrently; then there must be one serial order, by version, in which every one of them
//! read exactly what it saw.

use std::collections::BTreeMap;

use kontor_core::store::{
    Commit, CommitError, CounterPredicate, Durability, Key, KeyRange, ReadSet, TxStore, Value, Version,
};
use kontor_store::StoreHandle;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::subject::{Subject, add, begin, commit_as, delete, in_threads, number, put, wait};

const KEYS: u8 = 8;
const COUNTER: &[u8] = b"counter";
const COUNTER_MAX: i64 = 6;

type State = BTreeMap<Key, Value>;

/// What a committed transaction saw and did.
#[derive(Debug)]
struct Observed {
    version: Version,
    points: Vec<(Key, Option<Value>)>,
    ranges: Vec<(KeyRange, Vec<(Key, Value)>)>,
    predicates: Vec<CounterPredicate>,
    puts: Vec<(Key, Option<Value>)>,
    counter_delta: Option<i64>,
    read_only: bool,
}

pub(crate) fn there_is_a_serial_order(subject: &mut dyn Subject) {
    let store = subject.open();
    for seed in 0..8 {
        let before = wait(snapshot(&store));
        let from = store.current_version();
        let mut observed: Vec<Observed> = in_threads(6, |thread| {
            let mut random = ChaCha8Rng::seed_from_u64(seed * 100 + thread as u64);
            (0..25).filter_map(|n| wait(run(&store, &mut random, &format!("{seed}/{thread}/{n}")))).collect::<Vec<_>>()
        })
        .into_iter()
        .flatten()
        .collect();
        observed.sort_by_key(|one| (one.version, one.read_only));
        let writers = observed.iter().filter(|one| !one.read_only).count() as u64;
        assert!(writers > 20, "seed {seed}: only {writers} wrote");
        assert_eq!(store.current_version(), from + writers, "seed {seed}: one version each");
        let after = replay(before, &observed, seed);
        assert_eq!(after, wait(snapshot(&store)), "seed {seed}: the end");
    }
}

async fn snapshot(store: &StoreHandle) -> State {
    let all = KeyRange { start: Vec::new(), end: None };
    let view = store.begin().await.unwrap();
    view.scan(&all, false, 1_000).await.unwrap().entries.into_iter().collect()
}

/// One transaction, not retried: `None` when it lost.
async fn run(store: &StoreHandle, random: &mut ChaCha8Rng, name: &str) -> Option<Observed> {
    let view = begin_async(store).await;
    let mut observed = Observed {
        version: 0,
        points: Vec::new(),
        ranges: Vec::new(),
        predicates: Vec::new(),
        puts: Vec::new(),
        counter_delta: None,
        read_only: random.random_ratio(1, 3),
    };
    for _ in 0..random.random_range(0..3) {
        let key = vec![random.random_range(0..KEYS)];
        observed.points.push((key.clone(), view.get(&key).await.unwrap()));
        std::thread::yield_now();
    }
    if random.random_ratio(1, 2) {
        let start = random.random_range(0..KEYS);
        let range = KeyRange { start: vec![start], end: Some(vec![random.random_range(start..=KEYS)]) };
        let found = view.scan(&range, random.random(), 100).await.unwrap();
        let mut entries = found.entries;
        entries.sort();
        observed.ranges.push((range, entries));
    }
    if random.random_ratio(1, 4) {
        let bound = random.random_range(0..=COUNTER_MAX);
        observed.predicates.push(match random.random_range(0..3) {
            0 => CounterPredicate::AtLeast(bound),
            1 => CounterPredicate::Below(bound),
            _ => CounterPredicate::Above(bound),
        });
    }
    let mut writes = BTreeMap::new();
    if !observed.read_only {
        for n in 0..random.random_range(1..3) {
            let key = vec![random.random_range(0..KEYS)];
            let value = random.random_ratio(3, 4).then(|| Value::from(format!("{name}/{n}")));
            writes.insert(key, value);
        }
        observed.puts = writes.clone().into_iter().collect();
        observed.counter_delta = random.random_ratio(1, 2).then(|| random.random_range(-2..=2));
    }
    let mut commit = Commit {
        view_version: view.version(),
        reads: ReadSet {
            points: observed.points.iter().map(|(key, _)| key.clone()).collect(),
            ranges: observed.ranges.iter().map(|(range, _)| range.clone()).collect(),
            counters: observed.predicates.iter().map(|predicate| (COUNTER.to_vec(), predicate.clone())).collect(),
        },
        writes: writes.iter().map(|(key, value)| value.as_ref().map_or(delete(key), |v| put(key, v))).collect(),
        ..Commit::default()
    };
    commit.writes.extend(observed.counter_delta.map(|delta| add(COUNTER, delta, Some(0), Some(COUNTER_MAX))));
    let durability = if random.random_ratio(1, 4) { Durability::Durable } else { Durability::Visible };
    match store.commit(commit, durability).await {
        Ok(committed) => Some(Observed { version: committed.version, ..observed }),
        Err(CommitError::Conflict { .. } | CommitError::TooOld | CommitError::Bound { .. }) => None,
        Err(other) => panic!("{other:?}"),
    }
}

async fn begin_async(store: &StoreHandle) -> std::sync::Arc<dyn kontor_core::store::ReadView> {
    store.begin().await.unwrap()
}

/// Executes them one after the other and compares what each saw.
fn replay(mut state: State, observed: &[Observed], seed: u64) -> State {
    for one in observed {
        for (key, seen) in &one.points {
            assert_eq!(state.get(key), seen.as_ref(), "seed {seed}: {key:?} in {one:?}");
        }
        for (range, seen) in &one.ranges {
            let end = range.end.clone().unwrap();
            let expected: Vec<_> = state.range(range.start.clone()..end).map(|(k, v)| (k.clone(), v.clone())).collect();
            assert_eq!(&expected, seen, "seed {seed}: {range:?} in {one:?}");
        }
        let counter = number(state.get(COUNTER).cloned());
        for predicate in &one.predicates {
            let holds = match predicate {
                CounterPredicate::AtLeast(bound) => counter >= *bound,
                CounterPredicate::Below(bound) => counter < *bound,
                CounterPredicate::Above(bound) => counter > *bound,
            };
            assert!(holds, "seed {seed}: {predicate:?} of {counter} in {one:?}");
        }
        for (key, value) in &one.puts {
            match value {
                Some(value) => state.insert(key.clone(), value.clone()),
                None => state.remove(key),
            };
        }
        if let Some(delta) = one.counter_delta {
            let counter = counter + delta;
            assert!((0..=COUNTER_MAX).contains(&counter), "seed {seed}: {counter} in {one:?}");
            state.insert(COUNTER.to_vec(), Value::copy_from_slice(&counter.to_be_bytes()));
        }
    }
    state
}

/// The replay notices when something is wrong.
#[test]
fn the_checker_catches_a_stale_read() {
    let store = crate::subject::Memory::threaded().open();
    assert_eq!(begin(&store).version(), 0);
    let stale = Observed {
        version: 2,
        points: vec![(b"k".to_vec(), None)],
        ranges: vec![],
        predicates: vec![],
        puts: vec![],
        counter_delta: None,
        read_only: true,
    };
    let state = State::from([(b"k".to_vec(), Value::from_static(b"v"))]);
    assert!(std::panic::catch_unwind(|| replay(state, &[stale], 0)).is_err());
    let fine = Commit { reads: ReadSet::default(), ..Commit::default() };
    commit_as(&store, fine, Durability::Durable).unwrap();
}
