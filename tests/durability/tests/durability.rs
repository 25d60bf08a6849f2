//! A hundred rounds of each suite on each engine, and what a host does when its disk or its clock fails. More rounds:
//! `cargo run --bin kontor-durability -- --help`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kontor_durability::check::{Entry, Expected, MERCHANT};
use kontor_durability::host::{Host, command, ledger};
use kontor_durability::http::{Answer, Client};
use kontor_durability::shim::Disk;
use kontor_durability::suite::{Note, working_directory, write_entries};
use kontor_durability::{Level, Options, Report, Suite, run};
use kontor_store::EngineKind;
use serde_json::json;

const ROUNDS: u32 = 100;
/// A host that cannot go on ends within this.
const END_TIMEOUT: Duration = Duration::from_secs(40);

fn suite(suite: Suite, level: Level, engine: EngineKind, rounds: u32, lies: bool) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        suite,
        level,
        engine,
        rounds,
        seed: 3,
        program: PathBuf::from(env!("CARGO_BIN_EXE_kontor-durability")),
        lies,
        directory: working_directory(directory.path()).unwrap(),
    };
    run(&options, &mut |_| {}).unwrap()
}

/// Nothing is lost, and the rounds did what they are for.
fn holds(kind: Suite, level: Level, engine: EngineKind) {
    let report = suite(kind, level, engine, ROUNDS, false);
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert!(report.acknowledged > 500, "{report:?}");
    assert!((5..=40).contains(&report.ended_at_start), "{report:?}");
    assert_eq!(report.writes_lost > 0, kind == Suite::Power, "{report:?}");
}

#[test]
fn hosts_on_sled_survive_kill_9() {
    holds(Suite::Kill, Level::Host, EngineKind::Sled);
}

#[test]
fn hosts_on_fjall_survive_kill_9() {
    holds(Suite::Kill, Level::Host, EngineKind::Fjall);
}

#[test]
fn hosts_on_sled_survive_power_loss() {
    holds(Suite::Power, Level::Host, EngineKind::Sled);
}

#[test]
fn hosts_on_fjall_survive_power_loss() {
    holds(Suite::Power, Level::Host, EngineKind::Fjall);
}

#[test]
fn stores_survive_kill_9_and_power_loss() {
    for engine in [EngineKind::Sled, EngineKind::Fjall] {
        for kind in [Suite::Kill, Suite::Power] {
            holds(kind, Level::Store, engine);
        }
    }
}

#[test]
fn a_disk_that_only_says_that_it_syncs_is_caught() {
    for engine in [EngineKind::Sled, EngineKind::Fjall] {
        let report = suite(Suite::Power, Level::Store, engine, 12, true);
        assert!(!report.failures.is_empty(), "the suite would not see a loss: {report:?}");
    }
}

/// A host whose disk and clock the test has in its hands.
struct Bench {
    _root: tempfile::TempDir,
    engine: EngineKind,
    disk: Disk,
    expected: Expected,
}

impl Bench {
    fn new(engine: EngineKind) -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().canonicalize().unwrap();
        let data = path.join("data");
        fs::create_dir(&data).unwrap();
        let disk = Disk {
            directory: data,
            fault: Some(path.join("fault")),
            clock: Some(path.join("clock")),
            ..Disk::default()
        };
        Self { _root: root, engine, disk, expected: Expected::default() }
    }

    fn data(&self) -> &Path {
        &self.disk.directory
    }

    fn fault(&self, fault: &str) {
        fs::write(self.disk.fault.as_ref().unwrap(), fault).unwrap();
    }

    fn set_clock(&self, shift_ms: i64) {
        fs::write(self.disk.clock.as_ref().unwrap(), shift_ms.to_string()).unwrap();
    }

    fn start(&self) -> Host {
        Host::start(self.engine, self.data(), Some(&self.disk)).unwrap()
    }

    /// A host that is ready and holds what it acknowledged.
    fn start_and_check(&mut self) -> (Host, Client) {
        let mut host = self.start();
        host.wait_ready().unwrap();
        let mut client = host.client().unwrap();
        self.expected.set_up(&mut client, ledger().unwrap()).unwrap();
        self.expected.check(&mut client).unwrap();
        (host, client)
    }

    fn write(&mut self, client: &mut Client) -> anyhow::Result<Answer> {
        let id = self.expected.reserve_ids(1);
        self.expected.sent(id);
        let Entry { amount, length } = Entry::of(id);
        let path = format!("/m/{MERCHANT}/ledger/entries");
        let answer = client.post(&path, &json!({ "id": id, "amount": amount, "length": length }))?;
        if answer.is_success() {
            self.expected.acknowledged(id);
        }
        Ok(answer)
    }
}

#[test]
fn a_full_or_broken_disk_stops_the_host_which_starts_again_when_it_is_mended() {
    for engine in [EngineKind::Sled, EngineKind::Fjall] {
        for (fault, reason) in [("full", "No space left on device"), ("broken", "Input/output error")] {
            let mut bench = Bench::new(engine);
            let (mut host, mut client) = bench.start_and_check();
            for _ in 0..20 {
                assert!(bench.write(&mut client).unwrap().is_success());
            }
            bench.fault(fault);
            // Nothing is acknowledged any more; the host ends by itself.
            let mut tries = 0;
            while let Ok(answer) = bench.write(&mut client) {
                assert!(!answer.is_success(), "{engine} acknowledged a write to a disk that is {fault}");
                tries += 1;
                assert!(tries < 1_000, "{engine}, {fault}: the host goes on");
            }
            let status = host.wait_end(END_TIMEOUT).unwrap();
            let said = host.said();
            assert_eq!(status.code(), Some(1), "{engine}, {fault}: {said}");
            assert!(said.contains("error [host-stopped]") && said.contains(reason), "{engine}, {fault}: {said}");
            drop(host);
            // It does not start on it either, and says why.
            let mut host = bench.start();
            let refusal = format!("{:#}", host.wait_ready().expect_err("it started"));
            assert!(refusal.contains("error [") && refusal.contains(reason), "{engine}, {fault}: {refusal}");
            drop(host);
            bench.fault("");
            let (mut host, mut client) = bench.start_and_check();
            assert!(bench.write(&mut client).unwrap().is_success());
            bench.expected.check(&mut client).unwrap();
            assert!(host.stop().unwrap().success(), "{}", host.said());
        }
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_by_name() {
    for engine in [EngineKind::Sled, EngineKind::Fjall] {
        let mut bench = Bench::new(engine);
        bench.fault("denied");
        let mut host = bench.start();
        let refusal = format!("{:#}", host.wait_ready().expect_err("it started"));
        assert!(refusal.contains("error [") && refusal.contains("ermission denied"), "{refusal}");
        assert!(refusal.contains(bench.data().to_str().unwrap()), "{refusal}");
        drop(host);
        bench.fault("");
        let (mut host, _client) = bench.start_and_check();
        assert!(host.stop().unwrap().success(), "{}", host.said());
    }
}

#[test]
fn backups_under_load_are_whole_and_restore_into_either_engine() {
    for (engine, other) in [(EngineKind::Sled, EngineKind::Fjall), (EngineKind::Fjall, EngineKind::Sled)] {
        let mut bench = Bench::new(engine);
        let (mut host, mut client) = bench.start_and_check();
        for _ in 0..30 {
            assert!(bench.write(&mut client).unwrap().is_success());
        }
        let root = bench.data().parent().unwrap().to_owned();
        let backup = root.join("backup");
        // Clients write all the while; what was acknowledged before the backup began must be in it.
        let (sender, notes) = std::sync::mpsc::channel();
        let mut expected = bench.expected.clone();
        let first = expected.reserve_ids(1_000_000);
        let writing = host.client().unwrap();
        let writer = std::thread::spawn(move || write_entries(writing, first..first + 1_000_000, &sender));
        for note in notes.iter().take(40) {
            take(&mut expected, note);
        }
        let made = command(bench.data(), &["backup", backup.to_str().unwrap()]).unwrap();
        assert_eq!(made["state"], "done", "{made}");
        let refused = command(bench.data(), &["backup", backup.to_str().unwrap()]).unwrap_err();
        assert!(refused.contains("backup-destination-not-empty"), "{refused}");
        host.kill().unwrap();
        writer.join().unwrap();
        let mut later = expected.clone();
        notes.iter().for_each(|note| {
            take(&mut later, note);
            // Sent after the backup began: it may be in it.
            let (Note::Sent(id) | Note::Acknowledged(id)) = note;
            expected.may_be_there(id);
        });
        let verified = command(&root, &["verify", backup.to_str().unwrap()]).unwrap();
        assert_eq!(verified["audit"]["problem_count"], 0, "{verified}");
        assert_eq!(verified["version"], made["version"]);

        let restored = root.join("restored");
        command(&restored, &["restore", backup.to_str().unwrap(), "--store", other.name()]).unwrap();
        let refused = command(&restored, &["restore", backup.to_str().unwrap()]).unwrap_err();
        assert!(refused.contains("store-exists"), "{refused}");
        let mut second = Host::start(other, &restored, None).unwrap();
        second.wait_ready().unwrap();
        expected.check(&mut second.client().unwrap()).unwrap();
        assert!(second.stop().unwrap().success());

        // What the backed up host did afterwards is there too, and the whole of it moves to the other engine.
        let verified = command(bench.data(), &["verify"]).unwrap();
        assert_eq!(verified["audit"]["problem_count"], 0, "{verified}");
        let copied = root.join("copied");
        command(bench.data(), &["store", "copy", "--to", other.name(), copied.to_str().unwrap()]).unwrap();
        let mut third = Host::start(other, &copied, None).unwrap();
        third.wait_ready().unwrap();
        later.check(&mut third.client().unwrap()).unwrap();
        assert!(third.stop().unwrap().success());

        // A backup that was altered says where.
        let archive = backup.join("store.archive");
        let mut bytes = fs::read(&archive).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&archive, bytes).unwrap();
        for arguments in [["verify", backup.to_str().unwrap()], ["restore", backup.to_str().unwrap()]] {
            let refused = command(&root.join("never"), &arguments).unwrap_err();
            assert!(refused.contains("archive_damaged") && refused.contains("at byte"), "{refused}");
        }
    }
}

fn take(expected: &mut Expected, note: Note) {
    match note {
        Note::Sent(id) => expected.sent(id),
        Note::Acknowledged(id) => expected.acknowledged(id),
    }
}

#[test]
fn a_clock_that_is_set_back_loses_and_delays_nothing() {
    let hour_ms = 3_600_000;
    let mut bench = Bench::new(EngineKind::Sled);
    let (mut host, mut client) = bench.start_and_check();
    for shift_ms in [0, -hour_ms, hour_ms, -24 * hour_ms] {
        bench.set_clock(shift_ms);
        for _ in 0..10 {
            assert!(bench.write(&mut client).unwrap().is_success());
        }
        // Events and jobs that are due now are done now, not in an hour.
        bench.expected.check(&mut client).unwrap();
    }
    assert!(host.said().contains("clock was set back"), "{}", host.said());
    assert!(host.stop().unwrap().success(), "{}", host.said());
    // The next process knows nothing of the old time.
    let (mut host, mut client) = bench.start_and_check();
    assert!(bench.write(&mut client).unwrap().is_success());
    bench.expected.check(&mut client).unwrap();
    host.kill().unwrap();
}
