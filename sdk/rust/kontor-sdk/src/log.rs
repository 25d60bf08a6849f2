//! Log lines, tied to the invocation and kept even when it is rolled back. Never log secrets or personal data.
//!
//! ```ignore
//! kontor_sdk::info!("imported {} products", count);
//! kontor_sdk::warn!("the feed was late"; channel = channel, delay_ms = delay);
//! ```

use crate::bindings::kontor::host::log;

pub use crate::bindings::kontor::host::log::Level;

/// Writes a line with fields.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<(String, String)> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    log::write(level, message, &fields);
}

macro_rules! levels {
    ($($name:ident $level:ident;)+) => {$(
        #[doc = concat!("Writes a line at level `", stringify!($name), "` with fields.")]
        pub fn $name(message: &str, fields: &[(&str, &str)]) {
            write(Level::$level, message, fields);
        }
    )+};
}

levels! {
    trace Trace;
    debug Debug;
    info Info;
    warn Warn;
    error Error;
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $format:literal $(, $argument:expr)* $(,)?) => {
        $crate::log::write($crate::log::Level::$level, &::std::format!($format $(, $argument)*), &[])
    };
    ($level:ident, $format:literal $(, $argument:expr)*; $($field:ident = $value:expr),+ $(,)?) => {
        $crate::log::write(
            $crate::log::Level::$level,
            &::std::format!($format $(, $argument)*),
            &[$((::std::stringify!($field), &*::std::string::ToString::to_string(&$value))),+],
        )
    };
}

/// Logs at level `trace`.
#[macro_export]
macro_rules! trace { ($($line:tt)+) => { $crate::__log!(Trace, $($line)+) }; }
/// Logs at level `debug`.
#[macro_export]
macro_rules! debug { ($($line:tt)+) => { $crate::__log!(Debug, $($line)+) }; }
/// Logs at level `info`.
#[macro_export]
macro_rules! info { ($($line:tt)+) => { $crate::__log!(Info, $($line)+) }; }
/// Logs at level `warn`.
#[macro_export]
macro_rules! warn { ($($line:tt)+) => { $crate::__log!(Warn, $($line)+) }; }
/// Logs at level `error`.
#[macro_export]
macro_rules! error { ($($line:tt)+) => { $crate::__log!(Error, $($line)+) }; }
