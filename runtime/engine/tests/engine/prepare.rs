//! What is refused at install, by name.

use std::collections::BTreeMap;

use kontor_core::revision::{Grants, InstalledPlugin, PluginSpec, Revision};
use kontor_engine::{Engine, LinkProblem, PrepareError};

use crate::guests::{self, provides, requires};
use crate::rig;

fn engine() -> Engine {
    Engine::new(rig::options()).unwrap()
}

fn refusal(spec: &PluginSpec, wasm: &[u8]) -> PrepareError {
    engine().prepare(spec, wasm).expect_err("refused")
}

fn imports(interface: &str, core: &str) -> Vec<u8> {
    guests::provider(&format!("import {interface};"), core, "")
}

#[test]
fn wasi_is_refused_by_name() {
    let wasm =
        imports("wasi:clocks/wall-clock@0.2.0", r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func (result i64)))"#);
    let error = refusal(&guests::spec("guest", &wasm), &wasm);
    assert_eq!(error.code(), "import-refused");
    let text = error.to_string();
    assert!(text.contains("`wasi:clocks/wall-clock@0.2.0`") && text.contains("no WASI"), "{text}");
}

#[test]
fn an_import_that_the_manifest_does_not_list_is_refused_by_name() {
    let core = r#"(import "demo:service/act@0.1.0" "act" (func (param i32 i32)))"#;
    let wasm = imports(guests::ACT, core);
    let error = refusal(&guests::spec("guest", &wasm), &wasm);
    assert_eq!(error.code(), "import-refused");
    assert!(error.to_string().contains("`demo:service/act@0.1.0`"), "{error}");
    let listed = PluginSpec { requires: requires(guests::ACT, false, false), ..guests::spec("guest", &wasm) };
    engine().prepare(&listed, &wasm).unwrap();
}

#[test]
fn exports_that_the_manifest_promises_must_be_there() {
    let wasm = guests::provider("", "", "");
    let spec = PluginSpec { provides: provides(guests::ACT, None), ..guests::spec("guest", &wasm) };
    let error = refusal(&spec, &wasm);
    assert_eq!(error.code(), "export-missing");
    assert!(error.to_string().contains("`demo:service/act@0.1.0`"), "{error}");
    let error = refusal(&guests::web_spec("guest", &wasm), &wasm);
    assert!(error.to_string().contains("http-handler"), "{error}");
    let without_lifecycle = guests::component("", "(module)");
    let error = refusal(&guests::spec("guest", &without_lifecycle), &without_lifecycle);
    assert!(error.to_string().contains("lifecycle"), "{error}");
}

#[test]
fn types_that_cannot_cross_are_refused() {
    for (interface, core, part) in [
        ("bytes", "(param i32 i32) (result i32)", "list<u8>"),
        ("bare", "(result i32)", "returns `u32`"),
        ("no-other", "(result i32)", "other(string)"),
    ] {
        let name = format!("demo:service/{interface}@0.1.0");
        let items = format!(r#"(func (export "{name}#act") {core} (unreachable))"#);
        let wasm = guests::provider(&format!("export {name};"), "", &items);
        let spec = PluginSpec { provides: provides(&name, None), ..guests::spec("guest", &wasm) };
        let error = refusal(&spec, &wasm);
        assert_eq!(error.code(), "function-type", "{error}");
        let text = error.to_string();
        assert!(text.contains(&name) && text.contains("`act`") && text.contains(part), "{text}");
    }
}

#[test]
fn garbage_is_no_component() {
    for wasm in [&b"garbage"[..], b"\0asm\x01\0\0\0", b""] {
        let error = refusal(&guests::spec("guest", wasm), wasm);
        assert_eq!(error.code(), "component-invalid", "{error}");
    }
}

#[test]
fn a_huge_function_is_refused_before_it_is_compiled() {
    let body = "(drop (i32.const 1000000))".repeat(300_000);
    let wasm = guests::provider("", "", &format!("(func {body})"));
    let error = refusal(&guests::spec("guest", &wasm), &wasm);
    assert_eq!(error.code(), "component-too-large", "{error}");
}

#[test]
fn components_inside_one_another_are_bounded() {
    let nested = |depth: usize| format!("(component {}{})", "(component ".repeat(depth), ")".repeat(depth));
    for (depth, code) in [(16, "export-missing"), (17, "component-too-large")] {
        let wasm = wat::parse_str(nested(depth)).unwrap();
        let error = refusal(&guests::spec("guest", &wasm), &wasm);
        assert_eq!(error.code(), code, "{depth}: {error}");
    }
}

fn revision(plugins: Vec<PluginSpec>) -> Revision {
    let plugins: BTreeMap<_, _> = plugins
        .into_iter()
        .map(|spec| {
            let plugin = InstalledPlugin { grants: Grants::default(), config: serde_json::json!({}), spec };
            (plugin.spec.id.clone(), plugin)
        })
        .collect();
    Revision { number: 1, plugins, ..Revision::default() }
}

#[test]
fn a_type_mismatch_names_place_and_types() {
    const SHAPES: &str = "demo:service/shapes@0.1.0";
    let wasm = guests::http(
        "import demo:service/shapes@0.1.0;",
        r#"(import "demo:service/shapes@0.1.0" "act" (func $act (param i32 i32 i32)))"#,
        "",
        "(call $act (i32.const 0) (i32.const 0) (i32.const 256)) (call $answer (i32.const 0) (i32.const 0))",
    );
    let caller = PluginSpec { requires: requires(SHAPES, false, false), ..guests::web_spec("caller", &wasm) };
    let engine = engine();
    engine.prepare(&caller, &wasm).unwrap();
    let missing = engine.check_revision(&revision(vec![caller.clone()])).unwrap_err();
    assert_eq!(missing.problems.len(), 1);
    assert_eq!(missing.problems[0].code(), "provider-missing");

    let line = "record { name: string, quantity: s64 }";
    for (fields, at, differs) in [
        ("name: string, quantity: string", "parameter 1, list element, field quantity", ("s64", "string")),
        // The same in memory: only the names tell that something else is meant.
        ("name: string, price: s64", "parameter 1, list element", (line, "record { name: string, price: s64 }")),
        ("name: string", "parameter 1, list element", (line, "record { name: string }")),
    ] {
        let changed = guests::provider_of_other_shapes(fields);
        let provider = PluginSpec { provides: provides(SHAPES, None), ..guests::spec("provider", &changed) };
        engine.prepare(&provider, &changed).unwrap();
        let error = engine.check_revision(&revision(vec![caller.clone(), provider])).unwrap_err();
        let LinkProblem::TypeMismatch { place, expected, found, .. } = &error.problems[0] else {
            panic!("{error}");
        };
        assert_eq!((place.as_str(), (expected.as_str(), found.as_str())), (at, differs));
        let text = error.to_string();
        for part in ["caller", "provider", SHAPES, "`act`"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn two_providers_of_one_service_are_refused() {
    let wasm = guests::act_provider();
    let of = |id| PluginSpec { provides: provides(guests::ACT, None), ..guests::spec(id, &wasm) };
    let engine = engine();
    let plugins = vec![of("first"), of("second")];
    for spec in &plugins {
        engine.prepare(spec, &wasm).unwrap();
    }
    let error = engine.check_revision(&revision(plugins.clone())).unwrap_err();
    assert_eq!(error.problems[0].code(), "provider-ambiguous");
    engine.check_revision(&revision(plugins[..1].to_vec())).unwrap();
    engine.evict(&plugins[0].digest);
    let error = engine.check_revision(&revision(plugins[..1].to_vec())).unwrap_err();
    assert_eq!(error.problems[0].code(), "code-missing");
}
