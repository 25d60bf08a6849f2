//! Requests of plugins to other servers.

use kontor_core::revision::{OutboundHost, SecretSpec};
use kontor_server::api::{Change, ChangeSet, GrantRequest, HostGrant, InstallChange};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::kit::{TestHost, answered, host, spec};

/// Answers every connection with `answer` and hands the requests over.
async fn server(answer: &'static str) -> (u16, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 16 * 1024];
            let length = stream.read(&mut request).await.unwrap_or(0);
            request.truncate(length);
            let _closed = stream.write_all(answer.as_bytes()).await;
            let _dropped = sender.try_send(String::from_utf8_lossy(&request).into_owned());
        }
    });
    (port, receiver)
}

/// Installs plugin `out`, which asks for `hosts` and is granted `grants`.
async fn install(host: &TestHost, hosts: &[&str], grants: Vec<HostGrant>) {
    let mut out = spec("out", "1.0.0");
    out.outbound = hosts.iter().map(|h| OutboundHost { host: (*h).to_owned(), budgets: Vec::new() }).collect();
    out.secrets.push(SecretSpec { name: "key".to_owned(), description: String::new(), plain: false });
    let digest = host.upload(&out).await.digest;
    let grant = GrantRequest { outbound: grants, ..GrantRequest::default() };
    let change = Change::Install(InstallChange { digest, grant, ..InstallChange::default() });
    let (status, body) = host.change("m", &ChangeSet { changes: vec![change], ..ChangeSet::default() }).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let path = "/merchants/m/plugins/out/secrets/key";
    assert_eq!(host.api(Method::PUT, path, Some(json!({"value": "s3cret"}))).await.0, StatusCode::NO_CONTENT);
}

fn grant(host: &str, allow_http: bool, allow_private: bool) -> HostGrant {
    HostGrant { host: host.to_owned(), allow_http, allow_private }
}

async fn fetch(host: &TestHost, url: &str) -> String {
    answered(host.get(&format!("/m/m/out/fetch?{url}"))).await.1.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_granted_server_is_reached_with_the_secret_filled_in() {
    let host = host().await;
    let (port, mut requests) =
        server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 2\r\n\r\nok").await;
    install(&host, &["127.0.0.1", "localhost"], vec![grant("127.0.0.1", true, true), grant("localhost", true, true)])
        .await;
    assert_eq!(fetch(&host, &format!("http://127.0.0.1:{port}/a")).await, "302 ok", "redirects are not followed");
    let request = requests.recv().await.unwrap().to_ascii_lowercase();
    for header in ["x-key: s3cret", "idempotency-key: ", "user-agent: kontor/", "traceparent: 00-"] {
        assert!(request.contains(header), "{header} in {request}");
    }
    assert_eq!(fetch(&host, &format!("http://localhost:{port}/a")).await, "302 ok");
}

#[tokio::test]
async fn private_addresses_plain_http_and_strangers_are_denied() {
    let host = host().await;
    let (port, mut requests) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let names = ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "public.example"];
    let mut grants: Vec<_> = names.iter().map(|n| grant(n, true, false)).collect();
    grants[4].allow_http = false;
    install(&host, &names, grants).await;
    for (url, says) in [
        (format!("http://127.0.0.1:{port}/"), "private address"),
        (format!("http://2130706433:{port}/"), "private address"),
        (format!("http://localhost:{port}/"), "private addresses"),
        (format!("http://[::1]:{port}/"), "private address"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "private address"),
        ("http://public.example/".to_owned(), "http"),
        ("https://stranger.example/".to_owned(), "denied"),
    ] {
        let answer = fetch(&host, &url).await;
        assert!(answer.starts_with("denied") && answer.contains(says), "{url}: {answer}");
    }
    assert!(requests.try_recv().is_err(), "nothing reached the server");
}

#[tokio::test]
async fn answers_are_bounded_while_they_stream() {
    let host = host().await;
    let (port, _requests) = server("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\nx").await;
    install(&host, &["127.0.0.1"], vec![grant("127.0.0.1", true, true)]).await;
    let answer = fetch(&host, &format!("http://127.0.0.1:{port}/")).await;
    assert!(answer.contains("larger than"), "{answer}");
}
