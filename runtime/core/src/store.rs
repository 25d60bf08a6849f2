//! What the machine needs of a store: begin at a snapshot, read, commit a validated batch. Not here: how bytes reach a disk.
//!
//! The protocol is optimistic. A transaction reads through a [`ReadView`], remembers what it read, and hands reads and writes
//! to [`TxStore::commit`], which applies the writes only if nothing that was read has changed since.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

/// A key: any bytes, ordered bytewise. Merchant first, see [`crate::keys`].
pub type Key = Vec<u8>;
/// A value: any bytes.
pub type Value = bytes::Bytes;

/// Number of a commit; grows by at least one with each. 0 is the empty store.
pub type Version = u64;

/// A half-open range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Inclusive.
    pub start: Key,
    /// Exclusive; `None` is past every key.
    pub end: Option<Key>,
}

/// What a scan found.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// Entries in the order asked.
    pub entries: Vec<(Key, Value)>,
    /// Whether the limit cut the scan short: then only the part up to the last entry was covered.
    pub more: bool,
}

/// A consistent-enough view for one execution. An embedded engine may show newer data than `version`:
/// then validation at commit fails, and nothing that was seen is believed.
pub trait ReadView: Send + Sync {
    /// The version at which the view began; what reads are validated against.
    fn version(&self) -> Version;
    /// The value at `key`.
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Value>, StoreError>>;
    /// The values at `keys`, in their order.
    fn get_many<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Value>>, StoreError>>;
    /// Up to `limit` entries of `range`, ascending, or descending with `reverse`.
    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        reverse: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Scanned, StoreError>>;
    /// Whether the store knows, without looking anything up, that no commit after `version` has changed what `reads` names (keys and
    /// ranges; conditions on counters are not looked at): then the newest version for which that is known. `None` says nothing.
    fn unchanged_since(&self, reads: &ReadSet, version: Version) -> Option<Version>;
}

/// A write to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the value.
    Put(Value),
    /// Removes the key.
    Delete,
    /// Adds to a counter (8 bytes, big-endian `i64`; absent is 0). Refused as [`CommitError::Bound`] when the result would leave the bounds.
    Add {
        /// What to add.
        delta: i64,
        /// Lowest result allowed.
        min: Option<i64>,
        /// Highest result allowed.
        max: Option<i64>,
    },
}

/// A condition on a counter that must hold at commit, before this commit's own writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CounterPredicate {
    /// At least this much.
    AtLeast(i64),
    /// Less than this.
    Below(i64),
    /// More than this.
    Above(i64),
}

/// A record whose key the store completes at commit: `prefix ++ version (u64 BE) ++ ordinal (u32 BE) ++ suffix`. So log
/// records are in commit order without a contended sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampedPut {
    /// Before the stamp.
    pub prefix: Key,
    /// Distinguishes the records of one commit; the caller may use one ordinal under several prefixes.
    pub ordinal: u32,
    /// After the stamp.
    pub suffix: Key,
    /// The value.
    pub value: Value,
}

/// What was read and must still be so.
#[derive(Clone, Debug, Default)]
pub struct ReadSet {
    /// Keys read, whether found or not.
    pub points: Vec<Key>,
    /// Ranges really covered by scans.
    pub ranges: Vec<KeyRange>,
    /// Conditions on counters.
    pub counters: Vec<(Key, CounterPredicate)>,
}

/// A transaction to commit.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The view's version.
    pub view_version: Version,
    /// Validated first.
    pub reads: ReadSet,
    /// One write a key; empty for a read-only transaction, which is validated all the same.
    pub writes: Vec<(Key, Write)>,
    /// Records keyed by the commit's version.
    pub stamped: Vec<StampedPut>,
}

impl Commit {
    /// Roughly what it adds to a batch: bytes of keys and values.
    pub fn written_bytes(&self) -> usize {
        let writes = self.writes.iter().map(|(key, write)| match write {
            Write::Put(value) => key.len() + value.len(),
            Write::Delete | Write::Add { .. } => key.len() + 8,
        });
        let stamped = self.stamped.iter().map(|put| put.prefix.len() + put.suffix.len() + put.value.len());
        writes.chain(stamped).sum()
    }
}

/// A commit that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its version (for a read-only transaction: the version it was validated at).
    pub version: Version,
}

/// How long [`TxStore::commit`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Until it, and everything that it read, survives a power cut. For read-only transactions too.
    Durable,
    /// Until it is decided and visible. A later durable commit makes it durable as well; a crash may lose it, never a part of it.
    Visible,
}

/// Why a read failed. None of these is the transaction's fault.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// Try again later.
    #[error("the store cannot serve now: {0}")]
    Unavailable(String),
    /// The store stopped for good (an I/O error, damage): the process must end.
    #[error("the store has stopped: {0}")]
    Fatal(String),
}

/// Why a commit did not happen.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommitError {
    /// Something that was read has changed. Execute again.
    #[error("conflict on {} key(s)", keys.len())]
    Conflict {
        /// Where (up to 16).
        keys: Vec<Key>,
    },
    /// The view is older than the store remembers. Execute again.
    #[error("the view is too old")]
    TooOld,
    /// A counter would leave its bounds. Execute again: the execution sees the new value.
    #[error("a counter would leave its bounds")]
    Bound {
        /// Which.
        key: Key,
    },
    /// Did not happen; try again later.
    #[error("the store cannot commit now: {0}")]
    Unavailable(String),
    /// It may or may not have happened. The deduplication record tells; never retry blindly.
    #[error("the outcome of the commit is unknown: {0}")]
    OutcomeUnknown(String),
    /// The store stopped for good: the process must end.
    #[error("the store has stopped: {0}")]
    Fatal(String),
}

/// A transactional store.
pub trait TxStore: Send + Sync + fmt::Debug {
    /// A view of what is committed now.
    fn begin(&self) -> BoxFuture<'_, Result<Arc<dyn ReadView>, StoreError>>;
    /// Validates and applies, all or nothing.
    fn commit(&self, commit: Commit, durability: Durability) -> BoxFuture<'_, Result<Committed, CommitError>>;
    /// The newest version that is visible; changes wake [`TxStore::wait_newer`].
    fn current_version(&self) -> Version;
    /// Resolves once a version newer than `version` is visible.
    fn wait_newer(&self, version: Version) -> BoxFuture<'_, Version>;
    /// Whether the store knows, without looking the key up, that no commit after `version` has changed it: what was read at
    /// `version` is then what a view that began since would read. `false` says nothing.
    fn unchanged_since(&self, key: &[u8], version: Version) -> bool {
        let _ = (key, version);
        false
    }
    /// The newest version at which all that was read at `version` is known, without looking it up, to be the same, and to survive a power
    /// cut. A transaction that reads nothing else would have committed there. `None` says nothing.
    fn stands(&self, reads: &ReadSet, version: Version) -> Option<Version> {
        let _ = (reads, version);
        None
    }
}
