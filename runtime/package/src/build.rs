//! Builds plugins: compiles crates for `wasm32-unknown-unknown`, makes components, checks them against their manifests, embeds, signs
//! and writes `<target>/guests/packages/<id>-<version>.kontor`. `cargo kontor build` and the tests' fixtures use the same code.
//!
//! Guests have a target folder of their own, so that they share no lock and no feature unification with the host. What is
//! unchanged is not compiled again (cargo sees to that) nor packed again. Safe to call from several processes at once.

mod cargo;
mod direct;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::component;
use crate::manifest::{Manifest, ManifestError};
use crate::packed::{Package, PackageError, pack, read_package};
use crate::signature::SigningKey;

/// Changes when the same inputs are packed differently.
const PACKER_VERSION: &str = "2";

/// What is being done, for people who wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The compiler cannot make WebAssembly yet; rustup is asked for the target.
    AddingTarget,
    /// Another process builds; waiting for it.
    Waiting,
    /// Compiling these packages.
    Compiling(Vec<String>),
    /// A line of cargo's own progress.
    Compiler(String),
    /// Making the component, packing.
    Packing(String),
    /// Packed.
    Packed {
        /// `<id>-<version>`
        plugin: String,
        /// The file.
        path: PathBuf,
        /// Whether it was there already.
        unchanged: bool,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddingTarget => f.write_str("adding the target wasm32-unknown-unknown"),
            Self::Waiting => f.write_str("waiting for another build"),
            Self::Compiling(packages) => write!(f, "compiling {}", packages.join(", ")),
            Self::Compiler(line) => f.write_str(line),
            Self::Packing(plugin) => write!(f, "packing {plugin}"),
            Self::Packed { plugin, unchanged: true, .. } => write!(f, "{plugin} is up to date"),
            Self::Packed { plugin, path, .. } => write!(f, "packed {plugin}: {}", path.display()),
        }
    }
}

/// A plugin as built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The packed plugin.
    pub package: Package,
    /// Its file.
    pub path: PathBuf,
    /// What is odd about it, though it works.
    pub warnings: Vec<String>,
}

/// Why a plugin was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No crate there, or not one of a plugin.
    #[error("{directory}: {message}")]
    NotAPlugin {
        /// The folder.
        directory: PathBuf,
        /// What is missing, and what to do.
        message: String,
    },
    /// The manifest was refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// cargo or rustup could not be run, or the target could not be added.
    #[error("{0}")]
    Toolchain(String),
    /// The compiler refused the code; its output.
    #[error("the plugin does not compile:\n{0}")]
    Compile(String),
    /// The module could not be made a component.
    #[error("{plugin}: the compiled module cannot be made a component: {message}")]
    Component {
        /// Its id.
        plugin: String,
        /// Why.
        message: String,
    },
    /// Component and manifest do not fit.
    #[error("{plugin}: component and manifest do not fit:\n{}", list(problems))]
    Mismatch {
        /// Its id.
        plugin: String,
        /// All of them.
        problems: Vec<String>,
    },
    /// The result was refused.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  - {line}")).collect::<Vec<_>>().join("\n")
}

impl BuildError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAPlugin { .. } => "not-a-plugin",
            Self::Manifest(_) => "manifest-invalid",
            Self::Toolchain(_) => "toolchain",
            Self::Compile(_) => "compile-failed",
            Self::Component { .. } => "component-failed",
            Self::Mismatch { .. } => "manifest-mismatch",
            Self::Package(error) => error.code(),
            Self::Io { .. } => "io",
        }
    }
}

/// Builds plugins. The default signs with the developer's key and reports nothing.
#[derive(Debug, Default)]
pub struct Builder {
    signing: Signing,
    target_directory: Option<PathBuf>,
}

#[derive(Debug, Default)]
enum Signing {
    #[default]
    Developer,
    Key(Box<SigningKey>),
    Unsigned,
}

impl Builder {
    /// With the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Signs with this key.
    #[must_use]
    pub fn sign_with(self, key: SigningKey) -> Self {
        Self { signing: Signing::Key(Box::new(key)), ..self }
    }

    /// Does not sign.
    #[must_use]
    pub fn unsigned(self) -> Self {
        Self { signing: Signing::Unsigned, ..self }
    }

    /// Compiles and packs below this target folder instead of the workspace's own: plugins of several workspaces then share what they
    /// have in common.
    #[must_use]
    pub fn target_directory(self, directory: &Path) -> Self {
        Self { target_directory: Some(directory.to_owned()), ..self }
    }

    /// Builds the plugin whose crate is in `directory`.
    pub fn build(&self, directory: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Built, BuildError> {
        let mut built = self.build_many(&[directory], progress)?;
        built.pop().ok_or_else(|| BuildError::NotAPlugin {
            directory: directory.to_owned(),
            message: "nothing was built".to_owned(),
        })
    }

    /// Builds the plugins whose crates are in `directories`, those of a workspace by one run of cargo. In their order.
    pub fn build_many(
        &self,
        directories: &[&Path],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Built>, BuildError> {
        let key = match &self.signing {
            Signing::Developer => {
                Some(&SigningKey::developer().map_err(|error| BuildError::Toolchain(error.to_string()))?)
            }
            Signing::Key(key) => Some(key.as_ref()),
            Signing::Unsigned => None,
        };
        let mut workspaces = cargo::Workspaces::default();
        let mut groups: BTreeMap<PathBuf, Vec<(usize, cargo::PluginCrate)>> = BTreeMap::new();
        for (position, directory) in directories.iter().enumerate() {
            let plugin = workspaces.find(directory)?;
            groups.entry(plugin.workspace_root.clone()).or_default().push((position, plugin));
        }
        let mut built: BTreeMap<usize, Built> = BTreeMap::new();
        for (root, plugins) in groups {
            let crates: Vec<&cargo::PluginCrate> = plugins.iter().map(|(_, plugin)| plugin).collect();
            let target = self
                .target_directory
                .as_ref()
                .or_else(|| plugins.first().map(|(_, plugin)| &plugin.target_directory))
                .map(|directory| directory.join("guests"))
                .unwrap_or_default();
            let _lock = lock(&target, progress)?;
            let modules = cargo::compile(&root, &target, &crates, progress)?;
            for (position, plugin) in &plugins {
                let module = modules.get(&plugin.package).ok_or_else(|| BuildError::Compile(format!(
                    "cargo made no WebAssembly module of `{}`; its Cargo.toml needs `[lib] crate-type = [\"cdylib\", \"rlib\"]`", plugin.package
                )))?;
                built.insert(*position, pack_module(plugin, module, &target.join("packages"), key, progress)?);
            }
        }
        Ok(built.into_values().collect())
    }
}

/// Builds one plugin with the defaults.
pub fn build(directory: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Built, BuildError> {
    Builder::new().build(directory, progress)
}

/// Builds several plugins with the defaults.
pub fn build_many(directories: &[&Path], progress: &mut dyn FnMut(Progress)) -> Result<Vec<Built>, BuildError> {
    Builder::new().build_many(directories, progress)
}

/// Held until dropped: one build at a time in a target folder.
fn lock(target: &Path, progress: &mut dyn FnMut(Progress)) -> Result<File, BuildError> {
    let path = target.join(".kontor-lock");
    let io = |error| BuildError::Io { path: path.clone(), error };
    fs::create_dir_all(target).map_err(io)?;
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            progress(Progress::Waiting);
            file.lock().map_err(io)?;
        }
        Err(fs::TryLockError::Error(error)) => return Err(io(error)),
    }
    Ok(file)
}

fn pack_module(
    plugin: &cargo::PluginCrate,
    module: &Path,
    packages: &Path,
    key: Option<&SigningKey>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Built, BuildError> {
    let manifest = &plugin.manifest;
    let name = format!("{}-{}", manifest.id, manifest.version);
    let path = packages.join(format!("{name}.kontor"));
    let stamp_path = packages.join(format!("{name}.stamp"));
    let module = fs::read(module).map_err(|error| BuildError::Io { path: module.to_owned(), error })?;
    let stamp = stamp(&module, manifest, key)?;
    if fs::read_to_string(&stamp_path).is_ok_and(|known| known == stamp)
        && let Ok(bytes) = fs::read(&path)
        && let Ok(package) = read_package(bytes)
        && package.manifest() == manifest
    {
        progress(Progress::Packed { plugin: name, path: path.clone(), unchanged: true });
        return Ok(Built { package, path, warnings: Vec::new() });
    }
    progress(Progress::Packing(name.clone()));
    let component = component_of(&module).map_err(|message| BuildError::Component { plugin: name.clone(), message })?;
    let warnings = component::check(&component, manifest)
        .map_err(|problems| BuildError::Mismatch { plugin: name.clone(), problems })?;
    let package = pack(&component, manifest, key)?;
    fs::create_dir_all(packages).map_err(|error| BuildError::Io { path: packages.to_owned(), error })?;
    write(&path, package.bytes())?;
    // Odd things are told again each time: such a package gets no stamp.
    if warnings.is_empty() {
        write(&stamp_path, stamp.as_bytes())?;
    }
    progress(Progress::Packed { plugin: name, path: path.clone(), unchanged: false });
    Ok(Built { package, path, warnings })
}

/// A module that `wit-bindgen` had a part in, as a component whose imports are called directly, if they can be. `Err`: why it cannot be a
/// component.
pub fn component_of(module: &[u8]) -> Result<Vec<u8>, String> {
    let component = component_with_glue(module)?;
    Ok(direct::rewrite(&component)?.unwrap_or(component))
}

/// The same as `wit-component` makes it.
pub fn component_with_glue(module: &[u8]) -> Result<Vec<u8>, String> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| format!("{error:#}"))
}

/// What the packed plugin is made of.
fn stamp(module: &[u8], manifest: &Manifest, key: Option<&SigningKey>) -> Result<String, BuildError> {
    let manifest = manifest.to_json().map_err(PackageError::Manifest)?;
    let signer = key.map(SigningKey::public_hex).unwrap_or_default();
    Ok(format!(
        "{PACKER_VERSION} {} {} {signer}",
        hex::encode(Sha256::digest(module)),
        hex::encode(Sha256::digest(manifest))
    ))
}

/// Readers see the old file or the new one, never a part.
fn write(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let io = |error| BuildError::Io { path: path.to_owned(), error };
    if fs::read(path).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    fs::write(&temporary, bytes).map_err(io)?;
    fs::rename(&temporary, path).map_err(io)
}
