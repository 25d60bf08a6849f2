//! Requests in traces: the W3C `traceparent` that came in, what is noted of the answer, and the `traceparent` that goes out.

use http::{HeaderMap, StatusCode};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use sha2::{Digest as _, Sha256};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Makes `span` a child of the trace that `headers` name, if they name one.
pub(crate) fn adopt(span: &tracing::Span, headers: &HeaderMap) {
    if headers.contains_key("traceparent") {
        let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // Fails only when no exporter is configured: then there is no trace to join.
        let _unconfigured = span.set_parent(context);
    }
}

/// Notes the status of the response in the trace.
pub(crate) fn note_status(span: &tracing::Span, status: StatusCode) {
    span.set_attribute("status", i64::from(status.as_u16()));
}

/// The `traceparent` of the current span; without an exporter one made from `seed`, so that what a server logs for all attempts of
/// one request can still be brought together.
pub(crate) fn outgoing(seed: &str) -> String {
    let context = tracing::Span::current().context();
    let span = context.span();
    let span = span.span_context();
    if span.is_valid() {
        return format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8());
    }
    let digest = hex::encode(Sha256::digest(seed.as_bytes()));
    let (trace, rest) = digest.split_at(32);
    let (span, _) = rest.split_at(16);
    format!("00-{trace}-{span}-00")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_seed_gives_a_well_formed_and_stable_header() {
        let header = super::outgoing("key-1");
        assert_eq!(header, super::outgoing("key-1"));
        assert_ne!(header, super::outgoing("key-2"));
        let parts: Vec<&str> = header.split('-').collect();
        assert_eq!(parts.iter().map(|p| p.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
        assert!(header.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()));
    }
}
