//! The machine: runs invocations to a committed end, delivers events, runs jobs, switches revisions. It does nothing by itself: the
//! server (or a simulator) calls it, and drives background work through [`Machine::due_work`] and [`Machine::run`], or through
//! [`Machine::pump`], which is made of the two. Not here: what a guest may do ([`crate::transaction`]).

mod budgets;
mod dead_letters;
mod delivery;
mod event_log;
mod exchange;
mod host_records;
mod host_transaction;
mod housekeeping;
mod invoke;
mod jobs;
mod merchants;
mod pump;
mod recall;
mod request;
mod revisions;
mod schedules;
mod secrets;
mod usage;
mod validation;
mod work;
mod write_rate;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::effects::{Environment, Outbound};
use crate::error::Error;
use crate::executor::Executor;
use crate::ids::{MerchantId, PluginId};
use crate::lock::FairLock;
use crate::observer::Observer;
use crate::records::PluginUsage;
use crate::store::TxStore;

use self::budgets::Budgets;
use self::merchants::MerchantState;
pub use self::validation::check_plugins;
use self::work::Board;
pub use self::work::{WorkItem, WorkOutcome};

/// Lanes in which losers on the same keys queue behind each other. More lanes, fewer strangers in one.
const KEY_LANES: usize = 256;

/// What can be tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long an idempotency key is remembered.
    pub idempotency_ms: u64,
    /// Attempts to deliver an event before it goes to the dead letters.
    pub delivery_attempts_max: u32,
    /// First backoff of a failed delivery.
    pub delivery_backoff_ms: u64,
    /// How long events stay in the log.
    pub event_retention_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        let day_ms = 24 * 60 * 60 * 1000;
        Self {
            idempotency_ms: day_ms,
            delivery_attempts_max: 12,
            delivery_backoff_ms: 500,
            event_retention_ms: 90 * day_ms,
        }
    }
}

/// What every part of the machine works with.
#[derive(Debug)]
struct Parts {
    store: Arc<dyn TxStore>,
    executor: Arc<dyn Executor>,
    environment: Arc<dyn Environment>,
    outbound: Arc<dyn Outbound>,
    observer: Arc<dyn Observer>,
    options: Options,
    budgets: Budgets,
}

/// See the module.
#[derive(Debug)]
pub struct Machine {
    parts: Arc<Parts>,
    merchants: Mutex<BTreeMap<MerchantId, Arc<MerchantState>>>,
    key_lanes: Vec<Arc<FairLock>>,
    board: Arc<Board>,
    usage: Mutex<BTreeMap<(MerchantId, PluginId), PluginUsage>>,
}

impl Machine {
    /// Opens the machine over a store: reads which merchants there are and which work was left.
    pub async fn open(
        store: Arc<dyn TxStore>,
        executor: Arc<dyn Executor>,
        environment: Arc<dyn Environment>,
        outbound: Arc<dyn Outbound>,
        observer: Arc<dyn Observer>,
        options: Options,
    ) -> Result<Arc<Self>, Error> {
        let parts = Parts { store, executor, environment, outbound, observer, options, budgets: Budgets::default() };
        let machine = Arc::new(Self {
            parts: Arc::new(parts),
            merchants: Mutex::default(),
            key_lanes: (0..KEY_LANES).map(|_| Arc::default()).collect(),
            board: Arc::default(),
            usage: Mutex::default(),
        });
        for merchant in machine.merchants().await? {
            let revision = machine.current(&merchant).await?;
            machine.look_for_work(&merchant, &revision).await?;
        }
        Ok(machine)
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn TxStore> {
        &self.parts.store
    }

    /// The clock that the machine goes by.
    pub fn now_ms(&self) -> u64 {
        self.parts.environment.now_ms()
    }
}
