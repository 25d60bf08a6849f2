//! Time and memory as the operating system tells them, and what follows from many samples.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Ticks of `/proc/<pid>/stat` in a second: 100 on every Linux that has not been patched (`getconf CLK_TCK`).
const TICKS_PER_SECOND: u64 = 100;

/// CPU that a process used so far, all threads, user and system. To 10 ms.
pub(crate) fn process_cpu(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    // The second field is the name, in parentheses, and may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 1_000 / TICKS_PER_SECOND))
}

/// CPU that this thread used so far; exact to a scheduler's tick of at most 4 ms.
pub(crate) fn thread_cpu() -> Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").context("no /proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().and_then(|field| field.parse().ok()).context("schedstat is empty")?;
    Ok(Duration::from_nanos(nanos))
}

/// Memory of a process that is in RAM, bytes: what is its own, and all of it with mapped files.
pub(crate) fn process_memory(pid: u32) -> Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} is gone"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok()
    };
    let own = field("RssAnon").context("no RssAnon in /proc/<pid>/status")?;
    let all = field("VmRSS").context("no VmRSS in /proc/<pid>/status")?;
    Ok((own * 1024, all * 1024))
}

/// Space that files below `directory` take on the disk (blocks, not lengths).
pub(crate) fn disk_bytes(directory: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// The file system that a path is on, as `/proc/mounts` names it.
pub(crate) fn file_system(path: &Path) -> Result<String> {
    let path = path.canonicalize()?;
    let mounts = fs::read_to_string("/proc/mounts")?;
    let mut best = (0, "unknown");
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if let [_, mount, kind, ..] = fields.as_slice()
            && path.starts_with(mount)
            && mount.len() >= best.0
        {
            best = (mount.len(), kind);
        }
    }
    Ok(best.1.to_owned())
}

/// Processors and load of the machine, in words.
pub(crate) fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    format!("{cores} cores ({}), load average {}", model.map_or("unknown", |(_, name)| name), load.join(" "))
}

/// Where samples lie.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Quantiles {
    /// Of samples in any order.
    pub(crate) fn of(mut samples: Vec<u32>) -> Self {
        samples.sort_unstable();
        let at = |share: f64| {
            let index = ((samples.len().saturating_sub(1)) as f64 * share).round() as usize;
            samples.get(index).map_or(0.0, |sample| f64::from(*sample))
        };
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
