//! Counting what plugins use, in memory: for metrics and for the merchant's eyes.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::Machine;
use super::invoke::{Ended, Invocation, Settled};
use crate::executor::{Reply, Usage};
use crate::ids::{MerchantId, PluginId};
use crate::records::PluginUsage;

impl Machine {
    /// What each plugin used since the process started.
    pub fn usage(&self) -> BTreeMap<(MerchantId, PluginId), PluginUsage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn count_usage(
        &self,
        invocation: &Invocation,
        used: &[(PluginId, Usage)],
        conflicts: u32,
        settled: Option<&Settled>,
    ) {
        let failed = match settled.map(|settled| &settled.result) {
            Some(Ended::Executed(Ok(Reply::Http(response)))) => response.status >= 500,
            Some(Ended::Executed(result)) => result.is_err(),
            Some(Ended::Answered(_) | Ended::Gone) => false,
            None => true,
        };
        let merchant = &invocation.merchant.id;
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = usage.entry((merchant.clone(), invocation.plugin.clone())).or_default();
        entry.invocations += 1;
        entry.conflicts += u64::from(conflicts);
        entry.failures += u64::from(failed);
        for (plugin, used) in used {
            let entry = usage.entry((merchant.clone(), plugin.clone())).or_default();
            entry.calls += used.calls;
            entry.fuel = entry.fuel.saturating_add(used.fuel);
            entry.memory_bytes_max = entry.memory_bytes_max.max(used.memory_bytes);
        }
    }
}
