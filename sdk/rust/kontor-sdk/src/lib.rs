//! Everything a Kontor plugin in Rust needs: typed tables, counters, events, jobs, HTTP routes, outbound HTTP, configuration,
//! secrets, time, randomness and logs. Not here: service interfaces of other plugins (generated in the plugin by
//! [`services!`]), and what the host does with all this.
//!
//! A plugin is a library crate that implements [`Plugin`] and names it in [`export!`]. Every call into it is one
//! transaction: what a handler writes, emits and queues, and what the services it calls do, commits together or not at
//! all. A handler that returns an error (or a response of status 400 and above) leaves no trace. Nothing survives in
//! memory: each invocation gets a fresh instance, and an invocation may be executed again, so state lives in [`Table`]s and
//! time and randomness come from [`Timestamp::now`] and [`random`].
//!
//! Service calls that only read are cheap to repeat: the host gives the answer of an earlier call with the same parameters again while
//! nothing that was read for it has changed. It does so only where the call asked for neither time, randomness, secrets nor for whom
//! it acts, and did not log: ask for these where the answer depends on them, and not before.
//!
//! The smallest plugin:
//!
//! ```ignore
//! use kontor_sdk::http::{Error, Json, Path, Router};
//! use kontor_sdk::{Plugin, Table};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Note { text: String }
//!
//! const NOTES: Table<String, Note> = Table::new("notes");
//!
//! fn read(Path(id): Path<String>) -> Result<Json<Note>, Error> {
//!     NOTES.get(&id)?.map(Json).ok_or_else(|| Error::not_found(format!("There is no note `{id}`.")))
//! }
//!
//! fn write(Path(id): Path<String>, Json(note): Json<Note>) -> Result<Json<Note>, Error> {
//!     NOTES.put(&id, &note)?;
//!     Ok(Json(note))
//! }
//!
//! struct Notes;
//! impl Plugin for Notes {
//!     fn routes() -> Router {
//!         Router::new().get("/notes/{id}", read).put("/notes/{id}", write)
//!     }
//! }
//! kontor_sdk::export!(Notes);
//! ```
//!
//! with this `plugin.toml` beside its `Cargo.toml`:
//!
//! ```toml
//! id = "notes"
//! version = "0.1.0"
//! publisher = "you"
//! name = "Notes"
//! description = "Keeps notes."
//!
//! [[routes]]
//! method = "*"
//! path = "/notes/{id}"
//! auth = "public"
//! ```
//!
//! The crate compiles for the machine's own target too, so that the rules of a plugin are tested by a plain `cargo test`. The
//! functions that need a host panic there; run whole plugins with `kontor-testkit`.

/// The allocator of plugins: as the standard library's, but it begins with the heap that `kontor build` gives every module, so that small
/// calls never grow their memory.
#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[doc(hidden)]
pub mod bindings;
pub mod clock;
pub mod config;
pub mod counter;
pub mod error;
pub mod events;
pub mod http;
pub mod id;
pub mod identity;
pub mod index;
pub mod jobs;
pub mod key;
pub mod log;
pub mod money;
pub mod outbound;
pub mod params;
pub mod plugin;
pub mod random;
pub mod secrets;
pub mod services;
pub mod table;

mod codec;
mod range;

pub use clock::Timestamp;
pub use counter::{Added, Counter};
pub use error::{Error, Result};
pub use events::{Event, EventType};
pub use index::Index;
pub use jobs::{Job, JobType};
pub use key::{AsKey, Key};
pub use plugin::{HandlerError, Plugin};
pub use range::Page;
pub use table::Table;

/// For the generated code of [`services!`].
#[doc(hidden)]
pub use wit_bindgen;
