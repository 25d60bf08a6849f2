//! One module per command. Each takes the arguments as parsed and talks to a host through [`Connection`].

mod author;
mod backup;
mod dead_letter;
mod demo;
mod import;
mod merchant;
mod plugin;
mod secret;
mod serve;
mod settings;
mod token;

use clap::CommandFactory;

use crate::args::{Arguments, Command};
use crate::connection::Connection;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Tasks that a thread runs before it looks for new requests.
const TASKS_BETWEEN_EVENTS: u32 = 8;

/// Runs a command to its end.
pub(crate) fn run(arguments: Arguments, output: &Output) -> Result<()> {
    if let Command::Completions { shell } = arguments.command {
        clap_complete::generate(shell, &mut Arguments::command(), "kontor", &mut std::io::stdout());
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Slices of guests are long beside other tasks: after 61 of them, as is usual, a request would have waited for 15 ms.
        .event_interval(TASKS_BETWEEN_EVENTS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new("runtime", format!("cannot start threads: {error}")))?;
    runtime.block_on(dispatch(arguments, output))
}

async fn dispatch(arguments: Arguments, output: &Output) -> Result<()> {
    let connection_arguments = arguments.connection;
    match arguments.command {
        // Without a host.
        Command::Serve(serve) => serve::run(serve, &connection_arguments, output).await,
        Command::Demo(demo) => demo::run(demo, &connection_arguments, output).await,
        Command::Restore(arguments) => backup::restore(&arguments, &connection_arguments, output),
        Command::Verify(arguments) => backup::verify(&arguments, &connection_arguments, output),
        Command::Store(command) => backup::store(command, &connection_arguments, output),
        Command::New(new) => author::new_plugin(new, output),
        Command::Build(build) => author::build(build, output),
        Command::Test(test) => author::test(test, output),
        Command::Completions { .. } => Ok(()),
        command => {
            let connection = Connection::open(connection_arguments, output).await?;
            let result = with_host(command, &connection, output).await;
            connection.close().await;
            result
        }
    }
}

async fn with_host(command: Command, connection: &Connection, output: &Output) -> Result<()> {
    match command {
        Command::Merchant(command) => merchant::run(command, connection, output).await,
        Command::Plugin(command) => plugin::run(command, connection, output).await,
        Command::Secret(command) => secret::run(command, connection, output).await,
        Command::Token(command) => token::run(command, connection, output).await,
        Command::DeadLetter(command) => dead_letter::run(command, connection, output).await,
        Command::Backup { destination } => backup::backup(&destination, connection, output).await,
        Command::Import(arguments) => import::run(arguments, connection, output).await,
        Command::Serve(_)
        | Command::Demo(_)
        | Command::Restore(_)
        | Command::Verify(_)
        | Command::Store(_)
        | Command::New(_)
        | Command::Build(_)
        | Command::Test(_)
        | Command::Completions { .. } => Ok(()),
    }
}
