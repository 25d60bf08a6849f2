//! Records of the server in the same store: tokens, what is installed where. The machine knows nothing of what is in them.

use super::Machine;
use super::host_transaction::transact;
use crate::error::Error;
use crate::ids::MerchantId;
use crate::keys::{self, prefix_range};
use crate::limits::KEY_BYTES_MAX;
use crate::overlay::Overlay;
use crate::store::Durability;

fn check_key(key: &str) -> Result<(), Error> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Error::Invalid(format!("a record's key has 1 to {KEY_BYTES_MAX} bytes, not {}", key.len())));
    }
    Ok(())
}

impl Machine {
    /// A record. `merchant: None` is host-wide.
    pub async fn host_get(&self, merchant: Option<&MerchantId>, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let view = self.parts.store.begin().await?;
        Ok(view.get(&keys::host(merchant, key)).await?.map(|value| value.to_vec()))
    }

    /// Writes a record.
    pub async fn host_put(&self, merchant: Option<&MerchantId>, key: &str, value: Vec<u8>) -> Result<(), Error> {
        check_key(key)?;
        let key = keys::host(merchant, key);
        transact!(self, Durability::Durable, |overlay| {
            overlay.put(key.clone(), value.clone().into());
            Ok(())
        })
    }

    /// Writes a record if there is none; whether it did.
    pub async fn host_create(&self, merchant: Option<&MerchantId>, key: &str, value: Vec<u8>) -> Result<bool, Error> {
        check_key(key)?;
        let key = keys::host(merchant, key);
        transact!(self, Durability::Durable, |overlay| {
            if overlay.get(&key).await?.is_some() {
                return Ok(false);
            }
            overlay.put(key.clone(), value.clone().into());
            Ok(true)
        })
    }

    /// Removes a record.
    pub async fn host_delete(&self, merchant: Option<&MerchantId>, key: &str) -> Result<(), Error> {
        let key = keys::host(merchant, key);
        transact!(self, Durability::Durable, |overlay| {
            overlay.delete(key.clone());
            Ok(())
        })
    }

    /// Records whose key begins with `prefix`, sorted.
    pub async fn host_list(
        &self,
        merchant: Option<&MerchantId>,
        prefix: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let skip = keys::host(merchant, "").len();
        let range = prefix_range(keys::host(merchant, prefix));
        let mut overlay = Overlay::new(self.parts.store.begin().await?);
        let found = overlay.scan(&range, false, usize::MAX, usize::MAX).await?;
        Ok(found
            .entries
            .into_iter()
            .filter_map(|(key, value)| {
                let name = std::str::from_utf8(key.get(skip..)?).ok()?;
                Some((name.to_owned(), value.to_vec()))
            })
            .collect())
    }
}
