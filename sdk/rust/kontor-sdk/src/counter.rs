//! Counters: numbers that many invocations change at once without conflicting, within bounds that hold at commit.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use crate::bindings::kontor::host::store;
use crate::error::{Error, Result};
use crate::key::{self, AsKey};

/// A family of counters by `K`. A constant of the plugin: `const ON_HAND: Counter<(String, String)> = Counter::new("on-hand");`
///
/// A counter that was never added to is 0. Counters and values of one table name do not mix.
pub struct Counter<K> {
    table: &'static str,
    key: PhantomData<fn() -> K>,
}

/// What became of a bounded addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the addition may have been refused"]
pub enum Added {
    /// Done.
    Yes,
    /// The result would have left the bounds; nothing was changed.
    OutOfBounds,
}

impl Added {
    /// Whether it was done.
    pub fn is_done(self) -> bool {
        self == Self::Yes
    }
}

impl<K> Clone for Counter<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Counter<K> {}

impl<K> fmt::Debug for Counter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").field("table", &self.table).finish_non_exhaustive()
    }
}

impl<K> Counter<K> {
    /// The counters of this table name.
    pub const fn new(table: &'static str) -> Self {
        Self { table, key: PhantomData }
    }

    /// Adds without bounds. Never conflicts with other additions.
    pub fn add(&self, key: impl AsKey<K>, delta: i64) -> Result<()> {
        Ok(store::counter_add(self.table, &key::to_bytes(key), delta, None, None)?)
    }

    /// Adds if the result stays within `bounds` (`0..` for "never below zero"). The bounds are checked again at commit, so they
    /// hold whatever else happens at the same time.
    pub fn add_bounded(&self, key: impl AsKey<K>, delta: i64, bounds: impl RangeBounds<i64>) -> Result<Added> {
        let (Some(min), Some(max)) = (lower(&bounds), upper(&bounds)) else { return Ok(Added::OutOfBounds) };
        match store::counter_add(self.table, &key::to_bytes(key), delta, min, max) {
            Ok(()) => Ok(Added::Yes),
            Err(store::StoreError::Bound) => Ok(Added::OutOfBounds),
            Err(error) => Err(Error::from(error)),
        }
    }

    /// The exact value. The invocation then depends on it: under contention prefer [`Counter::add_bounded`] or
    /// [`Counter::at_least`].
    pub fn get(&self, key: impl AsKey<K>) -> Result<i64> {
        Ok(store::counter_get(self.table, &key::to_bytes(key))?)
    }

    /// Whether the value is at least `threshold`. The invocation depends on the answer only.
    pub fn at_least(&self, key: impl AsKey<K>, threshold: i64) -> Result<bool> {
        Ok(store::counter_at_least(self.table, &key::to_bytes(key), threshold)?)
    }
}

/// The inclusive lower bound: `Some(None)` without one, `None` if nothing can satisfy it.
fn lower(bounds: &impl RangeBounds<i64>) -> Option<Option<i64>> {
    match bounds.start_bound() {
        Bound::Included(&min) => Some(Some(min)),
        Bound::Excluded(&min) => min.checked_add(1).map(Some),
        Bound::Unbounded => Some(None),
    }
}

fn upper(bounds: &impl RangeBounds<i64>) -> Option<Option<i64>> {
    match bounds.end_bound() {
        Bound::Included(&max) => Some(Some(max)),
        Bound::Excluded(&max) => max.checked_sub(1).map(Some),
        Bound::Unbounded => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_become_inclusive() {
        assert_eq!((lower(&(0..)), upper(&(0..))), (Some(Some(0)), Some(None)));
        assert_eq!((lower(&(1..5)), upper(&(1..5))), (Some(Some(1)), Some(Some(4))));
        assert_eq!(upper(&(..i64::MIN)), None);
    }
}
