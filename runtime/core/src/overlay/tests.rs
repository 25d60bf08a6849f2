//! The overlay against a model that knows no tricks: same answers; and whatever changes outside of what the read set names changes no
//! answer.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use proptest::prelude::*;

use super::*;
use crate::store::Version;

type Rows = BTreeMap<Key, Value>;

struct MapView(Rows);

impl ReadView for MapView {
    fn version(&self) -> Version {
        1
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        ready(Ok(self.0.get(key).cloned())).boxed()
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Value>>, StoreError>> {
        ready(Ok(keys.iter().map(|key| self.0.get(key).cloned()).collect())).boxed()
    }

    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        reverse: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Scanned, StoreError>> {
        // Pages of two, whatever was asked: so that every scan of the tests crosses pages.
        let limit = limit.min(2);
        let inside = |key: &Key| key >= &range.start && range.end.as_ref().is_none_or(|end| key < end);
        let mut entries: Vec<_> =
            self.0.iter().filter(|(key, _)| inside(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        if reverse {
            entries.reverse();
        }
        let more = entries.len() > limit;
        entries.truncate(limit);
        ready(Ok(Scanned { entries, more })).boxed()
    }

    fn unchanged_since(&self, _reads: &ReadSet, _version: Version) -> Option<Version> {
        None
    }
}

#[derive(Clone, Debug)]
enum Op {
    Get(u8),
    GetMany(Vec<u8>),
    Put(u8, u8),
    Delete(u8),
    Scan { start: u8, end: Option<u8>, reverse: bool, limit: usize },
    Add { counter: u8, delta: i64, min: Option<i64>, max: Option<i64> },
    CounterGet(u8),
    AtLeast(u8, i64),
    Mark,
    Undo,
}

fn op() -> impl Strategy<Value = Op> {
    let bound = || proptest::option::weighted(0.6, -6_i64..6);
    prop_oneof![
        (0_u8..12).prop_map(Op::Get),
        proptest::collection::vec(0_u8..12, 0..4).prop_map(Op::GetMany),
        (0_u8..12, any::<u8>()).prop_map(|(key, value)| Op::Put(key, value)),
        (0_u8..12).prop_map(Op::Delete),
        (0_u8..12, proptest::option::of(0_u8..14), any::<bool>(), 1_usize..6)
            .prop_map(|(start, end, reverse, limit)| Op::Scan { start, end, reverse, limit }),
        (0_u8..3, -4_i64..4, bound(), bound()).prop_map(|(counter, delta, min, max)| Op::Add {
            counter,
            delta,
            min,
            max
        }),
        (0_u8..3).prop_map(Op::CounterGet),
        (0_u8..3, -6_i64..6).prop_map(|(counter, threshold)| Op::AtLeast(counter, threshold)),
        Just(Op::Mark),
        Just(Op::Undo),
    ]
}

fn value_key(key: u8) -> Key {
    vec![b'v', key]
}

fn counter_key(key: u8) -> Key {
    vec![b'c', key]
}

/// Everything that an execution can tell.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Value(Option<Value>),
    Values(Vec<Option<Value>>),
    Entries(Vec<(Key, Value)>),
    Added(bool),
    Count(i64),
    Reached(bool),
}

fn scan_range(start: u8, end: Option<u8>) -> KeyRange {
    KeyRange { start: value_key(start), end: Some(end.map_or(vec![b'w'], value_key)) }
}

/// Runs the operations on the overlay.
fn run(rows: &Rows, ops: &[Op]) -> (Vec<Seen>, Commit) {
    let mut overlay = Overlay::new(Arc::new(MapView(rows.clone())));
    let (mut seen, mut marks) = (Vec::new(), Vec::new());
    for op in ops {
        match op {
            Op::Get(key) => {
                let value = overlay.get(&value_key(*key)).now_or_never().unwrap().unwrap();
                seen.push(Seen::Value(value));
            }
            Op::GetMany(keys) => {
                let keys: Vec<Key> = keys.iter().map(|key| value_key(*key)).collect();
                seen.push(Seen::Values(overlay.get_many(&keys).now_or_never().unwrap().unwrap()));
            }
            Op::Put(key, value) => overlay.put(value_key(*key), vec![*value].into()),
            Op::Delete(key) => overlay.delete(value_key(*key)),
            Op::Scan { start, end, reverse, limit } => {
                let range = scan_range(*start, *end);
                let found = overlay.scan(&range, *reverse, *limit, usize::MAX).now_or_never().unwrap().unwrap();
                seen.push(Seen::Entries(found.entries));
            }
            Op::Add { counter, delta, min, max } => {
                let key = counter_key(*counter);
                let result = overlay.counter_add(&key, *delta, *min, *max).now_or_never().unwrap().unwrap();
                seen.push(Seen::Added(result == Addition::Added));
            }
            Op::CounterGet(counter) => {
                let count = overlay.counter_get(&counter_key(*counter)).now_or_never().unwrap().unwrap();
                seen.push(Seen::Count(count));
            }
            Op::AtLeast(counter, threshold) => {
                let key = counter_key(*counter);
                let reached = overlay.counter_at_least(&key, *threshold).now_or_never().unwrap().unwrap();
                seen.push(Seen::Reached(reached));
            }
            Op::Mark => marks.push(overlay.mark()),
            Op::Undo => {
                if let Some(mark) = marks.pop() {
                    overlay.undo_to(mark);
                }
            }
        }
    }
    (seen, overlay.into_commit())
}

/// Runs them on plain maps, copied at every savepoint. Returns the rows as they are afterwards.
fn model(rows: &Rows, ops: &[Op]) -> (Vec<Seen>, Rows) {
    let (mut rows, mut saved, mut seen) = (rows.clone(), Vec::new(), Vec::new());
    let count = |rows: &Rows, counter: u8| decode_counter(rows.get(&counter_key(counter)).map(|v| v.as_ref()));
    for op in ops {
        match op {
            Op::Get(key) => seen.push(Seen::Value(rows.get(&value_key(*key)).cloned())),
            Op::GetMany(keys) => {
                seen.push(Seen::Values(keys.iter().map(|key| rows.get(&value_key(*key)).cloned()).collect()));
            }
            Op::Put(key, value) => {
                rows.insert(value_key(*key), vec![*value].into());
            }
            Op::Delete(key) => {
                rows.remove(&value_key(*key));
            }
            Op::Scan { start, end, reverse, limit } => {
                let range = scan_range(*start, *end);
                let mut entries: Vec<_> = rows
                    .iter()
                    .filter(|(key, _)| **key >= range.start && Some(*key) < range.end.as_ref())
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                if *reverse {
                    entries.reverse();
                }
                entries.truncate(*limit);
                seen.push(Seen::Entries(entries));
            }
            Op::Add { counter, delta, min, max } => {
                let next = count(&rows, *counter) + delta;
                let fits = min.is_none_or(|min| next >= min) && max.is_none_or(|max| next <= max);
                if fits {
                    rows.insert(counter_key(*counter), next.to_be_bytes().to_vec().into());
                }
                seen.push(Seen::Added(fits));
            }
            Op::CounterGet(counter) => seen.push(Seen::Count(count(&rows, *counter))),
            Op::AtLeast(counter, threshold) => seen.push(Seen::Reached(count(&rows, *counter) >= *threshold)),
            Op::Mark => saved.push(rows.clone()),
            Op::Undo => rows = saved.pop().unwrap_or(rows),
        }
    }
    (seen, rows)
}

/// Applies a commit to rows that changed from `before` to `now` since it began; `None` if it does not validate.
fn apply(commit: &Commit, before: &Rows, now: &Rows) -> Option<Rows> {
    let changed = |key: &Key| before.get(key) != now.get(key);
    if commit.reads.points.iter().any(changed) {
        return None;
    }
    for range in &commit.reads.ranges {
        let inside = |key: &&Key| **key >= range.start && range.end.as_ref().is_none_or(|end| *key < end);
        if before.keys().chain(now.keys()).filter(inside).any(changed) {
            return None;
        }
    }
    let count = |key: &Key| decode_counter(now.get(key).map(|value| value.as_ref()));
    for (key, predicate) in &commit.reads.counters {
        let holds = match predicate {
            CounterPredicate::AtLeast(limit) => count(key) >= *limit,
            CounterPredicate::Below(limit) => count(key) < *limit,
            CounterPredicate::Above(limit) => count(key) > *limit,
        };
        if !holds {
            return None;
        }
    }
    let mut rows = now.clone();
    for (key, write) in &commit.writes {
        match write {
            Write::Put(value) => {
                rows.insert(key.clone(), value.clone());
            }
            Write::Delete => {
                rows.remove(key);
            }
            Write::Add { delta, min, max } => {
                let next = count(key) + delta;
                if min.is_some_and(|min| next < min) || max.is_some_and(|max| next > max) {
                    return None;
                }
                rows.insert(key.clone(), next.to_be_bytes().to_vec().into());
            }
        }
    }
    Some(rows)
}

/// Counters that are 0 are as good as absent.
fn normal(rows: &Rows) -> Rows {
    let zero = 0_i64.to_be_bytes();
    rows.iter()
        .filter(|(key, value)| key[0] != b'c' || value[..] != zero)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn rows() -> impl Strategy<Value = Rows> {
    let values = proptest::collection::btree_map(0_u8..12, any::<u8>(), 0..10);
    let counters = proptest::collection::btree_map(0_u8..3, -8_i64..8, 0..3);
    (values, counters).prop_map(|(values, counters)| {
        let values = values.into_iter().map(|(key, value)| (value_key(key), vec![value].into()));
        let counters = counters.into_iter().map(|(key, count)| (counter_key(key), count.to_be_bytes().to_vec().into()));
        values.chain(counters).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn answers_and_effects_are_those_of_the_model(rows in rows(), ops in proptest::collection::vec(op(), 0..40)) {
        let (seen, commit) = run(&rows, &ops);
        let (expected, after) = model(&rows, &ops);
        prop_assert_eq!(seen, expected);
        let applied = apply(&commit, &rows, &rows);
        prop_assert_eq!(applied.map(|rows| normal(&rows)), Some(normal(&after)));
    }

    #[test]
    fn what_validates_would_have_seen_the_same(
        before in rows(),
        change in (0_u8..12, proptest::option::of(any::<u8>())),
        counters in proptest::collection::vec((0_u8..3, -3_i64..3), 0..3),
        ops in proptest::collection::vec(op(), 0..25),
    ) {
        let mut now = before.clone();
        match change {
            (key, Some(value)) => { now.insert(value_key(key), vec![value].into()); }
            (key, None) => { now.remove(&value_key(key)); }
        }
        for (counter, delta) in counters {
            let count = decode_counter(now.get(&counter_key(counter)).map(|value| value.as_ref())) + delta;
            now.insert(counter_key(counter), count.to_be_bytes().to_vec().into());
        }
        let (seen, commit) = run(&before, &ops);
        if let Some(applied) = apply(&commit, &before, &now) {
            let (again, after) = model(&now, &ops);
            prop_assert_eq!(seen, again);
            prop_assert_eq!(normal(&applied), normal(&after));
        }
    }
}

#[test]
fn a_refused_addition_is_validated_even_when_everything_is_rolled_back() {
    let rows: Rows = [(counter_key(0), 2_i64.to_be_bytes().to_vec().into())].into();
    let ops = [Op::Mark, Op::Add { counter: 0, delta: -3, min: Some(0), max: None }, Op::Undo];
    let (seen, commit) = run(&rows, &ops);
    assert_eq!(seen, [Seen::Added(false)]);
    assert!(commit.writes.is_empty());
    assert_eq!(commit.reads.counters, [(counter_key(0), CounterPredicate::Below(3))]);
}

#[test]
fn additions_of_one_counter_become_one_write_with_bounds_that_hold_at_every_step() {
    let rows: Rows = [(counter_key(0), 5_i64.to_be_bytes().to_vec().into())].into();
    let ops = [
        Op::Add { counter: 0, delta: -4, min: Some(0), max: None },
        Op::Add { counter: 0, delta: 10, min: None, max: Some(20) },
    ];
    let (_, commit) = run(&rows, &ops);
    // At least 4 are needed for the first step, at most 14 for the second; the sum is +6.
    assert_eq!(commit.writes, [(counter_key(0), Write::Add { delta: 6, min: Some(10), max: Some(20) })]);
    assert!(commit.reads.points.is_empty() && commit.reads.counters.is_empty());
}
