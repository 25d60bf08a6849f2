//! Rate budgets: token buckets in memory, one per (merchant, plugin, budget), with the time handed in. A bucket starts with one
//! token, not full: a process that restarts often must not send a burst each time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::ids::{MerchantId, PluginId};
use crate::revision::{InstalledPlugin, RateBudget, matches_host, matches_path};

/// Parts of a token that are counted: a rate in thousandths of a token a second gives exactly so many a millisecond.
const MICRO: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    micro_tokens: u64,
    updated_ms: u64,
}

impl Bucket {
    /// Until there is one more token than now.
    fn wait_ms(&self, budget: &RateBudget) -> u64 {
        let missing = MICRO - self.micro_tokens % MICRO;
        missing.div_ceil(budget.rate_millihertz.max(1)).max(1)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    buckets: Mutex<BTreeMap<(MerchantId, PluginId, String), Bucket>>,
}

impl Budgets {
    /// Takes a token, or says after how many milliseconds there will be one.
    pub(crate) fn take(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        budget: &RateBudget,
        now_ms: u64,
    ) -> Result<(), u64> {
        self.with_bucket(merchant, plugin, budget, now_ms, |bucket| {
            if bucket.micro_tokens < MICRO {
                return Err(bucket.wait_ms(budget));
            }
            bucket.micro_tokens -= MICRO;
            Ok(())
        })
    }

    /// How many tokens there are, and after how many milliseconds there will be one more than that.
    pub(crate) fn available(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        budget: &RateBudget,
        now_ms: u64,
    ) -> (u64, u64) {
        self.with_bucket(merchant, plugin, budget, now_ms, |bucket| {
            (bucket.micro_tokens / MICRO, bucket.wait_ms(budget))
        })
    }

    fn with_bucket<T>(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        budget: &RateBudget,
        now_ms: u64,
        then: impl FnOnce(&mut Bucket) -> T,
    ) -> T {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = u64::from(budget.burst.max(1)) * MICRO;
        let bucket = buckets
            .entry((merchant.clone(), plugin.clone(), budget.name.clone()))
            .or_insert(Bucket { micro_tokens: MICRO, updated_ms: now_ms });
        // The clock may jump: back is no time at all, forward fills the bucket at most.
        let elapsed_ms = now_ms.saturating_sub(bucket.updated_ms);
        let refill = elapsed_ms.saturating_mul(budget.rate_millihertz);
        bucket.micro_tokens = bucket.micro_tokens.saturating_add(refill).min(full);
        bucket.updated_ms = now_ms;
        then(bucket)
    }

    /// Gives back a token that was not used.
    pub(crate) fn give_back(&self, merchant: &MerchantId, plugin: &PluginId, budget: &RateBudget) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(&(merchant.clone(), plugin.clone(), budget.name.clone())) {
            bucket.micro_tokens = bucket.micro_tokens.saturating_add(MICRO).min(u64::from(budget.burst.max(1)) * MICRO);
        }
    }
}

/// The budget of that name.
pub(crate) fn named<'a>(installed: &'a InstalledPlugin, name: &str) -> Option<&'a RateBudget> {
    installed.spec.outbound.iter().flat_map(|host| &host.budgets).find(|budget| budget.name == name)
}

/// The budgets that a request takes a token from.
pub(crate) fn matching<'a>(
    installed: &'a InstalledPlugin,
    host: &str,
    method: &str,
    path: &str,
) -> Vec<&'a RateBudget> {
    installed
        .spec
        .outbound
        .iter()
        .filter(|outbound| outbound.resolved(&installed.config).is_some_and(|granted| matches_host(&granted, host)))
        .flat_map(|outbound| &outbound.budgets)
        .filter(|budget| (budget.method == "*" || budget.method == method) && matches_path(&budget.path, path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_rate_and_no_more() {
        let budgets = Budgets::default();
        let (merchant, plugin) = (MerchantId::new("m").unwrap(), PluginId::new("p").unwrap());
        let budget =
            RateBudget { name: "b".into(), method: "*".into(), path: "/{*x}".into(), rate_millihertz: 5_000, burst: 3 };
        let mut taken = 0;
        for now_ms in 0..10_000 {
            while budgets.take(&merchant, &plugin, &budget, now_ms).is_ok() {
                taken += 1;
            }
        }
        // One at the start, five a second after it.
        assert_eq!(taken, 1 + 49);
        assert_eq!(budgets.take(&merchant, &plugin, &budget, 9_999), Err(1));
        // A long pause gives the burst, a clock that jumps back gives nothing.
        assert!((0..3).all(|_| budgets.take(&merchant, &plugin, &budget, 100_000).is_ok()));
        assert_eq!(budgets.take(&merchant, &plugin, &budget, 100_000), Err(200));
        assert_eq!(budgets.take(&merchant, &plugin, &budget, 50_000), Err(200));
        budgets.give_back(&merchant, &plugin, &budget);
        assert!(budgets.take(&merchant, &plugin, &budget, 50_000).is_ok());
    }
}
