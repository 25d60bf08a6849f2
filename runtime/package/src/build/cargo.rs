//! cargo and rustup as the builder uses them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{CrateType, Message, Metadata, MetadataCommand};

use super::{BuildError, Progress};
use crate::manifest::{FILE_NAME, Manifest};

const TARGET: &str = "wasm32-unknown-unknown";
/// The crate getrandom then calls `__getrandom_v03_custom`, which the SDK answers with the host's randomness. The heap that is there
/// from the start spares most calls from growing their memory, which is two system calls for each instance.
const RUSTFLAGS: &str = r#"target.wasm32-unknown-unknown.rustflags=["--cfg","getrandom_backend=\"custom\"","-Clink-arg=--initial-heap=524288"]"#;
/// Taken out of cargo's environment: they would replace the flags above, or compile with clippy's driver.
const UNWANTED_ENVIRONMENT: [&str; 7] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
];
/// For workspaces without a profile `guest`.
const GUEST_PROFILE: [&str; 7] = [
    r#"profile.guest.inherits="release""#,
    "profile.guest.opt-level=3",
    "profile.guest.lto=true",
    "profile.guest.codegen-units=1",
    "profile.guest.strip=true",
    r#"profile.guest.panic="abort""#,
    "profile.guest.debug=false",
];

/// A plugin's crate, found.
#[derive(Debug)]
pub(super) struct PluginCrate {
    pub(super) package: String,
    pub(super) manifest: Manifest,
    pub(super) workspace_root: PathBuf,
    pub(super) target_directory: PathBuf,
}

/// Workspaces asked about so far: one question each.
#[derive(Debug, Default)]
pub(super) struct Workspaces(Vec<Metadata>);

impl Workspaces {
    pub(super) fn find(&mut self, directory: &Path) -> Result<PluginCrate, BuildError> {
        let refuse = |message: String| BuildError::NotAPlugin { directory: directory.to_owned(), message };
        let directory_found = std::fs::canonicalize(directory).map_err(|error| refuse(error.to_string()))?;
        let cargo_toml = directory_found.join("Cargo.toml");
        if !cargo_toml.is_file() {
            return Err(refuse(
                "there is no `Cargo.toml`. A plugin is a library crate; `kontor new` makes one".to_owned(),
            ));
        }
        let manifest = Manifest::read(directory)?;
        if !self.0.iter().any(|known| package(known, &cargo_toml).is_some()) {
            let metadata = MetadataCommand::new()
                .cargo_path(cargo())
                .manifest_path(&cargo_toml)
                .no_deps()
                .exec()
                .map_err(|error| refuse(error.to_string()))?;
            self.0.push(metadata);
        }
        let (metadata, package) = self
            .0
            .iter()
            .find_map(|known| package(known, &cargo_toml).map(|package| (known, package)))
            .ok_or_else(|| refuse(format!("`{}` is no package of its workspace", cargo_toml.display())))?;
        if !package.targets.iter().any(|target| target.crate_types.contains(&CrateType::CDyLib)) {
            return Err(refuse(
                "its Cargo.toml needs `[lib] crate-type = [\"cdylib\", \"rlib\"]` to become a component".to_owned(),
            ));
        }
        if manifest.version != package.version.to_string() {
            return Err(refuse(format!(
                "`{FILE_NAME}` says version {}, but `Cargo.toml` says {}; make them equal",
                manifest.version, package.version
            )));
        }
        Ok(PluginCrate {
            package: package.name.to_string(),
            manifest,
            workspace_root: metadata.workspace_root.clone().into_std_path_buf(),
            target_directory: metadata.target_directory.clone().into_std_path_buf(),
        })
    }
}

fn package<'a>(metadata: &'a Metadata, cargo_toml: &Path) -> Option<&'a cargo_metadata::Package> {
    metadata.packages.iter().find(|package| package.manifest_path.as_std_path() == cargo_toml)
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Compiles; the module of each package.
pub(super) fn compile(
    workspace_root: &Path,
    target_directory: &Path,
    plugins: &[&PluginCrate],
    progress: &mut dyn FnMut(Progress),
) -> Result<BTreeMap<String, PathBuf>, BuildError> {
    ensure_target(workspace_root, progress)?;
    let names: Vec<String> = plugins.iter().map(|plugin| plugin.package.clone()).collect();
    progress(Progress::Compiling(names.clone()));
    let mut command = Command::new(cargo());
    command
        .current_dir(workspace_root)
        .args([
            "build",
            "--lib",
            "--profile",
            "guest",
            "--target",
            TARGET,
            "--message-format",
            "json-render-diagnostics",
        ])
        .arg("--target-dir")
        .arg(target_directory)
        .args(["--config", RUSTFLAGS])
        .env("CARGO_TERM_COLOR", "never")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in UNWANTED_ENVIRONMENT {
        command.env_remove(name);
    }
    if !has_guest_profile(workspace_root) {
        for line in GUEST_PROFILE {
            command.args(["--config", line]);
        }
    }
    for name in &names {
        command.args(["-p", name]);
    }
    let mut child = command.spawn().map_err(|error| BuildError::Toolchain(format!("cargo cannot be run: {error}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // cargo writes to both: read stdout on a thread of its own, so that neither fills up.
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut bytes));
        read.map(|_| bytes)
    });
    let mut output = String::new();
    if let Some(stderr) = stderr {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            output.push_str(&line);
            output.push('\n');
            let line = line.trim();
            if ["Compiling ", "Downloading ", "Downloaded ", "Blocking ", "Updating "]
                .iter()
                .any(|word| line.starts_with(word))
            {
                progress(Progress::Compiler(line.to_owned()));
            }
        }
    }
    let status = child.wait().map_err(|error| BuildError::Toolchain(error.to_string()))?;
    let stdout = reader
        .join()
        .map_err(|_| "reading cargo's output failed".to_owned())
        .and_then(|read| read.map_err(|error| error.to_string()))
        .map_err(BuildError::Toolchain)?;
    if !status.success() {
        return Err(BuildError::Compile(output));
    }
    Ok(modules(&stdout))
}

fn modules(stdout: &[u8]) -> BTreeMap<String, PathBuf> {
    let mut modules = BTreeMap::new();
    for message in Message::parse_stream(stdout).map_while(Result::ok) {
        if let Message::CompilerArtifact(artifact) = message
            && artifact.target.crate_types.contains(&CrateType::CDyLib)
            && let Some(file) = artifact.filenames.iter().find(|file| file.extension() == Some("wasm"))
            && let Ok(manifest) = std::fs::read_to_string(&artifact.manifest_path)
            && let Some(name) = package_name(&manifest)
        {
            modules.insert(name, file.clone().into_std_path_buf());
        }
    }
    modules
}

fn package_name(cargo_toml: &str) -> Option<String> {
    let table: toml::Table = cargo_toml.parse().ok()?;
    table.get("package")?.get("name")?.as_str().map(str::to_owned)
}

fn has_guest_profile(workspace_root: &Path) -> bool {
    std::fs::read_to_string(workspace_root.join("Cargo.toml"))
        .ok()
        .and_then(|text| text.parse::<toml::Table>().ok())
        .is_some_and(|table| table.get("profile").and_then(|profiles| profiles.get("guest")).is_some())
}

/// Asks the compiler where it keeps its targets, and rustup for ours if it is not there.
fn ensure_target(workspace_root: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(), BuildError> {
    if has_target(workspace_root)? {
        return Ok(());
    }
    progress(Progress::AddingTarget);
    let advice = format!("Install it by hand: `rustup target add {TARGET}`");
    let output = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(workspace_root)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            BuildError::Toolchain(format!("the target {TARGET} is missing and rustup cannot be run: {error}. {advice}"))
        })?;
    if output.status.success() && has_target(workspace_root)? {
        return Ok(());
    }
    Err(BuildError::Toolchain(format!(
        "the target {TARGET} is missing and rustup did not add it: {}. {advice}",
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

fn has_target(workspace_root: &Path) -> Result<bool, BuildError> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(workspace_root)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            BuildError::Toolchain(format!("rustc cannot be run: {error}. Install Rust from https://rustup.rs"))
        })?;
    let directory = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success() && Path::new(&directory).is_dir())
}
