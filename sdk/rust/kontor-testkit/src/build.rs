//! Plugins for tests, built once per process by the code that `cargo kontor build` uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kontor_package::{Package, Progress, build as builder};

/// Where a plugin of a test comes from.
#[derive(Clone, Debug)]
pub enum PluginSource {
    /// A crate: a folder (seen from the crate under test), or the name of a plugin's folder in this workspace.
    Crate(String),
    /// A packed plugin.
    Package(Box<Package>),
}

impl From<&str> for PluginSource {
    fn from(name: &str) -> Self {
        Self::Crate(name.to_owned())
    }
}

impl From<String> for PluginSource {
    fn from(name: String) -> Self {
        Self::Crate(name)
    }
}

impl From<&Path> for PluginSource {
    fn from(path: &Path) -> Self {
        Self::Crate(path.display().to_string())
    }
}

impl From<PathBuf> for PluginSource {
    fn from(path: PathBuf) -> Self {
        Self::Crate(path.display().to_string())
    }
}

impl From<Package> for PluginSource {
    fn from(package: Package) -> Self {
        Self::Package(Box::new(package))
    }
}

impl From<&Package> for PluginSource {
    fn from(package: &Package) -> Self {
        Self::Package(Box::new(package.clone()))
    }
}

/// By folder, what this process has built.
static BUILT: Mutex<BTreeMap<PathBuf, Package>> = Mutex::new(BTreeMap::new());

/// Builds plugins, each once per process; those that are unchanged since an earlier run are only read. Names are as in [`PluginSource::Crate`].
pub fn build<S: AsRef<str>>(names: &[S]) -> Vec<Package> {
    let directories: Vec<PathBuf> = names.iter().map(|name| locate(name.as_ref())).collect();
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<&Path> =
        directories.iter().filter(|directory| !built.contains_key(*directory)).map(PathBuf::as_path).collect();
    if !missing.is_empty() {
        let made = builder::build_many(&missing, &mut report).unwrap_or_else(|error| panic!("{error}"));
        for (directory, made) in missing.into_iter().zip(made) {
            built.insert(directory.to_owned(), made.package);
        }
    }
    directories.iter().filter_map(|directory| built.get(directory).cloned()).collect()
}

pub(crate) fn resolve(sources: Vec<PluginSource>) -> Vec<Package> {
    let names: Vec<String> = sources
        .iter()
        .filter_map(|source| match source {
            PluginSource::Crate(name) => Some(name.clone()),
            PluginSource::Package(_) => None,
        })
        .collect();
    let mut made = build(&names).into_iter();
    sources
        .into_iter()
        .filter_map(|source| match source {
            PluginSource::Crate(_) => made.next(),
            PluginSource::Package(package) => Some(*package),
        })
        .collect()
}

#[expect(clippy::print_stderr, reason = "cargo test shows it while people wait for the first build")]
fn report(progress: Progress) {
    match progress {
        Progress::Compiler(_) | Progress::Packing(_) | Progress::Packed { unchanged: true, .. } => {}
        progress => eprintln!("kontor-testkit: {progress}"),
    }
}

/// The folder of a crate, absolute.
fn locate(name: &str) -> PathBuf {
    let here = here();
    let mut tried = vec![here.join(name)];
    if !name.contains(['/', '\\', '.']) {
        for root in here.ancestors().filter(|root| root.join("Cargo.lock").is_file()) {
            for folder in ["plugins/modules", "plugins/channels", "tests/conformance/plugins"] {
                tried.push(root.join(folder).join(name));
            }
        }
    }
    tried
        .iter()
        .filter(|directory| directory.join("plugin.toml").is_file())
        .find_map(|directory| directory.canonicalize().ok())
        .unwrap_or_else(|| panic!("there is no plugin `{name}` (a folder with a plugin.toml); looked at {tried:?}"))
}

/// The folder of the crate whose tests run.
fn here() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}
