//! Why a guest was stopped: stable codes, and how wasmtime's errors become one of them.

use std::borrow::Cow;

use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::limits;

/// Fuel used up.
pub(crate) const FUEL_EXHAUSTED: &str = "fuel-exhausted";
/// More memory wanted than allowed.
pub(crate) const MEMORY_LIMIT: &str = "memory-limit";
/// Calls nested too deep inside a guest.
pub(crate) const STACK_OVERFLOW: &str = "stack-overflow";
/// Time used up.
pub(crate) const TIMEOUT: &str = "timeout";
/// Any other trap, such as a panic.
pub(crate) const TRAP: &str = "trap";
/// Text that is no UTF-8, a pointer out of bounds, an unknown case, an impossible status.
pub(crate) const MALFORMED_DATA: &str = "malformed-data";
/// Went on emitting events after the limit.
pub(crate) const EVENT_LIMIT: &str = "event-limit";
/// Went on after another limit, or returned too much.
pub(crate) const LIMIT: &str = "limit";
/// Called, directly or not, a plugin that is waiting for it.
pub(crate) const RE_ENTRANCE: &str = "re-entrance";
/// Called a function that no installed plugin provides.
pub(crate) const NO_PROVIDER: &str = "no-provider";
/// Called a function whose provider has another type for it.
pub(crate) const TYPE_MISMATCH: &str = "type-mismatch";
/// The execution was given up for a reason that is kept in its context.
const ABORTED: &str = "aborted";

/// A guest is stopped: as an error, it goes through wasmtime to the call that the host made.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Stop {
    /// One of the codes above.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: Cow<'static, str>,
}

impl Stop {
    /// A stop with this code.
    pub(crate) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// Stops whatever still runs after the execution was given up.
    pub(crate) fn aborted() -> Self {
        Self::new(ABORTED, "the execution was given up")
    }

    /// The host called something without an execution: a mistake of the host.
    pub(crate) fn detached() -> Self {
        Self::new(ABORTED, "a host function was called outside an execution")
    }

    /// As the error that stops the guest.
    pub(crate) fn into_error(self) -> wasmtime::Error {
        wasmtime::Error::new(self)
    }
}

/// What an error of wasmtime means.
pub(crate) enum Failure {
    /// The guest broke.
    Stopped(Stop),
    /// The pool has no free slot: not the guest's fault.
    PoolExhausted(String),
}

/// What an error that a call into a guest ended with means.
pub(crate) fn classify(error: &wasmtime::Error) -> Failure {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return Failure::Stopped(stop.clone());
    }
    if let Some(exhausted) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return Failure::PoolExhausted(exhausted.to_string());
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return Failure::Stopped(from_trap(*trap));
    }
    // What is left are the canonical ABI's complaints about data that the guest handed over.
    let text = root_cause(error);
    if text.contains("too much data is being copied") || text.contains("fuel allocated for hostcalls") {
        return Failure::Stopped(Stop::new(
            LIMIT,
            format!("it handed more than {} bytes to the host in one call", limits::HOSTCALL_BYTES_MAX),
        ));
    }
    Failure::Stopped(Stop::new(MALFORMED_DATA, format!("it handed malformed data to the host: {text}")))
}

fn root_cause(error: &wasmtime::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
    }
    text.chars().take(limits::ERROR_TEXT_CHARS_MAX).collect()
}

fn from_trap(trap: Trap) -> Stop {
    match trap {
        Trap::OutOfFuel => Stop::new(
            FUEL_EXHAUSTED,
            "it used up its fuel: it computes too much, or loops; ask for more under `limits` in its manifest",
        ),
        Trap::StackOverflow => {
            Stop::new(STACK_OVERFLOW, "it used up its stack: its functions call one another too deep")
        }
        Trap::InvalidChar
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::UnalignedPointer => Stop::new(MALFORMED_DATA, format!("it handed malformed data to the host: {trap}")),
        Trap::UnreachableCodeReached => Stop::new(TRAP, "it panicked or aborted; see its log for the message"),
        other => Stop::new(TRAP, other.to_string()),
    }
}
