//! A transaction's own view of the store: what is committed, overlaid with what the transaction would write, remembering
//! everything that was read. Keys here are whole store keys; what they mean is [`crate::keys`]' and the callers' matter.
//!
//! Counters: additions are blind. What a transaction learns about a counter (an addition kept its bounds, or was refused; a
//! threshold was reached, or not) is an interval in which the committed value must lie for the transaction to learn the same
//! again. The interval only narrows, and is never widened by a rollback: what a rolled-back call learnt may have decided what its
//! caller did. At commit it becomes the bounds of the addition, or, where nothing is added, predicates.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::keys::successor;
use crate::recording::{Recording, RecordingMark};
use crate::store::{
    Commit, CounterPredicate, Key, KeyRange, ReadSet, ReadView, Scanned, StampedPut, StoreError, Value, Version, Write,
};

/// Entries asked of the store at a time: bounds what one page can hold in memory.
const PAGE_ENTRIES: usize = 128;

/// What is known and pending of one counter.
#[derive(Clone, Debug)]
struct Counter {
    /// As the store showed it, once.
    base: i64,
    /// The lowest committed value for which everything learnt so far is true.
    low: i128,
    /// The highest.
    high: i128,
    /// What would be added.
    pending: i128,
}

/// How an addition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addition {
    Added,
    Refused,
}

/// How to take a write back.
#[derive(Debug)]
enum Undo {
    Write { key: Key, previous: Option<Option<Value>> },
    Pending { key: Key, previous: i128 },
    Stamped,
}

/// A place in the undo log to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(usize);

/// See the module.
pub(crate) struct Overlay {
    view: Arc<dyn ReadView>,
    points: BTreeSet<Key>,
    ranges: BTreeSet<(Key, Option<Key>)>,
    writes: BTreeMap<Key, Option<Value>>,
    counters: BTreeMap<Key, Counter>,
    stamped: Vec<StampedPut>,
    undo: Vec<Undo>,
    recording: Recording,
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values are the guests' business.
        f.debug_struct("Overlay")
            .field("version", &self.view.version())
            .field("points", &self.points.len())
            .field("ranges", &self.ranges.len())
            .field("writes", &self.writes.len())
            .field("counters", &self.counters.len())
            .finish_non_exhaustive()
    }
}

/// What a scan through the overlay found.
#[derive(Debug, Default)]
pub(crate) struct OverlayScan {
    pub(crate) entries: Vec<(Key, Value)>,
    /// The limit was reached: there may be more.
    pub(crate) more: bool,
    /// The bytes allowed were exceeded, and the scan given up.
    pub(crate) too_large: bool,
}

impl Overlay {
    /// Before every write.
    pub(crate) const START: Mark = Mark(0);

    pub(crate) fn new(view: Arc<dyn ReadView>) -> Self {
        Self {
            view,
            points: BTreeSet::new(),
            ranges: BTreeSet::new(),
            writes: BTreeMap::new(),
            counters: BTreeMap::new(),
            stamped: Vec::new(),
            undo: Vec::new(),
            recording: Recording::default(),
        }
    }

    /// What is below, for reads that are remembered otherwise.
    pub(crate) fn view(&self) -> &dyn ReadView {
        self.view.as_ref()
    }

    // ---- reads ----

    pub(crate) async fn get(&mut self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        if let Some(own) = self.writes.get(key) {
            self.recording.own();
            return Ok(own.clone());
        }
        self.depend_on(key.to_vec());
        self.view.get(key).await
    }

    pub(crate) async fn get_many(&mut self, keys: &[Key]) -> Result<Vec<Option<Value>>, StoreError> {
        let foreign: Vec<Key> = keys.iter().filter(|key| !self.writes.contains_key(*key)).cloned().collect();
        if foreign.len() < keys.len() {
            self.recording.own();
        }
        for key in &foreign {
            self.depend_on(key.clone());
        }
        let mut found = if foreign.is_empty() { Vec::new() } else { self.view.get_many(&foreign).await? }.into_iter();
        Ok(keys
            .iter()
            .map(|key| match self.writes.get(key) {
                Some(own) => own.clone(),
                None => found.next().flatten(),
            })
            .collect())
    }

    /// Up to `limit` entries; remembers the range up to the last one returned, or all of it when the limit was not reached.
    pub(crate) async fn scan(
        &mut self,
        range: &KeyRange,
        reverse: bool,
        limit: usize,
        bytes_max: usize,
    ) -> Result<OverlayScan, StoreError> {
        let mut found = OverlayScan::default();
        if limit == 0 || is_empty(range) {
            return Ok(found);
        }
        let (mut rest, mut bytes) = (range.clone(), 0_usize);
        'pages: while !is_empty(&rest) {
            let page = self.view.scan(&rest, reverse, (limit - found.entries.len()).min(PAGE_ENTRIES)).await?;
            let after = page.entries.last().filter(|_| page.more).map(|(last, _)| last.clone());
            let (window, next) = split_at(&rest, reverse, after.as_deref());
            for (key, value) in self.merged(&window, reverse, page) {
                bytes += key.len() + value.len();
                found.entries.push((key, value));
                found.too_large = bytes > bytes_max;
                found.more = found.entries.len() == limit;
                if found.more || found.too_large {
                    break 'pages;
                }
            }
            match next {
                Some(next) => rest = next,
                None => break,
            }
        }
        let covered = match found.entries.last() {
            Some((last, _)) if found.more || found.too_large => split_at(range, reverse, Some(last)).0,
            _ => range.clone(),
        };
        if self.writes_in(&covered) {
            self.recording.own();
        }
        self.depend_on_range(covered);
        Ok(found)
    }

    /// The entries of a page with the own writes of its window, in order.
    fn merged(&self, window: &KeyRange, reverse: bool, page: Scanned) -> Vec<(Key, Value)> {
        let mut merged: BTreeMap<Key, Option<Value>> =
            page.entries.into_iter().map(|(key, value)| (key, Some(value))).collect();
        if !is_empty(window) {
            let own = self.writes.range(window.start.clone()..).take_while(|(key, _)| contains_below(window, key));
            merged.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        }
        let entries = merged.into_iter().filter_map(|(key, value)| value.map(|value| (key, value)));
        if reverse { entries.rev().collect() } else { entries.collect() }
    }

    /// Makes the transaction depend on `key` without reading it here.
    pub(crate) fn depend_on(&mut self, key: Key) {
        self.recording.point(&key);
        self.points.insert(key);
    }

    fn depend_on_range(&mut self, range: KeyRange) {
        self.recording.range(&range);
        self.ranges.insert((range.start, range.end));
    }

    fn writes_in(&self, range: &KeyRange) -> bool {
        !is_empty(range)
            && self.writes.range(range.start.clone()..).next().is_some_and(|(key, _)| contains_below(range, key))
    }

    // ---- reads that are remembered with what was made of them ----

    /// Begins to write down what is read. Recordings may lie within one another.
    pub(crate) fn begin_recording(&mut self) -> RecordingMark {
        self.recording.begin()
    }

    /// What was read since the mark; none if the transaction's own writes were seen, if a counter's bounds were, or if it is too much.
    pub(crate) fn end_recording(&mut self, mark: RecordingMark, reads_max: usize) -> Option<ReadSet> {
        self.recording.end(mark, reads_max)
    }

    /// Whether `reads`, as they were at `version`, are what this transaction would read now: the version for which that is known.
    pub(crate) fn holds(&self, reads: &ReadSet, version: Version) -> Option<Version> {
        let own = |key: &Key| {
            self.writes.contains_key(key) || self.counters.get(key).is_some_and(|counter| counter.pending != 0)
        };
        if reads.points.iter().any(own) || reads.ranges.iter().any(|range| self.writes_in(range)) {
            return None;
        }
        self.view.unchanged_since(reads, version)
    }

    /// Makes the transaction depend on `reads` as if it had read them.
    pub(crate) fn rely_on(&mut self, reads: &ReadSet) {
        for key in &reads.points {
            self.depend_on(key.clone());
        }
        for range in &reads.ranges {
            self.depend_on_range(range.clone());
        }
    }

    // ---- writes ----

    pub(crate) fn put(&mut self, key: Key, value: Value) {
        self.write(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: Key) {
        self.write(key, None);
    }

    fn write(&mut self, key: Key, value: Option<Value>) {
        self.recording.own();
        let previous = self.writes.insert(key.clone(), value);
        self.undo.push(Undo::Write { key, previous });
    }

    /// Adds a record keyed by the commit.
    pub(crate) fn put_stamped(&mut self, record: StampedPut) {
        self.recording.own();
        self.stamped.push(record);
        self.undo.push(Undo::Stamped);
    }

    // ---- counters ----

    async fn counter(&mut self, key: &[u8]) -> Result<&mut Counter, StoreError> {
        if !self.counters.contains_key(key) {
            let base = decode_counter(self.view.get(key).await?.as_deref());
            let fresh = Counter { base, low: i64::MIN.into(), high: i64::MAX.into(), pending: 0 };
            self.counters.insert(key.to_vec(), fresh);
        }
        // The entry exists by now; `or_insert_with` only spares a panic path.
        Ok(self.counters.entry(key.to_vec()).or_insert_with(|| Counter { base: 0, low: 0, high: 0, pending: 0 }))
    }

    pub(crate) async fn counter_add(
        &mut self,
        key: &[u8],
        delta: i64,
        min: Option<i64>,
        max: Option<i64>,
    ) -> Result<Addition, StoreError> {
        self.recording.own();
        let counter = self.counter(key).await?;
        let previous = counter.pending;
        let total = previous + i128::from(delta);
        let result = i128::from(counter.base) + total;
        // Without an explicit bound, the width of the counter is the bound.
        let (min, max) = (i128::from(min.unwrap_or(i64::MIN)), i128::from(max.unwrap_or(i64::MAX)));
        if result < min {
            counter.high = counter.high.min(min - total - 1);
            return Ok(Addition::Refused);
        }
        if result > max {
            counter.low = counter.low.max(max - total + 1);
            return Ok(Addition::Refused);
        }
        if i64::try_from(total).is_err() {
            return Ok(Addition::Refused);
        }
        counter.low = counter.low.max(min - total);
        counter.high = counter.high.min(max - total);
        counter.pending = total;
        self.undo.push(Undo::Pending { key: key.to_vec(), previous });
        Ok(Addition::Added)
    }

    pub(crate) async fn counter_get(&mut self, key: &[u8]) -> Result<i64, StoreError> {
        self.depend_on(key.to_vec());
        let counter = self.counter(key).await?;
        let (base, pending) = (counter.base, counter.pending);
        if pending != 0 {
            self.recording.own();
        }
        Ok(clamp(i128::from(base) + pending))
    }

    pub(crate) async fn counter_at_least(&mut self, key: &[u8], threshold: i64) -> Result<bool, StoreError> {
        // The answer holds for a range of values, which whoever is given it again would have to depend on.
        self.recording.own();
        let counter = self.counter(key).await?;
        let needed = i128::from(threshold) - counter.pending;
        let reached = i128::from(counter.base) >= needed;
        if reached {
            counter.low = counter.low.max(needed);
        } else {
            counter.high = counter.high.min(needed - 1);
        }
        Ok(reached)
    }

    // ---- savepoints ----

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Takes back every write since `mark`. What was read stays remembered.
    pub(crate) fn undo_to(&mut self, mark: Mark) {
        while self.undo.len() > mark.0 {
            match self.undo.pop() {
                Some(Undo::Write { key, previous: Some(previous) }) => {
                    self.writes.insert(key, previous);
                }
                Some(Undo::Write { key, previous: None }) => {
                    self.writes.remove(&key);
                }
                Some(Undo::Pending { key, previous }) => {
                    if let Some(counter) = self.counters.get_mut(&key) {
                        counter.pending = previous;
                    }
                }
                Some(Undo::Stamped) => {
                    self.stamped.pop();
                }
                None => break,
            }
        }
    }

    /// Whether a commit would change anything.
    pub(crate) fn has_writes(&self) -> bool {
        !self.writes.is_empty()
            || !self.stamped.is_empty()
            || self.counters.values().any(|counter| counter.pending != 0)
    }

    /// What to hand to the store.
    pub(crate) fn into_commit(self) -> Commit {
        let mut writes: Vec<(Key, Write)> =
            self.writes.into_iter().map(|(key, value)| (key, value.map_or(Write::Delete, Write::Put))).collect();
        let mut predicates = Vec::new();
        let (lowest, highest) = (i128::from(i64::MIN), i128::from(i64::MAX));
        for (key, counter) in self.counters {
            let low = (counter.low > lowest).then_some(counter.low);
            let high = (counter.high < highest).then_some(counter.high);
            if counter.pending != 0 {
                let add = Write::Add {
                    delta: clamp(counter.pending),
                    min: low.map(|low| low + counter.pending).filter(|low| *low > lowest).map(clamp),
                    max: high.map(|high| high + counter.pending).filter(|high| *high < highest).map(clamp),
                };
                writes.push((key, add));
                continue;
            }
            if let Some(low) = low {
                predicates.push((key.clone(), CounterPredicate::AtLeast(clamp(low))));
            }
            if let Some(high) = high {
                predicates.push((key, CounterPredicate::Below(clamp(high + 1))));
            }
        }
        Commit {
            view_version: self.view.version(),
            reads: ReadSet {
                points: self.points.into_iter().collect(),
                ranges: self.ranges.into_iter().map(|(start, end)| KeyRange { start, end }).collect(),
                counters: predicates,
            },
            writes,
            stamped: self.stamped,
        }
    }
}

/// A counter's stored form: 8 bytes, big-endian; absent is 0.
pub(crate) fn decode_counter(value: Option<&[u8]>) -> i64 {
    value.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes)
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn is_empty(range: &KeyRange) -> bool {
    range.end.as_ref().is_some_and(|end| end <= &range.start)
}

fn contains_below(range: &KeyRange, key: &[u8]) -> bool {
    range.end.as_ref().is_none_or(|end| key < end.as_slice())
}

/// Splits a range after `last` in the direction of travel: what is behind (with `last`), and what is ahead. Without `last`,
/// everything is behind.
fn split_at(range: &KeyRange, reverse: bool, last: Option<&[u8]>) -> (KeyRange, Option<KeyRange>) {
    match last {
        None => (range.clone(), None),
        Some(last) if reverse => (
            KeyRange { start: last.to_vec(), end: range.end.clone() },
            Some(KeyRange { start: range.start.clone(), end: Some(last.to_vec()) }),
        ),
        Some(last) => (
            KeyRange { start: range.start.clone(), end: Some(successor(last)) },
            Some(KeyRange { start: successor(last), end: range.end.clone() }),
        ),
    }
}

#[cfg(test)]
mod tests;
