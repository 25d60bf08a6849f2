//! Requests that are answered without being executed: only while nothing that the response depends on has changed, and never if it depends
//! on what only one execution can know.

use kontor_core::executor::HttpRequest;
use kontor_core::revision::PluginSpec;
use kontor_engine::EngineOptions;

use crate::guests::{self, ACT, provides, requires};
use crate::rig::{self, Rig, get};

/// Requests for a route that are not looked at after one that did more than answer, and some.
const UNFIT_REQUESTS: u32 = 70;

/// A plugin that only asks, and one that also writes; responses are kept, service calls are all executed.
async fn rig(provider: Vec<u8>) -> Rig {
    rig_with(EngineOptions::default().responses_bytes_max, provider).await
}

async fn rig_with(responses_bytes_max: usize, provider: Vec<u8>) -> Rig {
    let web = |id: &str, wasm: Vec<u8>| {
        (PluginSpec { requires: requires(ACT, false, false), ..guests::web_spec(id, &wasm) }, wasm)
    };
    let spec = PluginSpec { provides: provides(ACT, None), ..guests::spec("provider", &provider) };
    let plugins = vec![web("asker", guests::asker()), web("caller", guests::caller()), (spec, provider)];
    Rig::with(EngineOptions { responses_bytes_max, ..rig::options() }, plugins).await
}

/// A GET of the plugin's only route.
fn ask(query: &str) -> HttpRequest {
    HttpRequest { query: query.to_owned(), route: Some(0), ..get() }
}

/// What a request answered, and whether the plugin was executed for it.
async fn said(rig: &Rig, plugin: &str, request: HttpRequest) -> (Vec<u8>, bool) {
    let (counted, given) = (rig.invocations(plugin), rig.engine.stats().responses_given);
    let response = rig.send(plugin, request).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(rig.invocations(plugin), counted + 1, "a request is counted, executed or not");
    (response.body, rig.engine.stats().responses_given == given)
}

#[tokio::test]
async fn a_response_stands_until_something_that_was_read_changes() {
    let rig = rig(guests::act_provider()).await;
    assert_eq!(said(&rig, "asker", ask("9")).await, (vec![0, 0], true), "there is no row");
    assert_eq!(said(&rig, "asker", ask("9")).await, (vec![0, 0], false));
    assert_eq!((rig.engine.stats().responses_given, rig.engine.stats().responses_kept), (1, 1));
    assert_eq!(said(&rig, "caller", ask("0")).await.0, [0, 1], "another request writes it");
    assert_eq!(said(&rig, "asker", ask("9")).await, (vec![0, 1], true));
    assert_eq!(said(&rig, "asker", ask("9")).await, (vec![0, 1], false), "the new response is kept");
}

#[tokio::test]
async fn a_response_is_that_of_the_revision_in_force() {
    let rig = rig(guests::act_provider()).await;
    let first = rig.switch().await;
    assert!(said(&rig, "asker", ask("9")).await.1);
    assert!(rig.recalls("asker", &ask("9"), first));
    assert!(!rig.recalls("asker", &ask("9"), first + 1), "a request that another revision admitted");
    let second = rig.switch().await;
    for number in [first, second] {
        assert!(!rig.recalls("asker", &ask("9"), number), "{number}: the switch may have changed everything");
    }
    assert!(said(&rig, "asker", ask("9")).await.1);
    assert!(rig.recalls("asker", &ask("9"), second) && !rig.recalls("asker", &ask("9"), first));
}

#[tokio::test]
async fn what_writes_is_executed_every_time() {
    let rig = rig(guests::act_provider()).await;
    for written in [0, 1, 1] {
        assert_eq!(said(&rig, "caller", ask("9")).await, (vec![0, written], true), "it writes a row of its own");
        assert_eq!(said(&rig, "asker", ask("0")).await, (vec![0, 1], true), "it has another one written");
    }
    assert_eq!(rig.engine.stats().responses_kept, 0);
}

#[tokio::test]
async fn what_depends_on_more_than_the_store_is_executed_again() {
    for query in ["0", "1", "2", "3", "4"] {
        let rig = rig(guests::curious_provider()).await;
        for _ in 0..3 {
            assert_eq!(said(&rig, "asker", ask(query)).await, (vec![0, 9], true), "mode {query}");
        }
        assert_eq!(rig.engine.stats().responses_kept, 0, "mode {query}");
        for _ in 0..UNFIT_REQUESTS {
            said(&rig, "asker", ask("5")).await;
        }
        assert!(!said(&rig, "asker", ask("5")).await.1, "after a while the route is looked at again");
    }
    let rig = rig(guests::curious_provider()).await;
    assert!(said(&rig, "asker", ask("6")).await.1);
    assert!(!said(&rig, "asker", ask("6")).await.1, "merchant and configuration are the same for every execution");
}

#[tokio::test]
async fn a_called_plugin_that_fails_is_called_again() {
    let rig = rig(guests::act_provider()).await;
    let first = said(&rig, "asker", ask("1")).await;
    assert_eq!((first.0.first(), first.1), (Some(&1), true), "a trap, told to the caller");
    assert_eq!(said(&rig, "asker", ask("1")).await, first);
    assert_eq!(rig.engine.stats().responses_kept, 0);
}

#[tokio::test]
async fn only_the_same_request_gets_it() {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let others = [
        HttpRequest { method: "HEAD".to_owned(), ..ask("9") },
        HttpRequest { path: "/other".to_owned(), ..ask("9") },
        ask("99"),
        HttpRequest { headers: vec![header("accept-language", "de")], ..ask("9") },
        HttpRequest { headers: vec![header("accept-languag", "ede")], ..ask("9") },
        HttpRequest { remote_address: "192.0.2.1".to_owned(), ..ask("9") },
        HttpRequest { base_path: "/m/demo/other".to_owned(), ..ask("9") },
    ];
    let rig = rig(guests::act_provider()).await;
    assert!(said(&rig, "asker", ask("9")).await.1);
    for other in &others {
        assert!(said(&rig, "asker", other.clone()).await.1, "{other:?}");
    }
    for same in others.iter().chain([&ask("9")]) {
        assert!(!said(&rig, "asker", same.clone()).await.1, "{same:?}");
    }
    for executed in [
        HttpRequest { method: "POST".to_owned(), ..ask("9") },
        HttpRequest { body: b"9".to_vec(), ..ask("9") },
        HttpRequest { route: None, ..ask("9") },
        HttpRequest { route: Some(7), ..ask("9") },
    ] {
        for _ in 0..2 {
            assert!(said(&rig, "asker", executed.clone()).await.1, "{executed:?}");
        }
    }
}

#[tokio::test]
async fn memory_for_responses_is_bounded_and_may_be_none() {
    let none = rig_with(0, guests::act_provider()).await;
    // Room for less than one in each part.
    let little = rig_with(64, guests::act_provider()).await;
    for _ in 0..2 {
        for rig in [&none, &little] {
            assert_eq!(said(rig, "asker", ask("9")).await.0, [0, 0]);
        }
        assert!(none.usage("asker").fuel > 0);
    }
    assert_eq!(none.engine.stats().responses_kept, 0);
}
