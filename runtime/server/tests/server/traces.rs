//! Traces go to the collector, as part of the caller's trace.

use std::sync::Arc;

use kontor_server::{LogFormat, init_telemetry_to};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::kit::{answered, host};

/// Reads one request after another, keeps their bytes, and answers each with 200.
async fn collect(mut stream: TcpStream, seen: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = Vec::new();
    loop {
        let head = buffer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
        let length = head.map(|head| {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|l| l.strip_prefix("content-length:").map(str::trim).map(str::to_owned));
            head + length.unwrap().parse::<usize>().unwrap()
        });
        if let Some(length) = length.filter(|length| buffer.len() >= *length) {
            seen.lock().await.extend(buffer.drain(..length));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        } else if stream.read_buf(&mut buffer).await.unwrap() == 0 {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_joins_the_callers_trace() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(collect(stream, Arc::clone(&keep)));
        }
    });
    let guard = init_telemetry_to(LogFormat::Human, Some("error"), &url).unwrap();
    let host = host().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
    answered(host.get("/m/m/p/page").header("traceparent", traceparent)).await;
    // The span ends on the server a moment after the answer has left: the end of the host is after that.
    host.host.shutdown().await;
    tokio::task::spawn_blocking(move || guard.flush()).await.unwrap().unwrap();
    let seen = seen.lock().await;
    assert!(seen.starts_with(b"POST /v1/traces "), "the collector was called");
    let id = hex::decode(trace).unwrap();
    assert!(seen.windows(16).any(|w| w == id), "the span carries the caller's trace id");
    assert!(seen.windows(6).any(|w| w == b"kontor"), "the service has a name");
    // An attribute of a span (field 9), its key, and 200 as a varint.
    let status = b"\x4a\x0d\x0a\x06status\x12\x03\x18\xc8\x01";
    assert!(seen.windows(status.len()).any(|w| w == status), "the span carries the status of the response");
}
