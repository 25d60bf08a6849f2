//! `kill -9` of a process that writes: what it acknowledged is there, nothing is half there, and the store opens.
//!
//! The process is this test binary again, told by the environment to run [`the_process_that_is_killed`] as a writer.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use kontor_core::store::{Commit, Durability, TxStore};
use kontor_store::{EngineKind, open};

use crate::subject::{EMBEDDED, commit_as, get, options, prefix, put, scan, stamped};

const DIRECTORY_VARIABLE: &str = "KONTOR_STORE_CRASH_DIRECTORY";
const ENGINE_VARIABLE: &str = "KONTOR_STORE_CRASH_ENGINE";

/// Without the variable there is nobody to write for: the parent test below is the check.
#[test]
fn the_process_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE) else {
        return;
    };
    let engine: EngineKind = std::env::var(ENGINE_VARIABLE).unwrap().parse().unwrap();
    let store = open(&options(engine, directory.as_ref())).unwrap();
    let next: u64 = get(&store, "first").map_or(0, |value| String::from_utf8(value.to_vec()).unwrap().parse().unwrap());
    for n in next + 1..next + 100_000 {
        let writes = vec![put("first", n.to_string()), put("large", vec![n as u8; 9_000]), put("last", n.to_string())];
        let stamped = vec![stamped("log/", 0, "", &n.to_string())];
        let commit = Commit { view_version: store.current_version(), writes, stamped, ..Commit::default() };
        // Every second one is only visible; the durable one after it makes it durable too.
        let durability = if n % 2 == 0 { Durability::Durable } else { Durability::Visible };
        commit_as(&store, commit, durability).unwrap();
        if durability == Durability::Durable {
            println!("acknowledged {n}");
            std::io::stdout().flush().unwrap();
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    for engine in EMBEDDED {
        kill_and_look(engine);
    }
}

fn kill_and_look(engine: EngineKind) {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..5_u64 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::the_process_that_is_killed", "--nocapture"])
            .env(DIRECTORY_VARIABLE, directory.path())
            .env(ENGINE_VARIABLE, engine.name())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut wanted = 3 + round * 7;
        while wanted > 0 {
            let line = lines.next().expect("the writer ended by itself").unwrap();
            if let Some((_, n)) = line.split_once("acknowledged ") {
                acknowledged = n.parse().unwrap();
                wanted -= 1;
            }
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        // What was printed until the end counts too.
        for line in lines.map_while(Result::ok) {
            if let Some((_, n)) = line.split_once("acknowledged ") {
                acknowledged = n.parse().unwrap();
            }
        }

        let store = open(&options(engine, directory.path())).unwrap();
        let first = get(&store, "first").unwrap();
        let n: u64 = std::str::from_utf8(&first).unwrap().parse().unwrap();
        assert!(n >= acknowledged, "{engine}, round {round}: {acknowledged} was acknowledged, {n} is there");
        assert_eq!(get(&store, "last").unwrap(), first, "{engine}, round {round}: half a commit");
        assert_eq!(get(&store, "large").unwrap(), vec![n as u8; 9_000]);
        assert_eq!(scan(&store, &prefix("log/"), false, usize::MAX).entries.len() as u64, n);
        assert_eq!(store.current_version(), n);
    }
}
