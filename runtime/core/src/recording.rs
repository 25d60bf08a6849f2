//! What is read while something is worked out that may be asked again: an answer may be given a second time as long as nothing of it has
//! changed. Not here: whose answers are kept, and for how long (the executor), and what has changed (the store).

use crate::store::{Key, KeyRange, ReadSet};

/// Reads written down, for any number of recordings within one another.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    open: usize,
    points: Vec<Key>,
    ranges: Vec<KeyRange>,
    /// Counts what only this transaction can have seen.
    own: u64,
}

/// Where a recording began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordingMark {
    points: usize,
    ranges: usize,
    own: u64,
}

impl Recording {
    pub(crate) fn begin(&mut self) -> RecordingMark {
        self.open += 1;
        RecordingMark { points: self.points.len(), ranges: self.ranges.len(), own: self.own }
    }

    /// What was read since; none if it was more than others could have seen, or too much.
    pub(crate) fn end(&mut self, mark: RecordingMark, reads_max: usize) -> Option<ReadSet> {
        let points = self.points.get(mark.points..).unwrap_or_default();
        let ranges = self.ranges.get(mark.ranges..).unwrap_or_default();
        let kept = self.own == mark.own && points.len() + ranges.len() <= reads_max;
        let reads = kept.then(|| {
            let (mut points, mut ranges) = (points.to_vec(), ranges.to_vec());
            points.sort_unstable();
            points.dedup();
            ranges.dedup();
            ReadSet { points, ranges, counters: Vec::new() }
        });
        self.open = self.open.saturating_sub(1);
        if self.open == 0 {
            self.points.clear();
            self.ranges.clear();
        }
        reads
    }

    pub(crate) fn point(&mut self, key: &Key) {
        if self.open > 0 {
            self.points.push(key.clone());
        }
    }

    pub(crate) fn range(&mut self, range: &KeyRange) {
        if self.open > 0 {
            self.ranges.push(range.clone());
        }
    }

    /// Something happened that only this transaction can see, or that it does.
    pub(crate) fn own(&mut self) {
        self.own += 1;
    }
}
