//! The control API besides installing.

use kontor_core::revision::SecretSpec;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::kit::{answered, bare_host, host, spec};

#[tokio::test]
async fn merchants_are_created_once_and_listed() {
    let host = bare_host(|_| {}).await;
    let new = json!({"id": "north", "name": "North & Co"});
    let (status, made) = host.api(Method::POST, "/merchants", Some(new.clone())).await;
    assert_eq!((status, made["name"].as_str().unwrap()), (StatusCode::CREATED, "North & Co"));
    let (status, again) = host.api(Method::POST, "/merchants", Some(new)).await;
    assert_eq!((status, again["code"].as_str().unwrap()), (StatusCode::CONFLICT, "already-exists"));
    for bad in [json!({"id": "North"}), json!({"id": "x", "unknown": 1}), json!({})] {
        assert_eq!(host.api(Method::POST, "/merchants", Some(bad.clone())).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    let (_, list) = host.api(Method::GET, "/merchants", None).await;
    assert_eq!(list, json!([made]));
    assert_eq!(host.api(Method::GET, "/merchants/south", None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn secrets_are_set_and_never_shown() {
    let host = host().await;
    let mut with_secret = spec("vault", "1.0.0");
    with_secret.secrets.push(SecretSpec { name: "key".to_owned(), description: "the key".to_owned(), plain: false });
    host.install("m", &with_secret).await;
    let path = "/merchants/m/plugins/vault/secrets";
    let (_, before) = host.api(Method::GET, path, None).await;
    assert_eq!(before, json!([{"name": "key", "description": "the key", "set": false, "plain": false}]));
    let put = host.api(Method::PUT, &format!("{path}/key"), Some(json!({"value": "s3cret-value"}))).await;
    assert_eq!(put.0, StatusCode::NO_CONTENT);
    let (_, after) = host.api(Method::GET, path, None).await;
    assert_eq!(after[0]["set"], true);
    let (_, plugin) = host.api(Method::GET, "/merchants/m/plugins/vault", None).await;
    assert!(!format!("{after}{plugin}").contains("s3cret-value"));
    let undeclared = host.api(Method::PUT, &format!("{path}/other"), Some(json!({"value": "x"}))).await;
    assert_eq!(undeclared.0, StatusCode::NOT_FOUND);
    assert_eq!(host.api(Method::DELETE, &format!("{path}/key"), None).await.0, StatusCode::NO_CONTENT);
    let (_, gone) = host.api(Method::GET, path, None).await;
    assert_eq!(gone, before);
}

#[tokio::test]
async fn logs_are_paged_by_cursor() {
    let host = host().await;
    for _ in 0..3 {
        assert_eq!(answered(host.post("/m/m/p/count")).await.0, StatusCode::OK);
    }
    let (_, page) = host.api(Method::GET, "/merchants/m/plugins/p/logs", None).await;
    let lines = page["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 3, "{page}");
    assert_eq!((lines[0]["message"].as_str(), lines[0]["level"].as_str()), (Some("counted"), Some("info")));
    assert_eq!(lines[2]["fields"]["count"], "3");
    let (_, newer) = host.api(Method::GET, "/merchants/m/plugins/p/logs?since=2", None).await;
    assert_eq!(newer["lines"].as_array().unwrap().len(), 1);
    assert_eq!(newer["next"], 3);
    let (_, none) = host.api(Method::GET, "/merchants/m/plugins/p/logs?since=3", None).await;
    assert_eq!(none, json!({"lines": [], "next": 3}));
}

#[tokio::test]
async fn health_and_metrics_are_open() {
    let host = host().await;
    answered(host.post("/m/m/p/count")).await;
    assert_eq!(answered(host.get("/healthz")).await.0, StatusCode::OK);
    let (status, ready) = answered(host.get("/readyz")).await;
    assert_eq!((status, ready["state"].as_str().unwrap()), (StatusCode::OK, "ready"));
    let metrics = host.get("/metrics").send().await.unwrap().text().await.unwrap();
    for name in [
        "kontor_http_requests_total{",
        "kontor_http_request_duration_seconds_bucket{",
        "kontor_invocations_total{",
        "kontor_executions_total{",
        "kontor_store_operations_total{operation=\"commits\"}",
        "kontor_plugin_log_lines_total{",
    ] {
        assert!(metrics.contains(name), "{name} in\n{metrics}");
    }
}

#[tokio::test]
async fn dead_letters_and_jobs_are_listed_and_unknown_ones_named() {
    let host = host().await;
    assert_eq!(host.api(Method::GET, "/merchants/m/dead-letters", None).await.1, json!([]));
    assert_eq!(host.api(Method::GET, "/merchants/m/plugins/p/jobs", None).await.1, json!([]));
    let (status, body) = host.api(Method::POST, "/merchants/m/dead-letters/none/replay", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    let (_, replayed) = host.api(Method::POST, "/merchants/m/plugins/p/dead-letters/replay", None).await;
    assert_eq!(replayed, json!({"replayed": 0}));
}
