//! Typed tables over the host's ordered key-value store.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::kontor::host::store;
use crate::codec;
use crate::error::Result;
use crate::index::{Index, IndexScan, Maintained};
use crate::key::{self, AsKey, Key, KeyPrefix};
use crate::range::{Page, RangeSpec, Raw};

/// Keys in one request to the host.
const GET_MANY_KEYS_MAX: usize = 1_000;

/// A table of `V` by `K`. A constant of the plugin:
///
/// ```ignore
/// const PRODUCTS: Table<String, Product> = Table::new("products").with_indexes(&[&BY_BRAND]);
/// const BY_BRAND: Index<String, String, Product> = Index::new("products-by-brand", |p| vec![p.brand.clone()]);
/// ```
///
/// The name matches `[a-z][a-z0-9-]{0,62}`. Values are stored with field names: later versions may add fields with
/// `#[serde(default)]`. Tables belong to this plugin and the merchant of the invocation alone.
pub struct Table<K: 'static, V: 'static> {
    name: &'static str,
    indexes: &'static [&'static dyn Maintained<K, V>],
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: 'static, V: 'static> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: 'static, V: 'static> Copy for Table<K, V> {}

impl<K: 'static, V: 'static> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<K: 'static, V: 'static> Table<K, V> {
    /// The table of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, indexes: &[], types: PhantomData }
    }

    /// The table with secondary indexes, kept in step by every `put` and `delete`. An index that is added to a table with
    /// entries is filled by putting each of them again in `migrate`.
    #[must_use]
    pub const fn with_indexes(self, indexes: &'static [&'static dyn Maintained<K, V>]) -> Self {
        Self { indexes, ..self }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<K: Key, V: Serialize + DeserializeOwned + 'static> Table<K, V> {
    /// The value at `key`.
    pub fn get(&self, key: impl AsKey<K>) -> Result<Option<V>> {
        self.get_bytes(&key::to_bytes(key))
    }

    /// Whether there is a value at `key`.
    pub fn contains(&self, key: impl AsKey<K>) -> Result<bool> {
        Ok(store::get(self.name, &key::to_bytes(key))?.is_some())
    }

    /// The values at `keys`, in their order.
    pub fn get_many<Q: AsKey<K>>(&self, keys: impl IntoIterator<Item = Q>) -> Result<Vec<Option<V>>> {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(key::to_bytes).collect();
        self.get_many_bytes(&keys)
    }

    /// Writes `value` at `key`, replacing what was there.
    pub fn put(&self, key: impl AsKey<K>, value: &V) -> Result<()> {
        let key = key::to_bytes(key);
        let bytes = codec::encode(self.name, value)?;
        if !self.indexes.is_empty() {
            let old = self.get_bytes(&key)?;
            for index in self.indexes {
                index.update(self.name, &key, old.as_ref(), Some(value))?;
            }
        }
        Ok(store::put(self.name, &key, &bytes)?)
    }

    /// Writes `value` at `key` if nothing is there yet. False: something is, and was left alone.
    pub fn insert(&self, key: impl AsKey<K>, value: &V) -> Result<bool> {
        let key = key::to_bytes(key);
        if store::get(self.name, &key)?.is_some() {
            return Ok(false);
        }
        for index in self.indexes {
            index.update(self.name, &key, None, Some(value))?;
        }
        store::put(self.name, &key, &codec::encode(self.name, value)?)?;
        Ok(true)
    }

    /// Changes the value at `key` in place; `None` if there is none.
    pub fn update(&self, key: impl AsKey<K>, change: impl FnOnce(&mut V)) -> Result<Option<V>> {
        let key = key::to_bytes(key);
        let Some(mut value) = self.get_bytes(&key)? else { return Ok(None) };
        let old = if self.indexes.is_empty() { None } else { self.get_bytes(&key)? };
        change(&mut value);
        for index in self.indexes {
            index.update(self.name, &key, old.as_ref(), Some(&value))?;
        }
        store::put(self.name, &key, &codec::encode(self.name, &value)?)?;
        Ok(Some(value))
    }

    /// Removes the value at `key`. Removing what is not there is no error.
    pub fn delete(&self, key: impl AsKey<K>) -> Result<()> {
        let key = key::to_bytes(key);
        if !self.indexes.is_empty()
            && let Some(old) = self.get_bytes(&key)?
        {
            for index in self.indexes {
                index.update(self.name, &key, Some(&old), None)?;
            }
        }
        Ok(store::delete(self.name, &key)?)
    }

    /// Entries in key order: narrow with [`Scan::prefix`], [`Scan::range`], [`Scan::reverse`], [`Scan::limit`], then take them
    /// with [`Scan::entries`], [`Scan::values`], [`Scan::keys`], [`Scan::first`] or [`Scan::page`].
    pub fn scan(&self) -> Scan<K, V> {
        Scan { table: *self, range: RangeSpec::all(self.name) }
    }

    /// Entries by a secondary index of this table.
    pub fn by<I: Key>(&self, index: &Index<I, K, V>) -> IndexScan<I, K, V> {
        IndexScan::new(*self, index)
    }

    /// The first entry with this index key: the entry, where the index is unique.
    pub fn find<I: Key>(&self, index: &Index<I, K, V>, key: impl AsKey<I>) -> Result<Option<(K, V)>> {
        self.by(index).equal(key).first()
    }

    fn get_bytes(&self, key: &[u8]) -> Result<Option<V>> {
        store::get(self.name, key)?.map(|bytes| codec::decode(self.name, &bytes)).transpose()
    }

    pub(crate) fn get_many_bytes(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<V>>> {
        let mut values = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(GET_MANY_KEYS_MAX) {
            for bytes in store::get_many(self.name, chunk)? {
                values.push(bytes.map(|bytes| codec::decode(self.name, &bytes)).transpose()?);
            }
        }
        Ok(values)
    }
}

/// A scan of a table, being described.
#[derive(Debug)]
pub struct Scan<K: 'static, V: 'static> {
    table: Table<K, V>,
    range: RangeSpec,
}

impl<K: Key, V: Serialize + DeserializeOwned + 'static> Scan<K, V> {
    /// Only keys with these leading parts: `.prefix((cart_id,))` for a key `(String, u32)`.
    #[must_use]
    pub fn prefix(mut self, parts: impl KeyPrefix<K>) -> Self {
        self.range = self.range.prefix(parts);
        self
    }

    /// Only keys in this range of whole keys.
    #[must_use]
    pub fn range<Q: AsKey<K>>(mut self, range: impl RangeBounds<Q>) -> Self {
        self.range = self.range.range(&range);
        self
    }

    /// Only keys whose first part is a text that begins like this.
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

    /// At most so many. The transaction depends only on the part of the range that was really seen.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.range = self.range.limit(limit);
        self
    }

    /// Keys with values.
    pub fn entries(self) -> Result<Vec<(K, V)>> {
        let Self { table, range } = self;
        range.collect()?.into_iter().map(|raw| decode(&table, raw)).collect()
    }

    /// Values.
    pub fn values(self) -> Result<Vec<V>> {
        let Self { table, range } = self;
        range.collect()?.into_iter().map(|(_, value)| codec::decode(table.name, &value)).collect()
    }

    /// Keys.
    pub fn keys(self) -> Result<Vec<K>> {
        let Self { table, range } = self;
        range.collect()?.into_iter().map(|(key, _)| key::from_bytes(table.name, &key)).collect()
    }

    /// The first entry.
    pub fn first(self) -> Result<Option<(K, V)>> {
        Ok(self.limit(1).entries()?.into_iter().next())
    }

    /// A page of at most `limit` entries behind `cursor` (`None`: the first). Stable while entries come and go.
    pub fn page(self, cursor: Option<&str>, limit: u32) -> Result<Page<(K, V)>> {
        let Self { table, range } = self;
        let (raw, next_cursor) = range.page(cursor, limit)?;
        let items = raw.into_iter().map(|raw| decode(&table, raw)).collect::<Result<_>>()?;
        Ok(Page { items, next_cursor })
    }
}

fn decode<K: Key, V: DeserializeOwned + 'static>(table: &Table<K, V>, (key, value): Raw) -> Result<(K, V)> {
    Ok((key::from_bytes(table.name, &key)?, codec::decode(table.name, &value)?))
}
