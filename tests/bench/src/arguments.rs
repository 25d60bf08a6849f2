//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures Kontor: each line with its unit, its baseline from the same run, and its target.
///
/// Build it with `--release`. Ratios can be trusted within one run; absolute numbers belong to the machine and to what else
/// it is doing. The load of the machine is printed first.
#[derive(Debug, Parser)]
#[command(name = "kontor-bench", max_term_width = 100)]
pub(crate) struct Arguments {
    /// A JSON line each on standard output, instead of a table: name, value, unit, baseline, ratio, and then target, met,
    /// includes.
    #[arg(long)]
    pub(crate) json: bool,

    /// Shorter, and without the million products.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Only cases whose name contains this. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,

    /// List the cases.
    #[arg(long)]
    pub(crate) list: bool,

    /// Engine of the durable store, as `kontor serve --store` knows it.
    #[arg(long, default_value = "fjall", value_name = "ENGINE")]
    pub(crate) store: String,

    /// Where stores are made; must be on a disk, not in memory. Default: the target folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// The command `kontor` to measure. Default: it is built.
    #[arg(long, value_name = "FILE")]
    pub(crate) kontor: Option<PathBuf>,

    /// Run the load of one case again and again without measuring, for a profiler: prints the host's process id.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) profile: Option<u64>,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What the bench starts itself as.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Puts load on a server: reads what to do from standard input, writes what it saw to standard output.
    #[command(hide = true)]
    Client,
    /// The native server that the host is compared with.
    #[command(hide = true)]
    Native {
        /// Records that it has.
        records: u32,
    },
}
