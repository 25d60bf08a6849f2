//! What a component imports and exports, compared with what its manifest says.

use wit_component::DecodedWasm;
use wit_parser::{Resolve, WorldItem, WorldKey};

use crate::manifest::Manifest;

/// Interfaces of the host, without version.
const HOST_PACKAGE: &str = "kontor:host/";
const HOST_INTERFACES: [&str; 11] = [
    "store",
    "events",
    "jobs",
    "outbound",
    "config",
    "secrets",
    "identity",
    "context",
    "services",
    "log",
    "handler-types",
];
const HANDLERS: [&str; 4] = ["http-handler", "event-handler", "job-handler", "lifecycle"];

/// Interfaces of a component, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Imports with functions, as `namespace:package/interface@version`.
    pub imports: Vec<String>,
    /// Exports.
    pub exports: Vec<String>,
    /// Imports and exports that are no interfaces, which no plugin has.
    pub others: Vec<String>,
}

/// Reads the interfaces of a component.
pub fn interfaces(component: &[u8]) -> Result<Interfaces, String> {
    let (resolve, world) = match wit_component::decode(component).map_err(|error| format!("{error:#}"))? {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => return Err("it is a WIT package, not a plugin".to_owned()),
    };
    let world = resolve.worlds.get(world).ok_or("it has no world")?;
    let mut found = Interfaces::default();
    for (key, item) in &world.imports {
        match (interface(&resolve, key, item), has_functions(&resolve, item)) {
            (Some(name), true) => found.imports.push(name),
            (Some(_), false) => {}
            (None, _) => found.others.push(resolve.name_world_key(key)),
        }
    }
    for (key, item) in &world.exports {
        match interface(&resolve, key, item) {
            Some(name) => found.exports.push(name),
            None => found.others.push(resolve.name_world_key(key)),
        }
    }
    found.imports.sort();
    found.exports.sort();
    Ok(found)
}

fn interface(resolve: &Resolve, key: &WorldKey, item: &WorldItem) -> Option<String> {
    match (key, item) {
        (WorldKey::Interface(_), WorldItem::Interface { .. }) => Some(resolve.name_world_key(key)),
        _ => None,
    }
}

/// An interface that is imported for its types alone needs no provider.
fn has_functions(resolve: &Resolve, item: &WorldItem) -> bool {
    match item {
        WorldItem::Interface { id, .. } => {
            resolve.interfaces.get(*id).is_some_and(|interface| !interface.functions.is_empty())
        }
        _ => true,
    }
}

/// Compares a component with its manifest. `Err` lists what does not fit; `Ok` what is merely odd.
pub fn check(component: &[u8], manifest: &Manifest) -> Result<Vec<String>, Vec<String>> {
    let found = interfaces(component).map_err(|text| vec![format!("the component cannot be read: {text}")])?;
    let mut wrong: Vec<String> = found
        .others
        .iter()
        .map(|name| format!("it has the import or export `{name}`; plugins import and export interfaces only"))
        .collect();
    let mut odd = Vec::new();
    let host = |name: &str, known: &[&str]| {
        name.strip_prefix(HOST_PACKAGE).map(|rest| known.contains(&rest.split('@').next().unwrap_or_default()))
    };
    for import in &found.imports {
        match host(import, &HOST_INTERFACES) {
            Some(true) => {}
            Some(false) => wrong.push(format!("it imports `{import}`, which this version of the host does not have")),
            None if manifest.requires.iter().any(|required| required.interface == *import) => {}
            None if import.starts_with("wasi:") => wrong.push(format!(
                "it imports `{import}`; there is no WASI here. Something in it wants files, sockets, clocks or environment variables"
            )),
            None => wrong.push(format!("it imports `{import}`; say so under `requires`, or remove the import")),
        }
    }
    for export in &found.exports {
        match host(export, &HANDLERS) {
            Some(true) => {}
            Some(false) => wrong.push(format!("it exports `{export}`, which this version of the host does not call")),
            None if manifest.provides.iter().any(|provided| provided.interface == *export) => {}
            None => wrong.push(format!("it exports `{export}`; say so under `provides`, or remove the export")),
        }
    }
    for provided in manifest.provides.iter().filter(|provided| !found.exports.contains(&provided.interface)) {
        wrong.push(format!("the manifest provides `{}`, which the component does not export", provided.interface));
    }
    for required in manifest.requires.iter().filter(|required| !found.imports.contains(&required.interface)) {
        odd.push(format!("the manifest requires `{}`, of which the component calls nothing", required.interface));
    }
    let exports = |handler: &str| found.exports.iter().any(|name| host(name, &[handler]) == Some(true));
    for (needed, handler, section) in [
        (!manifest.routes.is_empty(), "http-handler", "routes"),
        (!manifest.events.subscribes.is_empty(), "event-handler", "events.subscribes"),
        (!manifest.jobs.is_empty(), "job-handler", "jobs"),
        (true, "lifecycle", "id"),
    ] {
        if needed && !exports(handler) {
            wrong.push(format!(
                "it does not export `{HOST_PACKAGE}{handler}`, which `{section}` needs; call `kontor_sdk::export!`"
            ));
        }
    }
    if !manifest.outbound.is_empty() && !found.imports.iter().any(|name| host(name, &["outbound"]) == Some(true)) {
        odd.push("the manifest asks for `outbound` hosts, but the component never fetches".to_owned());
    }
    if wrong.is_empty() { Ok(odd) } else { Err(wrong) }
}
