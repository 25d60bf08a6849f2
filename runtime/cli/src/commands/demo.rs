//! `kontor demo`: builds every plugin of this source tree, starts a host, and lets the demo merchant's customers loose on it. What the
//! merchant sells and what customers do is `kontor_channels::demo`; here is the host, the clock and the printing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kontor_channels::demo::{Demo, DemoOptions, Package, Summary};
use kontor_server::{HostOptions, RunningHost};

use super::author;
use super::serve::{engine_kind, stop_signal};
use crate::args::{ConnectionArguments, DemoArguments};
use crate::connection::{self, RunningNote};
use crate::failure::{Failure, Result};
use crate::output::Output;

/// How long customers buy when nobody said.
const SECONDS_HEADLESS: u64 = 20;
const SECONDS_WITH_A_PERSON: u64 = 60;

/// The demo's data is thrown away in the end; what was compiled for it need not be.
fn code_cache_beside_the_binary() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.ancestors().nth(2)?.join("compiled"))
}

pub(crate) async fn run(arguments: DemoArguments, connection: &ConnectionArguments, output: &Output) -> Result<()> {
    let root = source_tree()?;
    let plugins = plugin_directories(&root)?;
    let files = author::build_directories(&plugins, output)?;
    let packages = files
        .iter()
        .map(|file| {
            std::fs::read(file).map(|bytes| Package { bytes }).map_err(|error| Failure::file("read", file, error))
        })
        .collect::<Result<Vec<Package>>>()?;

    let (directory, _temporary) = data_directory(&arguments)?;
    let mut options = HostOptions::new(&directory);
    options.code_cache_dir = connection.code_cache.clone().or_else(code_cache_beside_the_binary);
    options.listen = arguments.listen;
    if let Some(choice) = arguments.store {
        options.store = engine_kind(choice);
    }
    options.dev_mode = true;
    let spinner = output.spinner("starting the host");
    let host = connection::start(options).await?;
    spinner.finish_and_clear();
    let url = connection::url_of(&host);
    let note = RunningNote::write(&directory, &url)?;
    let result = sell(&arguments, &directory, &url, packages, &host, output).await;
    drop(note);
    let report = host.shutdown().await;
    match (result, report.fatal.or(report.store_error)) {
        (Ok(()), Some(reason)) => Err(Failure::new("host-stopped", format!("the host could not go on: {reason}"))),
        (result, _) => result,
    }
}

async fn sell(
    arguments: &DemoArguments,
    directory: &Path,
    url: &str,
    packages: Vec<Package>,
    host: &RunningHost,
    output: &Output,
) -> Result<()> {
    let token = connection::read_token(directory)?;
    let options = DemoOptions { seed: arguments.seed, buyers_per_channel: arguments.buyers };
    let spinner = output.spinner("installing the plugins and filling the shop");
    let demo = Demo::set_up(url, &token, packages, options).await.map_err(failed)?;
    spinner.finish_and_clear();
    for address in demo.addresses() {
        output.say(format!("{:<12} {}", address.name, address.url));
        if let Some(remark) = &address.remark {
            output.say(format!("{:<12} {remark}", ""));
        }
    }
    output.say(format!("{:<12} kontor --data-dir {} plugin list", "control", directory.display()));

    let default = if arguments.headless { SECONDS_HEADLESS } else { SECONDS_WITH_A_PERSON };
    let seconds = arguments.seconds.unwrap_or(default);
    if seconds > 0 {
        let bar = output.bar("customers buy in every channel", seconds);
        let customers = demo.sell(Duration::from_secs(seconds));
        tokio::pin!(customers);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.tick().await;
        let summary = loop {
            tokio::select! {
                summary = &mut customers => break summary.map_err(failed)?,
                _ = tick.tick() => bar.inc(1),
                () = stop_signal() => return Ok(()),
                reason = host.stopped() => return Err(Failure::new("host-stopped", reason.unwrap_or_default())),
            }
        };
        bar.finish_and_clear();
        output.result(&summary, || summary.to_text());
        check(&summary)?;
    }
    if !arguments.headless {
        output.say("the shop stays open until Ctrl-C");
        stop_signal().await;
    }
    Ok(())
}

fn check(summary: &Summary) -> Result<()> {
    match summary.fault() {
        None => Ok(()),
        Some(fault) => Err(Failure::new("demo-fault", fault)),
    }
}

fn failed(error: kontor_channels::demo::DemoError) -> Failure {
    Failure::new("demo", error.to_string())
}

/// Where the demo keeps its data; a temporary directory is removed at the end.
fn data_directory(arguments: &DemoArguments) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    match &arguments.keep {
        Some(directory) => Ok((directory.clone(), None)),
        None => {
            let temporary = tempfile::Builder::new()
                .prefix("kontor-demo-")
                .tempdir()
                .map_err(|error| Failure::new("file", format!("cannot make a temporary directory: {error}")))?;
            Ok((temporary.path().to_owned(), Some(temporary)))
        }
    }
}

/// The root of the source tree: the demo builds the plugins that are there.
fn source_tree() -> Result<PathBuf> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::new("file", format!("cannot tell the current directory: {error}")))?;
    here.ancestors()
        .find(|directory| directory.join("plugins").is_dir() && directory.join("Cargo.toml").is_file())
        .map(Path::to_owned)
        .ok_or_else(|| {
            Failure::new(
                "no-source-tree",
                "the demo builds the plugins of Kontor's source tree: run `cargo kontor demo` inside a clone of it",
            )
        })
}

fn plugin_directories(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let groups =
        std::fs::read_dir(root.join("plugins")).map_err(|error| Failure::file("read", &root.join("plugins"), error))?;
    for group in groups.filter_map(|entry| entry.ok()).map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let plugins = std::fs::read_dir(&group).map_err(|error| Failure::file("read", &group, error))?;
        found.extend(
            plugins
                .filter_map(|entry| entry.ok())
                .map(|entry| entry.path())
                .filter(|path| path.join("plugin.toml").is_file()),
        );
    }
    found.sort();
    Ok(found)
}
