//! Metrics of requests and invocations, kept once they were looked up: a look-up clones its labels and hashes them, and every
//! request would make a dozen of them. What is kept is as much as the recorder itself keeps: merchants times plugins.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use kontor_core::executor::Usage;
use kontor_core::ids::{MerchantId, PluginId};
use kontor_core::observer::{InvocationKind, InvocationReport};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Outcome of requests that were answered with what the plugin had answered before.
const RECALLED: &str = "recalled";

/// Metrics of invocations, by merchant and plugin.
#[derive(Default)]
pub(crate) struct InvocationMeters(Mutex<BTreeMap<MerchantId, BTreeMap<PluginId, PluginMeters>>>);

impl fmt::Debug for InvocationMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvocationMeters").finish_non_exhaustive()
    }
}

struct PluginMeters {
    calls: Counter,
    fuel: Counter,
    memory: Gauge,
    kinds: BTreeMap<InvocationKind, KindMeters>,
}

struct KindMeters {
    duration: Histogram,
    executions: Counter,
    conflicts: Counter,
    reexecutions: Counter,
    exclusive: Counter,
    outcomes: BTreeMap<String, Counter>,
}

impl InvocationMeters {
    /// Counts an invocation that ended.
    pub(crate) fn count(&self, report: &InvocationReport) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let plugins = all.entry(report.merchant.clone()).or_default();
        let (merchant, plugin) = (&report.merchant, &report.plugin);
        known(plugins, merchant, plugin).kind(merchant, plugin, report.kind).count(report);
        for (plugin, usage) in &report.usage {
            known(plugins, merchant, plugin).count(usage);
        }
    }

    /// Counts a request that was answered without executing it.
    pub(crate) fn count_recalled(&self, merchant: &MerchantId, plugin: &PluginId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known(all.entry(merchant.clone()).or_default(), merchant, plugin);
        known.calls.increment(1);
        known.kind(merchant, plugin, InvocationKind::Request).ended(
            merchant,
            plugin,
            InvocationKind::Request,
            RECALLED,
        );
    }
}

fn known<'a>(
    plugins: &'a mut BTreeMap<PluginId, PluginMeters>,
    merchant: &MerchantId,
    plugin: &PluginId,
) -> &'a mut PluginMeters {
    plugins.entry(plugin.clone()).or_insert_with(|| PluginMeters::new(merchant, plugin))
}

impl PluginMeters {
    fn new(merchant: &MerchantId, plugin: &PluginId) -> Self {
        let labels = [("merchant", merchant.to_string()), ("plugin", plugin.to_string())];
        Self {
            calls: counter!("kontor_plugin_calls_total", &labels),
            fuel: counter!("kontor_fuel_total", &labels),
            memory: gauge!("kontor_plugin_memory_bytes", &labels),
            kinds: BTreeMap::new(),
        }
    }

    fn kind(&mut self, merchant: &MerchantId, plugin: &PluginId, kind: InvocationKind) -> &mut KindMeters {
        self.kinds.entry(kind).or_insert_with(|| KindMeters::new(merchant, plugin, kind))
    }

    fn count(&self, usage: &Usage) {
        self.calls.increment(usage.calls);
        self.fuel.increment(usage.fuel);
        // Zero is that of service calls that were answered without executing them.
        if usage.memory_bytes > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a guest's memory is far below 2^53 bytes")]
            self.memory.set(usage.memory_bytes as f64);
        }
    }
}

impl KindMeters {
    fn new(merchant: &MerchantId, plugin: &PluginId, kind: InvocationKind) -> Self {
        let labels = labels(merchant, plugin, kind);
        Self {
            duration: histogram!("kontor_invocation_duration_seconds", &labels),
            executions: counter!("kontor_executions_total", &labels),
            conflicts: counter!("kontor_conflicts_total", &labels),
            reexecutions: counter!("kontor_reexecutions_total", &labels),
            exclusive: counter!("kontor_exclusive_invocations_total", &labels),
            outcomes: BTreeMap::new(),
        }
    }

    fn count(&mut self, report: &InvocationReport) {
        #[expect(clippy::cast_precision_loss, reason = "a duration above 2^53 ms does not happen")]
        self.duration.record(report.duration_ms as f64 / 1000.0);
        self.executions.increment(u64::from(report.executions));
        self.conflicts.increment(u64::from(report.conflicts));
        self.reexecutions.increment(u64::from(report.executions.saturating_sub(1)));
        self.exclusive.increment(u64::from(report.exclusive));
        self.ended(&report.merchant, &report.plugin, report.kind, &report.outcome);
    }

    /// Counts how an invocation ended.
    fn ended(&mut self, merchant: &MerchantId, plugin: &PluginId, kind: InvocationKind, outcome: &str) {
        if let Some(known) = self.outcomes.get(outcome) {
            known.increment(1);
            return;
        }
        let labels: Vec<_> =
            labels(merchant, plugin, kind).into_iter().chain([("outcome", outcome.to_owned())]).collect();
        let fresh = counter!("kontor_invocations_total", &labels);
        fresh.increment(1);
        self.outcomes.insert(outcome.to_owned(), fresh);
    }
}

fn labels(merchant: &MerchantId, plugin: &PluginId, kind: InvocationKind) -> [(&'static str, String); 3] {
    [("merchant", merchant.to_string()), ("plugin", plugin.to_string()), ("kind", kind.as_str().to_owned())]
}

/// Requests and the time to their answers, by class of route and status.
type Requests = BTreeMap<(&'static str, u16), (Counter, Histogram)>;

/// By merchant and plugin.
static REQUESTS: OnceLock<Mutex<BTreeMap<String, BTreeMap<String, Requests>>>> = OnceLock::new();

/// Counts a request that was answered. Merchant and plugin are empty if it was the host's own.
pub(crate) fn count_request(merchant: &str, plugin: &str, class: &'static str, status: u16, seconds: f64) {
    let mut all = REQUESTS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let known = all.get(merchant).and_then(|plugins| plugins.get(plugin)?.get(&(class, status)));
    if let Some((count, duration)) = known {
        count.increment(1);
        duration.record(seconds);
        return;
    }
    let (merchant, plugin) = (merchant.to_owned(), plugin.to_owned());
    let count = counter!("kontor_http_requests_total", "merchant" => merchant.clone(), "plugin" => plugin.clone(),
        "class" => class, "status" => status.to_string());
    let duration = histogram!("kontor_http_request_duration_seconds", "merchant" => merchant.clone(),
        "plugin" => plugin.clone(), "class" => class);
    count.increment(1);
    duration.record(seconds);
    all.entry(merchant).or_default().entry(plugin).or_default().insert((class, status), (count, duration));
}
