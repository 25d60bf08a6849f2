//! What wasmtime generates from `wit/host`: a trait per imported interface (implemented in [`crate::host`]) and typed calls of
//! the exported ones.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "generated code"
)]

wasmtime::component::bindgen!({
    path: "../../wit/host/0.1.0",
    world: "kontor:host/plugin",
    imports: {
        "kontor:host/store.get": async | trappable,
        "kontor:host/store.get-many": async | trappable,
        "kontor:host/store.scan": async | trappable,
        "kontor:host/store.counter-add": async | trappable,
        "kontor:host/store.counter-get": async | trappable,
        "kontor:host/store.counter-at-least": async | trappable,
        "kontor:host/jobs.enqueue": async | trappable,
        "kontor:host/jobs.cancel": async | trappable,
        "kontor:host/outbound.fetch": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    // What guests are called with is lowered from where it is.
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(crate) use exports::kontor::host::{event_handler, http_handler, job_handler, lifecycle};
pub(crate) use kontor::host::{
    config, context, events, handler_types, identity, jobs, log, outbound, secrets, services, store,
};
