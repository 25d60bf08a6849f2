//! Modules as components whose imports are called directly: they do what they did, and what cannot be cut stays whole.

use kontor_package::build::{component_of, component_with_glue};
use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Config, Engine, Store};
use wit_component::StringEncoding;
use wit_parser::Resolve;

const WIT: &str = "
    package example:cut@0.1.0;
    interface host { greet: func(name: string) -> string; count: func() -> u32; }
    interface plain { count: func() -> u32; }
    world plugin { import host; export run: func(times: u32) -> string; }
    world quiet { import plain; export run: func(times: u32) -> string; }
";

/// Calls `greet` with `name`, through its own table, as often as it is told; returns the last answer. `{realloc}` is what allocates.
const MODULE: &str = r#"(module
    (type $greet (func (param i32 i32 i32)))
    (type $alloc (func (param i32 i32 i32 i32) (result i32)))
    (import "example:cut/host@0.1.0" "greet" (func $greet (type $greet)))
    (import "example:cut/host@0.1.0" "count" (func $count (result i32)))
    (table 4 funcref)
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 4096))
    (global $calls (mut i32) (i32.const 0))
    (global $limit i32 (i32.const 131072))
    (elem (i32.const 1) func $again $alloc)
    (data (i32.const 16) "Ada")
    (func $panic (call $count) drop (unreachable))
    (func $grow (if (i32.gt_u (global.get $top) (global.get $limit)) (then (call $panic))))
    (func $alloc (export "cabi_realloc") (type $alloc) {realloc})
    (func $again (type $greet) (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (call $greet (local.get 0) (local.get 1) (local.get 2)))
    (func (export "run") (param $times i32) (result i32)
        (loop $next
            (call_indirect (type $greet) (i32.const 16) (i32.const 3) (i32.const 64) (i32.const 1))
            (br_if $next (i32.lt_u (global.get $calls) (local.get $times))))
        ;; The allocator that is called from inside and the one that the host calls share what they know.
        (drop (call $alloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.const 64))
    {more})"#;

/// The next bytes, in turn, after `{first}`.
const BUMP: &str = "(local $at i32) {first} (local.set $at (global.get $top))
    (global.set $top (i32.add (local.get $at) (local.get 3))) (call $grow) (local.get $at)";

fn module(text: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_str("cut.wit", WIT).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

fn with(realloc: &str, more: &str) -> Vec<u8> {
    module(&MODULE.replace("{realloc}", realloc).replace("{first}", "").replace("{more}", more), "plugin")
}

/// How many modules a component has: three with glue, two without.
fn modules(component: &[u8]) -> usize {
    let payloads = Parser::new(0).parse_all(component).map(Result::unwrap);
    payloads.filter(|payload| matches!(payload, Payload::ModuleSection { .. })).count()
}

/// What `run` answers, or how it ends, and what the host was told before.
fn run(component: &[u8], times: u32) -> (Result<String, String>, Vec<String>) {
    let engine = Engine::new(Config::new().wasm_component_model(true)).unwrap();
    let component = Component::from_binary(&engine, component).unwrap();
    let mut linker = Linker::<Vec<String>>::new(&engine);
    let mut host = linker.instance("example:cut/host@0.1.0").unwrap();
    host.func_wrap("greet", |mut store, (name,): (String,)| {
        store.data_mut().push(name.clone());
        Ok((format!("Hello {name}, {} times", store.data().len()),))
    })
    .unwrap();
    host.func_wrap("count", |mut store, (): ()| {
        store.data_mut().push("count".to_owned());
        Ok((0_u32,))
    })
    .unwrap();
    let mut store = Store::new(&engine, Vec::new());
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let function = instance.get_func(&mut store, "run").unwrap();
    let mut results = [Val::Bool(false)];
    let ended = function.call(&mut store, &[Val::U32(times)], &mut results);
    let answer = match (ended, results) {
        (Ok(()), [Val::String(answer)]) => Ok(answer),
        (Ok(()), results) => panic!("{results:?}"),
        (Err(error), _) => Err(error.root_cause().to_string()),
    };
    (answer, store.into_data())
}

#[test]
fn what_a_module_does_is_the_same_without_glue() {
    let module = with(BUMP, "");
    let (glue, direct) = (component_with_glue(&module).unwrap(), component_of(&module).unwrap());
    assert_eq!((modules(&glue), modules(&direct)), (3, 2));
    for times in [1, 3, 100] {
        let (answer, told) = run(&direct, times);
        assert_eq!(answer, Ok(format!("Hello Ada, {times} times")));
        assert_eq!(told.len(), times as usize);
        assert_eq!((answer, told), run(&glue, times));
    }
}

#[test]
fn an_allocator_that_panics_is_a_trap_without_a_last_word() {
    let module = with(BUMP, "");
    let (answer, told) = run(&component_of(&module).unwrap(), 100_000);
    assert!(answer.unwrap_err().contains("unreachable"));
    assert!(told.iter().all(|told| told == "Ada"), "the base has no imports");
    let (answer, told) = run(&component_with_glue(&module).unwrap(), 100_000);
    assert!(answer.unwrap_err().contains("leave component instance"), "an allocator may not call the host");
    assert!(told.iter().all(|told| told == "Ada"));
}

#[test]
fn what_cannot_be_cut_stays_as_it_is() {
    let cases = [
        ("its allocator calls the host", with(&BUMP.replace("{first}", "(drop (call $count))"), "")),
        (
            "its allocator uses the table",
            with(
                "(call_indirect (type $alloc) (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 2))",
                "",
            ),
        ),
        ("its allocator looks at the table", with(&BUMP.replace("{first}", "(drop (table.size 0))"), "")),
        ("its allocator uses a global that is not plain", {
            let text = MODULE.replace(
                "(global $top (mut i32) (i32.const 4096))",
                "(global $first funcref (ref.func $again)) (global $top (mut i32) (i32.const 4096))",
            );
            module(&text.replace("{realloc}", BUMP).replace("{first}", "").replace("{more}", ""), "plugin")
        }),
        (
            "its code reads its data",
            with(BUMP, r#"(data $late "late") (func (memory.init $late (i32.const 0) (i32.const 0) (i32.const 4)))"#),
        ),
        ("none of its imports needs its memory", {
            let text = r#"(module
                (import "example:cut/plain@0.1.0" "count" (func $count (result i32)))
                (memory (export "memory") 1)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8))
                (func (export "run") (param i32) (result i32) (drop (call $count)) (i32.const 64)))"#;
            module(text, "quiet")
        }),
    ];
    for (why, module) in cases {
        let (glue, direct) = (component_with_glue(&module).unwrap(), component_of(&module).unwrap());
        assert!(glue == direct, "{why}: it was cut");
    }
}
