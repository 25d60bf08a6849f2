//! Simulators of the channels' APIs, with faults by seed.
//!
//! A simulator is a real HTTP server on a free loopback port together with a handle that plays the other side: it creates
//! listings, buys as a customer, and tells a test what the connector under test sent. It checks every request against the
//! channel's published contract and keeps a list of violations, so that a connector that is merely tolerated by a lenient
//! mock fails here. Written from the published contracts; no code or data of the channels is in here.
//!
//! Not here: any connector. Connectors are plugins and never see this crate.

pub mod amazon;
pub mod clock;
pub mod demo;
