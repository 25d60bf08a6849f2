//! Installing, upgrading, configuring, removing, rolling back.

use kontor_core::revision::{OutboundHost, PluginSpec, ServiceProvision, ServiceRequirement};
use kontor_server::api::{
    Change, ChangeResult, ChangeSet, ConfigureChange, GrantRequest, HostGrant, InstallChange, PackageSignature,
    RemoveChange,
};
use kontor_server::{EngineKind, HostOptions};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::kit::{TestHost, answered, bare_host, host, package, spec, start};

fn provider(id: &str) -> PluginSpec {
    let provides = vec![ServiceProvision { interface: "test:api/words@0.1.0".to_owned(), provider: None }];
    PluginSpec { provides, ..spec(id, "1.0.0") }
}

fn consumer(id: &str) -> PluginSpec {
    let requires =
        vec![ServiceRequirement { interface: "test:api/words@0.1.0".to_owned(), optional: false, many: false }];
    PluginSpec { requires, ..spec(id, "1.0.0") }
}

async fn install_of(host: &TestHost, spec: &PluginSpec) -> Change {
    Change::Install(InstallChange { digest: host.upload(spec).await.digest, ..InstallChange::default() })
}

fn set(changes: Vec<Change>) -> ChangeSet {
    ChangeSet { changes, ..ChangeSet::default() }
}

fn remove(plugin: &str) -> Change {
    Change::Remove(RemoveChange { plugin: plugin.to_owned() })
}

async fn revision(host: &TestHost) -> u64 {
    host.api(Method::GET, "/merchants/m", None).await.1["revision"].as_u64().unwrap()
}

#[tokio::test]
async fn plugins_that_need_each_other_come_and_go_in_one_revision() {
    let host = bare_host(|_| {}).await;
    host.create_merchant("m").await;
    let (needs, gives) = (install_of(&host, &consumer("reader")).await, install_of(&host, &provider("words")).await);

    let (status, body) = host.change("m", &set(vec![needs.clone()])).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::CONFLICT, "service-missing"));
    assert_eq!(revision(&host).await, 0);

    let (status, body) = host.change("m", &set(vec![needs, gives])).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!((body["applied"].clone(), body["revision"].clone()), (json!(true), json!(1)));

    let (status, body) = host.change("m", &set(vec![remove("words")])).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::CONFLICT, "still-required"));
    assert_eq!(body["required_by"], json!(["reader"]));

    let second = install_of(&host, &provider("words-two")).await;
    let (status, body) = host.change("m", &set(vec![second])).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::CONFLICT, "service-ambiguous"));

    let (status, _) = host.change("m", &set(vec![remove("words"), remove("reader")])).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(host.api(Method::GET, "/merchants/m/plugins", None).await.1, json!([]));
    assert_eq!(answered(host.get("/m/m/reader/")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_dry_run_shows_what_is_asked_and_changes_nothing() {
    let host = host().await;
    let mut next = spec("p", "1.1.0");
    next.outbound.push(OutboundHost { host: "api.example.com".to_owned(), budgets: Vec::new() });
    next.data_classes.push("people.pii".to_owned());
    let digest = host.upload(&next).await.digest;
    let change = |grant: GrantRequest, dry_run: bool| ChangeSet {
        changes: vec![Change::Install(InstallChange { digest: digest.clone(), grant, ..InstallChange::default() })],
        dry_run,
        ..ChangeSet::default()
    };
    let (status, body) = host.change("m", &change(GrantRequest::default(), true)).await;
    assert_eq!(status, StatusCode::OK);
    let result: ChangeResult = serde_json::from_value(body).unwrap();
    assert!(!result.applied);
    let screen = &result.permissions[0];
    assert_eq!((screen.version.as_str(), screen.installed_version.as_deref()), ("1.1.0", Some("1.0.0")));
    let new: Vec<_> = screen.asks.iter().filter(|a| a.new).map(|a| (a.name.as_str(), a.granted)).collect();
    assert_eq!(new, [("people.pii", true), ("api.example.com", false)]);
    assert!(result.notes.iter().any(|n| n.contains("api.example.com")), "{:?}", result.notes);
    assert_eq!(revision(&host).await, 1);

    let unasked = HostGrant { host: "evil.example".to_owned(), allow_http: false, allow_private: false };
    let (status, body) =
        host.change("m", &change(GrantRequest { outbound: vec![unasked], ..GrantRequest::default() }, true)).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::UNPROCESSABLE_ENTITY, "grant-not-asked"));

    let (status, _) = host.change("m", &change(GrantRequest { all: true, ..GrantRequest::default() }, false)).await;
    assert_eq!(status, StatusCode::OK);
    let (_, plugin) = host.api(Method::GET, "/merchants/m/plugins/p", None).await;
    assert_eq!(
        plugin["grants"]["outbound"][0],
        json!({"host": "api.example.com", "allow_http": false, "allow_private": false})
    );
}

#[tokio::test]
async fn configuration_is_checked_against_the_schema() {
    let host = host().await;
    let mut configured = spec("conf", "1.0.0");
    configured.config_schema = Some(json!({
        "type": "object", "additionalProperties": false, "required": ["url"],
        "properties": {"url": {"type": "string"}, "lines": {"type": "integer", "default": 10, "minimum": 1}}
    }));
    let digest = host.upload(&configured).await.digest;
    let install = |config: Option<Value>| {
        set(vec![Change::Install(InstallChange { digest: digest.clone(), config, ..InstallChange::default() })])
    };
    let (status, body) = host.change("m", &install(None)).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::UNPROCESSABLE_ENTITY, "config-invalid"));
    let (_, body) = host.change("m", &install(Some(json!({"url": "x", "lines": 0})))).await;
    assert_eq!(body["errors"][0]["pointer"], "/lines", "{body}");
    assert_eq!(host.change("m", &install(Some(json!({"url": "x"})))).await.0, StatusCode::OK);

    let configure = |config: Value| {
        set(vec![Change::Configure(ConfigureChange {
            plugin: "conf".to_owned(),
            config: Some(config),
            ..ConfigureChange::default()
        })])
    };
    let (_, plugin) = host.api(Method::GET, "/merchants/m/plugins/conf", None).await;
    assert_eq!(plugin["config"], json!({"url": "x", "lines": 10}), "defaults are filled in");
    assert_eq!(host.change("m", &configure(json!({"url": 7}))).await.1["errors"][0]["pointer"], "/url");
    assert_eq!(host.change("m", &configure(json!({"url": "y", "lines": 3}))).await.0, StatusCode::OK);
    let (_, plugin) = host.api(Method::GET, "/merchants/m/plugins/conf", None).await;
    assert_eq!(plugin["config"], json!({"url": "y", "lines": 3}));
}

#[tokio::test]
async fn versions_go_up_and_rollback_goes_back() {
    let host = host().await;
    host.install("m", &spec("p", "1.2.0")).await;
    let old = install_of(&host, &spec("p", "1.1.0")).await;
    let (status, body) = host.change("m", &set(vec![old])).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::CONFLICT, "not-an-upgrade"));

    let stale = ChangeSet { expected_revision: Some(1), ..set(vec![remove("p")]) };
    let (status, body) = host.change("m", &stale).await;
    assert_eq!((status, body["revision"].clone()), (StatusCode::CONFLICT, json!(2)));

    let (status, body) = host.api(Method::POST, "/merchants/m/rollback", Some(json!({}))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!((body["number"].clone(), body["plugins"]["p"].clone()), (json!(3), json!("1.0.0")));
    let (_, list) = host.api(Method::GET, "/merchants/m/revisions", None).await;
    let numbers: Vec<_> = list.as_array().unwrap().iter().map(|r| r["number"].as_u64().unwrap()).collect();
    assert_eq!(&numbers[..3], [3, 2, 1]);
    assert_eq!(list[1]["reason"], "upgrade p 1.0.0 to 1.2.0");
    let (_, shown) = host.api(Method::GET, "/merchants/m/revisions/2", None).await;
    assert_eq!((shown["current"].clone(), shown["installed"][0]["version"].clone()), (json!(false), json!("1.2.0")));
    let (status, _) = host.api(Method::POST, "/merchants/m/rollback", Some(json!({"to": 99}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn outside_dev_mode_only_trusted_signatures_count() {
    let host = bare_host(|options| options.dev_mode = false).await;
    let spec = spec("p", "1.0.0");
    for (signature, accepted) in [
        (PackageSignature::None, false),
        (PackageSignature::Development, false),
        (PackageSignature::Unknown, false),
        (PackageSignature::Publisher, true),
    ] {
        let (status, body) = host.upload_bytes(package(&spec, signature)).await;
        if accepted {
            assert_eq!(status, StatusCode::CREATED, "{body}");
        } else {
            assert_eq!(
                (status, body["code"].as_str().unwrap()),
                (StatusCode::FORBIDDEN, "package-unsigned"),
                "{signature:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_run_is_refused_by_name() {
    let host = bare_host(|_| {}).await;
    host.create_merchant("m").await;
    let (status, body) = host.upload_bytes(b"no package".to_vec()).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::UNPROCESSABLE_ENTITY, "package-invalid"));
    let bad = PluginSpec { description: "unrunnable".to_owned(), ..spec("bad", "1.0.0") };
    let change = install_of(&host, &bad).await;
    let (status, body) = host.change("m", &set(vec![change])).await;
    assert_eq!((status, body["reason"].as_str().unwrap()), (StatusCode::UNPROCESSABLE_ENTITY, "import-refused"));
    assert!(body["detail"].as_str().unwrap().contains("wasi:filesystem"), "{body}");
    let reserved = install_of(&host, &spec("sign-in", "1.0.0")).await;
    assert_eq!(host.change("m", &set(vec![reserved])).await.1["code"], "plugin-refused");
    let unknown =
        Change::Install(InstallChange { digest: format!("sha256:{}", "0".repeat(64)), ..InstallChange::default() });
    assert_eq!(host.change("m", &set(vec![unknown])).await.0, StatusCode::NOT_FOUND);
    let escape = Change::Install(InstallChange { digest: "sha256:../../x".to_owned(), ..InstallChange::default() });
    assert_eq!(host.change("m", &set(vec![escape])).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(host.change("m", &set(Vec::new())).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(host.change("m", &set(vec![remove("none")])).await.0, StatusCode::NOT_FOUND);
    assert_eq!(revision(&host).await, 0);
}

#[tokio::test]
async fn a_host_comes_back_with_everything_it_had() {
    let data = tempfile::tempdir().unwrap();
    let mut options = HostOptions::new(data.path());
    options.store = EngineKind::Sled;
    options.dev_mode = true;
    let first = start(options.clone(), data.path()).await;
    first.create_merchant("m").await;
    first.install("m", &spec("p", "1.0.0")).await;
    assert_eq!(answered(first.post("/m/m/p/count")).await.1, 1);
    let TestHost { host, admin, .. } = first;
    let report = host.shutdown().await;
    assert_eq!(report, kontor_server::ShutdownReport::default());

    let second = start(options, data.path()).await;
    assert_eq!(second.admin, admin, "the admin token stays");
    assert_eq!(second.host.first_admin_token(), None);
    assert_eq!(answered(second.post("/m/m/p/count")).await.1, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_and_rollbacks_under_load_lose_no_request() {
    let host = host().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let callers: Vec<_> = (0..6)
        .map(|_| {
            let (client, url, stop) = (host.client.clone(), host.url("/m/m/p/"), stop.clone());
            tokio::spawn(async move {
                let (mut answers, mut newest) = (0_u64, 0);
                while !stop.is_cancelled() {
                    let (status, body) = answered(client.get(&url)).await;
                    assert_eq!(status, StatusCode::OK, "{body}");
                    let revision = body["revision"].as_u64().unwrap();
                    assert!(revision >= newest, "a caller never goes back in time: {revision} after {newest}");
                    newest = revision;
                    answers += 1;
                }
                (answers, newest)
            })
        })
        .collect();
    for minor in 1..=8 {
        host.install("m", &spec("p", &format!("1.{minor}.0"))).await;
        if minor % 2 == 0 {
            let (status, body) = host.api(Method::POST, "/merchants/m/rollback", Some(json!({}))).await;
            assert_eq!(status, StatusCode::OK, "{body}");
        }
    }
    stop.cancel();
    let last = revision(&host).await;
    assert_eq!(last, 13);
    for caller in callers {
        let (answers, newest) = caller.await.unwrap();
        assert!(answers > 0 && newest <= last, "{answers} {newest}");
    }
}
