//! The host's contract as Rust, generated from `wit/host`. The modules beside this one wrap it; plugins do not use it directly.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "../../../wit/host/0.1.0",
    world: "kontor:host/plugin",
    pub_export_macro: true,
    export_macro_name: "export_handlers",
    default_bindings_module: "kontor_sdk::bindings",
});
