//! The interfaces that the host gives to plugins: the contract's types to the machine's operations. What an operation means, and
//! whether it is allowed, the machine decides.

mod effects;
mod secrets;
mod store;

use std::task::Poll;
use std::time::Duration;

use kontor_core::executor::ExecutionError;
use kontor_core::store::StoreError;
use kontor_core::transaction::{Actor, LogLevel, OperationError};

use crate::bindings::{config, context, handler_types, identity, log, services};
use crate::execution::Guest;
use crate::plan::Target;
use crate::stop::{self, Stop};

/// A failure of the store, as the end of the execution.
pub(crate) fn store_failure(error: StoreError) -> ExecutionError {
    match error {
        StoreError::Unavailable(text) => ExecutionError::Unavailable(text),
        StoreError::Fatal(text) => ExecutionError::Host(format!("the store has stopped: {text}")),
    }
}

/// Runs an operation of the machine that waits, for at most `limit`.
async fn bounded<T>(
    limit: Duration,
    operation: impl Future<Output = Result<T, OperationError>>,
) -> Result<T, OperationError> {
    let mut operation = std::pin::pin!(operation);
    // What is in memory, which is nearly everything, needs no timer.
    if let Poll::Ready(result) = futures_util::poll!(operation.as_mut()) {
        return result;
    }
    match tokio::time::timeout(limit, operation).await {
        Ok(result) => result,
        Err(_elapsed) => Err(OperationError::Store(StoreError::Unavailable(format!(
            "the store did not answer within {} s",
            limit.as_secs()
        )))),
    }
}

/// What of the machine's refusals a guest is told.
enum Refusal {
    Invalid(String),
    Bound,
    Limit(String),
    Denied(String),
}

impl Guest {
    /// The result of an operation: a store failure ends the execution, a used-up limit is told, and counted under `limit_code`.
    fn settle<T>(
        &mut self,
        result: Result<T, OperationError>,
        limit_code: &'static str,
    ) -> wasmtime::Result<Result<T, Refusal>> {
        let refusal = match result {
            Ok(value) => return Ok(Ok(value)),
            Err(OperationError::Invalid(text)) => Refusal::Invalid(text),
            Err(OperationError::Bound) => Refusal::Bound,
            Err(OperationError::Denied(text)) => Refusal::Denied(text),
            Err(OperationError::Limit(text)) => {
                let position = self.position();
                self.context()?.refused_for_limit(position, limit_code, &text)?;
                Refusal::Limit(text)
            }
            Err(OperationError::Store(error)) => {
                return Err(self.context()?.abort(store_failure(error)));
            }
        };
        Ok(Err(refusal))
    }
}

impl handler_types::Host for Guest {}

impl config::Host for Guest {
    fn get(&mut self) -> wasmtime::Result<String> {
        let position = self.position();
        let plan = &self.shared()?.plan;
        Ok(plan.plugins.get(position).map(|planned| planned.config.clone()).unwrap_or_default())
    }
}

impl context::Host for Guest {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(self.context()?.transaction.now_ms())
    }

    fn random(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        let result = self.context()?.transaction.random(length);
        // The function has no error to return: asking for too much is the end.
        result.map_err(|refused| {
            Stop::new(stop::LIMIT, format!("it asked for {length} random bytes: {refused}")).into_error()
        })
    }

    fn invocation_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.context()?.transaction.invocation().as_str().to_owned())
    }
}

impl identity::Host for Guest {
    fn merchant(&mut self) -> wasmtime::Result<String> {
        Ok(self.shared()?.transaction.merchant().as_str().to_owned())
    }

    fn plugin(&mut self) -> wasmtime::Result<String> {
        Ok(self.shared()?.transaction.plugin().as_str().to_owned())
    }

    fn caller(&mut self) -> wasmtime::Result<Option<String>> {
        let caller = self.shared()?.transaction.caller();
        Ok(caller.map(|plugin| plugin.as_str().to_owned()))
    }

    fn acting_for(&mut self) -> wasmtime::Result<identity::Actor> {
        Ok(match self.context()?.transaction.actor() {
            Actor::System => identity::Actor::System,
            Actor::Public => identity::Actor::Public,
            Actor::Token(name) => identity::Actor::Token(name.clone()),
            Actor::Staff(name) => identity::Actor::Staff(name.clone()),
            Actor::Customer(id) => identity::Actor::Customer(id.clone()),
        })
    }

    fn scopes(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.context()?.transaction.scopes().to_vec())
    }
}

impl services::Host for Guest {
    fn available(&mut self, name: String) -> wasmtime::Result<bool> {
        let position = self.position();
        let context = self.shared()?;
        if let Some(target) = target(context, position, &name) {
            return Ok(match target {
                Target::Nobody => false,
                Target::One(_) => true,
                Target::Many(edges) => !edges.is_empty(),
            });
        }
        let revision = &context.revision;
        Ok(revision.provider(&name).is_some() || !revision.providers(&name).is_empty())
    }

    fn providers(&mut self, name: String) -> wasmtime::Result<Vec<String>> {
        let position = self.position();
        let context = self.shared()?;
        if let Some(Target::Many(edges)) = target(context, position, &name) {
            return Ok(edges.keys().cloned().collect());
        }
        let providers = context.revision.providers(&name);
        Ok(providers.into_keys().map(str::to_owned).collect())
    }
}

/// Where the plugin's own import of that very name leads.
fn target<'a>(context: &'a crate::execution::Context, position: usize, name: &str) -> Option<&'a Target> {
    let planned = context.plan.plugins.get(position)?;
    let services = &planned.prepared.as_ref()?.services;
    let index = services.iter().position(|service| service.interface == name)?;
    planned.services.get(index)
}

impl log::Host for Guest {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => LogLevel::Trace,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.context()?.transaction.log(level, &message, fields);
        Ok(())
    }
}
