//! Secondary indexes: other keys under which a table's entries are found. An index is a table of its own, kept in step by the
//! table's `put` and `delete` in the same transaction.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::kontor::host::store;
use crate::error::{Error, Result};
use crate::key::{self, AsKey, Key, KeyPrefix};
use crate::range::{Page, RangeSpec, Raw};
use crate::table::Table;

/// An index by `I` over a table of `V` by `K`: the function says under which index keys a value is found (none, one, many).
///
/// ```ignore
/// const BY_STATUS: Index<(Status, Reverse<u64>), String, Order> =
///     Index::new("orders-by-status", |order| vec![(order.status, Reverse(order.placed_at_ms))]);
/// ```
pub struct Index<I, K, V> {
    name: &'static str,
    keys: fn(&V) -> Vec<I>,
    unique: bool,
    types: PhantomData<fn() -> K>,
}

impl<I, K, V> Clone for Index<I, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, K, V> Copy for Index<I, K, V> {}

impl<I, K, V> fmt::Debug for Index<I, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("name", &self.name).field("unique", &self.unique).finish_non_exhaustive()
    }
}

impl<I, K, V> Index<I, K, V> {
    /// An index whose keys may belong to many entries. Its name is a table name, unique in the plugin.
    pub const fn new(name: &'static str, keys: fn(&V) -> Vec<I>) -> Self {
        Self { name, keys, unique: false, types: PhantomData }
    }

    /// An index whose keys belong to one entry each: putting a second one is refused with the code `duplicate-key`.
    pub const fn unique(name: &'static str, keys: fn(&V) -> Vec<I>) -> Self {
        Self { name, keys, unique: true, types: PhantomData }
    }
}

/// What a table does with its indexes. Implemented by [`Index`] alone.
pub trait Maintained<K, V>: Sync {
    /// Brings the index from the entry's old value to its new one.
    #[doc(hidden)]
    fn update(&self, table: &str, key: &[u8], old: Option<&V>, new: Option<&V>) -> Result<()>;
}

impl<I: Key, K, V> Index<I, K, V> {
    /// The encoded index keys of a value, each once.
    fn encoded(&self, value: Option<&V>) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = value
            .map(self.keys)
            .unwrap_or_default()
            .iter()
            .map(|key| {
                let mut bytes = Vec::new();
                key.encode(&mut bytes);
                bytes
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Where an index key of the entry at `key` is stored, with what value. The entry's key is part of the place unless unique.
    fn entry(&self, mut index_key: Vec<u8>, key: &[u8]) -> Raw {
        if self.unique {
            (index_key, key.to_vec())
        } else {
            index_key.extend_from_slice(key);
            (index_key, Vec::new())
        }
    }
}

impl<I: Key, K, V> Maintained<K, V> for Index<I, K, V> {
    fn update(&self, table: &str, key: &[u8], old: Option<&V>, new: Option<&V>) -> Result<()> {
        let (old, new) = (self.encoded(old), self.encoded(new));
        for index_key in old.iter().filter(|index_key| !new.contains(index_key)) {
            store::delete(self.name, &self.entry(index_key.clone(), key).0)?;
        }
        for index_key in new.iter().filter(|index_key| !old.contains(index_key)) {
            let (place, value) = self.entry(index_key.clone(), key);
            if self.unique && store::get(self.name, &place)?.is_some_and(|owner| owner != key) {
                return Err(Error::conflict(format!(
                    "Another entry of `{table}` has the same key in the index `{}`, which must be unique.",
                    self.name
                ))
                .with_code("duplicate-key")
                .with("index", self.name));
            }
            store::put(self.name, &place, &value)?;
        }
        Ok(())
    }
}

/// A scan of a table by an index, being described.
#[derive(Debug)]
pub struct IndexScan<I, K: 'static, V: 'static> {
    table: Table<K, V>,
    index: Index<I, K, V>,
    range: RangeSpec,
}

impl<I: Key, K: Key, V: Serialize + DeserializeOwned + 'static> IndexScan<I, K, V> {
    pub(crate) fn new(table: Table<K, V>, index: &Index<I, K, V>) -> Self {
        Self { table, index: *index, range: RangeSpec::all(index.name) }
    }

    /// Only this index key.
    #[must_use]
    pub fn equal(mut self, key: impl AsKey<I>) -> Self {
        self.range = self.range.equal(key);
        self
    }

    /// Only index keys with these leading parts: `.prefix((status,))` for an index key `(Status, u64)`.
    #[must_use]
    pub fn prefix(mut self, parts: impl KeyPrefix<I>) -> Self {
        self.range = self.range.prefix(parts);
        self
    }

    /// Only index keys in this range.
    #[must_use]
    pub fn range<Q: AsKey<I>>(mut self, range: impl RangeBounds<Q>) -> Self {
        self.range = self.range.range(&range);
        self
    }

    /// Only index keys whose first part is a text that begins like this.
    #[must_use]
    pub fn starts_with(mut self, text: &str) -> Self {
        let mut bytes = Vec::new();
        key::escape(text.as_bytes(), &mut bytes);
        self.range = self.range.bytes_prefix(bytes);
        self
    }

    /// Descending.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.range = self.range.reverse();
        self
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.range = self.range.limit(limit);
        self
    }

    /// Index keys with the keys of their entries, without reading the entries.
    pub fn keys(self) -> Result<Vec<(I, K)>> {
        let Self { index, range, .. } = self;
        range.collect()?.into_iter().map(|raw| split(&index, raw)).collect()
    }

    /// Entries, in the order of the index.
    pub fn entries(self) -> Result<Vec<(K, V)>> {
        let Self { table, index, range } = self;
        load(&table, &index, range.collect()?)
    }

    /// Values, in the order of the index.
    pub fn values(self) -> Result<Vec<V>> {
        Ok(self.entries()?.into_iter().map(|(_, value)| value).collect())
    }

    /// The first entry.
    pub fn first(self) -> Result<Option<(K, V)>> {
        Ok(self.limit(1).entries()?.into_iter().next())
    }

    /// A page of at most `limit` entries behind `cursor` (`None`: the first).
    pub fn page(self, cursor: Option<&str>, limit: u32) -> Result<Page<(K, V)>> {
        let Self { table, index, range } = self;
        let (raw, next_cursor) = range.page(cursor, limit)?;
        Ok(Page { items: load(&table, &index, raw)?, next_cursor })
    }
}

/// The parts of an index entry.
fn split<I: Key, K: Key, V>(index: &Index<I, K, V>, (place, value): Raw) -> Result<(I, K)> {
    if index.unique {
        Ok((key::from_bytes(index.name, &place)?, key::from_bytes(index.name, &value)?))
    } else {
        key::from_bytes(index.name, &place)
    }
}

fn load<I: Key, K: Key, V: Serialize + DeserializeOwned + 'static>(
    table: &Table<K, V>,
    index: &Index<I, K, V>,
    raw: Vec<Raw>,
) -> Result<Vec<(K, V)>> {
    let keys = raw.into_iter().map(|raw| split(index, raw).map(|(_, key)| key)).collect::<Result<Vec<K>>>()?;
    let bytes: Vec<Vec<u8>> = keys
        .iter()
        .map(|key| {
            let mut bytes = Vec::new();
            key.encode(&mut bytes);
            bytes
        })
        .collect();
    let values = table.get_many_bytes(&bytes)?;
    keys.into_iter()
        .zip(values)
        .map(|(key, value)| {
            value.map(|value| (key, value)).ok_or_else(|| {
                Error::internal(format!(
                    "The index `{}` names an entry that the table `{}` does not have. Write the table only through its `Table`.",
                    index.name,
                    table.name()
                ))
                .with_code("index-broken")
            })
        })
        .collect()
}
