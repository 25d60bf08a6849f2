//! The compile cache.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kontor_engine::{Engine, EngineOptions, EngineStats};

use crate::guests;
use crate::rig;

fn engine(directory: &Path) -> Engine {
    Engine::new(EngineOptions { cache_dir: Some(directory.to_owned()), ..rig::options() }).unwrap()
}

fn prepare(directory: &Path, wasm: &[u8]) -> EngineStats {
    let engine = engine(directory);
    engine.prepare(&guests::spec("guest", wasm), wasm).unwrap();
    engine.stats()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .collect();
    entries.sort();
    entries
}

#[test]
fn what_was_compiled_is_found_again() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("cache");
    let wasm = guests::act_provider();
    let first = prepare(&directory, &wasm);
    assert_eq!((first.compiled, first.cache_hits, first.cache_misses), (1, 0, 1));
    let second = prepare(&directory, &wasm);
    assert_eq!((second.compiled, second.cache_hits), (0, 1));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("key")), 0o600);
}

#[test]
fn a_damaged_entry_is_discarded_and_compiled_again() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path();
    let wasm = guests::act_provider();
    prepare(directory, &wasm);
    let entry = entries(directory).remove(0);
    let whole = fs::read(&entry).unwrap();
    let length = whole.len();
    for position in [0, 8, 20, 40, length / 2, length - 1] {
        let mut flipped = whole.clone();
        flipped[position] ^= 1;
        fs::write(&entry, &flipped).unwrap();
        let stats = prepare(directory, &wasm);
        assert_eq!((stats.cache_discarded, stats.compiled), (1, 1), "byte {position}");
        assert_eq!(fs::read(&entry).unwrap().len(), length, "and kept whole");
    }
    for cut in [0, 7, 39, 40, length - 1] {
        fs::write(&entry, &whole[..cut]).unwrap();
        assert_eq!(prepare(directory, &wasm).cache_discarded, 1, "cut at {cut}");
    }
}

#[test]
fn an_entry_of_another_host_or_of_another_component_is_not_believed() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (guests::act_provider(), guests::caller_of_nothing());
    prepare(here.path(), &one);
    prepare(there.path(), &one);
    let (ours, theirs) = (entries(here.path()).remove(0), entries(there.path()).remove(0));
    fs::copy(&theirs, &ours).unwrap();
    assert_eq!(prepare(here.path(), &one).cache_discarded, 1);
    prepare(here.path(), &other);
    let second = entries(here.path()).into_iter().find(|path| *path != ours).unwrap();
    fs::copy(&ours, &second).unwrap();
    assert_eq!(prepare(here.path(), &other).cache_discarded, 1);
}

#[test]
fn a_key_that_was_open_to_others_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let wasm = guests::caller_of_nothing();
    prepare(root.path(), &wasm);
    let key = root.path().join("key");
    let before = fs::read(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(prepare(root.path(), &wasm).cache_discarded, 1);
    assert_ne!(fs::read(&key).unwrap(), before);
}
