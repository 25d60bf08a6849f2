//! What `kontor new` writes builds, passes its own rules, and runs.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::path::{Path, PathBuf};

use kontor_package::build::BuildError;
use kontor_package::template::{SdkSource, TemplateError, render, write_with};
use kontor_package::{Builder, signature};
use kontor_testkit::TestHost;
use serde_json::{Value, json};

/// Below the target folder: what is compiled there stays for the next run.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap().to_owned()
}

#[test]
fn a_new_plugin_builds_and_runs() {
    let directory = scratch("template/my-notes");
    let files = render("my-notes", &SdkSource::Path(checkout())).unwrap();
    // Not `write_with`: a rewritten unchanged file would be compiled again.
    for (name, content) in &files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if std::fs::read_to_string(&path).ok().as_ref() != Some(content) {
            std::fs::write(&path, content).unwrap();
        }
        assert!(!content.contains("{{"), "{} has a placeholder left", name.display());
    }
    // The same versions as here, without asking a registry.
    std::fs::copy(checkout().join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();

    // What the SDK is made of is compiled in the workspace's target folder already.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut steps = Vec::new();
    let built =
        Builder::new().target_directory(target).build(&directory, &mut |step| steps.push(step.to_string())).unwrap();
    assert!(built.warnings.is_empty(), "{:?}", built.warnings);
    assert_eq!(built.path.file_name().unwrap(), "my-notes-0.1.0.kontor");
    assert!(matches!(signature::trust(built.package.signature(), &[]), signature::Trust::Developer { .. }));
    assert!(steps.last().unwrap().contains("my-notes-0.1.0"), "{steps:?}");

    let again =
        Builder::new().target_directory(target).build(&directory, &mut |step| steps.push(step.to_string())).unwrap();
    assert_eq!(again.package.digest(), built.package.digest());
    assert!(steps.last().unwrap().contains("up to date"), "{steps:?}");

    let host = TestHost::builder().plugin(built.package).config("my-notes", json!({ "title_max": 10 })).start();
    host.put_json("my-notes", "/notes/1", &json!({ "title": " Lamp " })).expect(200);
    assert_eq!(host.get("my-notes", "/notes/1").expect(200).json::<Value>()["title"], "Lamp");
    assert_eq!(host.get("my-notes", "/notes?begins=la").expect(200).json::<Vec<Value>>().len(), 1);
    assert_eq!(
        host.put_json("my-notes", "/notes/2", &json!({ "title": "LAMP" })).expect(409).problem_code(),
        "duplicate-key"
    );
    host.put_json("my-notes", "/notes/3", &json!({ "title": "A title too long" })).expect(422);
    assert_eq!(host.emitted("example.my-notes.note-written.v1").len(), 1);
}

#[test]
fn refusals_of_the_builder_say_what_to_do() {
    let directory = scratch("refused");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let build = || Builder::new().unsigned().build(&directory, &mut |_| {}).unwrap_err();

    let error = build();
    assert!(error.to_string().contains("kontor new"), "{error}");
    assert_eq!(error.code(), "not-a-plugin");

    let written = write_with("refused", &directory, &SdkSource::Path(checkout())).unwrap();
    assert!(written.contains(&PathBuf::from("src/lib.rs")));
    assert!(matches!(write_with("refused", &directory, &SdkSource::Workspace), Err(TemplateError::Exists(_))));
    assert!(matches!(write_with("Not An Id", &directory.join("x"), &SdkSource::Workspace), Err(TemplateError::Id(_))));

    let manifest = directory.join("plugin.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("0.1.0", "0.2.0")).unwrap();
    let error = build();
    assert!(error.to_string().contains("make them equal"), "{error}");

    std::fs::write(&manifest, text.replace("auth = \"public\"", "auth = \"anyone\"")).unwrap();
    let error = build();
    assert!(matches!(error, BuildError::Manifest(_)) && error.to_string().contains("plugin.toml:13:8"), "{error}");
}

#[test]
fn a_manifest_that_does_not_fit_its_component_is_refused() {
    let package = kontor_testkit::build(&["caller"]).pop().unwrap();
    let mut manifest = package.manifest().clone();
    assert_eq!(kontor_package::component::check(package.bytes(), &manifest), Ok(vec![]));
    manifest.requires.clear();
    manifest.provides.push(kontor_package::manifest::Provides { interface: "a:b/c@1.0.0".into(), provider: None });
    let problems = kontor_package::component::check(package.bytes(), &manifest).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("imports `kontor:conformance/greeting@0.1.0`; say so under `requires`"));
    assert!(problems[1].contains("provides `a:b/c@1.0.0`, which the component does not export"));
}
