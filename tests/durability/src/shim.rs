//! The library that is loaded in front of libc: compiles it, and says how a process gets it. What it does is in `shim/disk.c`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

const SOURCE: &str = include_str!("../shim/disk.c");

/// The compiled library. The C compiler runs once a process.
pub fn library() -> Result<&'static Path> {
    static LIBRARY: OnceLock<Result<(tempfile::TempDir, PathBuf), String>> = OnceLock::new();
    match LIBRARY.get_or_init(|| compile().map_err(|error| format!("{error:#}"))) {
        Ok((_, path)) => Ok(path),
        Err(error) => bail!("{error}"),
    }
}

fn compile() -> Result<(tempfile::TempDir, PathBuf)> {
    let directory = tempfile::tempdir()?;
    let (source, library) = (directory.path().join("disk.c"), directory.path().join("disk.so"));
    std::fs::write(&source, SOURCE)?;
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&library)
        .arg(&source)
        .args(["-ldl", "-lpthread"])
        .output()
        .with_context(|| format!("running the C compiler {compiler:?}"))?;
    if !output.status.success() {
        bail!("disk.c does not compile:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok((directory, library))
}

/// How one process sees its disk and its clock.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// What is watched: an absolute path.
    pub directory: PathBuf,
    /// Power can be cut: where the log and the graves are.
    pub power: Option<PathBuf>,
    /// Syncing promises nothing.
    pub lies: bool,
    /// A file that says which fault there is.
    pub fault: Option<PathBuf>,
    /// A file that says how many milliseconds the clock is off.
    pub clock: Option<PathBuf>,
}

impl Disk {
    /// Adds what the process needs to its environment.
    pub fn apply(&self, command: &mut Command) -> Result<()> {
        command.env("LD_PRELOAD", library()?).env("DISK_DIRECTORY", &self.directory);
        if let Some(power) = &self.power {
            std::fs::create_dir_all(power.join("graves"))?;
            command.env("DISK_LOG", power.join("log")).env("DISK_GRAVES", power.join("graves"));
        }
        if self.lies {
            command.env("DISK_LIES", "1");
        }
        for (name, file) in [("DISK_FAULT", &self.fault), ("DISK_CLOCK", &self.clock)] {
            if let Some(file) = file {
                command.env(name, file);
            }
        }
        Ok(())
    }
}
