//! Exchanges with other servers: rate budget, journal, the exchange. A response, or an error after which the server may have acted, is
//! recorded durably before the guest sees it, so that a re-execution, or the same attempt after a crash, sees it again
//! instead of a second exchange.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};

use super::{Parts, budgets};
use crate::codec::{decode, encode};
use crate::effects::{OutboundError, OutboundRequest, OutboundResponse};
use crate::ids::{InvocationId, MerchantId};
use crate::keys;
use crate::limits::BUDGET_WAIT_MS_MAX;
use crate::lock::Guard;
use crate::observer::FetchReport;
use crate::revision::{InstalledPlugin, RateBudget};
use crate::store::{Commit, CommitError, Durability, Key, StoreError, Write};
use crate::transaction::{Exchange, ExchangeError, Outside};

/// A recorded exchange.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct JournalRecord {
    digest: String,
    result: Result<OutboundResponse, OutboundError>,
    /// For housekeeping.
    pub(super) recorded_ms: u64,
}

/// The outside for one attempt of one invocation; lives across its executions.
#[derive(Debug)]
pub(super) struct Exchanger {
    parts: Arc<Parts>,
    merchant: MerchantId,
    invocation: InvocationId,
    /// Retries of a job have a journal each: a failure is not replayed to the next attempt.
    attempt: u32,
    /// Name of a budget from which the start of the job took a token: its first request takes no second one.
    prepaid: Mutex<Option<String>>,
    /// The merchant's exclusive lane, if the invocation runs alone: given up before a live exchange, which may take long.
    exclusive: Mutex<Option<Guard>>,
    /// What the journal has, as far as this attempt has seen.
    recorded: Mutex<BTreeSet<u32>>,
}

impl Exchanger {
    pub(super) fn new(
        parts: Arc<Parts>,
        merchant: MerchantId,
        invocation: InvocationId,
        attempt: u32,
        prepaid: Option<String>,
    ) -> Self {
        Self {
            parts,
            merchant,
            invocation,
            attempt,
            prepaid: Mutex::new(prepaid),
            exclusive: Mutex::new(None),
            recorded: Mutex::default(),
        }
    }

    pub(super) fn hold(&self, guard: Option<Guard>) {
        *self.exclusive.lock().unwrap_or_else(PoisonError::into_inner) = guard;
    }

    pub(super) fn take_held(&self) -> Option<Guard> {
        self.exclusive.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The journal's keys, for removal in the invocation's last commit. They are removed without being read there: they are newer than
    /// the view of the execution that wrote them.
    pub(super) fn journal_keys(&self) -> Vec<Key> {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.iter().map(|ordinal| self.key(*ordinal)).collect()
    }

    fn note(&self, ordinal: u32) {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).insert(ordinal);
    }

    fn key(&self, ordinal: u32) -> Key {
        keys::journal(&self.merchant, &self.invocation, self.attempt).small(ordinal).key()
    }

    async fn replay(&self, exchange: &Exchange) -> Result<Option<JournalRecord>, ExchangeError> {
        let view = self.parts.store.begin().await?;
        let Some(bytes) = view.get(&self.key(exchange.ordinal)).await? else {
            return Ok(None);
        };
        self.note(exchange.ordinal);
        // A damaged record is as good as none: the idempotency key still protects the other side.
        Ok(decode("journal", &bytes).ok().filter(|record: &JournalRecord| record.digest == exchange.digest))
    }

    /// Takes a token of every budget that the request falls under; waits a little, or says how long it would take.
    async fn pay(&self, installed: &InstalledPlugin, exchange: &Exchange) -> Result<(), OutboundError> {
        let method = exchange.request.method.as_str();
        for budget in budgets::matching(installed, &exchange.host, method, &exchange.path) {
            {
                let mut prepaid = self.prepaid.lock().unwrap_or_else(PoisonError::into_inner);
                if prepaid.as_deref() == Some(budget.name.as_str()) {
                    *prepaid = None;
                    continue;
                }
            }
            self.pay_one(&exchange.context.plugin, budget).await?;
        }
        Ok(())
    }

    async fn pay_one(&self, plugin: &crate::ids::PluginId, budget: &RateBudget) -> Result<(), OutboundError> {
        let mut waited_ms = 0;
        loop {
            let now_ms = self.parts.environment.now_ms();
            let Err(wait_ms) = self.parts.budgets.take(&self.merchant, plugin, budget, now_ms) else {
                return Ok(());
            };
            if waited_ms + wait_ms > BUDGET_WAIT_MS_MAX {
                return Err(OutboundError::RateLimited(wait_ms));
            }
            waited_ms += wait_ms;
            drop(self.take_held());
            self.parts.environment.sleep(wait_ms).await;
        }
    }

    async fn record(
        &self,
        exchange: &Exchange,
        result: &Result<OutboundResponse, OutboundError>,
    ) -> Result<(), StoreError> {
        let record = JournalRecord {
            digest: exchange.digest.clone(),
            result: result.clone(),
            recorded_ms: self.parts.environment.now_ms(),
        };
        let value = encode(&record).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        self.note(exchange.ordinal);
        let view_version = self.parts.store.current_version();
        let commit =
            Commit { view_version, writes: vec![(self.key(exchange.ordinal), Write::Put(value))], ..Commit::default() };
        match self.parts.store.commit(commit, Durability::Durable).await {
            Ok(_) => Ok(()),
            Err(CommitError::Fatal(message)) => Err(StoreError::Fatal(message)),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    fn report(
        &self,
        exchange: &Exchange,
        result: &Result<OutboundResponse, OutboundError>,
        replayed: bool,
        started_ms: u64,
    ) {
        let outcome = match result {
            Ok(response) => response.status.to_string(),
            Err(OutboundError::Denied(_)) => "denied".to_owned(),
            Err(OutboundError::Invalid(_)) => "invalid".to_owned(),
            Err(OutboundError::RateLimited(_)) => "rate-limited".to_owned(),
            Err(OutboundError::Timeout(_)) => "timeout".to_owned(),
            Err(OutboundError::Network(_)) => "network".to_owned(),
        };
        self.parts.observer.fetch(&FetchReport {
            merchant: self.merchant.clone(),
            plugin: exchange.context.plugin.clone(),
            invocation: self.invocation.clone(),
            method: exchange.request.method.clone(),
            host: exchange.host.clone(),
            outcome,
            replayed,
            duration_ms: self.parts.environment.now_ms().saturating_sub(started_ms),
        });
    }

    async fn live(&self, exchange: &Exchange) -> Result<OutboundResponse, ExchangeError> {
        drop(self.take_held());
        let request: OutboundRequest = exchange.request.clone();
        let result = self.parts.outbound.fetch(exchange.context.clone(), request).await;
        // What was refused before it went out is refused again; everything else is what this attempt saw.
        if !matches!(result, Err(OutboundError::Denied(_) | OutboundError::Invalid(_) | OutboundError::RateLimited(_)))
        {
            self.record(exchange, &result).await?;
        }
        result.map_err(ExchangeError::Outbound)
    }
}

impl Outside for Exchanger {
    fn exchange<'a>(
        &'a self,
        installed: &'a InstalledPlugin,
        exchange: Exchange,
    ) -> BoxFuture<'a, Result<OutboundResponse, ExchangeError>> {
        async move {
            let started_ms = self.parts.environment.now_ms();
            if let Some(record) = self.replay(&exchange).await? {
                self.report(&exchange, &record.result, true, started_ms);
                return record.result.map_err(ExchangeError::Outbound);
            }
            let result = match self.pay(installed, &exchange).await {
                Ok(()) => self.live(&exchange).await,
                Err(error) => Err(ExchangeError::Outbound(error)),
            };
            match &result {
                Ok(response) => self.report(&exchange, &Ok(response.clone()), false, started_ms),
                Err(ExchangeError::Outbound(error)) => self.report(&exchange, &Err(error.clone()), false, started_ms),
                Err(ExchangeError::Store(_)) => {}
            }
            result
        }
        .boxed()
    }
}
