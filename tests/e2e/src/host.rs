//! Runs the command `kontor` as its users do: as a process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use kontor_channels::demo::HostClient;
use serde_json::Value;

/// The binary that was built together with this test.
pub fn kontor() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(Path::parent).unwrap().join("kontor");
    assert!(binary.is_file(), "{} is not there: `cargo test --workspace` builds it", binary.display());
    binary
}

/// All hosts of all runs share compiled code: only the first compiles it.
fn code_cache() -> PathBuf {
    kontor().ancestors().nth(2).unwrap().join("compiled")
}

/// A host that runs in a process of its own. It is killed when this is dropped.
#[derive(Debug)]
pub struct Host {
    process: Child,
    data: PathBuf,
    /// With the admin token.
    pub admin: HostClient,
}

impl Host {
    /// `kontor serve` over `data`, on a free port of the loopback address. Returns when it answers.
    pub fn start(data: &Path) -> Self {
        fs::create_dir_all(data).unwrap();
        let log = File::options().create(true).append(true).open(data.with_extension("log")).unwrap();
        let mut process = command(data)
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let _ = process.wait();
            panic!("the host does not start ({error}): {line}{}", log_of(data))
        });
        let token = fs::read_to_string(ready["admin_token_file"].as_str().unwrap()).unwrap();
        let admin = HostClient::new(ready["url"].as_str().unwrap(), token.trim()).unwrap();
        Self { process, data: data.to_owned(), admin }
    }

    /// A command against this host, such as `plugin list`. With `--json` its output is JSON.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.data);
        command.args(arguments);
        command
    }

    /// Runs a command to its end; it must succeed.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}{}", self.log());
        output
    }

    /// As [`Self::run()`] with `--json`.
    pub fn run_json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }

    /// What the host wrote to standard error.
    pub fn log(&self) -> String {
        log_of(&self.data)
    }

    /// Kills the process as a crash would (SIGKILL), and starts another over the same data.
    #[must_use]
    pub fn crash_and_restart(mut self) -> Self {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        Self::start(&self.data.clone())
    }

    /// Asks the host to stop (SIGTERM); it must end well.
    pub fn stop(mut self) {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(asked.success());
        let ended = self.process.wait().unwrap();
        assert!(ended.success(), "{ended}: {}", self.log());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(kontor());
    command
        .env_remove("KONTOR_URL")
        .env_remove("KONTOR_TOKEN")
        .env_remove("KONTOR_MERCHANT")
        .env("KONTOR_CODE_CACHE", code_cache())
        .arg("--data-dir")
        .arg(data);
    command
}

fn log_of(data: &Path) -> String {
    fs::read_to_string(data.with_extension("log")).unwrap_or_default()
}
