//! The HTTP face of Kontor: hosted endpoints of plugins, the control API, authentication, outbound HTTP, telemetry.
//!
//! It turns requests into invocations and the machine's answers into responses, and it changes a merchant's set of plugins. It
//! decides nothing about transactions (that is `kontor-core`), runs no WebAssembly (`kontor-engine`), and knows no business rule.
#![forbid(unsafe_code)]

pub mod api;
mod environment;
pub mod limits;
mod options;
mod outbound;
mod problem;
mod routing;
mod telemetry;

pub use environment::SystemEnvironment;
pub use options::{HostOptions, StoreEngine};
pub use outbound::{HttpOutbound, OutboundSetupError};
pub use problem::{Code, Problem};
pub use telemetry::{LogFormat, TelemetryError, TelemetryGuard, init_telemetry};
