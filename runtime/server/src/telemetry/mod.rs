//! What the host tells about itself: log lines, metrics, traces, and the recent log lines of plugins.

pub(crate) mod log_ring;
pub(crate) mod meters;
pub(crate) mod metrics_page;
pub(crate) mod observer;
mod otlp;
pub(crate) mod request_lines;
pub(crate) mod trace_context;

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer as _};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is malformed.
    #[error("the log filter `{filter}` is malformed: {reason}; write it like `info,kontor_server=debug`")]
    Filter {
        /// As given.
        filter: String,
        /// Why.
        reason: String,
    },
    /// The trace exporter.
    #[error("traces cannot be sent to the collector named by OTEL_EXPORTER_OTLP_ENDPOINT: {0}")]
    Traces(String),
    /// Somebody else was first.
    #[error("log output is set up already")]
    Already(#[from] TryInitError),
}

/// Keeps telemetry going; sends what is left when it is dropped.
#[derive(Debug)]
#[must_use = "telemetry ends when this is dropped"]
pub struct TelemetryGuard {
    provider: Option<SdkTracerProvider>,
}

impl TelemetryGuard {
    /// Sends what is waiting now. Blocks until the collector has it.
    pub fn flush(&self) -> Result<(), TelemetryError> {
        match &self.provider {
            Some(provider) => provider.force_flush().map_err(|e| TelemetryError::Traces(e.to_string())),
            None => Ok(()),
        }
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take()
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Sets up log output to stderr (filter from `filter`, else from `KONTOR_LOG`, else `info`) and, when
/// `OTEL_EXPORTER_OTLP_ENDPOINT` is set, traces. Call once, inside the tokio runtime.
pub fn init_telemetry(format: LogFormat, filter: Option<&str>) -> Result<TelemetryGuard, TelemetryError> {
    let collector = std::env::var_os(otlp::ENDPOINT_VARIABLE).is_some_and(|v| !v.is_empty());
    let provider = if collector { Some(otlp::provider(None).map_err(TelemetryError::Traces)?) } else { None };
    init(format, filter, provider)
}

/// The same, with traces to `traces_url` (the whole URL, such as `http://127.0.0.1:4318/v1/traces`).
pub fn init_telemetry_to(
    format: LogFormat,
    filter: Option<&str>,
    traces_url: &str,
) -> Result<TelemetryGuard, TelemetryError> {
    let provider = otlp::provider(Some(traces_url)).map_err(TelemetryError::Traces)?;
    init(format, filter, Some(provider))
}

fn init(
    format: LogFormat,
    filter: Option<&str>,
    provider: Option<SdkTracerProvider>,
) -> Result<TelemetryGuard, TelemetryError> {
    let text =
        filter.map(str::to_owned).or_else(|| std::env::var("KONTOR_LOG").ok()).unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::try_new(&text)
        .map_err(|e| TelemetryError::Filter { filter: text.clone(), reason: e.to_string() })?;
    let traces = provider.as_ref().map(|p| {
        let only_ours =
            EnvFilter::new("off,kontor_server=trace,kontor_core=trace,kontor_engine=trace,kontor_store=trace");
        tracing_opentelemetry::layer().with_tracer(p.tracer("kontor")).with_filter(only_ours)
    });
    let lines = request_lines::layer(format, std::io::stderr().is_terminal(), std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces).try_init()?;
    Ok(TelemetryGuard { provider })
}

/// Makes ring the process's TLS provider. Doing it twice changes nothing.
pub(crate) fn install_crypto_provider() {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}
