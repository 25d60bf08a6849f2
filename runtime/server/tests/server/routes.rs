//! Routes of plugins.

use kontor_core::limits::HTTP_REQUEST_BODY_BYTES_MAX;
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::kit::{TestHost, answered, bare_host, host, spec};

#[tokio::test]
async fn a_request_reaches_the_plugin_as_it_was_sent() {
    let host = host().await;
    let request = host.post("/m/m/p/hook?a=%20b&c").header("x-signature", "s1").header("connection", "x-gone");
    let (status, body) = answered(request.header("x-gone", "1").body(" raw \r\n{} ")).await;
    assert_eq!(status, StatusCode::OK);
    for (field, value) in [
        ("method", "POST"),
        ("path", "/hook"),
        ("query", "a=%20b&c"),
        ("body", " raw \r\n{} "),
        ("base_path", "/m/m/p"),
        ("actor", "Public"),
    ] {
        assert_eq!(body[field], value, "{field}");
    }
    let headers = body["headers"].to_string();
    assert!(headers.contains("x-signature") && !headers.contains("x-gone"), "{headers}");
    let (_, body) = answered(host.get("/m/m/p/items/a%2Db")).await;
    assert_eq!(body["path"], "/items/a%2Db", "the path stays as it was encoded");
}

#[tokio::test]
async fn what_is_not_there_is_said_as_a_problem() {
    let host = host().await;
    for (method, path, status, code) in [
        (Method::GET, "/m/m/p/nothing", 404, "not-found"),
        (Method::GET, "/m/m/q/", 404, "not-found"),
        (Method::GET, "/m/other/p/", 404, "not-found"),
        (Method::GET, "/m/UPPER/p/", 404, "not-found"),
        (Method::DELETE, "/m/m/p/count", 405, "method-not-allowed"),
        (Method::GET, "/m/m/p/items/a%2Fb", 400, "invalid-request"),
        (Method::GET, "/m/m/p//page", 400, "invalid-request"),
        (Method::GET, "/nothing", 404, "not-found"),
        (Method::PUT, "/api/v1/merchants", 405, "method-not-allowed"),
        (Method::GET, "/m/m/p/stop", 500, "plugin-stopped"),
        (Method::GET, "/m/m/p/panic", 500, "internal"),
        (Method::GET, "/m/m/p/bad-status", 502, "plugin-response-invalid"),
    ] {
        let response = host.request(method.clone(), path).bearer_auth(&host.admin).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
        if status == 405 {
            assert!(response.headers().contains_key("allow"), "{path}");
        }
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["code"], code, "{path}: {body}");
        assert_eq!(body["status"], status);
    }
    assert_eq!(answered(host.get("/m/m/p/page")).await.0, StatusCode::OK, "the host goes on");
}

#[tokio::test]
async fn people_are_shown_pages_and_pages_are_careful() {
    let host = host().await;
    let page = host.get("/m/m/p/page").send().await.unwrap();
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("referrer-policy", "same-origin"), ("x-frame-options", "SAMEORIGIN")]
    {
        assert_eq!(page.headers()[name], value);
    }
    let missing = host.get("/m/m/p/nothing").header("accept", "text/html,*/*").send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let index = host.get("/").send().await.unwrap().text().await.unwrap();
    assert!(index.contains("href=\"/m/m/p/\"") && index.contains("Plugin p"), "{index}");
    let head = host.request(Method::HEAD, "/m/m/p/page").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.bytes().await.unwrap().len(), 0);
}

#[tokio::test]
async fn bodies_are_bounded_announced_or_not() {
    let host = host().await;
    let fits = vec![b'x'; HTTP_REQUEST_BODY_BYTES_MAX];
    let too_large = vec![b'x'; HTTP_REQUEST_BODY_BYTES_MAX + 1];
    assert_eq!(answered(host.post("/m/m/p/hook").body(fits)).await.0, StatusCode::OK);
    let (status, body) = answered(host.post("/m/m/p/hook").body(too_large.clone())).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"));
    assert!(send_chunked(&host, &too_large).await.starts_with("HTTP/1.1 413"));
    let (status, body) =
        answered(host.post("/api/v1/merchants").bearer_auth(&host.admin).json(&"x".repeat(2 << 20))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
}

/// Sends a body without saying how long it is.
async fn send_chunked(host: &TestHost, body: &[u8]) -> String {
    let mut stream = tokio::net::TcpStream::connect(host.host.address()).await.unwrap();
    let head = "POST /m/m/p/hook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await.unwrap();
    // The server may answer and close before it has read everything.
    let _refused = stream.write_all(body).await;
    let mut answer = vec![0; 64];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn request_ids_go_in_and_out() {
    let host = host().await;
    let given = host.get("/m/m/p/").header("x-request-id", "abc-1").send().await.unwrap();
    assert_eq!(given.headers()["x-request-id"], "abc-1");
    let seen = |body: &serde_json::Value, id: &str| body["headers"].to_string().contains(id);
    assert!(!seen(&given.json().await.unwrap(), "abc-1"), "a question is the same whoever counts it");
    let made = host.post("/m/m/p/hook").header("x-request-id", "bad id").send().await.unwrap();
    let id = made.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(id.len(), 36);
    assert!(seen(&made.json().await.unwrap(), &id), "the plugin sees the same id");
}

#[tokio::test]
async fn a_repeated_request_with_the_same_key_is_answered_again_and_done_once() {
    let host = host().await;
    let count = |key: &str, body: &str| host.post("/m/m/p/count").header("idempotency-key", key).body(body.to_owned());
    let first = count("k1", "").send().await.unwrap();
    assert!(!first.headers().contains_key("idempotency-replayed"));
    assert_eq!(first.text().await.unwrap(), "1");
    let again = count("k1", "").send().await.unwrap();
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.text().await.unwrap(), "1");
    assert_eq!(answered(count("k2", "")).await.1, 2);
    assert_eq!(answered(host.post("/m/m/p/count")).await.1, 3);
    let (status, body) = answered(count("k1", "something else")).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused"));
    assert_eq!(
        answered(count("k1", "").header("cookie", "session=other")).await.1,
        4,
        "another visitor's key is another key"
    );
    assert_eq!(answered(count(&"k".repeat(256), "")).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_flood_is_told_to_come_back() {
    let host = bare_host(|options| options.invocations_max = 1).await;
    host.create_merchant("m").await;
    host.install("m", &spec("p", "1.0.0")).await;
    let held = tokio::spawn(host.get("/m/m/p/gate").send());
    host.runner.at_gate.acquire().await.unwrap().forget();
    // The one place is taken; a few may wait for it, the others are sent away at once.
    let many = futures_util::future::join_all((0..20).map(|_| host.get("/m/m/p/page").send())).await;
    host.runner.gate.add_permits(1);
    let refused: Vec<_> =
        many.into_iter().map(Result::unwrap).filter(|r| r.status() == StatusCode::SERVICE_UNAVAILABLE).collect();
    assert!(refused.len() >= 12, "{}", refused.len());
    assert_eq!(refused[0].headers()["retry-after"], "1");
    assert_eq!(held.await.unwrap().unwrap().text().await.unwrap(), "passed");
    assert_eq!(answered(host.get("/m/m/p/page")).await.0, StatusCode::OK);
}
