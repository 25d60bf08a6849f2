//! Whether anything acknowledged is ever lost, and whether anything is ever half there.
//!
//! A *round* starts a process on a data directory, lets clients write, and ends the process at a random moment: by `kill -9`, or by
//! cutting the power, which also takes back what was never synced ([`power`]). The next round starts on what is left, looks
//! ([`check`]), and goes on. Two kinds of process: the real `kontor serve` under load over HTTP ([`host`]), and the store alone,
//! which does many more transactions a second ([`store`]). Everything random comes from a seed. Not here: what a correct store
//! does while nothing goes wrong (`runtime/store/tests`).

pub mod check;
pub mod host;
pub mod http;
pub mod power;
pub mod shim;
pub mod store;
pub mod suite;

pub use suite::{Level, Options, Report, Suite, run};
