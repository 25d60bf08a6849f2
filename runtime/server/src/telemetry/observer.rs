//! The machine's reports as metrics, log lines and the rings of recent lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use kontor_core::effects::Environment;
use kontor_core::ids::{MerchantId, PluginId};
use kontor_core::observer::{DeadLetterReport, FetchReport, InvocationReport, LogLine as CoreLine, Observer};
use kontor_core::revision::RevisionNumber;
use kontor_core::transaction::LogLevel;
use metrics::{counter, gauge};

use super::log_ring::LogRings;
use super::meters::InvocationMeters;
use crate::api::LogLine;

/// See the module.
#[derive(Debug)]
pub(crate) struct HostObserver {
    pub(crate) logs: Arc<LogRings>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) meters: InvocationMeters,
}

impl Observer for HostObserver {
    fn log(&self, line: &CoreLine) {
        let level = level_name(line.level);
        let (merchant, plugin) = (line.merchant.to_string(), line.plugin.to_string());
        counter!("kontor_plugin_log_lines_total", "merchant" => merchant, "plugin" => plugin, "level" => level)
            .increment(1);
        emit(line);
        let kept = LogLine {
            cursor: 0,
            time_ms: self.environment.now_ms(),
            level: level.to_owned(),
            invocation: line.invocation.to_string(),
            message: line.message.clone(),
            fields: line.fields.iter().cloned().collect::<BTreeMap<_, _>>(),
        };
        self.logs.push(&line.merchant, &line.plugin, kept);
    }

    fn invocation(&self, report: &InvocationReport) {
        self.meters.count(report);
        tracing::debug!(
            merchant = %report.merchant, plugin = %report.plugin, invocation = %report.invocation, kind = report.kind.as_str(),
            revision = report.revision, outcome = %report.outcome, executions = report.executions, conflicts = report.conflicts,
            duration_ms = report.duration_ms, "invocation ended"
        );
    }

    fn recalled(&self, merchant: &MerchantId, plugin: &PluginId) {
        self.meters.count_recalled(merchant, plugin);
    }

    fn dead_letter(&self, report: &DeadLetterReport) {
        counter!("kontor_dead_letters_total", "merchant" => report.merchant.to_string(), "plugin" => report.plugin.to_string())
            .increment(1);
        tracing::warn!(
            merchant = %report.merchant, plugin = %report.plugin, subject = %report.subject, key = %report.key, code = %report.code,
            attempts = report.attempts, message = %report.message, "given up: to the dead letters"
        );
    }

    fn fetch(&self, report: &FetchReport) {
        tracing::debug!(
            merchant = %report.merchant, plugin = %report.plugin, invocation = %report.invocation, method = %report.method,
            host = %report.host, outcome = %report.outcome, replayed = report.replayed, duration_ms = report.duration_ms, "fetched"
        );
    }

    fn revision(&self, merchant: &MerchantId, number: RevisionNumber) {
        #[expect(clippy::cast_precision_loss, reason = "nobody makes 2^53 revisions")]
        gauge!("kontor_revision", "merchant" => merchant.to_string()).set(number as f64);
    }
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

/// The line in the host's own log. Levels are static there, hence one arm each.
fn emit(line: &CoreLine) {
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(target: "kontor_server::plugin", merchant = %line.merchant, plugin = %line.plugin,
                invocation = %line.invocation, fields = ?line.fields, "{}", line.message)
        };
    }
    match line.level {
        LogLevel::Trace => at!(trace),
        LogLevel::Debug => at!(debug),
        LogLevel::Info => at!(info),
        LogLevel::Warn => at!(warn),
        LogLevel::Error => at!(error),
    }
}
