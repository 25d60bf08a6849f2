//! The command `kontor`: runs a host, changes what is installed in one, and builds plugins. Everything it does to a host goes
//! through the control API, so that whatever it can do, a program can do too.

mod args;
mod client;
mod commands;
mod connection;
mod failure;
mod output;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    let output = output::Output::new(arguments.json);
    match commands::run(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.failure(&error);
            ExitCode::FAILURE
        }
    }
}
