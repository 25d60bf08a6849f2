//! The host that is measured: the real binary in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kontor_channels::demo::HostClient;
use serde_json::Value;

use crate::measure;

/// Time that a host may take to end.
const END_WITHIN: Duration = Duration::from_secs(60);

/// A running host.
#[derive(Debug)]
pub(crate) struct Host {
    child: Child,
    kontor: PathBuf,
    data: PathBuf,
    url: String,
    token: String,
    /// From the start of the process until it said that it serves.
    pub(crate) ready_after: Duration,
}

impl Host {
    /// Starts `kontor serve` on `data`. What it logs goes to a file beside it.
    pub(crate) fn start(kontor: &Path, data: &Path, store: &str) -> Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.with_extension("log"))?;
        let began = Instant::now();
        let mut child = Command::new(kontor)
            .args(["--json", "--data-dir"])
            .arg(data)
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--store", store])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", kontor.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the host has no standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let ready_after = began.elapsed();
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(url) = ready.get("url").and_then(Value::as_str) else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the host did not start: {line} (see {})", data.with_extension("log").display());
        };
        let token = std::fs::read_to_string(data.join("admin-token")).context("the host wrote no admin token")?;
        Ok(Self {
            child,
            kontor: kontor.to_owned(),
            data: data.to_owned(),
            url: url.to_owned(),
            token: token.trim().to_owned(),
            ready_after,
        })
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn admin_token(&self) -> &str {
        &self.token
    }

    pub(crate) fn client(&self) -> Result<HostClient> {
        Ok(HostClient::new(&self.url, &self.token)?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU that it used so far: host and guests, which run in it.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        measure::process_cpu(self.child.id())
    }

    /// Space that its data takes on the disk.
    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        measure::disk_bytes(&self.data)
    }

    /// Runs a command of `kontor` against this host and returns its result.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Value> {
        let output = Command::new(&self.kontor)
            .args(["--json", "--url", &self.url])
            .args(arguments)
            .env("KONTOR_TOKEN", &self.token)
            .current_dir(self.data.parent().unwrap_or(&self.data))
            .stderr(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("kontor {} failed: {text}", arguments.join(" "));
        }
        serde_json::from_str(&text).with_context(|| format!("kontor {} said {text}", arguments.join(" ")))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() { Ok(()) } else { bail!("the host ended with {status}") };
            }
            if began.elapsed() > END_WITHIN {
                bail!("the host did not end within {} seconds", END_WITHIN.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Ended already, if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The native server, in a process of its own.
#[derive(Debug)]
pub(crate) struct Native {
    child: Child,
    pub(crate) address: String,
}

impl Native {
    pub(crate) fn start(records: u32) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["native", &records.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the native server has no standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().to_owned() })
    }

    pub(crate) fn cpu(&self) -> Result<Duration> {
        measure::process_cpu(self.child.id())
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
