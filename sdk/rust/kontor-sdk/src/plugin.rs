//! What a plugin implements, and how it becomes the exports that the host calls.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Once;

use crate::bindings::exports::kontor::host as exports;
use crate::bindings::kontor::host::handler_types as wire;
use crate::error::Error;
use crate::events::Event;
use crate::http::{Request, Router};
use crate::jobs::Job;
use crate::log;

/// A plugin: what the host may call. Everything has a default that does nothing, so a plugin says only what it does.
///
/// Name the implementing type in [`export!`](crate::export).
pub trait Plugin {
    /// The routes. Each must be declared in `plugin.toml`, which says who may call it.
    fn routes() -> Router {
        Router::new()
    }

    /// Handles an event that `plugin.toml` subscribes to. It is consumed in the same transaction.
    fn event(event: Event) -> Result<(), HandlerError> {
        Err(HandlerError::permanent(format!(
            "this plugin does not handle events, but `{}` was delivered; remove it from `events.subscribes`",
            event.event_type
        )))
    }

    /// Runs a job that `plugin.toml` declares. It is consumed in the same transaction.
    fn job(job: Job) -> Result<(), HandlerError> {
        Err(HandlerError::permanent(format!(
            "this plugin does not run jobs, but `{}` is due; remove it from `jobs`",
            job.name
        )))
    }

    /// Brings the tables from what `from_version` (none: first install) left to what this version needs, one bounded step per
    /// call. `cursor` is empty at first, then what the last step returned; `None` ends the migration.
    fn migrate(from_version: Option<&str>, cursor: &str) -> Result<Option<String>, HandlerError> {
        let _ = (from_version, cursor);
        Ok(None)
    }
}

/// Why an event, a job or a migration step was not done. Everything it did is rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerError {
    /// Try again, with the host's backoff.
    Retry(String),
    /// Try again not before so many milliseconds from now. Does not count as an attempt.
    RetryAfter(u64),
    /// Trying again is useless: to the dead letters at once.
    Permanent(String),
}

impl HandlerError {
    /// Asks for another try.
    pub fn retry(message: impl fmt::Display) -> Self {
        Self::Retry(message.to_string())
    }

    /// Gives up.
    pub fn permanent(message: impl fmt::Display) -> Self {
        Self::Permanent(message.to_string())
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(text) | Self::Permanent(text) => f.write_str(text),
            Self::RetryAfter(delay_ms) => write!(f, "try again in {delay_ms} ms"),
        }
    }
}

impl std::error::Error for HandlerError {}

/// What may pass (conflict, missing so far, rate limit, unavailable) is tried again; what the input itself makes impossible
/// goes to the dead letters.
impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match (error.retry_after_ms(), error.status()) {
            (Some(delay_ms), _) => Self::RetryAfter(delay_ms),
            (None, 404 | 408 | 409 | 425 | 429 | 500..) => Self::Retry(error.to_string()),
            (None, _) => Self::Permanent(error.to_string()),
        }
    }
}

impl From<HandlerError> for wire::HandlerError {
    fn from(error: HandlerError) -> Self {
        match error {
            HandlerError::Retry(text) => Self::Retry(text),
            HandlerError::RetryAfter(delay_ms) => Self::RetryAfter(delay_ms),
            HandlerError::Permanent(text) => Self::Permanent(text),
        }
    }
}

/// Turns a [`Plugin`] into the exports of the host's world. Used by [`export!`](crate::export).
#[doc(hidden)]
#[derive(Debug)]
pub struct Bridge<P>(PhantomData<P>);

impl<P: Plugin> exports::http_handler::Guest for Bridge<P> {
    fn handle(request: wire::HttpRequest) -> wire::HttpResponse {
        P::routes().handle(Request::from_wire(request)).into_wire()
    }
}

impl<P: Plugin> exports::event_handler::Guest for Bridge<P> {
    fn handle(event: wire::Event) -> Result<(), wire::HandlerError> {
        P::event(Event::from_wire(event)).map_err(Into::into)
    }
}

impl<P: Plugin> exports::job_handler::Guest for Bridge<P> {
    fn run(job: wire::Job) -> Result<(), wire::HandlerError> {
        P::job(Job::from_wire(job)).map_err(Into::into)
    }
}

impl<P: Plugin> exports::lifecycle::Guest for Bridge<P> {
    fn migrate(from_version: Option<String>, cursor: String) -> Result<Option<String>, wire::HandlerError> {
        P::migrate(from_version.as_deref(), &cursor).map_err(Into::into)
    }
}

/// Makes panics reach the plugin's log with message and place: all the host sees of one is a trap. [`export!`](crate::export) has it run
/// before anything else in an instance.
#[doc(hidden)]
pub extern "C" fn report_panics() {
    static INSTALLED: Once = Once::new();
    if cfg!(target_family = "wasm") {
        INSTALLED.call_once(|| {
            std::panic::set_hook(Box::new(|info| {
                let message = info.payload_as_str().unwrap_or("panicked");
                let place =
                    info.location().map(|l| format!("{}:{}:{}", l.file(), l.line(), l.column())).unwrap_or_default();
                log::error(&format!("panic at {place}: {message}"), &[("panic", "true"), ("place", &place)]);
            }));
        });
    }
}

/// Makes a [`Plugin`] the exports of this crate, with the services that it implements.
///
/// `export!(MyPlugin)` for a plugin without services; `export!(MyPlugin, services: bindings)` where `bindings` is the module made
/// by [`services!`](crate::services!) and `MyPlugin` implements its `Guest` traits.
#[macro_export]
macro_rules! export {
    ($plugin:ident) => {
        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        #[allow(unsafe_code, missing_docs, reason = "exports of a component are extern functions")]
        mod __kontor_handlers {
            type Handlers = $crate::plugin::Bridge<super::$plugin>;
            $crate::bindings::export_handlers!(Handlers with_types_in $crate::bindings);

            // The linker's list of what runs at the start of an instance, whichever export is called first.
            #[used]
            #[unsafe(link_section = ".init_array")]
            static REPORT_PANICS: extern "C" fn() = $crate::plugin::report_panics;
        }
    };
    ($plugin:ident, services: $bindings:ident $(,)?) => {
        $crate::export!($plugin);
        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        #[allow(unsafe_code, missing_docs, reason = "exports of a component are extern functions")]
        mod __kontor_services {
            use super::$plugin;
            super::$bindings::export!($plugin with_types_in super::$bindings);
        }
    };
}

/// Generates Rust for the service interfaces that a plugin calls and implements, as a module.
///
/// ```ignore
/// kontor_sdk::services! {
///     mod bindings;
///     path: "../../../wit/commerce/0.1.0",
///     world: "
///         import kontor:commerce/inventory@0.1.0;
///         export kontor:commerce/cart@0.1.0;
///     ",
/// }
/// use bindings::kontor::commerce::inventory;                          // call: inventory::stock_levels(...)
/// use bindings::exports::kontor::commerce::cart::{CartError, Guest};  // implement: impl Guest for MyPlugin { ... }
/// ```
///
/// `path` is the folder with the interfaces' WIT, seen from the crate's `Cargo.toml`. Types derive `Clone`, `Debug`, `PartialEq`,
/// `serde::Serialize` and `serde::Deserialize` (the crate needs `serde` with `derive`). Further options of
/// `wit_bindgen::generate!` may follow.
#[macro_export]
macro_rules! services {
    (mod $name:ident; path: $path:tt, world: $world:literal $(, $($option:tt)*)?) => {
        #[allow(
            missing_docs,
            missing_debug_implementations,
            unsafe_code,
            unreachable_pub,
            dead_code,
            unused,
            clippy::all,
            clippy::indexing_slicing,
            clippy::panic,
            reason = "generated code"
        )]
        mod $name {
            $crate::wit_bindgen::generate!({
                path: $path,
                inline: $world,
                generate_all,
                runtime_path: "kontor_sdk::wit_bindgen::rt",
                additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
                $($($option)*)?
            });
        }
    };
}
