//! What is measured, case by case. Each case has a host and a store of its own, so that none sees what another left.

mod http;
mod neighbour;
mod orders;
mod sandbox;
mod scale;
mod start;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::arguments::Arguments;
use crate::artefacts::Artefacts;
use crate::host::Host;
use crate::measure;
use crate::report::{Report, say};

/// The cases, in their order.
const CASES: [(&str, &str); 6] = [
    ("sandbox", "a fresh instance, and calls between plugins, against wasmtime alone"),
    ("http", "a plugin that reads a record and answers JSON, against native axum"),
    ("orders", "whole orders by the shop's API: throughput, CPU, hot articles, engines"),
    ("start", "cold start and memory at rest of the demo's merchant"),
    ("neighbour", "what a hostile plugin does to another's latency"),
    ("scale", "1 k, 100 k and 1 M products: import, disk, orders, pages"),
];

/// What every case is given.
pub(crate) struct Bench {
    pub(crate) artefacts: Artefacts,
    pub(crate) report: Report,
    pub(crate) quick: bool,
    pub(crate) store: String,
    pub(crate) profile: Option<u64>,
    directory: PathBuf,
}

impl Bench {
    /// A folder for one host, removed at the end.
    pub(crate) fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::Builder::new().prefix("kontor-bench-").tempdir_in(&self.directory)?)
    }

    /// A new host in a folder, on the durable store.
    pub(crate) fn host(&self, folder: &TempDir) -> Result<Host> {
        self.host_on(folder, &self.store)
    }

    /// A new host in a folder, on this store.
    pub(crate) fn host_on(&self, folder: &TempDir, store: &str) -> Result<Host> {
        Host::start(&self.artefacts.kontor, &folder.path().join("data"), store)
    }

    /// Seconds that a load is put on.
    pub(crate) fn seconds(&self) -> f64 {
        if self.quick { 4.0 } else { 12.0 }
    }

    /// Seconds of load before something is measured: caches fill, the code is paged in.
    pub(crate) fn warm_up_seconds(&self) -> f64 {
        if self.quick { 1.0 } else { 3.0 }
    }
}

/// Runs what was asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.list {
        for (name, what) in CASES {
            say(&format!("{name:<12} {what}"));
        }
        return Ok(());
    }
    if cfg!(debug_assertions) {
        bail!("a debug build measures nothing worth knowing: cargo run --release --bin kontor-bench");
    }
    let wanted =
        |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| name.contains(only.as_str()));
    if !CASES.iter().any(|(name, _)| wanted(name)) {
        bail!("no such case; --list shows them");
    }
    let artefacts = Artefacts::build(arguments.kontor.as_deref())?;
    let directory = data_directory(arguments, &artefacts)?;
    let file_system = measure::file_system(&directory)?;
    if ["tmpfs", "ramfs"].contains(&file_system.as_str()) {
        bail!("{} is in memory ({file_system}): name a folder on a disk with --data-dir", directory.display());
    }
    say(&format!("{}; stores in {} ({file_system})", measure::machine(), directory.display()));
    let mut bench = Bench {
        artefacts,
        report: Report::new(arguments.json),
        quick: arguments.quick,
        store: arguments.store.clone(),
        profile: arguments.profile,
        directory,
    };
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (name, _) in CASES {
        if !wanted(name) {
            continue;
        }
        say(&format!("{name} ({})", measure::machine()));
        threads.block_on(async {
            match name {
                "sandbox" => sandbox::run(&mut bench).await,
                "http" => http::run(&mut bench).await,
                "orders" => orders::run(&mut bench).await,
                "start" => start::run(&mut bench).await,
                "neighbour" => neighbour::run(&mut bench).await,
                _ => scale::run(&mut bench).await,
            }
        })?;
    }
    bench.report.finish();
    Ok(())
}

fn data_directory(arguments: &Arguments, artefacts: &Artefacts) -> Result<PathBuf> {
    let directory = arguments.data_dir.clone().unwrap_or_else(|| artefacts.target.join("bench"));
    std::fs::create_dir_all(&directory)?;
    Ok(Path::new(&directory).canonicalize()?)
}
