//! How fast a plugin may write. Commits of all plugins go through one writer to one disk, and what writes without pause makes
//! everybody wait for both; so what an invocation committed is counted against the plugin that it began with, and a plugin that
//! is over its rate is served one invocation at a time, each when its turn has come. Not here: what one invocation may write
//! ([`crate::limits::PluginLimits`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Machine;
use super::merchants::MerchantState;
use super::work::Lane;
use crate::error::Error;
use crate::ids::PluginId;
use crate::limits::{WRITE_BURST_BYTES, WRITE_BYTES_PER_SECOND, WRITE_QUEUE_MAX};
use crate::lock::{FairLock, Guard};

const MS_PER_SECOND: u64 = 1_000;

/// The rates of a merchant's plugins. Reading costs them nothing but a look.
#[derive(Debug, Default)]
pub(super) struct WriteRates {
    by_plugin: Mutex<BTreeMap<PluginId, Rate>>,
}

/// A bucket that leaks: it fills with what is written, and holds up who finds it over its brim.
#[derive(Debug)]
struct Rate {
    /// Thousandths of a byte, so that every millisecond counts.
    level: u64,
    updated_ms: u64,
    turn: Arc<FairLock>,
    /// Requests that hold the turn or wait for it.
    queued: usize,
}

impl Rate {
    fn new(now_ms: u64) -> Self {
        Self { level: 0, updated_ms: now_ms, turn: Arc::default(), queued: 0 }
    }

    /// The clock may jump: back is no time at all, forward empties it at most.
    fn leak(&mut self, now_ms: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.updated_ms);
        self.level = self.level.saturating_sub(elapsed_ms.saturating_mul(WRITE_BYTES_PER_SECOND));
        self.updated_ms = now_ms;
    }

    fn wait_ms(&self) -> u64 {
        self.level.saturating_sub(WRITE_BURST_BYTES * MS_PER_SECOND).div_ceil(WRITE_BYTES_PER_SECOND)
    }
}

impl WriteRates {
    fn rates(&self) -> MutexGuard<'_, BTreeMap<PluginId, Rate>> {
        self.by_plugin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An invocation that began with `plugin` committed so much.
    pub(super) fn wrote(&self, plugin: &PluginId, bytes: usize, now_ms: u64) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let mut rates = self.rates();
        // Plugins are few; the key is copied once in a process' life.
        if !rates.contains_key(plugin) {
            rates.insert(plugin.clone(), Rate::new(now_ms));
        }
        if let Some(rate) = rates.get_mut(plugin) {
            rate.leak(now_ms);
            rate.level = rate.level.saturating_add(bytes.saturating_mul(MS_PER_SECOND));
        }
    }

    /// After how many milliseconds the plugin may write again; 0 is now.
    pub(super) fn wait_ms(&self, plugin: &PluginId, now_ms: u64) -> u64 {
        let mut rates = self.rates();
        let Some(rate) = rates.get_mut(plugin) else { return 0 };
        rate.leak(now_ms);
        rate.wait_ms()
    }

    /// The lane in which requests queue while the plugin is over its rate, or others queue there still.
    fn lane(&self, plugin: &PluginId, now_ms: u64) -> Result<Option<Arc<FairLock>>, Error> {
        let mut rates = self.rates();
        let Some(rate) = rates.get_mut(plugin) else { return Ok(None) };
        rate.leak(now_ms);
        if rate.queued == 0 && rate.wait_ms() == 0 {
            return Ok(None);
        }
        if rate.queued >= WRITE_QUEUE_MAX {
            return Err(Error::Unavailable(format!(
                "plugin `{plugin}` writes more than {WRITE_BYTES_PER_SECOND} bytes a second, and {WRITE_QUEUE_MAX} requests wait for \
                 their turn already"
            )));
        }
        rate.queued += 1;
        Ok(Some(rate.turn.clone()))
    }

    fn leave(&self, plugin: &PluginId) {
        if let Some(rate) = self.rates().get_mut(plugin) {
            rate.queued = rate.queued.saturating_sub(1);
        }
    }
}

/// A place in the queue of a plugin that is over its rate; given up when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    merchant: Arc<MerchantState>,
    plugin: PluginId,
    _guard: Option<Guard>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.merchant.write_rates.leave(&self.plugin);
    }
}

impl Machine {
    /// After how many milliseconds the plugin whose work this is may write again; 0 is now.
    pub(super) async fn write_wait_ms(&self, lane: &Lane, now_ms: u64) -> u64 {
        match (lane.kind.plugin(), self.merchant(&lane.merchant).await) {
            (Some(plugin), Ok(merchant)) => merchant.write_rates.wait_ms(plugin, now_ms),
            // Who cannot be looked up has no rate; finding the work says what is wrong.
            _ => 0,
        }
    }

    /// Waits until `plugin` may write. What it returns is kept until the invocation has ended.
    pub(super) async fn wait_to_write(
        &self,
        merchant: &Arc<MerchantState>,
        plugin: &PluginId,
    ) -> Result<Option<Turn>, Error> {
        let environment = &self.parts.environment;
        let Some(lane) = merchant.write_rates.lane(plugin, environment.now_ms())? else {
            return Ok(None);
        };
        let mut turn = Turn { merchant: merchant.clone(), plugin: plugin.clone(), _guard: None };
        turn._guard = Some(lane.exclusive().await);
        loop {
            let wait_ms = merchant.write_rates.wait_ms(plugin, environment.now_ms());
            if wait_ms == 0 {
                return Ok(Some(turn));
            }
            environment.sleep(wait_ms).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_writes_its_burst_at_once_and_its_rate_from_then_on() {
        let (rates, plugin) = (WriteRates::default(), PluginId::new("p").unwrap());
        let each = 2 << 20;
        let (mut now_ms, mut written) = (0, 0_u64);
        while now_ms < 10_000 {
            match rates.wait_ms(&plugin, now_ms) {
                0 => {
                    rates.wrote(&plugin, each, now_ms);
                    written += each as u64;
                }
                wait_ms => now_ms += wait_ms,
            }
        }
        let most = WRITE_BURST_BYTES + 10 * WRITE_BYTES_PER_SECOND;
        assert!((most..=most + 2 * each as u64).contains(&written), "{written}");
        assert_eq!(rates.wait_ms(&PluginId::new("q").unwrap(), 0), 0, "another plugin waits for nothing");
    }

    #[test]
    fn a_clock_that_jumps_lets_nobody_wait_longer_than_the_bucket_is_full() {
        let (rates, plugin) = (WriteRates::default(), PluginId::new("p").unwrap());
        rates.wrote(&plugin, usize::try_from(WRITE_BURST_BYTES + WRITE_BYTES_PER_SECOND).unwrap(), 5_000);
        assert_eq!(rates.wait_ms(&plugin, 5_000), 1_000);
        assert_eq!(rates.wait_ms(&plugin, 1_000), 1_000, "back is no time at all");
        assert_eq!(rates.wait_ms(&plugin, 1_400), 600);
        assert_eq!(rates.wait_ms(&plugin, u64::MAX), 0);
    }
}
