//! Events and jobs of the plugin on top of the stack.

use serde::de::IgnoredAny;

use super::{OperationError, Transaction, take};
use crate::executor::Event;
use crate::limits::{EVENT_KEY_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::queueing::{self, NewJob, derived_id};

impl Transaction {
    /// Emits an event; it exists when the invocation commits. Returns its id.
    pub fn emit(&mut self, event_type: &str, key: &str, payload: &str) -> Result<String, OperationError> {
        let spec = &self.installed().spec;
        if !spec.emits.iter().any(|declared| declared == event_type) {
            let shown: String = event_type.chars().take(120).collect();
            let message = format!("plugin `{}` does not declare under `events.emits` the type `{shown}`", spec.id);
            return Err(OperationError::Invalid(message));
        }
        check_key("an event key", key)?;
        check_payload(payload)?;
        self.consume(|used, limits| take(&mut used.events, 1, limits.events, "events"))?;
        let id = derived_id(&self.invocation, "event", self.event_ordinal);
        self.event_ordinal += 1;
        self.events.push(Event {
            id: id.clone(),
            source: self.plugin().clone(),
            event_type: event_type.to_owned(),
            key: key.to_owned(),
            time_ms: self.now_ms,
            payload: payload.to_owned(),
        });
        Ok(id)
    }

    /// Queues a job of this plugin; it exists when the invocation commits. Returns its id. A waiting job of the same name and key is
    /// replaced: the latest payload wins, the earlier due time stays. Nothing is read for that, so that concurrent invocations
    /// that queue the same key do not conflict.
    pub async fn enqueue(
        &mut self,
        name: &str,
        key: Option<&str>,
        payload: &str,
        due_ms: u64,
    ) -> Result<String, OperationError> {
        self.check_job_name(name)?;
        if let Some(key) = key {
            check_key("a coalescing key", key)?;
        }
        check_payload(payload)?;
        self.consume(|used, limits| take(&mut used.jobs, 1, limits.jobs, "jobs"))?;
        let id = derived_id(&self.invocation, "job", self.job_ordinal);
        self.job_ordinal += 1;
        let new = NewJob { id: id.clone(), key: key.map(str::to_owned), payload: payload.to_owned(), due_ms };
        let plugin = self.plugin().clone();
        let queued = queueing::enqueue(&mut self.overlay, &self.merchant, &plugin, name, new, self.now_ms)
            .map_err(|error| OperationError::Invalid(error.to_string()))?;
        self.queued.push(queued);
        Ok(id)
    }

    /// Removes the waiting job of this name and key. True if there was one.
    pub async fn cancel_job(&mut self, name: &str, key: &str) -> Result<bool, OperationError> {
        self.check_job_name(name)?;
        check_key("a coalescing key", key)?;
        self.consume(|used, limits| take(&mut used.jobs, 1, limits.jobs, "jobs"))?;
        let plugin = self.plugin().clone();
        let result = queueing::cancel(&mut self.overlay, &self.merchant, &plugin, name, key).await;
        self.store_result(result)
    }

    fn check_job_name(&self, name: &str) -> Result<(), OperationError> {
        if self.installed().spec.jobs.iter().any(|job| job.name == name) {
            return Ok(());
        }
        let shown: String = name.chars().take(80).collect();
        Err(OperationError::Invalid(format!("plugin `{}` does not declare the job `{shown}`", self.plugin())))
    }
}

fn check_key(what: &str, key: &str) -> Result<(), OperationError> {
    if key.is_empty() || key.len() > EVENT_KEY_BYTES_MAX {
        return Err(OperationError::Invalid(format!("{what} has 1 to {EVENT_KEY_BYTES_MAX} bytes, not {}", key.len())));
    }
    Ok(())
}

fn check_payload(payload: &str) -> Result<(), OperationError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        let message = format!("a payload of {} bytes is larger than {PAYLOAD_BYTES_MAX}", payload.len());
        return Err(OperationError::Invalid(message));
    }
    serde_json::from_str::<IgnoredAny>(payload)
        .map(|_| ())
        .map_err(|error| OperationError::Invalid(format!("the payload is not JSON: {error}")))
}
