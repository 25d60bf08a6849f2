//! Tables and counters of the plugin on top of the stack.

use super::{OperationError, TableEntry, Transaction, take};
use crate::ids::PluginId;
use crate::keys::{self, KeyBuilder, Space, prefix_range};
use crate::limits::{
    GET_MANY_KEYS_MAX, KEY_BYTES_MAX, SCAN_BYTES_MAX, SCAN_ENTRIES_MAX, TABLE_NAME_BYTES_MAX, VALUE_BYTES_MAX,
};
use crate::overlay::Addition;
use crate::store::{Key, KeyRange, Value};

impl Transaction {
    /// The value at `key`, own writes included.
    pub async fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Value>, OperationError> {
        let key = self.table_key(Space::Value, table, key)?;
        self.consume(|used, limits| take(&mut used.reads, 1, limits.reads, "reads"))?;
        let result = self.overlay.get(&key).await;
        self.store_result(result)
    }

    /// The values at `keys`, in their order.
    pub async fn get_many(&mut self, table: &str, keys: &[Vec<u8>]) -> Result<Vec<Option<Value>>, OperationError> {
        if keys.len() > GET_MANY_KEYS_MAX {
            let message = format!("at most {GET_MANY_KEYS_MAX} keys at a time, not {}", keys.len());
            return Err(OperationError::Invalid(message));
        }
        let keys: Vec<Key> =
            keys.iter().map(|key| self.table_key(Space::Value, table, key)).collect::<Result<_, _>>()?;
        self.consume(|used, limits| take(&mut used.reads, keys.len(), limits.reads, "reads"))?;
        let result = self.overlay.get_many(&keys).await;
        self.store_result(result)
    }

    /// Entries from `start` (inclusive) to `end` (exclusive), own writes included.
    pub async fn scan(
        &mut self,
        table: &str,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        reverse: bool,
        limit: u32,
    ) -> Result<Vec<TableEntry>, OperationError> {
        if limit == 0 || limit > SCAN_ENTRIES_MAX {
            return Err(OperationError::Invalid(format!("a scan's limit is 1 to {SCAN_ENTRIES_MAX}, not {limit}")));
        }
        for bound in [start, end].into_iter().flatten() {
            // The successor of the longest key is a legal bound.
            if bound.len() > KEY_BYTES_MAX + 1 {
                let message = format!("a bound of {} bytes is longer than a key may be ({KEY_BYTES_MAX})", bound.len());
                return Err(OperationError::Invalid(message));
            }
        }
        let base = self.table_base(Space::Value, table)?;
        let prefix_bytes = base.clone().key().len();
        let whole = prefix_range(base.clone().key());
        let range = KeyRange {
            start: start.map_or(whole.start, |start| base.clone().rest(start).key()),
            end: end.map_or(whole.end, |end| Some(base.clone().rest(end).key())),
        };
        self.consume(|used, limits| take(&mut used.reads, 1, limits.reads, "reads"))?;
        let result = self.overlay.scan(&range, reverse, limit as usize, SCAN_BYTES_MAX).await;
        let found = self.store_result(result)?;
        if found.too_large {
            return Err(OperationError::Limit(format!("bytes of one scan ({SCAN_BYTES_MAX}); ask for fewer entries")));
        }
        self.consume(|used, limits| take(&mut used.reads, found.entries.len(), limits.reads, "reads"))?;
        Ok(found
            .entries
            .into_iter()
            .map(|(mut key, value)| (key.split_off(prefix_bytes.min(key.len())), value))
            .collect())
    }

    /// Writes `value` at `key`.
    pub fn put(&mut self, table: &str, key: &[u8], value: Vec<u8>) -> Result<(), OperationError> {
        if value.len() > VALUE_BYTES_MAX {
            let message = format!("a value of {} bytes is larger than {VALUE_BYTES_MAX}", value.len());
            return Err(OperationError::Invalid(message));
        }
        let full = self.table_key(Space::Value, table, key)?;
        self.consume_write(key.len() + value.len())?;
        self.overlay.put(full, value.into());
        Ok(())
    }

    /// Removes `key`.
    pub fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), OperationError> {
        let full = self.table_key(Space::Value, table, key)?;
        self.consume_write(key.len())?;
        self.overlay.delete(full);
        Ok(())
    }

    /// Adds to a counter within bounds; [`OperationError::Bound`] otherwise.
    pub async fn counter_add(
        &mut self,
        table: &str,
        key: &[u8],
        delta: i64,
        min: Option<i64>,
        max: Option<i64>,
    ) -> Result<(), OperationError> {
        let full = self.table_key(Space::Counter, table, key)?;
        self.consume_write(key.len() + 8)?;
        let result = self.overlay.counter_add(&full, delta, min, max).await;
        match self.store_result(result)? {
            Addition::Added => Ok(()),
            Addition::Refused => Err(OperationError::Bound),
        }
    }

    /// The counter's exact value, own additions included.
    pub async fn counter_get(&mut self, table: &str, key: &[u8]) -> Result<i64, OperationError> {
        let full = self.table_key(Space::Counter, table, key)?;
        self.consume(|used, limits| take(&mut used.reads, 1, limits.reads, "reads"))?;
        let result = self.overlay.counter_get(&full).await;
        self.store_result(result)
    }

    /// Whether the counter, own additions included, is at least `threshold`.
    pub async fn counter_at_least(&mut self, table: &str, key: &[u8], threshold: i64) -> Result<bool, OperationError> {
        let full = self.table_key(Space::Counter, table, key)?;
        self.consume(|used, limits| take(&mut used.reads, 1, limits.reads, "reads"))?;
        let result = self.overlay.counter_at_least(&full, threshold).await;
        self.store_result(result)
    }

    fn consume_write(&mut self, bytes: usize) -> Result<(), OperationError> {
        self.consume(|used, limits| {
            let total = used.write_bytes.saturating_add(bytes as u64);
            if total > limits.write_bytes {
                return Err(OperationError::Limit(format!("bytes written ({})", limits.write_bytes)));
            }
            take(&mut used.writes, 1, limits.writes, "writes")?;
            used.write_bytes = total;
            Ok(())
        })
    }

    fn table_base(&self, space: Space, table: &str) -> Result<KeyBuilder, OperationError> {
        check_table(table)?;
        let plugin: &PluginId = self.plugin();
        Ok(keys::table(&self.merchant, space, plugin, table))
    }

    fn table_key(&self, space: Space, table: &str, key: &[u8]) -> Result<Key, OperationError> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(OperationError::Invalid(format!("a key has 1 to {KEY_BYTES_MAX} bytes, not {}", key.len())));
        }
        Ok(self.table_base(space, table)?.rest(key).key())
    }
}

fn check_table(table: &str) -> Result<(), OperationError> {
    let mut bytes = table.bytes();
    let head = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let tail = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if head && tail && table.len() <= TABLE_NAME_BYTES_MAX {
        return Ok(());
    }
    let shown: String = table.chars().take(80).collect();
    Err(OperationError::Invalid(format!(
        "`{shown}` is not a table name: use a lower-case letter, then lower-case letters, digits and hyphens; at most {TABLE_NAME_BYTES_MAX} characters"
    )))
}
