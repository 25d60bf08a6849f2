//! The whole host as it is shipped: a plugin built by the builder, the real engine, the embedded store.

use std::path::Path;

use kontor_core::ids::{MerchantId, PluginId};
use kontor_package::Builder;
use kontor_server::api::{Change, ChangeSet, InstallChange, Package};
use kontor_server::{Host, HostOptions, RunningHost};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

async fn call(host: &RunningHost, method: Method, path: &str, body: Option<Value>, token: &str) -> (StatusCode, Value) {
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client.request(method, format!("http://{}{path}", host.address())).bearer_auth(token);
    let request = body.map_or(request.try_clone().unwrap(), |b| request.json(&b));
    crate::kit::answered(request).await
}

fn build_hello() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/plugins/hello");
    Builder::new().build(&folder, &mut |_| {}).unwrap().package.bytes().to_vec()
}

#[test]
fn a_plugin_gets_its_memory_from_a_base_and_calls_the_host_directly() {
    let package = build_hello();
    let (base, shim) = (b"kontor:base".as_slice(), b"wit-component-shim".as_slice());
    let holds = |name: &[u8]| package.windows(name.len()).any(|bytes| bytes == name);
    assert!(holds(base) && !holds(shim), "its module was not cut");
}

async fn upload_and_install(host: &RunningHost, admin: &str, bytes: Vec<u8>) {
    let upload =
        Client::builder().no_proxy().build().unwrap().post(format!("http://{}/api/v1/packages", host.address()));
    let upload = upload.bearer_auth(admin).header("content-type", "application/vnd.kontor.plugin").body(bytes);
    let (status, package) = crate::kit::answered(upload).await;
    assert_eq!(status, StatusCode::CREATED, "{package}");
    let package: Package = serde_json::from_value(package).unwrap();
    let install = Change::Install(InstallChange {
        digest: package.digest,
        config: Some(json!({"salutation": "Moin"})),
        ..InstallChange::default()
    });
    let set = serde_json::to_value(ChangeSet { changes: vec![install], ..ChangeSet::default() }).unwrap();
    let (status, done) = call(host, Method::POST, "/api/v1/merchants/m/revisions", Some(set), admin).await;
    assert_eq!(status, StatusCode::OK, "{done}");
}

/// The plugin handles its own event by queueing a job: both happen in the background.
async fn wait_for_the_job(host: &RunningHost) {
    let (merchant, plugin) = (MerchantId::new("m").unwrap(), PluginId::new("hello").unwrap());
    loop {
        let version = host.machine().store().current_version();
        if !host.machine().jobs(&merchant, &plugin, 10).await.unwrap().is_empty() {
            return;
        }
        host.machine().wait_for_commit(version).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_built_plugin_is_installed_runs_and_is_there_after_a_restart() {
    let bytes = tokio::task::spawn_blocking(build_hello).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut options = HostOptions::new(data.path());
    options.dev_mode = true;

    let host = Host::start(options.clone()).await.unwrap();
    let admin = host.first_admin_token().unwrap().to_owned();
    let (status, _) = call(&host, Method::POST, "/api/v1/merchants", Some(json!({"id": "m"})), &admin).await;
    assert_eq!(status, StatusCode::CREATED);
    upload_and_install(&host, &admin, bytes).await;
    let (status, greeting) = call(&host, Method::GET, "/m/m/hello/hello/Ada", None, "").await;
    assert_eq!((status, greeting["text"].as_str().unwrap().starts_with("Moin")), (StatusCode::OK, true), "{greeting}");
    assert_eq!(greeting["count"], 1);
    wait_for_the_job(&host).await;
    let (status, note) = call(&host, Method::POST, "/m/m/hello/notes", Some(json!({"text": "kept"})), "").await;
    assert_eq!(status, StatusCode::CREATED, "{note}");
    let (status, problem) = call(&host, Method::POST, "/m/m/hello/panic", Some(json!({})), "").await;
    assert_eq!((status, problem["code"].as_str().unwrap()), (StatusCode::INTERNAL_SERVER_ERROR, "plugin-stopped"));
    let report = host.shutdown().await;
    assert_eq!(report, kontor_server::ShutdownReport::default());

    let host = Host::start(options).await.unwrap();
    let (status, kept) =
        call(&host, Method::GET, &format!("/m/m/hello/notes/{}", note.as_str().unwrap()), None, "").await;
    assert_eq!((status, kept["text"].as_str().unwrap()), (StatusCode::OK, "kept"));
    let (_, greeting) = call(&host, Method::GET, "/m/m/hello/hello/Ada", None, "").await;
    assert_eq!(greeting["count"], 2);
    host.shutdown().await;
}
