//! The store's directory: what opens, what is refused and how the refusal reads.

use std::fs;
use std::path::Path;

use kontor_store::{EngineKind, OpenError, StoreOptions, engine_in, open};

use crate::subject::{EMBEDDED, get, options, put, write};

fn sled_options(path: &Path) -> StoreOptions {
    options(EngineKind::Sled, path)
}

fn refused(path: &Path, code: &str, phrases: &[&str]) -> OpenError {
    let error = open(&sled_options(path)).expect_err(code);
    assert_eq!(error.code(), code, "{error}");
    let text = error.to_string();
    for phrase in phrases {
        assert!(text.contains(phrase), "{phrase:?} in {text:?}");
    }
    assert!(matches!(error, OpenError::NotWritable { .. }) || text.contains(&path.display().to_string()), "{text}");
    error
}

fn with_store(check: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep").join("store");
    let store = open(&sled_options(&path)).unwrap();
    write(&store, vec![put("a", "1")]);
    drop(store);
    check(&path);
}

/// Nothing in the directory is touched by a refusal, and once mended it opens.
fn mended(path: &Path) {
    assert_eq!(get(&open(&sled_options(path)).unwrap(), "a").unwrap(), "1");
}

#[test]
fn a_second_opening_is_refused_while_the_first_lives() {
    with_store(|path| {
        let store = open(&sled_options(path)).unwrap();
        let id = std::process::id();
        let error = refused(path, "store_locked", &["in use", &format!("process {id}"), "stop the other process"]);
        assert_eq!(error, OpenError::Locked { directory: path.to_owned(), process: Some(id) });
        write(&store, vec![put("b", "still works")]);
        drop(store);
        mended(path);
    });
}

#[test]
fn the_format_file_names_version_engine_and_creator() {
    with_store(|path| {
        let format: serde_json::Value =
            serde_json::from_slice(&fs::read(path.join("kontor-store.json")).unwrap()).unwrap();
        assert_eq!(format["format_version"], 1);
        assert_eq!(format["engine"], "sled");
        assert!(format["created_by"].as_str().unwrap().starts_with("kontor-store "));
    });
}

#[test]
fn unknown_and_damaged_formats_are_refused() {
    with_store(|path| {
        let file = path.join("kontor-store.json");
        let good = fs::read_to_string(&file).unwrap();
        let cases = [
            (good.replace(": 1", ": 2"), "store_format_unknown", "format version 2, this program knows 1"),
            (
                r#"{"format_version": 7, "shape": "new"}"#.to_owned(),
                "store_format_unknown",
                "the program that wrote it",
            ),
            (good.replace("sled", "fjall"), "store_engine_other", "made by engine \"fjall\", asked was \"sled\""),
            (good[..good.len() / 2].to_owned(), "store_damaged", "kontor-store.json cannot be read"),
            (String::new(), "store_damaged", "restore the last backup"),
            (good.replace("created_by", "made_by"), "store_damaged", "made_by"),
        ];
        for (content, code, phrase) in cases {
            fs::write(&file, content).unwrap();
            refused(path, code, &[phrase]);
        }
        fs::remove_file(&file).unwrap();
        refused(path, "store_damaged", &["kontor-store.json is missing although there is data"]);
        fs::write(&file, good).unwrap();
        mended(path);
    });
}

#[test]
fn missing_database_files_are_refused_instead_of_made_anew() {
    for name in ["db", "conf"] {
        with_store(|path| {
            let file = path.join("sled").join(name);
            let aside = path.join("aside");
            fs::rename(&file, &aside).unwrap();
            refused(path, "store_damaged", &[&format!("sled/{name} is missing")]);
            fs::rename(&aside, &file).unwrap();
            mended(path);
        });
    }
}

#[test]
fn an_emptied_database_is_refused() {
    with_store(|path| {
        fs::write(path.join("sled").join("db"), b"").unwrap();
        for snapshot in fs::read_dir(path.join("sled")).unwrap() {
            let snapshot = snapshot.unwrap().path();
            if snapshot.file_name().unwrap().to_string_lossy().starts_with("snap.") {
                fs::remove_file(snapshot).unwrap();
            }
        }
        refused(path, "store_damaged", &["layout record is missing"]);
    });
}

#[test]
fn a_foreign_directory_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), b"years of work").unwrap();
    refused(directory.path(), "store_directory_foreign", &["thesis.txt", "empty or a new directory"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_path_that_is_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    refused(&file, "store_directory_not_writable", &["that this user may write"]);
    refused(&file.join("below"), "store_directory_not_writable", &[]);
}

#[cfg(unix)]
#[test]
fn a_read_only_directory_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    // Whoever may write everywhere (root) is not refused: then there is nothing to see here.
    if fs::write(path.join("probe"), b"").is_err() {
        refused(&path, "store_directory_not_writable", &["change its permissions"]);
    } else {
        fs::remove_file(path.join("probe")).unwrap();
        open(&sled_options(&path)).unwrap();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_interrupted_creation_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("kontor-store.creating"), b"").unwrap();
    fs::create_dir(path.join("sled")).unwrap();
    fs::write(path.join("sled").join("conf"), b"torn").unwrap();
    let store = open(&sled_options(path)).unwrap();
    write(&store, vec![put("a", "1")]);
    drop(store);
    assert!(!path.join("kontor-store.creating").exists());
    // A mark left after completion is no reason to start again.
    fs::write(path.join("kontor-store.creating"), b"").unwrap();
    mended(path);
    assert!(!path.join("kontor-store.creating").exists());
}

#[test]
fn a_store_of_one_engine_is_refused_to_the_other() {
    for (made_by, other) in EMBEDDED.into_iter().zip(EMBEDDED.into_iter().rev()) {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(engine_in(directory.path()), None);
        let store = open(&options(made_by, directory.path())).unwrap();
        write(&store, vec![put("a", "1")]);
        drop(store);
        assert_eq!(engine_in(directory.path()), Some(made_by));
        let error = open(&options(other, directory.path())).unwrap_err();
        assert_eq!(error.code(), "store_engine_other");
        let text = error.to_string();
        for phrase in [format!("--store {made_by}"), format!("kontor store copy --to {other}")] {
            assert!(text.contains(&phrase), "{phrase:?} in {text:?}");
        }
        assert!(!directory.path().join(other.name()).exists(), "a refusal left something behind");
        assert_eq!(get(&open(&options(made_by, directory.path())).unwrap(), "a").unwrap(), "1");
    }
}

#[test]
fn a_fjall_store_without_its_version_mark_or_journal_is_refused() {
    for (name, phrase) in [("version", "fjall/version is missing"), ("0.jnl", "journal")] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&options(EngineKind::Fjall, directory.path())).unwrap();
        write(&store, vec![put("a", "1")]);
        drop(store);
        fs::remove_file(directory.path().join("fjall").join(name)).unwrap();
        let error = open(&options(EngineKind::Fjall, directory.path())).unwrap_err();
        assert_eq!(error.code(), "store_damaged");
        assert!(error.to_string().contains(phrase), "{error}");
    }
}

#[test]
fn engines_have_names() {
    for kind in EngineKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    let error = "rocks".parse::<EngineKind>().unwrap_err();
    assert_eq!(error.code(), "store_engine_unknown");
    assert!(error.to_string().contains("\"sled\", \"fjall\" or \"memory\""));
}
