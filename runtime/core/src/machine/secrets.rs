//! Secrets that a merchant sets for a plugin. Stored as they are (see [`SecretValue`]); shown to nobody but the plugin that declares
//! them, and even to it only if that was granted.

use super::Machine;
use super::host_transaction::transact;
use crate::error::Error;
use crate::ids::{MerchantId, PluginId};
use crate::keys::{KeyBuilder, Space};
use crate::limits::SECRET_BYTES_MAX;
use crate::records::{SecretStatus, SecretValue};
use crate::revision::SecretSpec;
use crate::store::{Durability, Key, ReadView, Value};
use crate::transaction::Secrets;

fn secret_key(merchant: &MerchantId, plugin: &PluginId, name: &str) -> Key {
    KeyBuilder::new(merchant, Space::Secret).name(plugin.as_str()).text(name).key()
}

/// All secrets of a merchant.
pub(super) async fn load(merchant: &MerchantId, view: &dyn ReadView) -> Result<Secrets, Error> {
    let range = KeyBuilder::new(merchant, Space::Secret).range();
    let skip = range.start.len();
    let mut secrets = Secrets::new();
    for (key, value) in view.scan(&range, false, usize::MAX).await?.entries {
        let damaged = || Error::RecordDamaged("secret".to_owned());
        let tail = key.get(skip..).ok_or_else(damaged)?;
        let end = tail.iter().position(|byte| *byte == 0).ok_or_else(damaged)?;
        let plugin = tail.get(..end).and_then(|name| std::str::from_utf8(name).ok()).ok_or_else(damaged)?;
        let plugin = PluginId::new(plugin).map_err(|_| damaged())?;
        let (name, _) = tail.get(end + 1..).and_then(crate::keys::split_text).ok_or_else(damaged)?;
        let value = std::str::from_utf8(&value).map_err(|_| damaged())?;
        secrets.insert((plugin, name), SecretValue::new(value));
    }
    Ok(secrets)
}

impl Machine {
    async fn declared(&self, merchant: &MerchantId, plugin: &PluginId, name: &str) -> Result<(), Error> {
        let specs = self.declared_secrets(merchant, plugin).await?;
        if specs.iter().any(|spec| spec.name == name) {
            return Ok(());
        }
        Err(Error::SecretUndeclared { plugin: plugin.clone(), name: name.chars().take(80).collect() })
    }

    async fn declared_secrets(&self, merchant: &MerchantId, plugin: &PluginId) -> Result<Vec<SecretSpec>, Error> {
        let revision = self.current(merchant).await?;
        match revision.plugins.get(plugin) {
            Some(installed) => Ok(installed.spec.secrets.clone()),
            None => Err(Error::PluginUnknown { merchant: merchant.clone(), plugin: plugin.clone() }),
        }
    }

    /// Sets a secret that the installed plugin declares.
    pub async fn set_secret(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        name: &str,
        value: SecretValue,
    ) -> Result<(), Error> {
        self.declared(merchant, plugin, name).await?;
        let length = value.expose().len();
        if length == 0 || length > SECRET_BYTES_MAX {
            return Err(Error::Invalid(format!("a secret has 1 to {SECRET_BYTES_MAX} bytes, not {length}")));
        }
        let key = secret_key(merchant, plugin, name);
        let bytes = Value::copy_from_slice(value.expose().as_bytes());
        transact!(self, Durability::Durable, |overlay| {
            overlay.put(key.clone(), bytes.clone());
            Ok(())
        })?;
        self.merchant(merchant).await?.forget_secrets();
        Ok(())
    }

    /// Forgets a secret; not being set is no error.
    pub async fn unset_secret(&self, merchant: &MerchantId, plugin: &PluginId, name: &str) -> Result<(), Error> {
        let state = self.merchant(merchant).await?;
        let key = secret_key(merchant, plugin, name);
        transact!(self, Durability::Durable, |overlay| {
            overlay.delete(key.clone());
            Ok(())
        })?;
        state.forget_secrets();
        Ok(())
    }

    /// The secrets that the plugin declares, without values.
    pub async fn secrets(&self, merchant: &MerchantId, plugin: &PluginId) -> Result<Vec<SecretStatus>, Error> {
        let specs = self.declared_secrets(merchant, plugin).await?;
        let state = self.merchant(merchant).await?;
        let view = self.parts.store.begin().await?;
        let known = state.secrets(view.as_ref()).await?;
        Ok(specs
            .into_iter()
            .map(|spec| SecretStatus {
                set: known.contains_key(&(plugin.clone(), spec.name.clone())),
                name: spec.name,
                description: spec.description,
                plain: spec.plain,
            })
            .collect())
    }
}
