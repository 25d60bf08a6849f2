//! The committed description of the control API is the one that is served.

use std::path::Path;

use serde_json::Value;

use crate::kit::bare_host;

/// Run with `KONTOR_UPDATE=1` after changing the API.
#[test]
fn the_committed_description_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let current = kontor_server::openapi_json();
    if std::env::var_os("KONTOR_UPDATE").is_some() {
        std::fs::write(&path, current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == current, "runtime/server/openapi.json is out of date: run this test with KONTOR_UPDATE=1");
}

#[tokio::test]
async fn every_described_path_is_there_and_every_operation_is_documented() {
    let host = bare_host(|_| {}).await;
    let description: Value = host.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 20);
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["summary"].is_string() || operation["description"].is_string(), "{method} {path}");
            let filled = path.replace("{merchant}", "m").replace("{plugin}", "p").replace("{number}", "1");
            let filled = filled.replace("{id}", "x").replace("{name}", "x").replace("{digest}", "x");
            // With a method that is used nowhere, an address that exists answers 405.
            let options =
                host.request(reqwest::Method::OPTIONS, &filled).bearer_auth(&host.admin).send().await.unwrap();
            assert_eq!(options.status(), 405, "{path}");
        }
    }
}
