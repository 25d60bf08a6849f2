//! `kontor-durability`: runs a suite for as many rounds as wanted. Ends with 1 when anything was lost or half done.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use kontor_durability::suite::{default_directory, working_directory};
use kontor_durability::{Level, Options, Suite, run, store};
use kontor_store::EngineKind;

/// Kills hosts or cuts their power at random moments, and looks whether anything acknowledged is gone.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How processes are ended.
    #[arg(long, value_enum, default_value = "kill")]
    suite: SuiteChoice,
    /// Which engine: sled or fjall.
    #[arg(long, default_value = "fjall")]
    engine: String,
    /// What runs: the real host, or the store alone (many more transactions a second).
    #[arg(long, value_enum, default_value = "host")]
    level: LevelChoice,
    /// How many rounds.
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// Of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// With --suite power: the disk says that it synced and did not. Shows that the suite would see a loss.
    #[arg(long)]
    lies: bool,
    /// Where to work. What a failed round left stays there.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Commit until killed; what the suites run.
    #[command(hide = true)]
    Writer {
        /// Which engine.
        engine: String,
        /// Of the store.
        directory: PathBuf,
        /// Of what is random.
        seed: u64,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SuiteChoice {
    Kill,
    Power,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelChoice {
    Host,
    Store,
}

fn main() -> ExitCode {
    match start(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn start(arguments: Arguments) -> Result<ExitCode> {
    let engine = |name: &str| name.parse::<EngineKind>().context("--engine");
    if let Some(Command::Writer { engine: name, directory, seed }) = arguments.command {
        store::write_until_killed(engine(&name)?, &directory, seed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options {
        suite: match arguments.suite {
            SuiteChoice::Kill => Suite::Kill,
            SuiteChoice::Power => Suite::Power,
        },
        level: match arguments.level {
            LevelChoice::Host => Level::Host,
            LevelChoice::Store => Level::Store,
        },
        engine: engine(&arguments.engine)?,
        rounds: arguments.rounds,
        seed: arguments.seed,
        program: std::env::current_exe()?,
        lies: arguments.lies,
        directory: working_directory(&arguments.directory.unwrap_or_else(default_directory))?,
    };
    let report = run(&options, &mut |round| {
        if round.is_multiple_of(50) {
            let _ = writeln!(std::io::stderr(), "{round} of {} rounds", options.rounds);
        }
    })?;
    let text = if arguments.json { serde_json::to_string(&report)? } else { serde_json::to_string_pretty(&report)? };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
