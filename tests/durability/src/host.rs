//! The real host: the command `kontor serve` as a process, and the plugins that it runs.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kontor_package::Builder;
use kontor_store::EngineKind;
use serde_json::Value;

use crate::http::Client;
use crate::shim::Disk;

/// A host that is not ready by then is broken.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Memory for the store's cache: small, so that files are written and merged all the time.
const CACHE_MIB: &str = "2";

/// The command `kontor`: built beside the program that runs, or one directory above a test.
pub fn kontor() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    here.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("kontor"))
        .find(|path| path.is_file())
        .with_context(|| format!("there is no `kontor` beside {}: cargo build --bin kontor", here.display()))
}

/// The packed plugin `ledger`; built once a process.
pub fn ledger() -> Result<&'static [u8]> {
    static PACKAGE: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    let build = || -> Result<Vec<u8>> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/plugins/ledger");
        let built = Builder::new().build(&directory, &mut |_| {})?;
        Ok(std::fs::read(built.path)?)
    };
    match PACKAGE.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(bytes) => Ok(bytes),
        Err(error) => bail!("the plugin `ledger` was not built: {error}"),
    }
}

/// Runs a command on a data directory to its end and gives what it wrote to standard output, as JSON.
pub fn command(data: &Path, arguments: &[&str]) -> Result<Value, String> {
    let run = || -> Result<_> {
        let mut command = Command::new(kontor()?);
        command
            .args(arguments)
            .arg("--json")
            .arg("--data-dir")
            .arg(data)
            .env_remove("KONTOR_URL")
            .env_remove("KONTOR_TOKEN");
        Ok(command.stdin(Stdio::null()).output()?)
    };
    let output = run().map_err(|error| format!("{error:#}"))?;
    let first = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    if !output.status.success() {
        return Err(format!("{first}\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_str(&first).map_err(|error| format!("{error}: {first}"))
}

/// A process `kontor serve`, which may not be ready yet. Killed when dropped.
#[derive(Debug)]
pub struct Host {
    child: Child,
    data: PathBuf,
    log: PathBuf,
    ready: Receiver<String>,
    port: Option<u16>,
    began: Instant,
}

impl Drop for Host {
    fn drop(&mut self) {
        // Ended already, mostly.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Host {
    /// Starts one on `data`, which exists; what it says is written beside.
    pub fn start(engine: EngineKind, data: &Path, disk: Option<&Disk>) -> Result<Self> {
        let log = data.with_extension("log");
        let mut command = Command::new(kontor()?);
        command
            .args(["serve", "--dev", "--json", "--listen", "127.0.0.1:0", "--cache-mib", CACHE_MIB])
            .args(["--store", engine.name()])
            .arg("--data-dir")
            .arg(data)
            .env_remove("KONTOR_DATA_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?);
        if let Some(disk) = disk {
            disk.apply(&mut command)?;
        }
        let began = Instant::now();
        let mut child = command.spawn().context("starting kontor")?;
        let (sender, ready) = channel();
        let stdout = child.stdout.take().context("no standard output")?;
        std::thread::spawn(move || {
            let mut line = String::new();
            if BufReader::new(stdout).read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                // Nobody may wait any more.
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, data: data.to_owned(), log, ready, port: None, began })
    }

    /// Waits until it is ready, at most so long; `None` when it is not ready by then.
    pub fn ready_within(&mut self, patience: Duration) -> Result<Option<Duration>> {
        match self.ready.recv_timeout(patience) {
            Ok(line) => {
                let line: Value = serde_json::from_str(&line).with_context(|| format!("kontor said {line:?}"))?;
                if let Some(error) = line.get("error") {
                    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
                    bail!("the host does not start: error [{}]: {}", text("code"), text("message"));
                }
                let port = line.get("url").and_then(Value::as_str).and_then(|url| url.rsplit(':').next()?.parse().ok());
                self.port = Some(port.with_context(|| format!("kontor said {line}"))?);
                Ok(Some(self.began.elapsed()))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the host does not start ({}):\n{}", self.child.wait()?, self.said())
            }
        }
    }

    /// Waits until it is ready.
    pub fn wait_ready(&mut self) -> Result<Duration> {
        match self.ready_within(READY_TIMEOUT)? {
            Some(after) => Ok(after),
            None => bail!("the host is not ready after {READY_TIMEOUT:?}:\n{}", self.said()),
        }
    }

    /// A client with the admin's token.
    pub fn client(&self) -> Result<Client> {
        let path = self.data.join("admin-token");
        let token = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Client::connect(self.port.context("the host is not ready")?, token.trim())
    }

    /// `kill -9`
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for its own end.
    pub fn wait_end(&mut self, patience: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                bail!("the host did not end within {patience:?}:\n{}", self.said());
            }
            std::thread::yield_now();
        }
    }

    /// Asks it to end in order (SIGTERM) and waits.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        let status = Command::new("kill").arg(self.child.id().to_string()).status()?;
        if !status.success() {
            bail!("cannot send a signal to the host");
        }
        self.wait_end(READY_TIMEOUT)
    }

    /// The end of what it said on standard error.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
    }
}
