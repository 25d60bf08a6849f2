//! `kontor:host/store`.

use crate::bindings::store::{Entry, Host, KeyRange, StoreError};
use crate::execution::Guest;
use crate::host::{Refusal, bounded};
use crate::limits::STORE_TIMEOUT;
use crate::stop;

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(text) => Self::Invalid(text),
            Refusal::Bound => Self::Bound,
            Refusal::Limit(text) => Self::Limit(text),
            Refusal::Denied(text) => Self::Other(text),
        }
    }
}

type HostResult<T> = wasmtime::Result<Result<T, StoreError>>;

impl Host for Guest {
    async fn get(&mut self, table: String, key: Vec<u8>) -> HostResult<Option<Vec<u8>>> {
        let transaction = &mut self.shared()?.transaction;
        let result = bounded(STORE_TIMEOUT, transaction.get(&table, &key)).await;
        let result = self.settle(result, stop::LIMIT)?;
        Ok(result.map(|value| value.map(Vec::from)).map_err(Into::into))
    }

    async fn get_many(&mut self, table: String, keys: Vec<Vec<u8>>) -> HostResult<Vec<Option<Vec<u8>>>> {
        let transaction = &mut self.shared()?.transaction;
        let result = bounded(STORE_TIMEOUT, transaction.get_many(&table, &keys)).await;
        let result = self.settle(result, stop::LIMIT)?;
        Ok(result.map(|values| values.into_iter().map(|value| value.map(Vec::from)).collect()).map_err(Into::into))
    }

    fn put(&mut self, table: String, key: Vec<u8>, value: Vec<u8>) -> HostResult<()> {
        let result = self.context()?.transaction.put(&table, &key, value);
        Ok(self.settle(result, stop::LIMIT)?.map_err(Into::into))
    }

    fn delete(&mut self, table: String, key: Vec<u8>) -> HostResult<()> {
        let result = self.context()?.transaction.delete(&table, &key);
        Ok(self.settle(result, stop::LIMIT)?.map_err(Into::into))
    }

    async fn scan(&mut self, table: String, range: KeyRange, reverse: bool, limit: u32) -> HostResult<Vec<Entry>> {
        let transaction = &mut self.shared()?.transaction;
        let scan = transaction.scan(&table, range.start.as_deref(), range.end.as_deref(), reverse, limit);
        let result = bounded(STORE_TIMEOUT, scan).await;
        let result = self.settle(result, stop::LIMIT)?;
        Ok(result
            .map(|entries| entries.into_iter().map(|(key, value)| Entry { key, value: Vec::from(value) }).collect())
            .map_err(Into::into))
    }

    async fn counter_add(
        &mut self,
        table: String,
        key: Vec<u8>,
        delta: i64,
        min: Option<i64>,
        max: Option<i64>,
    ) -> HostResult<()> {
        let transaction = &mut self.context()?.transaction;
        let result = bounded(STORE_TIMEOUT, transaction.counter_add(&table, &key, delta, min, max)).await;
        Ok(self.settle(result, stop::LIMIT)?.map_err(Into::into))
    }

    async fn counter_get(&mut self, table: String, key: Vec<u8>) -> HostResult<i64> {
        let transaction = &mut self.shared()?.transaction;
        let result = bounded(STORE_TIMEOUT, transaction.counter_get(&table, &key)).await;
        Ok(self.settle(result, stop::LIMIT)?.map_err(Into::into))
    }

    async fn counter_at_least(&mut self, table: String, key: Vec<u8>, threshold: i64) -> HostResult<bool> {
        let transaction = &mut self.context()?.transaction;
        let result = bounded(STORE_TIMEOUT, transaction.counter_at_least(&table, &key, threshold)).await;
        Ok(self.settle(result, stop::LIMIT)?.map_err(Into::into))
    }
}
