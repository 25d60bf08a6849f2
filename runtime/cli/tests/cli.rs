//! The command as scripts see it: exit codes, what goes to which stream, errors with codes. What hosts do is tested elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a failed test panics"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn kontor(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kontor"))
        .current_dir(directory)
        .args(arguments)
        .env_remove("KONTOR_URL")
        .env_remove("KONTOR_TOKEN")
        .env_remove("KONTOR_DATA_DIR")
        .env_remove("KONTOR_MERCHANT")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn merchants_and_tokens_without_a_running_host() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| kontor(directory.path(), arguments, "");

    let none = run(&["token", "list"]);
    assert!(!none.status.success());
    assert!(String::from_utf8_lossy(&none.stderr).contains("error [no-merchant]"), "{none:?}");

    let created = run(&["merchant", "create", "acme", "--json"]);
    assert_eq!(json(&created)["id"], "acme", "{created:?}");
    let twice = run(&["merchant", "create", "acme", "--json"]);
    assert!(!twice.status.success() && json(&twice)["error"]["code"].is_string(), "{twice:?}");

    let token = json(&run(&["token", "create", "script", "--scope", "notes:read", "--json"]));
    let secret = token["secret"].as_str().unwrap();
    let listed = run(&["token", "list"]);
    let text = String::from_utf8_lossy(&listed.stdout);
    assert!(text.contains("script") && text.contains("notes:read") && !text.contains(secret), "{text}");
}

/// What a host needs only while a test looks at how it starts.
fn serve_until_ready(directory: &Path, arguments: &[&str]) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kontor"))
        .current_dir(directory)
        .args(["serve", "--listen", "127.0.0.1:0", "--json"])
        .args(arguments)
        .env_remove("KONTOR_DATA_DIR")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("url"), "{line}");
}

#[test]
fn a_store_keeps_its_engine() {
    let directory = tempfile::tempdir().unwrap();
    serve_until_ready(directory.path(), &["--store", "fjall", "--cache-mib", "8"]);
    assert!(directory.path().join(".kontor/data/store/fjall/version").is_file());
    // Nobody need say it again, neither to a host nor to a command without one.
    serve_until_ready(directory.path(), &[]);
    let created = kontor(directory.path(), &["merchant", "create", "acme", "--json"], "");
    assert_eq!(json(&created)["id"], "acme", "{created:?}");
    let refused = kontor(directory.path(), &["serve", "--listen", "127.0.0.1:0", "--store", "sled"], "");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && text.contains("store_engine_other") && text.contains("--store fjall"),
        "{text}"
    );
}

#[test]
fn a_store_is_verified_copied_and_restored_without_a_host() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| kontor(directory.path(), arguments, "");
    run(&["merchant", "create", "acme"]);
    let backup = json(&run(&["backup", "monday", "--json"]));
    assert_eq!(backup["state"], "done", "{backup}");
    for place in [vec!["verify", "--json"], vec!["verify", "monday", "--json"]] {
        let verified = json(&run(&place));
        assert_eq!(
            (&verified["audit"]["merchants"], &verified["audit"]["problem_count"]),
            (&1.into(), &0.into()),
            "{verified}"
        );
    }
    assert!(run(&["restore", "monday", "--data-dir", "restored", "--store", "fjall"]).status.success());
    assert!(run(&["store", "copy", "--to", "sled", "copied", "--data-dir", "restored"]).status.success());
    for (data_dir, engine) in [("restored", "fjall"), ("copied", "sled")] {
        assert!(directory.path().join(data_dir).join("store").join(engine).is_dir());
        let listed = json(&run(&["merchant", "list", "--json", "--data-dir", data_dir]));
        assert_eq!(listed[0]["id"], "acme", "{listed}");
    }
    for (arguments, code) in [
        (vec!["restore", "monday", "--data-dir", "restored"], "store-exists"),
        (vec!["restore", "restored", "--data-dir", "new"], "not-a-backup"),
        (vec!["verify", "nothing"], "no-store"),
        (vec!["backup", "monday"], "backup-destination-not-empty"),
        (vec!["store", "copy", "--to", "memory", "new"], "store_not_kept"),
    ] {
        let output = run(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(code), "{arguments:?}: {text}");
    }
}

#[test]
fn mistakes_are_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("broken.kontor"), b"not a component").unwrap();
    kontor(directory.path(), &["merchant", "create", "acme"], "");
    for (arguments, message) in [
        (vec!["plugin", "install", "broken.kontor"], "error ["),
        (vec!["plugin", "install", "missing.kontor"], "missing.kontor"),
        (vec!["plugin", "show", "nothing"], "nothing"),
        (vec!["plugin", "rollback"], "error ["),
        (vec!["build", "."], "error ["),
        (vec!["--url", "http://127.0.0.1:1", "--token", "x", "merchant", "list"], "Is it running?"),
        (vec!["import", "things", "x.csv"], "error ["),
    ] {
        let output = kontor(directory.path(), &arguments, "");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(message), "{arguments:?}: {text}");
    }
}

#[test]
fn completions_and_help_need_no_host() {
    let directory = tempfile::tempdir().unwrap();
    let completions = kontor(directory.path(), &["completions", "bash"], "");
    assert!(String::from_utf8_lossy(&completions.stdout).contains("_kontor"), "{completions:?}");
    let help = kontor(directory.path(), &["--help"], "");
    for command in ["backup", "restore", "verify", "store", "serve", "demo", "plugin", "import", "new", "build", "test"]
    {
        assert!(String::from_utf8_lossy(&help.stdout).contains(command), "{command}");
    }
    assert!(!directory.path().join(".kontor").exists());
}
