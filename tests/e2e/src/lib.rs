//! The whole system as a black box: the real binary, real plugins, real channels' APIs (simulated on the other side).
//!
//! [`Host`] runs the command `kontor`; [`Shop`] is a merchant on it who sells in a web shop, at tills and on Amazon. Nothing here
//! looks inside: whatever a test knows, it knows as a user or a channel would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod host;
mod packages;
mod shop;

pub use host::{Host, kontor};
pub use packages::{packages, source_root};
pub use shop::{Article, Shop, Sold};
