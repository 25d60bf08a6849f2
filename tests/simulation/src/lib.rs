//! Seeded simulation of the whole: the real transaction machine, the real plugins on the real engine, and a memory store that
//! fails, under a scheduler that decides by seed which of many tasks goes on next, in virtual time. A seed is a shop with ten lamps,
//! a crowd that wants more of them in three channels, and everything that can go wrong meanwhile; checkers look after every commit
//! and in the end. The same seed is the same run.
//!
//! - `timeline`, `scheduler`, `store`, `market`: time, who goes on, what the store and the world outside do to the host.
//! - `plan`: what a seed draws. `people`, `nemesis`: who does what. `host`: the host's lives and how it is reached.
//! - `books`: the checkers. [`history`]: histories of lists, for outside checkers and our own.
//! - [`base`]: the shop as every run finds it. [`run`](mod@run): one run.
//!
//! Everything here panics where the simulation itself cannot go on; what is wrong with the host is a [`Failure`].
#![allow(clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "a broken simulation ends the test")]

pub mod base;
mod books;
pub mod history;
mod host;
mod market;
mod nemesis;
mod people;
mod plan;
pub mod run;
mod scheduler;
mod store;
mod timeline;
mod trace;

pub use base::Base;
pub use plan::Case;
pub use run::{Failure, Report, run};
