//! Calls of the handlers that a plugin exports: the machine's types to the contract's, and back.

use kontor_core::executor::{Call, Event, ExecutionError, HttpRequest, HttpResponse, Job, Reply};
use kontor_core::limits::HTTP_RESPONSE_BODY_BYTES_MAX;

use crate::bindings::handler_types::{self, HandlerError, HeaderParam};
use crate::execution::Live;
use crate::limits;
use crate::prepared::Prepared;
use crate::stop::{self, Stop};

/// What a handler made of its call.
type Handled = Result<Reply, ExecutionError>;

/// Calls the handler for `call`. An error is one of wasmtime's: the guest was stopped.
pub(crate) async fn call(prepared: &Prepared, live: &mut Live, call: &Call) -> wasmtime::Result<Handled> {
    let (store, instance) = (&mut live.store, &live.instance);
    match call {
        Call::Http(request) => {
            let indices = prepared.http.as_ref().ok_or_else(|| no_handler("http-handler"))?;
            let guest = indices.load(&mut *store, instance)?;
            let headers = headers(request);
            let response = guest.call_handle(&mut *store, http_request(request, &headers)).await?;
            Ok(Ok(Reply::Http(http_response(response)?)))
        }
        Call::Event(event, attempt) => {
            let indices = prepared.event.as_ref().ok_or_else(|| no_handler("event-handler"))?;
            let guest = indices.load(&mut *store, instance)?;
            let result = guest.call_handle(&mut *store, delivered(event, *attempt)).await?;
            Ok(result.map(|()| Reply::Done).map_err(handler_error))
        }
        Call::Job(job) => {
            let indices = prepared.job.as_ref().ok_or_else(|| no_handler("job-handler"))?;
            let guest = indices.load(&mut *store, instance)?;
            let result = guest.call_run(&mut *store, started(job)).await?;
            Ok(result.map(|()| Reply::Done).map_err(handler_error))
        }
        Call::Migrate { from_version, cursor } => {
            let guest = prepared.lifecycle.load(&mut *store, instance)?;
            let result = guest.call_migrate(&mut *store, from_version.as_deref(), cursor).await?;
            Ok(result.map(Reply::Migrated).map_err(handler_error))
        }
    }
}

fn no_handler(interface: &str) -> wasmtime::Error {
    Stop::new(stop::TRAP, format!("it does not export `kontor:host/{interface}`, so it cannot be called this way"))
        .into_error()
}

fn headers(request: &HttpRequest) -> Vec<HeaderParam<'_>> {
    request.headers.iter().map(|(name, value)| HeaderParam { name, value }).collect()
}

fn http_request<'a>(request: &'a HttpRequest, headers: &'a [HeaderParam<'a>]) -> handler_types::HttpRequest<'a> {
    handler_types::HttpRequest {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        headers,
        body: &request.body,
        base_path: &request.base_path,
        remote_address: &request.remote_address,
    }
}

fn http_response(response: handler_types::HttpResponse) -> wasmtime::Result<HttpResponse> {
    if !(200..=599).contains(&response.status) {
        let text = format!("it answered with the HTTP status {}; allowed are 200 to 599", response.status);
        return Err(Stop::new(stop::MALFORMED_DATA, text).into_error());
    }
    if response.body.len() > HTTP_RESPONSE_BODY_BYTES_MAX {
        let text = format!(
            "it answered with {} bytes; a response has at most {HTTP_RESPONSE_BODY_BYTES_MAX}",
            response.body.len()
        );
        return Err(Stop::new(stop::LIMIT, text).into_error());
    }
    let header_bytes: usize = response.headers.iter().map(|h| h.name.len() + h.value.len()).sum();
    if header_bytes > limits::HTTP_RESPONSE_HEADER_BYTES_MAX {
        let text = format!(
            "it answered with {header_bytes} bytes of headers; at most {} are allowed",
            limits::HTTP_RESPONSE_HEADER_BYTES_MAX
        );
        return Err(Stop::new(stop::LIMIT, text).into_error());
    }
    Ok(HttpResponse {
        status: response.status,
        headers: response.headers.into_iter().map(|h| (h.name, h.value)).collect(),
        body: response.body,
    })
}

fn delivered(event: &Event, attempt: u32) -> handler_types::Event<'_> {
    handler_types::Event {
        id: &event.id,
        source: event.source.as_str(),
        event_type: &event.event_type,
        key: &event.key,
        time_ms: event.time_ms,
        payload: &event.payload,
        attempt,
    }
}

fn started(job: &Job) -> handler_types::Job<'_> {
    handler_types::Job {
        id: &job.id,
        name: &job.name,
        key: job.key.as_deref(),
        payload: &job.payload,
        attempt: job.attempt,
        due_ms: job.due_ms,
    }
}

fn handler_error(error: HandlerError) -> ExecutionError {
    let cut = |text: String| text.chars().take(limits::ERROR_TEXT_CHARS_MAX).collect();
    match error {
        HandlerError::Retry(text) | HandlerError::Other(text) => ExecutionError::Retry(cut(text)),
        HandlerError::RetryAfter(delay_ms) => ExecutionError::RetryAfter(delay_ms),
        HandlerError::Permanent(text) => ExecutionError::Permanent(cut(text)),
    }
}
