//! Runs seeds of the simulation: many of them in long runs, one of them with all that happens to see why it failed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use kontor_simulation::{Base, Case, run};
use mimalloc::MiMalloc;

/// The allocator of `kontor`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// After so many seeds a line says how many are done.
const TOLD_EVERY: u64 = 500;

/// Seeded simulation of the host with the real plugins.
#[derive(Debug, Parser)]
#[command(name = "kontor-simulate")]
struct Options {
    /// The seeds: FROM..TO, without TO.
    #[arg(long, value_parser = seeds)]
    seeds: Range<u64>,
    /// 200 buyers in every run, not in one of 64.
    #[arg(long)]
    crowd: bool,
    /// Runs at once.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// A JSON line per seed.
    #[arg(long)]
    json: bool,
    /// Prints all that happens.
    #[arg(long)]
    trace: bool,
    /// Writes the lists' history of each seed as SEED.edn into this folder, for an outside isolation checker.
    #[arg(long)]
    history: Option<PathBuf>,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("`{text}`: {error}"));
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => number(text).map(|seed| seed..seed + 1),
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let base = Base::new();
    let (next, done, failed) = (AtomicU64::new(options.seeds.start), AtomicU64::new(0), Mutex::new(Vec::new()));
    let count = options.seeds.end.saturating_sub(options.seeds.start);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.seeds.end {
                        return;
                    }
                    match run(&base, Case { seed, whole_crowd: options.crowd }, options.trace) {
                        Ok(report) => {
                            if options.trace {
                                println!("{}", report.trace.join("\n"));
                            }
                            if options.json {
                                println!("{}", serde_json::to_string(&report).unwrap_or_default());
                            }
                            if let Some(folder) = &options.history {
                                let path = folder.join(format!("{seed}.edn"));
                                if let Err(error) = std::fs::write(&path, &report.history) {
                                    eprintln!("{} cannot be written: {error}", path.display());
                                }
                            }
                        }
                        Err(failure) => {
                            eprintln!("{failure}\n");
                            failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(seed);
                        }
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if done.is_multiple_of(TOLD_EVERY) {
                        eprintln!("{done} of {count} seeds");
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{count} seeds in {seconds:.1} s, {} failed: {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
