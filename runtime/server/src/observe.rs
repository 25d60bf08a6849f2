//! Around every request: an id that its log lines tell, a span that joins the caller's trace, metrics, and a net for panics.

use std::any::Any;
use std::time::Instant;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use kontor_core::ids::{MerchantId, PluginId};
use tracing::Instrument as _;

use crate::environment::time_ordered_id;
use crate::problem::{Code, Problem};
use crate::telemetry::request_lines::CurrentRequest;
use crate::telemetry::{meters, trace_context};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id taken over from a client.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// Whose route answered, for metrics.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) merchant: MerchantId,
    pub(crate) plugin: PluginId,
    pub(crate) class: &'static str,
}

/// A response, and which plugin's route gave it: none for the host's own addresses and for problems.
pub(crate) type Labelled = (Response, Option<Labels>);

/// Observes how `answer` answers the request.
pub(crate) async fn observe(mut request: Request, answer: impl AsyncFnOnce(Request) -> Labelled) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    // For traces: log lines tell their request without it, so that it is made only where a collector wants it.
    let span = tracing::trace_span!(
        "request",
        request_id = %id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = %request.uri().path(),
    );
    trace_context::adopt(&span, request.headers());
    let current = CurrentRequest::new(id.clone(), request.method().clone(), request.uri().clone());
    let work = current.clone().lines_of(answer(request));
    let (mut response, labels) = work.instrument(span.clone()).await;
    response.headers_mut().insert(REQUEST_ID, id);

    let elapsed = started.elapsed();
    let status = response.status();
    trace_context::note_status(&span, status);
    let (merchant, plugin, class) = labels
        .as_ref()
        .map_or(("", "", "host"), |labels| (labels.merchant.as_str(), labels.plugin.as_str(), labels.class));
    meters::count_request(merchant, plugin, class, status.as_u16(), elapsed.as_secs_f64());
    let code = response.extensions().get::<Code>().map(|c| c.as_str());
    let tell = || {
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), code, elapsed_ms = elapsed.as_millis(), "answered");
        } else {
            tracing::debug!(status = status.as_u16(), code, elapsed_ms = elapsed.as_millis(), "answered");
        }
    };
    span.in_scope(|| current.lines_within(tell));
    response
}

/// What a panic of a handler becomes. The text of the panic goes to the log only.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Response {
    tracing::error!(panic = panic_text(panic), "a handler panicked");
    Problem::new(Code::Internal, "The request broke off inside the host. The log has more under this request's id.")
        .into_response()
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// The client's id if it is harmless, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    match headers.get(REQUEST_ID) {
        Some(id) if id.to_str().is_ok_and(is_harmless) => id.clone(),
        _ => {
            let mut text = uuid::Uuid::encode_buffer();
            let text = time_ordered_id().hyphenated().encode_lower(&mut text);
            HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
        }
    }
}

fn is_harmless(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= REQUEST_ID_CHARS_MAX
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_ids_are_taken_over() {
        for (given, taken) in
            [("abc-1.2_3", true), ("", false), ("a b", false), ("a\"b", false), (&"a".repeat(65), false)]
        {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(given).unwrap())]);
            assert_eq!(request_id(&headers) == given, taken, "{given}");
        }
    }
}
