//! The HTTP face of Kontor: hosted endpoints of plugins, the control API, authentication, outbound HTTP, telemetry.
//!
//! It turns requests into invocations and the machine's answers into responses, and it changes a merchant's set of plugins. It
//! decides nothing about transactions (that is `kontor-core`), runs no WebAssembly (`kontor-engine`), and knows no business rule.
#![forbid(unsafe_code)]

pub mod api;
pub mod backup;
mod control;
mod engine_runner;
mod environment;
mod front;
mod host;
mod hosted;
mod install;
pub mod limits;
mod listener;
mod machine_errors;
mod observe;
mod options;
mod outbound;
mod package_reader;
mod packages;
mod packed;
mod places;
mod problem;
mod routing;
mod runner;
mod state;
mod steps;
mod telemetry;
#[cfg(test)]
mod test_spec;
mod tokens;

pub use control::openapi_json;
pub use environment::SystemEnvironment;
pub use host::{Host, HostHandle, HostParts, RunningHost, ShutdownReport, StartError};
pub use kontor_store::EngineKind;
pub use options::{BackupSchedule, HostOptions, store_dir};
pub use outbound::{HttpOutbound, OutboundSetupError};
pub use packed::{PackageReader, Unpacked};
pub use problem::{Code, Problem};
pub use runner::{PluginRunner, Refusal, RunnerStats};
pub use telemetry::{LogFormat, TelemetryError, TelemetryGuard, init_telemetry, init_telemetry_to};
