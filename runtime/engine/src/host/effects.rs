//! `kontor:host/events`, `jobs` and `outbound`.

use std::time::Duration;

use kontor_core::effects::{OutboundError, OutboundRequest};
use kontor_core::executor::ExecutionError;
use kontor_core::limits::OUTBOUND_TIMEOUT_MS_MAX;

use crate::bindings::{events, jobs, outbound};
use crate::execution::Guest;
use crate::host::{Refusal, bounded};
use crate::limits::{OUTBOUND_GRACE, STORE_TIMEOUT};
use crate::stop;

impl From<Refusal> for events::EventError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(text) | Refusal::Denied(text) => Self::Invalid(text),
            Refusal::Limit(text) => Self::Limit(text),
            Refusal::Bound => Self::Other("a bound was left".to_owned()),
        }
    }
}

impl From<Refusal> for jobs::JobError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(text) | Refusal::Denied(text) => Self::Invalid(text),
            Refusal::Limit(text) => Self::Limit(text),
            Refusal::Bound => Self::Other("a bound was left".to_owned()),
        }
    }
}

impl events::Host for Guest {
    fn emit(
        &mut self,
        event_type: String,
        key: String,
        payload: String,
    ) -> wasmtime::Result<Result<String, events::EventError>> {
        let result = self.context()?.transaction.emit(&event_type, &key, &payload);
        Ok(self.settle(result, stop::EVENT_LIMIT)?.map_err(Into::into))
    }
}

impl jobs::Host for Guest {
    async fn enqueue(&mut self, request: jobs::JobRequest) -> wasmtime::Result<Result<String, jobs::JobError>> {
        let transaction = &mut self.context()?.transaction;
        let enqueue = transaction.enqueue(&request.name, request.key.as_deref(), &request.payload, request.due_ms);
        let result = bounded(STORE_TIMEOUT, enqueue).await;
        Ok(self.settle(result, stop::LIMIT)?.map_err(Into::into))
    }

    async fn cancel(&mut self, name: String, key: String) -> wasmtime::Result<Result<bool, jobs::JobError>> {
        let transaction = &mut self.context()?.transaction;
        let result = bounded(STORE_TIMEOUT, transaction.cancel_job(&name, &key)).await;
        Ok(self.settle(result, stop::LIMIT)?.map_err(Into::into))
    }
}

impl outbound::Host for Guest {
    async fn fetch(
        &mut self,
        request: outbound::Request,
    ) -> wasmtime::Result<Result<outbound::Response, outbound::FetchError>> {
        // The client keeps the time that the request names. This is the backstop for a client that does not: what became of the
        // exchange is then unknown, so the execution cannot go on.
        let patience =
            Duration::from_millis(u64::from(request.timeout_ms.min(OUTBOUND_TIMEOUT_MS_MAX))) + OUTBOUND_GRACE;
        let request = OutboundRequest {
            method: request.method,
            url: request.url,
            headers: request.headers.into_iter().map(|h| (h.name, h.value)).collect(),
            body: request.body,
            timeout_ms: request.timeout_ms,
        };
        let context = self.context()?;
        let Ok(result) = tokio::time::timeout(patience, context.transaction.fetch(request)).await else {
            let text = format!("an outbound request did not end within {} ms", patience.as_millis());
            return Err(context.abort(ExecutionError::Unavailable(text)));
        };
        Ok(result
            .map(|response| outbound::Response {
                status: response.status,
                headers: response.headers.into_iter().map(|(name, value)| outbound::Header { name, value }).collect(),
                body: response.body,
            })
            .map_err(fetch_error))
    }
}

fn fetch_error(error: OutboundError) -> outbound::FetchError {
    match error {
        OutboundError::Denied(text) => outbound::FetchError::Denied(text),
        OutboundError::Invalid(text) => outbound::FetchError::Invalid(text),
        OutboundError::RateLimited(delay_ms) => outbound::FetchError::RateLimited(delay_ms),
        OutboundError::Timeout(text) => outbound::FetchError::Timeout(text),
        OutboundError::Network(text) => outbound::FetchError::Network(text),
    }
}
