//! Plugins that misbehave are stopped with a name, and nothing of them remains.

use kontor_core::revision::{OutboundHost, PluginSpec};

use crate::guests;
use crate::rig::Rig;

async fn rig_of(wasm: Vec<u8>) -> Rig {
    Rig::new(vec![(guests::web_spec("guest", &wasm), wasm)]).await
}

async fn code(world: &str, imports: &str, items: &str, body: &str) -> String {
    let rig = rig_of(guests::http(world, imports, items, body)).await;
    let (plugin, code, message) = rig.stopped("guest", "").await;
    assert_eq!(plugin, "guest");
    assert!(!message.is_empty());
    code
}

#[tokio::test]
async fn a_loop_uses_up_its_fuel() {
    let wasm = guests::http("", "", "", "(loop $for-ever (br $for-ever)) (i32.const 0)");
    let mut spec = guests::web_spec("guest", &wasm);
    spec.limits.fuel = 5_000_000;
    let rig = Rig::new(vec![(spec, wasm)]).await;
    assert_eq!(rig.stopped("guest", "").await.1, "fuel-exhausted");
    assert!(rig.usage("guest").fuel >= 5_000_000);
}

#[tokio::test]
async fn a_loop_with_much_fuel_runs_out_of_time() {
    let wasm = guests::http("", "", "", "(loop $for-ever (br $for-ever)) (i32.const 0)");
    let mut spec = guests::web_spec("guest", &wasm);
    spec.limits.fuel = 20_000_000_000;
    spec.limits.timeout_ms = 30;
    let rig = Rig::new(vec![(spec, wasm)]).await;
    assert_eq!(rig.stopped("guest", "").await.1, "timeout");
    assert_eq!(rig.engine.stats().timeouts, 1);
    assert_eq!(rig.engine.stats().live_instances, 0);
}

#[tokio::test]
async fn memory_has_a_limit() {
    let body = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (i32.const 0)";
    assert_eq!(code("", "", "", body).await, "memory-limit");
}

#[tokio::test]
async fn the_stack_has_a_limit() {
    let items = "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    assert_eq!(code("", "", items, "(call $deep (i32.const 0))").await, "stack-overflow");
}

#[tokio::test]
async fn a_panic_is_a_trap() {
    assert_eq!(code("", "", "", "(unreachable)").await, "trap");
}

#[tokio::test]
async fn malformed_answers_are_refused() {
    let pointer = "(drop (call $answer (i32.const 2147483640) (i32.const 4096))) (i32.const 64)";
    assert_eq!(code("", "", "", pointer).await, "malformed-data");
    let unaligned = "(drop (call $answer (i32.const 0) (i32.const 0))) (i32.const 65)";
    assert_eq!(code("", "", "", unaligned).await, "malformed-data");
    let status =
        "(drop (call $answer (i32.const 0) (i32.const 0))) (i32.store16 (i32.const 64) (i32.const 7)) (i32.const 64)";
    assert_eq!(code("", "", "", status).await, "malformed-data");
}

#[tokio::test]
async fn too_large_an_answer_is_refused() {
    let body = "(drop (memory.grow (i32.const 160))) (call $answer (i32.const 0) (i32.const 9000000))";
    assert_eq!(code("", "", "", body).await, "limit");
    let more = "(drop (memory.grow (i32.const 400))) (call $answer (i32.const 0) (i32.const 20000000))";
    assert_eq!(code("", "", "", more).await, "limit");
}

const EMIT: &str = r#"(import "kontor:host/events@0.1.0" "emit" (func $emit (param i32 i32 i32 i32 i32 i32 i32)))"#;
const EMIT_DATA: &str = r#"(data (i32.const 16) "demo.event.v1{}")"#;
const EMIT_CALL: &str = "(call $emit (i32.const 16) (i32.const 13) (i32.const 16) (i32.const 4) (i32.const 29) (i32.const 2) (i32.const 256))";

#[tokio::test]
async fn a_flood_of_events_is_refused_and_then_stopped() {
    let world = "import kontor:host/events@0.1.0;";
    // Told that the limit is reached (the error's case, 1), the guest may end well.
    let until_refused = format!(
        "(block $end (loop $more {EMIT_CALL} (br_if $end (i32.load8_u (i32.const 256))) (br $more)))
         (call $answer (i32.const 260) (i32.const 1))"
    );
    let rig = rig_of(guests::http(world, EMIT, EMIT_DATA, &until_refused)).await;
    assert_eq!(rig.body("guest", "").await, [1]);
    let for_ever = format!("(loop $more {EMIT_CALL} (br $more)) (i32.const 0)");
    assert_eq!(code(world, EMIT, EMIT_DATA, &for_ever).await, "event-limit");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_outbound_request_runs_out_of_time() {
    let wasm = guests::http(
        "import kontor:host/outbound@0.1.0;",
        r#"(import "kontor:host/outbound@0.1.0" "fetch" (func $fetch (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#,
        r#"(data (i32.const 16) "GET") (data (i32.const 24) "https://example.com/")"#,
        "(call $fetch (i32.const 16) (i32.const 3) (i32.const 24) (i32.const 20) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 30000) (i32.const 256))
         (call $answer (i32.const 256) (i32.const 16))",
    );
    let spec = PluginSpec {
        outbound: vec![OutboundHost { host: "example.com".to_owned(), budgets: Vec::new() }],
        ..guests::web_spec("guest", &wasm)
    };
    let rig = Rig::new(vec![(spec, wasm)]).await;
    let (plugin, code, _) = rig.stopped("guest", "").await;
    assert_eq!((plugin.as_str(), code.as_str()), ("guest", "timeout"));
}

const GET: &str = r#"(import "kontor:host/store@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32)))"#;

fn reader(key: &str) -> Vec<u8> {
    guests::http(
        "import kontor:host/store@0.1.0;",
        GET,
        &format!(r#"(data (i32.const 16) "rows") (data (i32.const 24) "{key}")"#),
        &format!(
            "(call $get (i32.const 16) (i32.const 4) (i32.const 24) (i32.const {}) (i32.const 256))
             (call $answer (i32.const 256) (i32.const 16))",
            key.len()
        ),
    )
}

#[tokio::test(start_paused = true)]
async fn a_hanging_store_is_given_up() {
    let wasm = reader("hang");
    let mut spec = guests::web_spec("guest", &wasm);
    spec.limits.timeout_ms = 120_000;
    let rig = Rig::new(vec![(spec, wasm)]).await;
    let error = rig.get("guest", "").await.unwrap_err();
    assert_eq!(error.code(), "unavailable", "{error}");
}

#[tokio::test]
async fn a_panic_in_the_host_ends_the_execution_only() {
    let rig = rig_of(reader("break")).await;
    let error = rig.get("guest", "").await.unwrap_err();
    assert_eq!(error.code(), "host-fault", "{error}");
    assert_eq!(rig.engine.stats().live_instances, 0);
}

#[tokio::test]
async fn a_dropped_execution_drops_everything() {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};
    let rig = rig_of(reader("hang")).await;
    {
        let mut request = Box::pin(rig.get("guest", ""));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            assert!(matches!(request.as_mut().poll(&mut context), Poll::Pending));
        }
        assert_eq!(rig.engine.stats().live_instances, 1);
    }
    assert_eq!(rig.engine.stats().live_instances, 0);
}
