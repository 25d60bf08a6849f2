//! What authors of plugins do: write one from the template, build it, install it, upgrade it while it is used, roll it back.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kontor_channels::demo::HostClient;
use kontor_e2e::{Host, kontor, source_root};
use serde_json::{Value, json};

/// A command of an author whose crate is outside the source tree, with its dependencies locked as the source tree's.
fn author(directory: &Path, arguments: &[&str]) -> Output {
    let target = kontor().parent().and_then(Path::parent).unwrap().to_owned();
    let output = Command::new(kontor())
        .current_dir(directory)
        .args(arguments)
        .env("KONTOR_SOURCE", source_root())
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn build(directory: &Path) -> PathBuf {
    fs::copy(source_root().join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
    let built: Value = serde_json::from_slice(&author(directory, &["build", "--json"]).stdout).unwrap();
    built[0]["file"].as_str().unwrap().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_from_the_template_is_built_installed_and_used() {
    let directory = tempfile::tempdir().unwrap();
    author(directory.path(), &["new", "guest-book"]);
    let package = build(&directory.path().join("guest-book"));

    let host = Host::start(&directory.path().join("data"));
    host.run(&["merchant", "create", "acme"]);
    host.run(&["plugin", "install", package.to_str().unwrap(), "--grant", "--set", "title_max=10"]);
    let anyone = host.admin.with_token("");
    anyone.put("/m/acme/guest-book/notes/1", &json!({ "title": "Lamp" })).await.unwrap();
    assert_eq!(anyone.get("/m/acme/guest-book/notes/1").await.unwrap()["title"], "Lamp");
    let refused = anyone.put("/m/acme/guest-book/notes/2", &json!({ "title": "A title too long" })).await.unwrap_err();
    assert_eq!(refused.status(), Some(422), "{refused}");

    let shown = host.run_json(&["plugin", "show", "guest-book"]);
    assert_eq!(shown["version"], "0.1.0", "{shown}");
    host.run(&["plugin", "remove", "guest-book"]);
    assert_eq!(anyone.get("/m/acme/guest-book/notes/1").await.unwrap_err().status(), Some(404));
    host.run(&["plugin", "rollback"]);
    assert_eq!(anyone.get("/m/acme/guest-book/notes/1").await.unwrap()["title"], "Lamp");
    host.stop();
}

/// The next version of two plugins of which one calls the other; both say in their answer which version they are.
fn next_versions(directory: &Path) -> Vec<PathBuf> {
    let mut packages = Vec::new();
    for (plugin, this, next) in [
        ("hello", "Ok(Greeting { text: rules::greeting(", "Ok(Greeting { text: \"2: \".to_owned() + &rules::greeting("),
        (
            "caller",
            "Ok(Json(greeting::greet(&name).map_err(refused)?))",
            "let mut greeting = greeting::greet(&name).map_err(refused)?; greeting.text.push_str(\" :2\"); Ok(Json(greeting))",
        ),
    ] {
        let (from, to) = (source_root().join("tests/conformance/plugins").join(plugin), directory.join(plugin));
        copy(&from, &to);
        replace(&to.join("src/lib.rs"), this, next);
        replace(&to.join("plugin.toml"), "version = \"0.1.0\"", "version = \"0.2.0\"");
        let sdk = source_root().join("sdk/rust/kontor-sdk");
        fs::write(
            to.join("Cargo.toml"),
            format!(
                "[package]\nname = \"next-{plugin}\"\nversion = \"0.2.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
                 [dependencies]\nkontor-sdk = {{ path = {sdk:?} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
                 serde_json = \"1\"\n[workspace]\n"
            ),
        )
        .unwrap();
        packages.push(build(&to));
    }
    packages
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn replace(path: &Path, this: &str, by: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(this), "{}: {this}", path.display());
    fs::write(path, text.replacen(this, by, 1)).unwrap();
}

/// Greets one guest after the other until told to stop; every answer must be of one version. Returns the versions seen.
async fn greet(client: HostClient, greeter: usize, done: Arc<AtomicBool>) -> BTreeSet<u8> {
    let (mut greeted, mut versions) = (0, BTreeSet::new());
    while !done.load(Ordering::Relaxed) {
        let answer = client.post(&format!("/m/acme/caller/greet/guest-{greeter}-{greeted}"), &json!({})).await.unwrap();
        greeted += 1;
        assert_eq!(answer["count"], 1, "no guest is greeted twice: {answer}");
        let text = answer["text"].as_str().unwrap();
        let (provider, caller) = (text.starts_with("2: "), text.ends_with(" :2"));
        assert_eq!(provider, caller, "a mixture of two versions: {text}");
        versions.insert(if caller { 2 } else { 1 });
    }
    versions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_and_a_rollback_under_load_lose_no_request_and_mix_no_versions() {
    let directory = tempfile::tempdir().unwrap();
    let next = next_versions(directory.path());
    let next: Vec<&str> = next.iter().map(|path| path.to_str().unwrap()).collect();
    let host = Host::start(&directory.path().join("data"));
    host.run(&["merchant", "create", "acme"]);
    let plugins = source_root().join("tests/conformance/plugins");
    let (hello, caller) = (plugins.join("hello"), plugins.join("caller"));
    host.run(&["plugin", "install", hello.to_str().unwrap(), caller.to_str().unwrap(), "--grant"]);

    let done = Arc::new(AtomicBool::new(false));
    let anyone = host.admin.with_token("");
    let load: Vec<_> = (0..6).map(|greeter| tokio::spawn(greet(anyone.clone(), greeter, Arc::clone(&done)))).collect();
    for _ in 0..3 {
        host.run(&[&["plugin", "upgrade", "--grant"], next.as_slice()].concat());
        host.run(&["plugin", "rollback"]);
    }
    host.run(&[&["plugin", "upgrade", "--grant"], next.as_slice()].concat());
    done.store(true, Ordering::Relaxed);
    let mut seen = BTreeSet::new();
    for greeter in load {
        seen.extend(greeter.await.unwrap());
    }
    assert_eq!(seen, BTreeSet::from([1, 2]), "the load met both versions");
    host.stop();
}
