//! Cuts a plugin's module in two: a base with its memory and its allocator, and the rest.
//!
//! The base gets the memory, all that it holds at first, and a copy of every function that the allocator calls. The rest keeps all
//! of its functions under their numbers, and so its own copy of the allocator: both work on the same memory, and on the same globals (the
//! pointer to the stack). A function that never returns, such as a panic, is a trap in the base: it would have been one anyway, after a word
//! in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use wasm_encoder::reencode::{self, Reencode, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, ImportSection,
    Module, RawSection, SectionId,
};
use wasmparser::{
    ConstExpr, DataKind, ExternalKind, FunctionBody, Global, GlobalType, ImportSectionReader, MemoryType, Operator,
    Parser, Payload, TypeRef,
};

use super::{BASE, text};

/// Names of the base's exports.
pub(super) const MEMORY: &str = "memory";
pub(super) const REALLOC: &str = "cabi_realloc";

/// A module in two parts.
pub(super) struct Split {
    pub(super) base: Vec<u8>,
    pub(super) rest: Vec<u8>,
}

/// Cuts the module, if it can be cut. `realloc` is the name of the export that allocates.
pub(super) fn split(module: &[u8], realloc: &str) -> Result<Option<Split>, String> {
    let Some(parsed) = Parsed::of(module)? else {
        return Ok(None);
    };
    let Some(allocator) = parsed.allocator(realloc)? else {
        return Ok(None);
    };
    Ok(Some(Split { base: parsed.base(&allocator)?, rest: parsed.rest(&allocator)? }))
}

/// These bytes of a file that was parsed.
pub(super) fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> Result<&'a [u8], String> {
    let place = |at: u64| usize::try_from(at).map_err(text);
    bytes.get(place(range.start)?..place(range.end)?).ok_or_else(|| "a section ends after its file".to_owned())
}

/// A module that imports functions only and has one memory, filled before anything runs.
struct Parsed<'a> {
    sections: Vec<(u8, &'a [u8])>,
    imports: ImportSectionReader<'a>,
    imported_functions: u32,
    /// Types of its own functions, and what they do.
    types: Vec<u32>,
    bodies: Vec<FunctionBody<'a>>,
    memory: MemoryType,
    globals: Vec<Global<'a>>,
    exported_functions: BTreeMap<&'a str, u32>,
}

impl<'a> Parsed<'a> {
    /// `None`: it is not of that kind.
    fn of(module: &'a [u8]) -> Result<Option<Self>, String> {
        let (mut sections, mut imports, mut imported_functions, mut memories) = (Vec::new(), None, 0, Vec::new());
        let (mut types, mut bodies, mut globals) = (Vec::new(), Vec::new(), Vec::new());
        let mut exported_functions = BTreeMap::new();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload.map_err(text)?;
            if let Some((id, range)) = payload.as_section() {
                sections.push((id, slice(module, &range)?));
            }
            match payload {
                Payload::ImportSection(reader) => {
                    for import in reader.clone().into_imports() {
                        if !matches!(import.map_err(text)?.ty, TypeRef::Func(_)) {
                            return Ok(None);
                        }
                        imported_functions += 1;
                    }
                    imports = Some(reader);
                }
                Payload::FunctionSection(reader) => {
                    for ty in reader {
                        types.push(ty.map_err(text)?);
                    }
                }
                Payload::MemorySection(reader) => {
                    for memory in reader {
                        memories.push(memory.map_err(text)?);
                    }
                }
                Payload::GlobalSection(reader) => {
                    for global in reader {
                        globals.push(global.map_err(text)?);
                    }
                }
                Payload::ExportSection(reader) => {
                    for export in reader {
                        let export = export.map_err(text)?;
                        if export.kind == ExternalKind::Func {
                            exported_functions.insert(export.name, export.index);
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => bodies.push(body),
                // Its code reads its data segments, which move.
                Payload::DataCountSection { .. } => return Ok(None),
                Payload::DataSection(reader) => {
                    for data in reader {
                        match data.map_err(text)?.kind {
                            DataKind::Active { memory_index: 0, offset_expr } if is_constant(&offset_expr) => {}
                            _ => return Ok(None),
                        }
                    }
                }
                _ => {}
            }
        }
        let (Some(imports), [memory]) = (imports, memories.as_slice()) else {
            return Ok(None);
        };
        let memory = *memory;
        Ok(Some(Self { sections, imports, imported_functions, types, bodies, memory, globals, exported_functions }))
    }

    /// One of the module's own functions, by its index among all.
    fn body(&self, function: u32) -> Option<&FunctionBody<'a>> {
        self.bodies.get(function.checked_sub(self.imported_functions)? as usize)
    }

    /// `None`: it needs more than a memory and some globals.
    fn allocator(&self, realloc: &str) -> Result<Option<Allocator>, String> {
        let Some(&root) = self.exported_functions.get(realloc) else {
            return Ok(None);
        };
        let mut allocator = Allocator { root, functions: BTreeMap::new(), globals: 0 };
        let mut todo = BTreeSet::from([root]);
        while let Some(function) = todo.pop_first() {
            let Some(body) = self.body(function) else {
                return Ok(None);
            };
            if never_returns(body).map_err(text)? {
                allocator.functions.insert(function, Part::Trap);
                continue;
            }
            allocator.functions.insert(function, Part::Copy);
            for operator in body.get_operators_reader().map_err(text)? {
                match operator.map_err(text)? {
                    Operator::Call { function_index } if !allocator.functions.contains_key(&function_index) => {
                        todo.insert(function_index);
                    }
                    Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } => {
                        allocator.globals = allocator.globals.max(global_index as usize + 1);
                    }
                    Operator::Call { .. } => {}
                    operator if needs_more(&operator) => return Ok(None),
                    _ => {}
                }
            }
        }
        let simple = self.globals.iter().take(allocator.globals).all(|global| is_constant(&global.init_expr));
        Ok(simple.then_some(allocator))
    }

    fn base(&self, allocator: &Allocator) -> Result<Vec<u8>, String> {
        let mut indices = Indices(allocator.functions.keys().copied().zip(0..).collect());
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        for (function, part) in &allocator.functions {
            let own = function.saturating_sub(self.imported_functions) as usize;
            let (Some(&ty), Some(body)) = (self.types.get(own), self.bodies.get(own)) else {
                return Err(format!("there is no function {function}"));
            };
            functions.function(ty);
            match part {
                Part::Copy => indices.parse_function_body(&mut code, body.clone()).map_err(text)?,
                Part::Trap => {
                    let mut trap = Function::new([]);
                    trap.instructions().unreachable().end();
                    code.function(&trap);
                }
            }
        }
        let (mut globals, mut exports) = (GlobalSection::new(), ExportSection::new());
        exports.export(MEMORY, ExportKind::Memory, 0);
        exports.export(REALLOC, ExportKind::Func, indices.function_index(allocator.root).map_err(text)?);
        for (global, index) in self.globals.iter().take(allocator.globals).zip(0..) {
            RoundtripReencoder.parse_global(&mut globals, global.clone()).map_err(text)?;
            exports.export(&global_name(index), ExportKind::Global, index);
        }
        let mut module = Module::new();
        let copy = |module: &mut Module, wanted: SectionId| {
            for (id, data) in self.sections.iter().filter(|(id, _)| *id == u8::from(wanted)) {
                module.section(&RawSection { id: *id, data });
            }
        };
        copy(&mut module, SectionId::Type);
        module.section(&functions);
        copy(&mut module, SectionId::Memory);
        module.section(&globals).section(&exports).section(&code);
        copy(&mut module, SectionId::Data);
        Ok(module.finish())
    }

    fn rest(&self, allocator: &Allocator) -> Result<Vec<u8>, String> {
        let mut imports = ImportSection::new();
        RoundtripReencoder.parse_import_section(&mut imports, self.imports.clone()).map_err(text)?;
        imports.import(BASE, MEMORY, EntityType::Memory(RoundtripReencoder.memory_type(self.memory).map_err(text)?));
        for (global, index) in self.globals.iter().take(allocator.globals).zip(0..) {
            let ty: GlobalType = global.ty;
            let ty = RoundtripReencoder.global_type(ty).map_err(text)?;
            imports.import(BASE, &global_name(index), EntityType::Global(ty));
        }
        let mut globals = GlobalSection::new();
        for global in self.globals.iter().skip(allocator.globals) {
            RoundtripReencoder.parse_global(&mut globals, global.clone()).map_err(text)?;
        }
        let mut module = Module::new();
        for (id, data) in &self.sections {
            const IMPORT: u8 = SectionId::Import as u8;
            const MEMORY: u8 = SectionId::Memory as u8;
            const GLOBAL: u8 = SectionId::Global as u8;
            const DATA: u8 = SectionId::Data as u8;
            match *id {
                IMPORT => module.section(&imports),
                MEMORY | DATA => &mut module,
                GLOBAL => module.section(&globals),
                id => module.section(&RawSection { id, data }),
            };
        }
        Ok(module.finish())
    }
}

/// The functions that allocate, by their index in the module.
struct Allocator {
    root: u32,
    functions: BTreeMap<u32, Part>,
    /// How many of the first globals they share with the rest.
    globals: usize,
}

/// What becomes of a function in the base.
enum Part {
    Copy,
    Trap,
}

/// New numbers of functions.
struct Indices(BTreeMap<u32, u32>);

impl Reencode for Indices {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error<Self::Error>> {
        // All that is called was found before.
        Ok(self.0.get(&function).copied().unwrap_or(u32::MAX))
    }
}

fn global_name(index: u32) -> String {
    format!("global-{index}")
}

fn is_constant(expression: &ConstExpr<'_>) -> bool {
    let mut operators = expression.get_operators_reader();
    matches!(
        (operators.read(), operators.read(), operators.eof()),
        (Ok(Operator::I32Const { .. } | Operator::I64Const { .. }), Ok(Operator::End), true)
    )
}

/// Whether a function with this operator cannot be in the base, which has no table, no elements and no numbered data.
fn needs_more(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::CallIndirect { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::RefFunc { .. }
            | Operator::TableGet { .. }
            | Operator::TableSet { .. }
            | Operator::TableSize { .. }
            | Operator::TableGrow { .. }
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. }
            | Operator::ElemDrop { .. }
            | Operator::MemoryInit { .. }
            | Operator::DataDrop { .. }
    )
}

/// Whether a function ends by a trap whenever it ends: the last thing in it is `unreachable`, and nothing leaves it before.
fn never_returns(body: &FunctionBody<'_>) -> wasmparser::Result<bool> {
    let mut depth = 0_u32;
    let mut trap_is_last = false;
    for operator in body.get_operators_reader()? {
        let leaves = |to: u32| to == depth;
        let operator = operator?;
        match &operator {
            Operator::Return | Operator::ReturnCall { .. } | Operator::ReturnCallIndirect { .. } => return Ok(false),
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } if leaves(*relative_depth) => {
                return Ok(false);
            }
            Operator::BrTable { targets } => {
                for target in targets.targets() {
                    if leaves(target?) {
                        return Ok(false);
                    }
                }
                if leaves(targets.default()) {
                    return Ok(false);
                }
            }
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => depth += 1,
            // The last one ends the function.
            Operator::End if depth == 0 => return Ok(trap_is_last),
            Operator::End => depth -= 1,
            // Of later proposals, with branches of other kinds.
            Operator::TryTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. } => return Ok(false),
            _ => {}
        }
        trap_is_last = depth == 0 && matches!(operator, Operator::Unreachable);
    }
    Ok(false)
}
