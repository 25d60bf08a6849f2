//! Plugins of the tests, written by hand: a core module in text, and the WIT world that it implements.

use kontor_core::ids::PluginId;
use kontor_core::limits::PluginLimits;
use kontor_core::revision::{PluginSpec, Route, RouteAuth, ServiceProvision, ServiceRequirement};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The service of the tests. `mode` says what the provider does.
pub const ACT: &str = "demo:service/act@0.1.0";

const SERVICE_WIT: &str = "
    package demo:service@0.1.0;
    interface act {
        variant error { invalid(string), other(string) }
        act: func(mode: u32) -> result<u32, error>;
    }
    interface act-many {
        variant error { invalid(string), other(string) }
        act: func(provider: string, mode: u32) -> result<u32, error>;
    }
    interface shapes {
        variant error { invalid(string), other(string) }
        record line { name: string, quantity: s64 }
        act: func(lines: list<line>) -> result<option<line>, error>;
    }
    interface bytes {
        variant error { other(string) }
        act: func(bytes: list<u8>) -> result<u32, error>;
    }
    interface bare {
        act: func() -> u32;
    }
    interface no-other {
        enum error { wrong }
        act: func() -> result<u32, error>;
    }
";

const WASI_WIT: &str = "
    package wasi:clocks@0.2.0;
    interface wall-clock { now: func() -> u64; }
";

/// What every guest has: memory, an allocator that never frees, and a migration that has nothing to do. Answers are written at 64:
/// status at 64, headers at 68, body at 76.
const PRELUDE: &str = r#"
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 65536))
  (func $alloc (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $size) (i32.const 65536))))))
    (local.get $at))
  (func (export "kontor:host/lifecycle@0.1.0#migrate") (param i32 i32 i32 i32 i32) (result i32)
    (i32.const 1024))
  (func $answer (param $body i32) (param $length i32) (result i32)
    (i32.store16 (i32.const 64) (i32.const 200))
    (i32.store (i32.const 68) (i32.const 0))
    (i32.store (i32.const 72) (i32.const 0))
    (i32.store (i32.const 76) (local.get $body))
    (i32.store (i32.const 80) (local.get $length))
    (i32.const 64))
"#;

/// The parameters of the HTTP handler; `$query` is what the tests steer guests with.
const HTTP_HANDLER: &str = r#"(func (export "kontor:host/http-handler@0.1.0#handle")
    (param i32 i32 i32 i32) (param $query i32) (param $query-length i32)
    (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)"#;

const BASE_WORLD: &str = "export kontor:host/lifecycle@0.1.0;";

/// Makes a component of a world and a core module's text.
pub fn component(world: &str, module: &str) -> Vec<u8> {
    component_with(SERVICE_WIT, world, module)
}

fn component_with(service_wit: &str, world: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let host = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/host/0.1.0");
    resolve.push_path(host).expect("the host's WIT");
    resolve.push_str("service.wit", service_wit).expect("the service's WIT");
    resolve.push_str("wasi.wit", WASI_WIT).expect("a WASI interface");
    let wit = format!("package demo:guest@0.1.0; world guest {{ {world} }}");
    let package = resolve.push_str("guest.wit", &wit).expect("the guest's WIT");
    let world = resolve.select_world(&[package], Some("guest")).expect("the world");
    let mut module = wat::parse_str(module).expect("the module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .expect("a module for the world")
        .encode()
        .expect("a component")
}

/// A plugin with a route, whose handler is `body`; `items` come before it.
pub fn http(world: &str, imports: &str, items: &str, body: &str) -> Vec<u8> {
    let world = format!("{BASE_WORLD} export kontor:host/http-handler@0.1.0; {world}");
    component(&world, &format!("(module {imports} {PRELUDE} {items} {HTTP_HANDLER} {body}))"))
}

/// A plugin that only provides a service, with the core module's items.
pub fn provider(world: &str, imports: &str, items: &str) -> Vec<u8> {
    component(&format!("{BASE_WORLD} {world}"), &format!("(module {imports} {PRELUDE} {items})"))
}

/// What a manifest would say of a plugin. The digest is of the code, as it is in a packed plugin.
pub fn spec(id: &str, wasm: &[u8]) -> PluginSpec {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (id, wasm).hash(&mut hasher);
    PluginSpec {
        id: PluginId::new(id).expect("an id"),
        version: "0.1.0".to_owned(),
        name: id.to_owned(),
        description: String::new(),
        publisher: "tests".to_owned(),
        digest: format!("test:{:016x}", hasher.finish()),
        provides: Vec::new(),
        requires: Vec::new(),
        emits: vec!["demo.event.v1".to_owned()],
        subscribes: Vec::new(),
        routes: Vec::new(),
        jobs: Vec::new(),
        schedules: Vec::new(),
        outbound: Vec::new(),
        config_schema: None,
        secrets: Vec::new(),
        data_classes: Vec::new(),
        limits: PluginLimits::default(),
    }
}

/// The same with a route.
pub fn web_spec(id: &str, wasm: &[u8]) -> PluginSpec {
    PluginSpec {
        routes: vec![Route {
            method: "*".to_owned(),
            path: "/{*rest}".to_owned(),
            auth: RouteAuth::Public,
            outbound: true,
            vary: None,
        }],
        ..spec(id, wasm)
    }
}

pub fn provides(interface: &str, provider: Option<&str>) -> Vec<ServiceProvision> {
    vec![ServiceProvision { interface: interface.to_owned(), provider: provider.map(str::to_owned) }]
}

pub fn requires(interface: &str, optional: bool, many: bool) -> Vec<ServiceRequirement> {
    vec![ServiceRequirement { interface: interface.to_owned(), optional, many }]
}

/// Calls `act` once for each character of the query and answers two bytes a call: whether it failed, and the number or the error's case.
/// An error's text follows the last call. Each call is preceded by a write of its own row.
pub fn caller() -> Vec<u8> {
    calling_after(
        "(call $put (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 512))",
    )
}

/// The same without the writes.
pub fn asker() -> Vec<u8> {
    calling_after("")
}

fn calling_after(before: &str) -> Vec<u8> {
    http(
        "import kontor:host/store@0.1.0; import demo:service/act@0.1.0;",
        r#"(import "demo:service/act@0.1.0" "act" (func $act (param i32 i32)))
           (import "kontor:host/store@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32 i32 i32)))"#,
        r#"(data (i32.const 16) "rows")"#,
        &format!(
            r#"(local $index i32) (local $mode i32) (local $out i32)
           (local.set $out (i32.const 4096))
           (block $end (loop $next
             (br_if $end (i32.ge_u (local.get $index) (local.get $query-length)))
             (local.set $mode (i32.sub (i32.load8_u (i32.add (local.get $query) (local.get $index))) (i32.const 48)))
             {before}
             (call $act (local.get $mode) (i32.const 256))
             (i32.store8 (local.get $out) (i32.load8_u (i32.const 256)))
             (i32.store8 (i32.add (local.get $out) (i32.const 1)) (i32.load8_u (i32.const 260)))
             (local.set $out (i32.add (local.get $out) (i32.const 2)))
             (local.set $index (i32.add (local.get $index) (i32.const 1)))
             (br $next)))
           (if (i32.and (i32.gt_u (local.get $query-length) (i32.const 0)) (i32.load8_u (i32.const 256)))
             (then
               (memory.copy (local.get $out) (i32.load (i32.const 264)) (i32.load (i32.const 268)))
               (local.set $out (i32.add (local.get $out) (i32.load (i32.const 268))))))
           (call $answer (i32.const 4096) (i32.sub (local.get $out) (i32.const 4096)))"#
        ),
    )
}

/// What the provider does, by mode:
/// 0 writes its row; 1 writes it and traps; 2 writes it and returns an error; 3 loops; 4 returns an unknown case; 5 an error whose text is no
/// UTF-8; 6 an error whose text is out of bounds; 7 counts in memory; 8 wants all memory; 9 tells whether its row is there; `:` overflows its stack.
pub fn act_provider() -> Vec<u8> {
    provider(
        "import kontor:host/store@0.1.0; export demo:service/act@0.1.0;",
        r#"(import "kontor:host/store@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32 i32 i32)))
           (import "kontor:host/store@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32)))"#,
        r#"(data (i32.const 16) "rows")
           (data (i32.const 32) "no")
           (data (i32.const 48) "\ff\fe")
           (global $count (mut i32) (i32.const 0))
           (func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (i32.add (local.get 0) (i32.const 1)))))
           (func $write
             (call $put (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 512)))
           (func $ok (param i32) (result i32)
             (i32.store (i32.const 256) (i32.const 0))
             (i32.store (i32.const 260) (local.get 0))
             (i32.const 256))
           (func $error (param $text i32) (param $length i32) (result i32)
             (i32.store (i32.const 256) (i32.const 1))
             (i32.store (i32.const 260) (i32.const 0))
             (i32.store (i32.const 264) (local.get $text))
             (i32.store (i32.const 268) (local.get $length))
             (i32.const 256))
           (func (export "demo:service/act@0.1.0#act") (param $mode i32) (result i32)
             (if (i32.eq (local.get $mode) (i32.const 0)) (then (call $write) (return (call $ok (i32.const 1)))))
             (if (i32.eq (local.get $mode) (i32.const 1)) (then (call $write) (unreachable)))
             (if (i32.eq (local.get $mode) (i32.const 2)) (then (call $write) (return (call $error (i32.const 32) (i32.const 2)))))
             (if (i32.eq (local.get $mode) (i32.const 3)) (then (loop $for-ever (br $for-ever))))
             (if (i32.eq (local.get $mode) (i32.const 4))
               (then (drop (call $error (i32.const 32) (i32.const 2))) (i32.store (i32.const 260) (i32.const 77)) (return (i32.const 256))))
             (if (i32.eq (local.get $mode) (i32.const 5)) (then (return (call $error (i32.const 48) (i32.const 2)))))
             (if (i32.eq (local.get $mode) (i32.const 6)) (then (return (call $error (i32.const 2147483640) (i32.const 100)))))
             (if (i32.eq (local.get $mode) (i32.const 7))
               (then (global.set $count (i32.add (global.get $count) (i32.const 1))) (return (call $ok (global.get $count)))))
             (if (i32.eq (local.get $mode) (i32.const 8))
               (then (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))))
             (if (i32.eq (local.get $mode) (i32.const 10)) (then (return (call $deep (i32.const 0)))))
             (call $get (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 512))
             (call $ok (i32.load8_u (i32.const 516))))"#,
    )
}

/// A provider of `act` that asks the host for something that another execution would be told otherwise, and says it did: 0 the time, 1 random
/// bytes, 2 the invocation, 3 for whom it acts, 4 a log line, 5 nothing, 6 its merchant and its configuration.
pub fn curious_provider() -> Vec<u8> {
    provider(
        "import kontor:host/context@0.1.0; import kontor:host/identity@0.1.0; import kontor:host/log@0.1.0;
         import kontor:host/config@0.1.0; export demo:service/act@0.1.0;",
        r#"(import "kontor:host/context@0.1.0" "now-ms" (func $now (result i64)))
           (import "kontor:host/context@0.1.0" "random" (func $random (param i32 i32)))
           (import "kontor:host/context@0.1.0" "invocation-id" (func $invocation (param i32)))
           (import "kontor:host/identity@0.1.0" "acting-for" (func $acting (param i32)))
           (import "kontor:host/identity@0.1.0" "merchant" (func $merchant (param i32)))
           (import "kontor:host/config@0.1.0" "get" (func $config (param i32)))
           (import "kontor:host/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))"#,
        r#"(func (export "demo:service/act@0.1.0#act") (param $mode i32) (result i32)
             (if (i32.eq (local.get $mode) (i32.const 0)) (then (drop (call $now))))
             (if (i32.eq (local.get $mode) (i32.const 1)) (then (call $random (i32.const 4) (i32.const 512))))
             (if (i32.eq (local.get $mode) (i32.const 2)) (then (call $invocation (i32.const 512))))
             (if (i32.eq (local.get $mode) (i32.const 3)) (then (call $acting (i32.const 512))))
             (if (i32.eq (local.get $mode) (i32.const 4))
               (then (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))
             (if (i32.eq (local.get $mode) (i32.const 6))
               (then (call $merchant (i32.const 512)) (call $config (i32.const 512))))
             (i32.store (i32.const 256) (i32.const 0))
             (i32.store (i32.const 260) (i32.const 9))
             (i32.const 256))"#,
    )
}

/// A plugin that answers every request with nothing.
pub fn caller_of_nothing() -> Vec<u8> {
    http("", "", "", "(call $answer (i32.const 0) (i32.const 0))")
}

/// A provider of `demo:service/shapes` that was built when its fields were `fields`.
pub fn provider_of_other_shapes(fields: &str) -> Vec<u8> {
    let changed = SERVICE_WIT.replace("name: string, quantity: s64", fields);
    assert_ne!(changed, SERVICE_WIT);
    let module = format!(
        r#"(module {PRELUDE} (func (export "demo:service/shapes@0.1.0#act") (param i32 i32) (result i32) (unreachable)))"#
    );
    component_with(&changed, &format!("{BASE_WORLD} export demo:service/shapes@0.1.0;"), &module)
}
