//! Rounds: start, look, write, end at a random moment.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kontor_store::EngineKind;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::json;

use crate::check::{Entry, Expected, MERCHANT};
use crate::host::{Host, command, kontor, ledger};
use crate::http::Client;
use crate::power;
use crate::shim::Disk;
use crate::store;

/// After so many rounds a new data directory is begun: creation is tried too, and looking stays cheap.
const ROUNDS_PER_DIRECTORY: u32 = 12;
/// Clients that write at a time.
const CLIENTS: u64 = 3;
/// A round that lasts longer hangs.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);

/// How a process is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// `kill -9`: what the system was given is kept.
    Kill,
    /// The power is cut: what was not synced may be gone.
    Power,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The real binary.
    Host,
    /// The store alone.
    Store,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// How processes end.
    pub suite: Suite,
    /// What runs.
    pub level: Level,
    /// On which engine.
    pub engine: EngineKind,
    /// How often.
    pub rounds: u32,
    /// Of everything random.
    pub seed: u64,
    /// The program that is started again for [`Level::Store`], as `PROGRAM writer ENGINE DIRECTORY SEED`.
    pub program: PathBuf,
    /// The disk says that it synced and did not: the suite must fail.
    pub lies: bool,
    /// Where to work; a failed round's directory stays there.
    pub directory: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// As asked.
    pub suite: Suite,
    /// As asked.
    pub level: Level,
    /// As asked.
    pub engine: String,
    /// As asked.
    pub seed: u64,
    /// Rounds done.
    pub rounds: u32,
    /// Rounds that ended before the process was ready.
    pub ended_at_start: u32,
    /// Transactions that were acknowledged, over all rounds.
    pub acknowledged: u64,
    /// Backups that were complete when the host was killed, and sound.
    pub backups_whole: u32,
    /// Writes and changes of names that power cuts took.
    pub writes_lost: u64,
    /// See `writes_lost`.
    pub names_lost: u64,
    /// Median and longest time to be ready, in milliseconds.
    pub ready_ms_median: u64,
    /// See `ready_ms_median`.
    pub ready_ms_max: u64,
    /// How long it took.
    pub seconds: u64,
    /// What went wrong, with round and directory.
    pub failures: Vec<String>,
}

/// Runs the rounds.
pub fn run(options: &Options, progress: &mut dyn FnMut(u32)) -> Result<Report> {
    if options.level == Level::Host {
        // What is missing for every round is said once, before the first.
        kontor()?;
        ledger()?;
    }
    let began = Instant::now();
    let mut report = Report {
        suite: options.suite,
        level: options.level,
        engine: options.engine.to_string(),
        seed: options.seed,
        rounds: 0,
        ended_at_start: 0,
        acknowledged: 0,
        backups_whole: 0,
        writes_lost: 0,
        names_lost: 0,
        ready_ms_median: 0,
        ready_ms_max: 0,
        seconds: 0,
        failures: Vec::new(),
    };
    let mut ready_ms = Vec::new();
    let mut place = None;
    for round in 0..options.rounds {
        let mut random = ChaCha8Rng::seed_from_u64(options.seed.wrapping_mul(1_000_003) ^ u64::from(round));
        if round.is_multiple_of(ROUNDS_PER_DIRECTORY) {
            place = None;
        }
        let current = match &mut place {
            Some(current) => current,
            none => none.insert(Place::new(options, round)?),
        };
        let done = current.round(options, &mut random, &mut report, &mut ready_ms);
        if let Err(error) = done {
            report.failures.push(format!(
                "round {round} of seed {}: {error:#} (what is left: {})",
                options.seed,
                current.root.display()
            ));
            current.keep = true;
            place = None;
        }
        report.rounds += 1;
        progress(report.rounds);
    }
    // What the last round left is looked at too.
    if let Some(mut current) = place
        && let Err(error) = current.last_look(options, &mut report)
    {
        report.failures.push(format!("after the last round: {error:#} (what is left: {})", current.root.display()));
        current.keep = true;
    }
    ready_ms.sort_unstable();
    report.ready_ms_median = ready_ms.get(ready_ms.len() / 2).copied().unwrap_or_default();
    report.ready_ms_max = ready_ms.last().copied().unwrap_or_default();
    report.seconds = began.elapsed().as_secs();
    Ok(report)
}

/// A data directory, with what is known about it.
struct Place {
    root: PathBuf,
    data: PathBuf,
    disk: Option<Disk>,
    expected: Expected,
    /// Of each writer, for the store alone.
    acknowledged: Vec<u64>,
    labels: u32,
    keep: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            // A directory that stays is no harm.
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }
}

impl Place {
    fn new(options: &Options, round: u32) -> Result<Self> {
        let name = format!("{:?}-{:?}-{}-{}-{round}", options.suite, options.level, options.engine, options.seed);
        let root = options.directory.join(name.to_lowercase());
        let data = root.join("data");
        std::fs::create_dir_all(&data)?;
        let disk = (options.suite == Suite::Power).then(|| Disk {
            directory: data.clone(),
            power: Some(root.join("power")),
            lies: options.lies,
            ..Disk::default()
        });
        let acknowledged = vec![0; store::WRITERS as usize];
        Ok(Self { root, data, disk, expected: Expected::default(), acknowledged, labels: 0, keep: false })
    }

    fn round(
        &mut self,
        options: &Options,
        random: &mut ChaCha8Rng,
        report: &mut Report,
        ready_ms: &mut Vec<u64>,
    ) -> Result<()> {
        match options.level {
            Level::Host => self.host_round(options, random, report, ready_ms)?,
            Level::Store => self.store_round(options, random, report, ready_ms)?,
        }
        if let Some(Disk { power: Some(power), .. }) = &self.disk {
            let lost = power::cut(&self.data, power, random.random())?;
            report.writes_lost += lost.writes as u64;
            report.names_lost += lost.names as u64;
        }
        if options.level == Level::Store {
            self.look_at_store(options)?;
        }
        Ok(())
    }

    fn last_look(&mut self, options: &Options, report: &mut Report) -> Result<()> {
        if options.level == Level::Host {
            let mut host = Host::start(options.engine, &self.data, None)?;
            host.wait_ready()?;
            let mut client = host.client()?;
            self.expected.set_up(&mut client, ledger()?)?;
            self.expected.check(&mut client)?;
            report.acknowledged += self.expected.acknowledged_entries();
        }
        Ok(())
    }

    fn look_at_store(&mut self, options: &Options) -> Result<()> {
        self.acknowledged = store::look(options.engine, &self.data, &self.acknowledged)?;
        Ok(())
    }

    fn store_round(
        &mut self,
        options: &Options,
        random: &mut ChaCha8Rng,
        report: &mut Report,
        ready_ms: &mut Vec<u64>,
    ) -> Result<()> {
        let mut command = Command::new(&options.program);
        command
            .args(["writer", options.engine.name()])
            .arg(&self.data)
            .arg(random.random_range(0..1_000_000_u64).to_string())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.root.join("data.log"))?);
        if let Some(disk) = &self.disk {
            disk.apply(&mut command)?;
        }
        let began = Instant::now();
        let mut child = command.spawn()?;
        let (sender, lines) = channel();
        let stdout = child.stdout.take().context("no standard output")?;
        let reader = std::thread::spawn(move || forward_lines(stdout, &sender));
        let at_start = random.random_range(0..5) == 0;
        let mut wanted = if random.random_range(0..4) == 0 { 1 } else { random.random_range(1..400) };
        let until = if at_start { during_start(random, ready_ms) } else { ROUND_TIMEOUT };
        let mut acknowledged = self.acknowledged.clone();
        let mut was_ready = false;
        while wanted > 0 {
            match lines.recv_timeout(until.saturating_sub(began.elapsed())) {
                Ok(line) if line == "ready" => {
                    was_ready = true;
                    ready_ms.push(began.elapsed().as_millis() as u64);
                }
                Ok(line) => {
                    note(&mut acknowledged, &line);
                    wanted -= 1;
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        child.kill()?;
        let status = child.wait()?;
        reader.join().map_err(|_| anyhow::anyhow!("reading the child's lines"))?;
        lines.try_iter().for_each(|line| note(&mut acknowledged, &line));
        if !was_ready {
            report.ended_at_start += 1;
        }
        anyhow::ensure!(
            status.code().is_none(),
            "the store ended by itself ({status}): {}",
            std::fs::read_to_string(self.root.join("data.log")).unwrap_or_default()
        );
        report.acknowledged += acknowledged.iter().sum::<u64>() - self.acknowledged.iter().sum::<u64>();
        self.acknowledged = acknowledged;
        Ok(())
    }

    fn host_round(
        &mut self,
        options: &Options,
        random: &mut ChaCha8Rng,
        report: &mut Report,
        ready_ms: &mut Vec<u64>,
    ) -> Result<()> {
        let mut host = Host::start(options.engine, &self.data, self.disk.as_ref())?;
        if random.random_range(0..5) == 0 {
            // While it opens what the last round left, or creates it.
            if host.ready_within(during_start(random, ready_ms))?.is_none() {
                report.ended_at_start += 1;
                return host.kill();
            }
        } else {
            ready_ms.push(host.wait_ready()?.as_millis() as u64);
        }
        let mut client = match host.client() {
            Ok(client) => client,
            Err(error) => return Err(error.context(host.said())),
        };
        let before = self.expected.acknowledged_entries();
        let looked = self.expected.set_up(&mut client, ledger()?).and_then(|()| self.expected.check(&mut client));
        looked.with_context(|| format!("the host said:\n{}", host.said()))?;
        report.backups_whole += self.write_and_kill(&mut host, random)?;
        report.acknowledged += self.expected.acknowledged_entries() - before;
        Ok(())
    }

    /// Clients write until a number of acknowledgements is reached; then the host is killed while they go on.
    fn write_and_kill(&mut self, host: &mut Host, random: &mut ChaCha8Rng) -> Result<u32> {
        let wanted = random.random_range(0..60_u32);
        let lull = Duration::from_micros(random.random_range(0..4_000));
        let ids_per_client = 1_000;
        let first = self.expected.reserve_ids(CLIENTS * ids_per_client);
        let (sender, notes) = channel();
        let clients: Result<Vec<Client>> = (0..CLIENTS).map(|_| host.client()).collect();
        let change = random.random_range(0..4);
        self.labels += 1;
        let backup = self.root.join(format!("backup-{}", self.labels));
        let backup_to = backup.clone();
        let (label, mut changed, mut admin) = (format!("label {}", self.labels), self.expected.clone(), host.client()?);
        std::thread::scope(|scope| {
            for (number, client) in (0_u64..).zip(clients?) {
                let sender = sender.clone();
                let begin = first + number * ids_per_client;
                scope.spawn(move || write_entries(client, begin..begin + ids_per_client, &sender));
            }
            drop(sender);
            let administrator = scope.spawn(move || {
                // Cut off, mostly; what was acknowledged is in `changed`.
                let _ = match change {
                    0 => Ok(()),
                    1 => changed.configure(&mut admin, &label),
                    2 => admin.post("/api/v1/backup", &json!({ "directory": backup_to })).map(|_| ()),
                    _ => ledger().and_then(|package| changed.install(&mut admin, package, &label)),
                };
                changed
            });
            let mut acknowledged = 0;
            while acknowledged < wanted {
                match notes.recv_timeout(ROUND_TIMEOUT) {
                    Ok(Note::Sent(id)) => self.expected.sent(id),
                    Ok(Note::Acknowledged(id)) => {
                        self.expected.acknowledged(id);
                        acknowledged += 1;
                    }
                    Err(_) => break,
                }
            }
            let until = Instant::now() + lull;
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            host.kill()?;
            for note in notes.iter() {
                match note {
                    Note::Sent(id) => self.expected.sent(id),
                    Note::Acknowledged(id) => self.expected.acknowledged(id),
                }
            }
            let changed = administrator.join().map_err(|_| anyhow::anyhow!("the administrator panicked"))?;
            self.expected.take_revision(changed);
            let whole = check_backup(&backup)?;
            anyhow::ensure!(acknowledged >= wanted, "the host stopped acknowledging:\n{}", host.said());
            Ok(u32::from(whole))
        })
    }
}

/// A backup that was under way when the host was killed is whole, or it is none.
fn check_backup(backup: &Path) -> Result<bool> {
    let complete = backup.join("kontor-backup.json").exists();
    if complete {
        let arguments = ["verify", &backup.to_string_lossy()];
        let verified = command(backup, &arguments).map_err(|error| anyhow::anyhow!("a complete backup: {error}"))?;
        let problems = verified.pointer("/audit/problem_count").and_then(serde_json::Value::as_u64);
        anyhow::ensure!(problems == Some(0), "a complete backup is not sound: {verified}");
    }
    Ok(complete)
}

/// Something that a client did.
#[derive(Clone, Copy, Debug)]
pub enum Note {
    /// It sent the entry.
    Sent(u64),
    /// The entry was acknowledged.
    Acknowledged(u64),
}

/// Writes entries until the connection breaks.
pub fn write_entries(mut client: Client, ids: std::ops::Range<u64>, notes: &Sender<Note>) {
    let path = format!("/m/{MERCHANT}/ledger/entries");
    for id in ids {
        if notes.send(Note::Sent(id)).is_err() {
            return;
        }
        let Entry { amount, length } = Entry::of(id);
        match client.post(&path, &json!({ "id": id, "amount": amount, "length": length })) {
            Ok(answer) if answer.is_success() => {
                if notes.send(Note::Acknowledged(id)).is_err() {
                    return;
                }
            }
            // Busy, or it stops: nothing happened, or nobody knows.
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn forward_lines(stdout: impl std::io::Read, sender: &Sender<String>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if sender.send(line).is_err() {
            return;
        }
    }
}

/// `<writer> <number>`; a line that breaks off was not said.
fn note(acknowledged: &mut [u64], line: &str) {
    let parsed =
        line.split_once(' ').and_then(|(writer, n)| Some((writer.parse::<usize>().ok()?, n.parse::<u64>().ok()?)));
    if let Some((writer, n)) = parsed
        && let Some(last) = acknowledged.get_mut(writer)
    {
        *last = n.max(*last);
    }
}

/// Where suites work when nobody said.
pub fn default_directory() -> PathBuf {
    std::env::temp_dir().join(format!("kontor-durability-{}", std::process::id()))
}

/// Whether a directory can be worked in, as an absolute path.
pub fn working_directory(path: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
    Ok(path.canonicalize()?)
}

/// A moment while a process starts, or soon after: within one and a half times what starts took so far, so that on fast machines as many
/// are caught as on slow ones.
fn during_start(random: &mut ChaCha8Rng, ready_ms: &[u64]) -> Duration {
    let usual_ms = match ready_ms.len() {
        0 => 20,
        starts => (ready_ms.iter().sum::<u64>() / starts as u64).max(1),
    };
    Duration::from_micros(random.random_range(0..usual_ms * 1_500))
}
