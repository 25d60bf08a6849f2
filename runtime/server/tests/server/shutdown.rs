//! The end of a host.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;

use crate::kit::{answered, bare_host, host, spec};

#[tokio::test]
async fn shutdown_loses_no_request() {
    let host = host().await;
    let running: Vec<_> = (0..10).map(|_| tokio::spawn(host.get("/m/m/p/gate").send())).collect();
    host.runner.at_gate.acquire_many(10).await.unwrap().forget();
    let handle = host.host.handle();
    handle.begin_shutdown();
    assert_eq!(host.host.stopped().await, None, "asked to stop, not broken");
    let (runner, new) = (Arc::clone(&host.runner), host.get("/healthz"));
    let stopping = tokio::spawn(host.host.shutdown());
    runner.gate.add_permits(10);
    for request in running {
        let response = request.await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.text().await.unwrap(), "passed");
    }
    let report = stopping.await.unwrap();
    assert_eq!((report.connections_cut, report.invocations_cut, report.fatal), (0, 0, None));
    assert!(new.send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let host = bare_host(|options| options.drain_timeout = Duration::from_millis(50)).await;
    host.create_merchant("m").await;
    host.install("m", &spec("p", "1.0.0")).await;
    let stuck = tokio::spawn(host.get("/m/m/p/gate").send());
    host.runner.at_gate.acquire().await.unwrap().forget();
    let runner = Arc::clone(&host.runner);
    let report = host.host.shutdown().await;
    assert_eq!((report.connections_cut, report.invocations_cut), (1, 1));
    runner.gate.add_permits(1);
    drop(stuck);
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_break_an_invocation_off() {
    let host = host().await;
    let gone = tokio::spawn(host.get("/m/m/p/gate").send());
    host.runner.at_gate.acquire().await.unwrap().forget();
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    host.runner.gate.add_permits(1);
    assert_eq!(answered(host.get("/m/m/p/page")).await.0, StatusCode::OK);
    let report = host.host.shutdown().await;
    assert_eq!(report.invocations_cut, 0);
}
