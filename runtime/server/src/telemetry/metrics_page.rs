//! The Prometheus page. The recorder is one per process, as `metrics` wants it.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of duration buckets, in seconds: from a fast read to the backstop of an invocation.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// How often samples are put into their buckets. Until then they are kept one by one: at 10,000 requests/s some MB.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// The handle that renders the page; sets up the recorder at its first call.
pub(crate) fn handle() -> &'static PrometheusHandle {
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = match builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS) {
            Ok(builder) => builder,
            Err(error) => {
                tracing::error!(%error, "duration buckets cannot be set");
                PrometheusBuilder::new()
            }
        };
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed: /metrics stays empty");
        }
        describe();
        handle
    })
}

/// Puts samples into their buckets, over and over: without it they pile up where nobody fetches the page.
pub(crate) async fn upkeep() {
    let mut tick = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tick.tick().await;
        handle().run_upkeep();
    }
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "kontor_http_requests_total",
        "HTTP requests answered, by merchant, plugin, route class and status"
    );
    describe_histogram!("kontor_http_request_duration_seconds", Unit::Seconds, "Time to answer an HTTP request");
    describe_gauge!("kontor_http_invocations_running", "Invocations over HTTP that hold a place");
    describe_counter!("kontor_http_saturated_total", "Requests refused because all places were taken");
    describe_counter!(
        "kontor_invocations_total",
        "Invocations ended, by merchant, plugin, trigger and outcome; outcome `recalled`: answered without executing"
    );
    describe_histogram!(
        "kontor_invocation_duration_seconds",
        Unit::Seconds,
        "Time from start to committed end of an invocation"
    );
    describe_counter!("kontor_executions_total", "Executions of invocations, re-executions included");
    describe_counter!("kontor_conflicts_total", "Executions that lost against another commit");
    describe_counter!("kontor_reexecutions_total", "Executions beyond the first of an invocation");
    describe_counter!("kontor_fuel_total", "Fuel burnt by a plugin");
    describe_gauge!("kontor_plugin_memory_bytes", Unit::Bytes, "Linear memory of the plugin's last execution");
    describe_counter!("kontor_plugin_calls_total", "Calls into a plugin");
    describe_counter!("kontor_plugin_log_lines_total", "Log lines written by a plugin");
    describe_counter!("kontor_outbound_requests_total", "Requests of plugins to other servers, by outcome");
    describe_gauge!("kontor_dead_letters_waiting", "Dead letters that wait for a person, counted up to 1,000");
    describe_gauge!("kontor_jobs_waiting", "Jobs of a plugin that wait or run, counted up to 1,000");
    describe_gauge!("kontor_background_lag_milliseconds", "How long the oldest background work has been due");
    describe_counter!("kontor_dead_letters_total", "Events and jobs given up");
}
