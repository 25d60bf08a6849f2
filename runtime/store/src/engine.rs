//! What the transaction store asks of a storage engine: a blocking, ordered map of bytes that applies a batch atomically.
//! Not here: versions of reads, conflicts, groups; [`crate::OccStore`] adds them on top of any engine.

use std::fmt;

use kontor_core::store::{Key, KeyRange, Scanned, Value, Version};

/// Everything one group of commits changes; an engine applies it as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The version of the group's last commit. The engine keeps it, atomically with the writes; see [`Engine::last_version`].
    pub version: Version,
    /// At most one write a key, ordered by key; `None` removes the key.
    pub writes: Vec<(Key, Option<Value>)>,
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    /// Nothing happened; the same call may work later.
    #[error("{0}")]
    Unavailable(String),
    /// The engine can no longer be trusted. The store stops.
    #[error("{0}")]
    Fatal(String),
}

/// What a fault plan wants to happen to a commit. Only test engines ask for anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Injected {
    /// Commit as usual.
    #[default]
    Nothing,
    /// Refuse it as if something that it read had changed.
    Conflict,
    /// Refuse it as unavailable.
    Unavailable,
    /// Commit it, then say that the outcome is unknown.
    UnknownApplied,
    /// Do not commit it, then say that the outcome is unknown.
    UnknownLost,
}

/// Numbers for operators. `None` is "this engine does not know".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// The engine's name.
    pub engine: &'static str,
    /// Bytes that its files hold.
    pub disk_bytes: Option<u64>,
    /// Bytes of keys and values, as counted by the last export or backup; before the first one `None`.
    pub live_bytes: Option<u64>,
    /// What an operator must look at, in a sentence.
    pub alarm: Option<String>,
}

/// Called with key and value of every entry; an error ends the export.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), EngineError> + 'a;

/// An ordered map of bytes. All calls block; only one caller at a time calls [`Engine::apply`] and [`Engine::sync`], any
/// number read meanwhile. A read may see a batch before its `apply` returns.
pub trait Engine: Send + Sync + fmt::Debug + 'static {
    /// Its name in options, format files and messages.
    fn name(&self) -> &'static str;
    /// The version of the last batch applied, 0 when there was none.
    fn last_version(&self) -> Result<Version, EngineError>;
    /// The value at `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError>;
    /// The values at `keys`, in their order.
    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, EngineError> {
        keys.iter().map(|key| self.get(key)).collect()
    }
    /// Up to `limit` entries of `range`, ascending, or descending with `reverse`.
    fn scan(&self, range: &KeyRange, reverse: bool, limit: usize) -> Result<Scanned, EngineError>;
    /// Applies the batch, atomically also over a crash. It need not be durable.
    fn apply(&self, batch: Batch) -> Result<(), EngineError>;
    /// Makes everything applied so far durable: after a return it survives a power cut.
    fn sync(&self) -> Result<(), EngineError>;
    /// Longest key it takes.
    fn max_key(&self) -> usize;
    /// Largest value it takes.
    fn max_value(&self) -> usize;
    /// Visits every entry in key order. The caller keeps [`Engine::apply`] away meanwhile.
    fn export(&self, visit: &mut Visit<'_>) -> Result<(), EngineError>;
    /// How many bytes of keys and values there are, counted by somebody who read them all.
    fn note_live_bytes(&self, _bytes: u64) {}
    /// Numbers for operators; cheap.
    fn stats(&self) -> EngineStats;
    /// Asked once for every commit; faults for tests.
    fn inject(&self) -> Injected {
        Injected::Nothing
    }
}

/// Whether a range holds nothing: its end is not after its start.
pub(crate) fn is_empty_range(range: &KeyRange) -> bool {
    range.end.as_ref().is_some_and(|end| *end <= range.start)
}
