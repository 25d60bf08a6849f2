//! Calls between plugins.

use kontor_core::revision::PluginSpec;

use crate::guests::{self, ACT, provides, requires};
use crate::rig::{self, Rig};

fn caller(optional: bool) -> (PluginSpec, Vec<u8>) {
    let wasm = guests::caller();
    let spec = PluginSpec { requires: requires(ACT, optional, false), ..guests::web_spec("caller", &wasm) };
    (spec, wasm)
}

fn provider() -> (PluginSpec, Vec<u8>) {
    let wasm = guests::act_provider();
    let spec = PluginSpec { provides: provides(ACT, None), ..guests::spec("provider", &wasm) };
    (spec, wasm)
}

/// What a call returned: a number, or an error with its case and text.
fn error_text(body: &[u8], calls: usize) -> String {
    String::from_utf8(body[calls * 2..].to_vec()).unwrap()
}

const OTHER: u8 = 1;

#[tokio::test]
async fn a_call_is_part_of_the_callers_transaction() {
    let rig = Rig::new(vec![caller(false), provider()]).await;
    assert_eq!(rig.body("caller", "9").await, [0, 0], "there is no row yet");
    assert_eq!(rig.body("caller", "09").await, [0, 1, 0, 1], "it sees what it wrote");
    assert_eq!(rig.body("caller", "9").await, [0, 1], "and it was committed");
}

#[tokio::test]
async fn instances_live_as_long_as_an_execution() {
    let rig = Rig::new(vec![caller(false), provider()]).await;
    assert_eq!(rig.body("caller", "77").await, [0, 1, 0, 2], "one instance for all calls");
    assert_eq!(rig.body("caller", "7").await, [0, 1], "and a new one the next time");
    assert_eq!(rig.usage("provider").calls, 1);
    assert!(rig.usage("provider").fuel > 0);
    assert_eq!(rig.usage("provider").memory_bytes, 2 * 65536);
    assert_eq!(rig.engine.stats().live_instances, 0, "all are dropped");
}

#[tokio::test]
async fn what_returned_an_error_is_undone_and_forgotten() {
    let rig = Rig::new(vec![caller(false), provider()]).await;
    let body = rig.body("caller", "7279").await;
    assert_eq!(body, [0, 1, 1, 0, 0, 1, 0, 0], "its memory is new, its row is not there");
}

#[tokio::test]
async fn what_trapped_is_undone_and_the_caller_goes_on() {
    let rig = Rig::new(vec![caller(false), provider()]).await;
    assert_eq!(rig.body("caller", "19").await, [1, OTHER, 0, 0]);
    let body = rig.body("caller", "1").await;
    assert_eq!(body[..2], [1, OTHER]);
    let text = error_text(&body, 1);
    assert!(text.starts_with("provider was stopped (trap): "), "{text}");
    assert_eq!(rig.body("caller", "9").await, [0, 0], "nothing of it was committed");
}

#[tokio::test]
async fn a_called_plugin_that_breaks_is_named() {
    let mut provider = provider();
    provider.0.limits.fuel = 1_000_000;
    let rig = Rig::new(vec![caller(false), provider]).await;
    for (mode, code) in [
        ("3", "fuel-exhausted"),
        ("4", "malformed-data"),
        ("5", "malformed-data"),
        ("6", "malformed-data"),
        ("8", "memory-limit"),
        (":", "stack-overflow"),
    ] {
        let body = rig.body("caller", mode).await;
        assert_eq!(body[..2], [1, OTHER], "mode {mode}");
        let text = error_text(&body, 1);
        assert!(text.starts_with(&format!("provider was stopped ({code}): ")), "mode {mode}: {text}");
    }
}

#[tokio::test]
async fn a_replaced_instance_gets_only_what_is_left_of_the_fuel() {
    let mut provider = provider();
    provider.0.limits.fuel = 1_000_000;
    let rig = Rig::new(vec![caller(false), provider]).await;
    let body = rig.body("caller", "30").await;
    assert_eq!(body[..4], [1, OTHER, 1, OTHER], "the budget is for the whole execution");
    assert!(rig.usage("provider").fuel >= 1_000_000);
}

#[tokio::test]
async fn a_call_without_a_provider_stops_the_caller() {
    let rig = Rig::new(vec![caller(true)]).await;
    let (plugin, code, message) = rig.stopped("caller", "0").await;
    assert_eq!((plugin.as_str(), code.as_str()), ("caller", "no-provider"));
    assert!(message.contains(ACT), "{message}");
}

#[tokio::test]
async fn an_exhausted_pool_is_nobodys_fault() {
    let mut options = rig::options();
    options.pool.instances = 1;
    let rig = Rig::with(options, vec![caller(false), provider()]).await;
    assert!(rig.engine.stats().pooling);
    let error = rig.get("caller", "0").await.unwrap_err();
    assert_eq!(error.code(), "unavailable", "{error}");
    assert!(rig.engine.stats().unavailable > 0);
    assert_eq!(rig.body("caller", "").await, [0_u8; 0], "alone it fits");
}

const ACT_MANY: &str = "demo:service/act-many@0.1.0";

#[tokio::test]
async fn an_extension_point_is_dispatched_by_its_first_parameter() {
    let many = |id: &str, name: &str, answer: u32| {
        let wasm = guests::provider(
            "export demo:service/act-many@0.1.0;",
            "",
            &format!(
                r#"(func (export "demo:service/act-many@0.1.0#act") (param i32 i32 i32) (result i32)
                     (i32.store (i32.const 256) (i32.const 0))
                     (i32.store (i32.const 260) (i32.const {answer}))
                     (i32.const 256))"#
            ),
        );
        let spec = PluginSpec { provides: provides(ACT_MANY, Some(name)), ..guests::spec(id, &wasm) };
        (spec, wasm)
    };
    // The query is the provider's name; an error's text is the answer.
    let wasm = guests::http(
        "import demo:service/act-many@0.1.0; import kontor:host/services@0.1.0;",
        r#"(import "demo:service/act-many@0.1.0" "act" (func $act (param i32 i32 i32 i32)))
           (import "kontor:host/services@0.1.0" "providers" (func $providers (param i32 i32 i32)))
           (import "kontor:host/services@0.1.0" "available" (func $available (param i32 i32) (result i32)))"#,
        r#"(data (i32.const 128) "demo:service/act-many@0.1.0")"#,
        r#"(call $act (local.get $query) (local.get $query-length) (i32.const 0) (i32.const 256))
           (if (i32.load8_u (i32.const 256))
             (then (return (call $answer (i32.load (i32.const 264)) (i32.load (i32.const 268))))))
           (call $providers (i32.const 128) (i32.const 27) (i32.const 272))
           (i32.store8 (i32.const 261) (i32.load8_u (i32.const 276)))
           (i32.store8 (i32.const 262) (call $available (i32.const 128) (i32.const 27)))
           (i32.store8 (i32.const 263) (call $available (i32.const 128) (i32.const 5)))
           (call $answer (i32.const 260) (i32.const 4))"#,
    );
    let caller = PluginSpec { requires: requires(ACT_MANY, true, true), ..guests::web_spec("caller", &wasm) };
    let rig = Rig::new(vec![(caller, wasm), many("first", "one", 11), many("second", "two", 22)]).await;
    assert_eq!(rig.body("caller", "one").await, [11, 2, 1, 0]);
    assert_eq!(rig.body("caller", "two").await, [22, 2, 1, 0]);
    let text = String::from_utf8(rig.body("caller", "three").await).unwrap();
    assert!(text.contains("no provider `three`"), "{text}");
}

#[tokio::test]
async fn calls_in_a_circle_are_refused() {
    // Provides `act` and calls it: the call leads back to itself.
    let wasm = guests::http(
        "import demo:service/act@0.1.0; export demo:service/act@0.1.0;",
        r#"(import "demo:service/act@0.1.0" "act" (func $act (param i32 i32)))"#,
        r#"(func (export "demo:service/act@0.1.0#act") (param i32) (result i32) (unreachable))"#,
        r#"(call $act (i32.const 0) (i32.const 256)) (call $answer (i32.const 256) (i32.const 8))"#,
    );
    let spec = PluginSpec {
        provides: provides(ACT, None),
        requires: requires(ACT, false, false),
        ..guests::web_spec("circle", &wasm)
    };
    let rig = Rig::new(vec![(spec, wasm)]).await;
    let (plugin, code, _) = rig.stopped("circle", "").await;
    assert_eq!((plugin.as_str(), code.as_str()), ("circle", "re-entrance"));
}

/// A provider that reads a key of which the test's store makes trouble.
fn troubled(key: &str) -> (PluginSpec, Vec<u8>) {
    let wasm = guests::provider(
        "import kontor:host/store@0.1.0; export demo:service/act@0.1.0;",
        r#"(import "kontor:host/store@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32)))"#,
        &format!(
            r#"(data (i32.const 16) "rows") (data (i32.const 24) "{key}")
               (func (export "demo:service/act@0.1.0#act") (param i32) (result i32)
                 (call $get (i32.const 16) (i32.const 4) (i32.const 24) (i32.const {}) (i32.const 512))
                 (i32.const 256))"#,
            key.len()
        ),
    );
    let spec = PluginSpec { provides: provides(ACT, None), ..guests::spec("provider", &wasm) };
    (spec, wasm)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_in_a_nested_call_ends_the_whole_execution() {
    let mut caller = caller(false);
    caller.0.limits.timeout_ms = 120_000;
    let rig = Rig::new(vec![caller, troubled("hang")]).await;
    let error = rig.get("caller", "0").await.unwrap_err();
    assert_eq!(error.code(), "unavailable", "the caller cannot turn it into an answer: {error}");
    assert_eq!(rig.engine.stats().live_instances, 0);
}

#[tokio::test(start_paused = true)]
async fn the_plugin_that_runs_when_time_is_up_is_named() {
    let mut caller = caller(false);
    caller.0.limits.timeout_ms = 1_000;
    let rig = Rig::new(vec![caller, troubled("hang")]).await;
    let (plugin, code, _) = rig.stopped("caller", "0").await;
    assert_eq!((plugin.as_str(), code.as_str()), ("provider", "timeout"));
    assert_eq!(rig.usage("provider").calls, 1);
}

#[tokio::test]
async fn a_panic_of_the_host_in_a_nested_call_is_a_host_fault() {
    let rig = Rig::new(vec![caller(false), troubled("break")]).await;
    let error = rig.get("caller", "0").await.unwrap_err();
    assert_eq!(error.code(), "host-fault", "{error}");
    assert_eq!(rig.engine.stats().live_instances, 0);
}
