//! Builds plugins with `kontor build`, once for all tests of a binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::kontor;

static BUILT: Mutex<BTreeMap<PathBuf, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// The root of the source tree.
pub fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The `.kontor` files of the plugins in `directories` (relative to the root), built when needed.
pub fn packages(directories: &[&str]) -> Vec<Vec<u8>> {
    let paths: Vec<PathBuf> = directories.iter().map(|directory| source_root().join(directory)).collect();
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<&PathBuf> = paths.iter().filter(|path| !built.contains_key(*path)).collect();
    if !missing.is_empty() {
        let output = Command::new(kontor()).args(["build", "--json"]).args(&missing).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let files: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(files.len(), missing.len());
        let contents: Vec<Vec<u8>> =
            files.iter().map(|file| std::fs::read(file["file"].as_str().unwrap()).unwrap()).collect();
        let missing: Vec<PathBuf> = missing.into_iter().cloned().collect();
        built.extend(missing.into_iter().zip(contents));
    }
    paths.iter().map(|path| built[path].clone()).collect()
}
