//! `kontor new | build | test`: for authors of plugins. The work is `kontor_package`'s; here is what they see of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use kontor_package::{BuildError, Built, Progress, build, template};
use serde_json::json;

use crate::args::{BuildArguments, NewArguments, TestArguments};
use crate::failure::{Failure, Result};
use crate::output::Output;

pub(crate) fn build(arguments: BuildArguments, output: &Output) -> Result<()> {
    let built = build_all(&or_here(arguments.plugins), output)?;
    let packages: Vec<_> = built
        .iter()
        .map(|built| {
            let manifest = built.package.manifest();
            json!({
                "plugin": manifest.id, "version": manifest.version, "file": built.path, "digest": built.package.digest(),
                "size_bytes": built.package.bytes().len(), "warnings": built.warnings,
            })
        })
        .collect();
    output.result(&packages, || {
        let lines: Vec<String> = built
            .iter()
            .map(|built| format!("{} ({} KiB)", built.path.display(), built.package.bytes().len().div_ceil(1024)))
            .collect();
        lines.join("\n")
    });
    Ok(())
}

pub(crate) fn test(arguments: TestArguments, output: &Output) -> Result<()> {
    let directories = or_here(arguments.plugins);
    build_all(&directories, output)?;
    for directory in &directories {
        output.say(format!("testing {}", directory.display()));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .arg("test")
            .current_dir(directory)
            .status()
            .map_err(|error| Failure::new("toolchain", format!("cannot run cargo: {error}. Is Rust installed?")))?;
        if !status.success() {
            return Err(Failure::new("tests-failed", format!("the tests of {} failed", directory.display())));
        }
    }
    output.result(&json!({ "tested": directories }), String::new);
    Ok(())
}

pub(crate) fn new_plugin(arguments: NewArguments, output: &Output) -> Result<()> {
    let directory = arguments.path.unwrap_or_else(|| PathBuf::from(&arguments.id));
    let files =
        template::write(&arguments.id, &directory).map_err(|error| Failure::new("template", error.to_string()))?;
    output.result(&json!({ "directory": directory, "files": files }), || {
        format!("wrote a plugin to {0}\n\n  cd {0}\n  kontor build\n  kontor test", directory.display())
    });
    Ok(())
}

/// Builds the plugins in `directories`; returns their files.
pub(crate) fn build_directories(directories: &[PathBuf], output: &Output) -> Result<Vec<PathBuf>> {
    Ok(build_all(directories, output)?.into_iter().map(|built| built.path).collect())
}

fn build_all(directories: &[PathBuf], output: &Output) -> Result<Vec<Built>> {
    let spinner = output.spinner("building plugins (the first time takes some minutes)");
    let borrowed: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
    let mut show = |progress: Progress| spinner.set_message(progress.to_string());
    let built = build::build_many(&borrowed, &mut show);
    spinner.finish_and_clear();
    let built = built.map_err(|error: BuildError| Failure::new(error.code(), error.to_string()))?;
    for warning in built.iter().flat_map(|built| &built.warnings) {
        output.say(format!("warning: {warning}"));
    }
    Ok(built)
}

fn or_here(directories: Vec<PathBuf>) -> Vec<PathBuf> {
    if directories.is_empty() { vec![PathBuf::from(".")] } else { directories }
}
