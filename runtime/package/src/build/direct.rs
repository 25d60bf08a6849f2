//! Lets a plugin's module call its imports directly. Not here: what is in the module, and how it is cut in two ([`module`]).
//!
//! A lowered import needs the memory of its caller and a function that allocates there, but a module must be given its imports before
//! it has either. `wit-component` solves this with two instances of glue: the module calls functions of the first, which call through a
//! table that the second fills at last. Every transaction makes these instances anew for every plugin that it calls, and filling the
//! table takes a stack of its own; that was half of what an instance cost.
//!
//! Here the module is cut in two instead: a base with the memory, what it holds at first, and the allocator; and the rest, which gets the
//! memory from the base, as its imports do. So there are two instances instead of three, nothing is run before the first call, and
//! no call goes through a table. A component that is put together in another way, or a module that cannot be cut, stays as it is.

use std::collections::BTreeMap;

use wasm_encoder::reencode::{self, Reencode, ReencodeComponent};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, Component, ComponentAliasSection, ComponentSectionId, ExportKind,
    InstanceSection, ModuleArg, RawSection,
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ExternalKind, Instance, Parser, Payload, Validator,
};

mod module;

/// The name under which the module gets the base's memory and globals.
const BASE: &str = "kontor:base";
/// Index of the base's instance, and of the only memory.
const BASE_INSTANCE: u32 = 0;
const MEMORY: u32 = 0;
/// Names of indices, which are others afterwards.
const NAMES: &str = "component-name";

/// The same component with direct calls, if it is put together as `wit-component` does and its module can be cut. `Err` says what is
/// wrong with the component.
pub(super) fn rewrite(component: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let items = items(component)?;
    let Some(outline) = Outline::of(&items) else {
        return Ok(None);
    };
    let Some(split) = module::split(outline.main, outline.realloc)? else {
        return Ok(None);
    };
    let rewritten = outline.emit(&items, &split)?;
    Validator::new().validate_all(&rewritten).map_err(text)?;
    Ok(Some(rewritten))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A definition of a component, in order. Whatever needs no other indices afterwards is copied by the section.
enum Item<'a> {
    Section { id: u8, bytes: &'a [u8] },
    Module(&'a [u8]),
    Alias(ComponentAlias<'a>),
    Instance(Instance<'a>),
    Canonical(CanonicalFunction),
}

fn items(component: &[u8]) -> Result<Vec<Item<'_>>, String> {
    let mut items = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(text)?;
        let inside = depth > 0;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if inside {
            continue;
        }
        let section = payload.as_section();
        match payload {
            Payload::ComponentAliasSection(reader) => {
                for alias in reader {
                    items.push(Item::Alias(alias.map_err(text)?));
                }
            }
            Payload::InstanceSection(reader) => {
                for instance in reader {
                    items.push(Item::Instance(instance.map_err(text)?));
                }
            }
            Payload::ComponentCanonicalSection(reader) => {
                for function in reader {
                    items.push(Item::Canonical(function.map_err(text)?));
                }
            }
            Payload::CustomSection(custom) if custom.name() == NAMES => {}
            payload => {
                let Some((id, range)) = section else { continue };
                let bytes = module::slice(component, &range)?;
                let module = matches!(payload, Payload::ModuleSection { .. });
                items.push(if module { Item::Module(bytes) } else { Item::Section { id, bytes } });
            }
        }
    }
    Ok(items)
}

/// How `wit-component` put a component together: the shim first, then what the module imports, the module, and the fixup at last.
struct Outline<'a> {
    /// The module, and its number among the modules.
    main: &'a [u8],
    main_module: usize,
    /// The name of the export that allocates for lowered imports.
    realloc: &'a str,
    shim_instance: u32,
    main_instance: u32,
    /// The lowered function behind each function of the shim, by the name that it has there.
    lowered: BTreeMap<&'a str, u32>,
}

/// What there is of each kind, by index.
#[derive(Default)]
struct Found<'a> {
    modules: Vec<&'a [u8]>,
    instances: Vec<&'a Instance<'a>>,
    functions: Vec<CoreFunction<'a>>,
}

enum CoreFunction<'a> {
    Export { instance: u32, name: &'a str },
    Lowered(&'a CanonicalFunction),
}

impl<'a> Found<'a> {
    /// `None`: there is something that `wit-component` does not make for a plugin.
    fn of(items: &'a [Item<'a>]) -> Option<Self> {
        let mut found = Self::default();
        let mut memories = 0;
        for item in items {
            match item {
                Item::Section { .. } | Item::Canonical(CanonicalFunction::Lift { .. }) => {}
                Item::Module(module) => found.modules.push(module),
                Item::Instance(instance) => found.instances.push(instance),
                Item::Canonical(function) => found.functions.push(CoreFunction::Lowered(function)),
                Item::Alias(ComponentAlias::CoreInstanceExport { kind, instance_index, name }) => match kind {
                    ExternalKind::Func => {
                        found.functions.push(CoreFunction::Export { instance: *instance_index, name });
                    }
                    ExternalKind::Memory => memories += 1,
                    _ => return None,
                },
                Item::Alias(_) => {}
            }
        }
        (memories == 1).then_some(found)
    }

    fn instantiated(&self, instance: usize) -> Option<(usize, &'a [wasmparser::InstantiationArg<'a>])> {
        match self.instances.get(instance)? {
            Instance::Instantiate { module_index, args } => Some((*module_index as usize, args)),
            Instance::FromExports(_) => None,
        }
    }
}

impl<'a> Outline<'a> {
    fn of(items: &'a [Item<'a>]) -> Option<Self> {
        let found = Found::of(items)?;
        let (main_module, shim_module, fixup_module) = (0, 1, 2);
        let (shim, main) = (0, found.instances.len().checked_sub(3)?);
        let (actual, fixup) = (main + 1, main + 2);
        let in_place = found.modules.len() == 3
            && found.instantiated(shim).is_some_and(|(module, args)| module == shim_module && args.is_empty())
            && found.instantiated(main).is_some_and(|(module, _)| module == main_module)
            && found.instantiated(fixup).is_some_and(|(module, args)| {
                module == fixup_module && args.iter().all(|arg| [shim, actual].contains(&(arg.index as usize)))
            });
        let Instance::FromExports(exports) = found.instances.get(actual)? else {
            return None;
        };
        let mut lowered = BTreeMap::new();
        let mut realloc = None;
        for export in exports.iter().filter(|export| export.kind == ExternalKind::Func) {
            let CoreFunction::Lowered(CanonicalFunction::Lower { options, .. }) =
                found.functions.get(export.index as usize)?
            else {
                return None;
            };
            for option in options {
                if let wasmparser::CanonicalOption::Realloc(function) = option {
                    let CoreFunction::Export { instance, name } = found.functions.get(*function as usize)? else {
                        return None;
                    };
                    if *instance as usize != main || realloc.is_some_and(|known| known != *name) {
                        return None;
                    }
                    realloc = Some(*name);
                }
            }
            lowered.insert(export.name, export.index);
        }
        in_place.then_some(())?;
        Some(Self {
            main: found.modules.first()?,
            main_module,
            realloc: realloc?,
            shim_instance: u32::try_from(shim).ok()?,
            main_instance: u32::try_from(main).ok()?,
            lowered,
        })
    }

    /// The component anew, in the old order, but for the lowered functions: each is where the shim's function was.
    fn emit(&self, items: &[Item<'_>], split: &module::Split) -> Result<Vec<u8>, String> {
        let mut out = Emitter::default();
        let lowered: BTreeMap<u32, &CanonicalFunction> = self.lowered_functions(items);
        // What is lowered must be there before. In the old order, so that no index changes.
        let mut hoisted = false;
        let (mut modules, mut instances, mut functions) = (0_usize, 0_u32, 0_u32);
        for item in items {
            match item {
                Item::Section { id, bytes } => out.section(*id, bytes),
                Item::Module(_) => {
                    match modules {
                        module if module == self.main_module => out.module(&split.rest),
                        1 => out.module(&split.base),
                        _ => {}
                    }
                    modules += 1;
                }
                Item::Instance(instance) => {
                    if instances == self.shim_instance {
                        out.instance(instance, None)?;
                        out.base_exports();
                    } else if instances == self.main_instance {
                        out.instance(instance, Some(BASE))?;
                    } else if instances < self.main_instance {
                        out.instance(instance, None)?;
                    }
                    instances += 1;
                }
                Item::Canonical(function) => {
                    if matches!(function, CanonicalFunction::Lift { .. }) {
                        out.canonical(function)?;
                        continue;
                    }
                    if !lowered.contains_key(&functions) {
                        hoist(&mut hoisted, items, &mut out)?;
                        out.canonical(function)?;
                        out.known(functions);
                    }
                    functions += 1;
                }
                Item::Alias(ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, instance_index, name }) => {
                    if *instance_index == self.shim_instance {
                        hoist(&mut hoisted, items, &mut out)?;
                        let lower = self.lowered.get(name).and_then(|index| lowered.get(index));
                        out.lower(lower.ok_or_else(|| format!("the shim's function `{name}` is never lowered"))?)?;
                    } else {
                        out.core_export(*instance_index, ExportKind::Func, name);
                    }
                    out.known(functions);
                    functions += 1;
                }
                // The memory is the base's.
                Item::Alias(ComponentAlias::CoreInstanceExport { .. }) => {}
                Item::Alias(alias) if is_function(alias) => {}
                Item::Alias(alias) => out.alias(alias.clone())?,
            }
        }
        Ok(out.component.finish())
    }

    fn lowered_functions<'i>(&self, items: &'i [Item<'i>]) -> BTreeMap<u32, &'i CanonicalFunction> {
        let mut index = 0;
        let mut lowered = BTreeMap::new();
        for item in items {
            match item {
                Item::Canonical(CanonicalFunction::Lift { .. }) => continue,
                Item::Canonical(function) if self.lowered.values().any(|known| *known == index) => {
                    lowered.insert(index, function);
                }
                Item::Canonical(_)
                | Item::Alias(ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, .. }) => {}
                _ => continue,
            }
            index += 1;
        }
        lowered
    }
}

fn is_function(alias: &ComponentAlias<'_>) -> bool {
    matches!(alias, ComponentAlias::InstanceExport { kind: ComponentExternalKind::Func, .. })
}

/// All functions of imported instances that are used, once, in their order.
fn hoist(hoisted: &mut bool, items: &[Item<'_>], out: &mut Emitter) -> Result<(), String> {
    if std::mem::replace(hoisted, true) {
        return Ok(());
    }
    for item in items {
        if let Item::Alias(alias) = item
            && is_function(alias)
        {
            out.alias(alias.clone())?;
        }
    }
    Ok(())
}

/// A component under construction, and what its core functions were before.
#[derive(Default)]
struct Emitter {
    component: Component,
    indices: Indices,
    /// Core functions so far.
    functions: u32,
}

/// Core functions by their old index.
#[derive(Default)]
struct Indices(BTreeMap<u32, u32>);

/// A core function that is gone.
#[derive(Debug)]
struct Gone(u32);

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "core function {} is used in an unknown way", self.0)
    }
}

impl std::error::Error for Gone {}

impl Reencode for Indices {
    type Error = Gone;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error<Gone>> {
        self.0.get(&function).copied().ok_or(reencode::Error::UserError(Gone(function)))
    }
}

impl ReencodeComponent for Indices {}

impl Emitter {
    fn section(&mut self, id: u8, data: &[u8]) {
        self.component.section(&RawSection { id, data });
    }

    fn module(&mut self, module: &[u8]) {
        self.section(ComponentSectionId::CoreModule.into(), module);
    }

    /// With the base's exports under this name as well, if there is one.
    fn instance(&mut self, instance: &Instance<'_>, base: Option<&str>) -> Result<(), String> {
        let mut section = InstanceSection::new();
        match (instance, base) {
            (Instance::Instantiate { module_index, args }, Some(base)) => {
                let args = args.iter().map(|arg| (arg.name, ModuleArg::Instance(arg.index)));
                let with_base: Vec<_> = args.chain([(base, ModuleArg::Instance(BASE_INSTANCE))]).collect();
                section.instantiate(*module_index, with_base);
            }
            _ => self.indices.parse_instance(&mut section, instance.clone()).map_err(text)?,
        }
        self.component.section(&section);
        Ok(())
    }

    fn base_exports(&mut self) {
        self.core_export(BASE_INSTANCE, ExportKind::Memory, module::MEMORY);
        self.core_export(BASE_INSTANCE, ExportKind::Func, module::REALLOC);
        self.functions += 1;
    }

    fn core_export(&mut self, instance: u32, kind: ExportKind, name: &str) {
        let mut section = ComponentAliasSection::new();
        section.alias(Alias::CoreInstanceExport { instance, kind, name });
        self.component.section(&section);
    }

    fn alias(&mut self, alias: ComponentAlias<'_>) -> Result<(), String> {
        let mut section = ComponentAliasSection::new();
        section.alias(self.indices.component_alias(alias).map_err(text)?);
        self.component.section(&section);
        Ok(())
    }

    fn canonical(&mut self, function: &CanonicalFunction) -> Result<(), String> {
        let mut section = CanonicalFunctionSection::new();
        self.indices.parse_component_canonical(&mut section, function.clone()).map_err(text)?;
        self.component.section(&section);
        Ok(())
    }

    /// A function lowered with the base's memory and allocator, which are the first of their kinds.
    fn lower(&mut self, function: &CanonicalFunction) -> Result<(), String> {
        let CanonicalFunction::Lower { func_index, options } = function else {
            return Err("a function of the shim is not a lowered one".to_owned());
        };
        let mut mapped = Vec::new();
        for option in options {
            mapped.push(match option {
                wasmparser::CanonicalOption::Memory(_) => CanonicalOption::Memory(MEMORY),
                wasmparser::CanonicalOption::Realloc(_) => CanonicalOption::Realloc(0),
                option => self.indices.canonical_option(*option).map_err(text)?,
            });
        }
        let mut section = CanonicalFunctionSection::new();
        section.lower(*func_index, mapped);
        self.component.section(&section);
        Ok(())
    }

    /// The core function that was just defined had this index.
    fn known(&mut self, old: u32) {
        self.indices.0.insert(old, self.functions);
        self.functions += 1;
    }
}
