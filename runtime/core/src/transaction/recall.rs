//! Calls that need not be executed again. An executor may keep what a plugin answered to a service call, or to a request that changed
//! nothing, together with everything that it read, and give the same answer to the same question as long as nothing that was read has
//! changed. A transaction that is given the answer of a call depends on those reads as if the call had been executed; its commit
//! validates them. Of a request the answer is all that there is, so that it needs no transaction ([`crate::machine::Machine::recall`]).

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Transaction, take};
use crate::ids::PluginId;
use crate::recording::RecordingMark;
use crate::store::{ReadSet, TxStore, Version};

/// What an answer depends on: everything that was read for it, and when.
#[derive(Debug)]
pub struct Reliance {
    reads: ReadSet,
    /// The reads are known to stand as they were at this version. Grows.
    version: AtomicU64,
}

impl Reliance {
    /// Whether everything still is in `store` as it was read, for good.
    pub fn stands(&self, store: &dyn TxStore) -> bool {
        let known = self.version.load(Ordering::Relaxed);
        let newest = store.stands(&self.reads, known);
        newest.is_some_and(|newest| {
            self.note(known, newest);
            true
        })
    }

    /// Any of two versions is true; the older one is only forgotten sooner.
    fn note(&self, known: Version, newest: Version) {
        if newest > known {
            self.version.fetch_max(newest, Ordering::Relaxed);
        }
    }

    /// Bytes of the keys.
    pub fn bytes(&self) -> usize {
        let ranges = self.reads.ranges.iter().map(|range| range.start.len() + range.end.as_ref().map_or(0, Vec::len));
        self.reads.points.iter().map(Vec::len).chain(ranges).sum()
    }
}

/// A recording of what is read; ended with [`Transaction::end_recording`].
#[derive(Debug)]
pub struct OpenRecording(RecordingMark);

impl Transaction {
    /// Begins to record what is read. Recordings may lie within one another.
    pub fn begin_recording(&mut self) -> OpenRecording {
        OpenRecording(self.overlay.begin_recording())
    }

    /// What was read since the recording began; none if anything was written, if own writes or a counter's bounds were read, or if it
    /// is more than `reads_max` keys and ranges. What else an answer may depend on (time, randomness, for whom the chain acts) the executor must
    /// know.
    ///
    /// The reads need not be consistent: what is recorded with the version of this view, and read then or later, stands only while
    /// nothing newer than that version changed it.
    pub fn end_recording(&mut self, recording: OpenRecording, reads_max: usize) -> Option<Reliance> {
        let reads = self.overlay.end_recording(recording.0, reads_max)?;
        Some(Reliance { reads, version: AtomicU64::new(self.overlay.view().version()) })
    }

    /// Calls `plugin` without executing it: true if what was relied on still stands, for this transaction too. It counts as a service
    /// call with as many reads, and the transaction depends on them. False changes nothing that matters: execute the call.
    pub fn recall(&mut self, plugin: &PluginId, reliance: &Reliance) -> bool {
        let known = reliance.version.load(Ordering::Relaxed);
        let Some(newest) = self.overlay.holds(&reliance.reads, known) else {
            return false;
        };
        reliance.note(known, newest);
        let Ok(savepoint) = self.enter(plugin) else {
            return false;
        };
        let reads = reliance.reads.points.len() + reliance.reads.ranges.len();
        let counted = self.consume(|used, limits| take(&mut used.reads, reads, limits.reads, "reads")).is_ok();
        if counted {
            self.overlay.rely_on(&reliance.reads);
        }
        self.leave(savepoint, true);
        counted
    }
}
