//! `kontor-bench`: measures the host. Everything under load runs against the real binary `kontor` in a process of its own; the
//! clients are another process (this binary, called again). Baselines are measured in the same run, because absolute numbers say
//! more about a machine than about a program.
//!
//! What each number includes is said where it is measured, and printed with it.

mod arguments;
mod artefacts;
mod bare;
mod cases;
mod client;
mod host;
mod load;
mod measure;
mod native;
mod report;
mod sandbox;
mod shop;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use crate::arguments::{Arguments, Role};

/// The allocator of `kontor`, for the sandbox that is measured in this process, and for the baselines.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.role {
        Some(Role::Client) => client::run(),
        Some(Role::Native { records }) => native::run(*records),
        None => cases::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
