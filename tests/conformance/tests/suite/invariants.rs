//! The invariants of ARCHITECTURE.md that can be read off the dependency graph and the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use sha2::{Digest, Sha256};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn metadata() -> Metadata {
    MetadataCommand::new().current_dir(root()).no_deps().other_options(vec!["--offline".to_owned()]).exec().unwrap()
}

/// Workspace packages by directory (relative to the root), with their direct dependencies of the given kinds.
fn dependencies(kinds: &[DependencyKind]) -> BTreeMap<String, BTreeSet<String>> {
    let root = root();
    metadata()
        .packages
        .iter()
        .map(|package| {
            let manifest = package.manifest_path.clone().into_std_path_buf();
            let directory = manifest.parent().unwrap().strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            let names = package.dependencies.iter().filter(|d| kinds.contains(&d.kind)).map(|d| d.name.clone());
            (directory, names.collect())
        })
        .collect()
}

fn files(directory: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extensions));
        } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn only_the_engine_names_wasmtime_and_only_server_and_cli_name_axum() {
    for (directory, names) in
        dependencies(&[DependencyKind::Normal, DependencyKind::Development, DependencyKind::Build])
    {
        // The bench compares the host with both.
        let may_run = ["runtime/engine", "tests/bench"].contains(&directory.as_str());
        assert!(!names.contains("wasmtime") || may_run, "{directory} depends on wasmtime");
        let may_serve = ["runtime/server", "runtime/cli", "tests/bench"].contains(&directory.as_str());
        assert!(!names.contains("axum") || may_serve, "{directory} depends on axum");
    }
}

#[test]
fn plugins_and_sdk_never_reach_the_runtime() {
    let host = [
        "kontor-core",
        "kontor-store",
        "kontor-engine",
        "kontor-package",
        "kontor-server",
        "kontor-cli",
        "kontor-testkit",
    ];
    for (directory, names) in dependencies(&[DependencyKind::Normal, DependencyKind::Build]) {
        let guest = directory.starts_with("plugins/") || directory == "sdk/rust/kontor-sdk";
        let reached: Vec<&str> = host.into_iter().filter(|name| guest && names.contains(*name)).collect();
        assert!(reached.is_empty(), "{directory} depends on {reached:?}");
    }
    // In tests a plugin may use the testkit, and nothing else of the host.
    for (directory, names) in dependencies(&[DependencyKind::Development]) {
        let plugin = directory.starts_with("plugins/");
        let reached: Vec<&str> =
            host.into_iter().filter(|name| *name != "kontor-testkit" && plugin && names.contains(*name)).collect();
        assert!(reached.is_empty(), "{directory} depends on {reached:?} in tests");
    }
}

#[test]
fn the_core_has_no_runtime_and_no_input_or_output() {
    let all = dependencies(&[DependencyKind::Normal, DependencyKind::Build]);
    let names = &all["runtime/core"];
    for banned in
        ["tokio", "async-std", "smol", "hyper", "reqwest", "sled", "wasmtime", "axum", "getrandom", "tempfile"]
    {
        assert!(!names.contains(banned), "runtime/core depends on {banned}");
    }
    for file in files(&root().join("runtime/core/src"), &["rs"]) {
        let text = fs::read_to_string(&file).unwrap();
        for banned in
            ["std::fs", "std::net", "std::thread", "std::process", "SystemTime", "Instant::now", "HashMap", "HashSet"]
        {
            assert!(!text.contains(banned), "{} names {banned}", file.display());
        }
    }
}

#[test]
fn nothing_under_runtime_speaks_of_commerce() {
    const BANNED: [&str; 26] = [
        "sku",
        "skus",
        "gtin",
        "asin",
        "checkout",
        "invoice",
        "invoices",
        "amazon",
        "ebay",
        "shopify",
        "woocommerce",
        "storefront",
        "refund",
        "refunds",
        "cart",
        "carts",
        "catalog",
        "catalogue",
        "inventory",
        "pricing",
        "vat",
        "warehouse",
        "product",
        "products",
        "shipment",
        "customer_id",
    ];
    let mut found = Vec::new();
    for file in files(&root().join("runtime"), &["rs", "toml", "json", "wat", "snap"]) {
        let text = fs::read_to_string(&file).unwrap().to_lowercase();
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            if let Some(word) = words.find(|word| BANNED.contains(word)) {
                found.push(format!("{}:{}: {word}", file.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "the host knows no commerce:\n{}", found.join("\n"));
}

/// Digests of released contract folders. A released folder never changes: make a new version beside it.
#[test]
fn released_contracts_are_frozen() {
    let recorded: BTreeMap<String, String> =
        toml::from_str(&fs::read_to_string(root().join("wit/released.toml")).unwrap()).unwrap();
    let mut present = BTreeSet::new();
    for package in ["host", "commerce"] {
        for entry in fs::read_dir(root().join("wit").join(package)).unwrap() {
            let directory = entry.unwrap().path();
            let name = format!("{package}/{}", directory.file_name().unwrap().to_string_lossy());
            let mut hash = Sha256::new();
            for file in files(&directory, &["wit"]) {
                hash.update(file.file_name().unwrap().to_string_lossy().as_bytes());
                hash.update([0]);
                hash.update(fs::read(&file).unwrap());
                hash.update([0]);
            }
            let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(
                recorded.get(&name),
                Some(&digest),
                "wit/{name} is released and must not change; a new version goes into a new folder, with its digest in wit/released.toml"
            );
            present.insert(name);
        }
    }
    assert_eq!(present, recorded.keys().cloned().collect(), "a released contract is gone");
}

#[test]
fn every_package_takes_the_workspace_lints() {
    for package in metadata().packages {
        let manifest = package.manifest_path.clone().into_std_path_buf();
        let relative = manifest.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{relative} does not take the workspace's lints");
    }
}
