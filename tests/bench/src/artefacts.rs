//! What is measured, built from this source tree: the command `kontor` and the plugins, the latter by the builder that authors use.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use kontor_package::{Built, build};

use crate::report::say;

/// Plugins of the shop.
const SHOP: [&str; 7] = [
    "plugins/modules/catalog",
    "plugins/modules/inventory",
    "plugins/modules/pricing",
    "plugins/modules/cart",
    "plugins/modules/orders",
    "plugins/modules/importer",
    "plugins/channels/storefront",
];
/// The rest of what the demo's merchant has.
const DEMO: [&str; 2] = ["plugins/channels/pos", "plugins/channels/amazon"];
/// The bench's own.
const BENCH: [&str; 3] = ["tests/bench/plugins/probe", "tests/bench/plugins/echo", "tests/bench/plugins/hostile"];

/// Everything, built.
#[derive(Debug)]
pub(crate) struct Artefacts {
    pub(crate) kontor: PathBuf,
    pub(crate) shop: Vec<Built>,
    pub(crate) demo: Vec<Built>,
    pub(crate) bench: Vec<Built>,
    pub(crate) target: PathBuf,
}

impl Artefacts {
    /// Builds what is not built.
    pub(crate) fn build(kontor: Option<&Path>) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let target = target_directory()?;
        let kontor = match kontor {
            Some(file) => file.canonicalize().with_context(|| format!("there is no {}", file.display()))?,
            None => build_kontor(&root, &target)?,
        };
        say("building the plugins (the first time takes some minutes)");
        let all: Vec<PathBuf> = SHOP.iter().chain(&DEMO).chain(&BENCH).map(|directory| root.join(directory)).collect();
        let all: Vec<&Path> = all.iter().map(PathBuf::as_path).collect();
        let mut built = build::Builder::new().target_directory(&target).build_many(&all, &mut |_| {})?;
        let bench = built.split_off(SHOP.len() + DEMO.len());
        let demo = built.split_off(SHOP.len());
        Ok(Self { kontor, shop: built, demo, bench, target })
    }

    /// One of the bench's own plugins.
    pub(crate) fn plugin(&self, id: &str) -> Result<&Built> {
        let found = self.bench.iter().chain(&self.shop).find(|built| built.package.manifest().id.as_str() == id);
        found.with_context(|| format!("the plugin {id} was not built"))
    }
}

/// The target folder that this binary lies in, so that everything is built in one.
fn target_directory() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    here.ancestors().nth(2).map(Path::to_owned).context("this binary lies in no target folder")
}

fn build_kontor(root: &Path, target: &Path) -> Result<PathBuf> {
    say("building the command kontor (the first time takes some minutes)");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Without a package: chosen by its own, it would resolve other features, and the engine be compiled a second time.
    command.args(["build", "--quiet", "--release", "--bin", "kontor", "--target-dir"]).arg(target).current_dir(root);
    // What `cargo run` says of this package, some build scripts take for a change of theirs.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
        {
            command.env_remove(name);
        }
    }
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("the command kontor does not build");
    }
    Ok(target.join("release/kontor"))
}
