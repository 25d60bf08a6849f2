//! Ranges of keys, shared by the scans of tables and of indexes: bounds, direction, limit, and pages with keyset cursors.

use std::ops::{Bound, RangeBounds};

use crate::bindings::kontor::host::store;
use crate::error::{Error, Result};
use crate::key::{self, AsKey, KeyPrefix};

/// Entries fetched at a time when no limit is given.
const BATCH: u32 = 1_000;
/// What the contract allows in one scan.
const SCAN_ENTRIES_MAX: u32 = 10_000;

/// A page of results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In the order asked.
    pub items: Vec<T>,
    /// Pass it to get the next page; `None` on the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page with every item changed.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next_cursor: self.next_cursor }
    }
}

/// Raw entries: key and value.
pub(crate) type Raw = (Vec<u8>, Vec<u8>);

#[derive(Clone, Debug)]
pub(crate) struct RangeSpec {
    pub(crate) table: &'static str,
    /// Inclusive.
    start: Option<Vec<u8>>,
    /// Exclusive.
    end: Option<Vec<u8>>,
    reverse: bool,
    limit: Option<u32>,
}

impl RangeSpec {
    pub(crate) fn all(table: &'static str) -> Self {
        Self { table, start: None, end: None, reverse: false, limit: None }
    }

    pub(crate) fn reverse(mut self) -> Self {
        self.reverse = !self.reverse;
        self
    }

    pub(crate) fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(crate) fn bytes_prefix(self, prefix: Vec<u8>) -> Self {
        let end = key::successor(&prefix);
        self.narrow(Some(prefix), end)
    }

    pub(crate) fn prefix<K>(self, prefix: impl KeyPrefix<K>) -> Self {
        let mut bytes = Vec::new();
        prefix.encode_prefix(&mut bytes);
        self.bytes_prefix(bytes)
    }

    pub(crate) fn equal<K>(self, key: impl AsKey<K>) -> Self {
        self.bytes_prefix(key::to_bytes(key))
    }

    /// Bounds are key values: an inclusive end includes everything that begins with it.
    pub(crate) fn range<K, Q: AsKey<K>>(self, range: &impl RangeBounds<Q>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(key) => Some(key::to_bytes::<K>(key)),
            // The smallest key of those that do not begin with the excluded one.
            Bound::Excluded(key) => key::successor(&key::to_bytes::<K>(key)),
            Bound::Unbounded => None,
        };
        let end = match range.end_bound() {
            Bound::Included(key) => key::successor(&key::to_bytes::<K>(key)),
            Bound::Excluded(key) => Some(key::to_bytes::<K>(key)),
            Bound::Unbounded => None,
        };
        self.narrow(start, end)
    }

    pub(crate) fn narrow(mut self, start: Option<Vec<u8>>, end: Option<Vec<u8>>) -> Self {
        if self.start < start {
            self.start = start;
        }
        self.end = match (self.end.take(), end) {
            (Some(mine), Some(other)) => Some(mine.min(other)),
            (mine, other) => mine.or(other),
        };
        self
    }

    fn is_empty(&self) -> bool {
        matches!((&self.start, &self.end), (Some(start), Some(end)) if start >= end)
    }

    fn fetch(&self, limit: u32) -> Result<Vec<Raw>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let range = store::KeyRange { start: self.start.clone(), end: self.end.clone() };
        let entries = store::scan(self.table, &range, self.reverse, limit)?;
        Ok(entries.into_iter().map(|entry| (entry.key, entry.value)).collect())
    }

    /// Leaves out everything up to and including `key`, in the direction of the scan.
    fn skip_to(&mut self, key: &[u8]) {
        let this = std::mem::replace(self, Self::all(self.table));
        *self = if this.reverse {
            this.narrow(None, Some(key.to_vec()))
        } else {
            let mut next = key.to_vec();
            next.push(0);
            this.narrow(Some(next), None)
        };
    }

    /// Everything in the range up to the limit, in batches.
    pub(crate) fn collect(mut self) -> Result<Vec<Raw>> {
        let mut found: Vec<Raw> = Vec::new();
        loop {
            let have = u32::try_from(found.len()).unwrap_or(u32::MAX);
            let want = self.limit.map_or(BATCH, |limit| limit.saturating_sub(have).min(SCAN_ENTRIES_MAX));
            if want == 0 {
                return Ok(found);
            }
            let batch = self.fetch(want)?;
            // The host may return fewer than asked when their bytes add up: only an empty answer is the end for sure.
            let Some((last, _)) = batch.last() else { return Ok(found) };
            self.skip_to(last);
            found.extend(batch);
        }
    }

    /// A page after `cursor`, of at most `limit` entries.
    pub(crate) fn page(mut self, cursor: Option<&str>, limit: u32) -> Result<(Vec<Raw>, Option<String>)> {
        let limit = limit.clamp(1, SCAN_ENTRIES_MAX - 1);
        if let Some(cursor) = cursor {
            let key = decode_cursor(cursor).ok_or_else(|| {
                Error::bad_request(format!(
                    "`{cursor}` is not a cursor. Pass `next_cursor` of the page before, or none."
                ))
                .with_code("bad-cursor")
            })?;
            self.skip_to(&key);
        }
        let mut found = self.limit(limit + 1).collect()?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|(key, _)| encode_cursor(key));
        Ok((found, next))
    }
}

fn encode_cursor(key: &[u8]) -> String {
    use std::fmt::Write as _;
    key.iter().fold(String::with_capacity(key.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn decode_cursor(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) || text.len() > 1024 {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_nonsense_is_refused() {
        let key = [0u8, 1, 0xfe, b'x'];
        assert_eq!(decode_cursor(&encode_cursor(&key)).unwrap(), key);
        for nonsense in ["", "0", "zz", "0g"] {
            assert_eq!(decode_cursor(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn bounds_narrow_and_an_inverted_range_is_empty() {
        let spec = RangeSpec::all("t").range::<u8, u8>(&(3..=7)).range::<u8, u8>(&(5..));
        assert_eq!((spec.start.clone(), spec.end.clone()), (Some(vec![5]), Some(vec![8])));
        assert!(spec.range::<u8, u8>(&(..2)).is_empty());
        let excluded = RangeSpec::all("t").range::<u8, u8>(&(Bound::Excluded(3), Bound::Unbounded));
        assert_eq!(excluded.start, Some(vec![4]));
    }

    #[test]
    fn pages_go_on_behind_the_last_key() {
        let mut spec = RangeSpec::all("t").range::<u8, u8>(&(0..=9));
        spec.skip_to(&[4]);
        assert_eq!(spec.start, Some(vec![4, 0]));
        let mut spec = RangeSpec::all("t").range::<u8, u8>(&(0..=9)).reverse();
        spec.skip_to(&[4]);
        assert_eq!(spec.end, Some(vec![4]));
    }
}
