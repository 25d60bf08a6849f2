//! Runs plugins on the real engine inside `cargo test`: the real transaction machine over the memory store, the real sandbox, a clock
//! that stands still until it is told to go on, and scripted servers outside.
//!
//! ```ignore
//! let host = TestHost::builder()
//!     .plugin(env!("CARGO_MANIFEST_DIR"))       // a crate's folder, built when needed
//!     .plugin("inventory")                      // a plugin of this workspace, by the name of its folder
//!     .config("cart", json!({ "currency": "EUR" }))
//!     .secret("cart", "webhook-key", "s3cret")
//!     .start();
//! host.on("POST", "https://api.example.com/orders", Reply::json(201, &json!({ "id": 7 })));
//! let cart = host.post_json("cart", "/carts", &json!({ "channel": "pos" })).expect(201);
//! host.advance(Duration::from_secs(60));
//! host.run_until_idle();
//! assert_eq!(host.emitted("kontor.cart.placed.v1").len(), 1);
//! ```
//!
//! Other plugins are real ones. Fakes of service interfaces written as Rust closures are not offered: the host links components by
//! their types, so whatever provides an interface is a component. To stand in for a provider, write a small plugin that
//! exports the interface, or emits the events, and name its folder.
//!
//! Everything here panics with an explanation when it cannot do what it is asked: it is for tests.
#![allow(clippy::panic, clippy::expect_used, reason = "a failed test panics")]

mod build;
mod clock;
mod config;
mod host;
mod observer;
mod outside;
mod response;
mod routes;

pub use build::{PluginSource, build};
pub use host::{Builder, TestHost, TestRequest};
pub use outside::{Recorded, Reply};
pub use response::Response;
pub use routes::find as find_route;

pub use kontor_core::executor::Event;
pub use kontor_core::observer::{InvocationReport, LogLine};
pub use kontor_core::records::{DeadLetter, DeadSubject, JobStatus};
pub use kontor_core::transaction::{Actor, LogLevel};
pub use kontor_package::Package;
