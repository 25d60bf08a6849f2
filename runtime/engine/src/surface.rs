//! The interfaces of a component with the names in their types, read from the component itself: its compiled code knows fields by their
//! order only ([`crate::unnamed`]). Not here: which types may cross between plugins, and whether two are the same ([`crate::types`]).

use std::collections::HashMap;
use std::sync::Arc;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType, ComponentFuncTypeId,
    ComponentItem, ComponentValType,
};
use wasmparser::types::Types;
use wasmparser::{Parser, PrimitiveValType, ValidPayload, Validator};

use crate::types::{Function, Type};

/// Imports and exports of a component.
pub(crate) struct Surface(Types);

/// The functions of an interface by name; an error names what is neither function nor plain type.
pub(crate) type Functions = Result<Vec<(String, Function)>, String>;

impl Surface {
    /// Reads a component. Whether its code is valid is left to the compiler.
    pub(crate) fn read(component: &[u8]) -> Result<Self, String> {
        let mut validator = Validator::new();
        let mut outermost = None;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(|error| error.to_string())?;
            if let ValidPayload::End(types) = validator.payload(&payload).map_err(|error| error.to_string())? {
                outermost = Some(types);
            }
        }
        outermost.map(Self).ok_or_else(|| "it is empty".to_owned())
    }

    /// The functions of an imported interface.
    pub(crate) fn imported(&self, interface: &str) -> Functions {
        self.functions(self.0.component_item_for_import(interface))
    }

    /// The functions of an exported interface.
    pub(crate) fn exported(&self, interface: &str) -> Functions {
        self.functions(self.0.component_item_for_export(interface))
    }

    fn functions(&self, interface: Option<&ComponentItem>) -> Functions {
        let Some(ComponentEntityType::Instance(instance)) = interface.map(|item| item.ty) else {
            return Ok(Vec::new());
        };
        let mut reader = Reader { types: &self.0, known: HashMap::new() };
        let mut functions = Vec::new();
        for (name, item) in &self.0[instance].exports {
            match item.ty {
                ComponentEntityType::Func(function) => functions.push((name.clone(), reader.function(function))),
                ComponentEntityType::Type { referenced: ComponentAnyTypeId::Defined(_), .. } => {}
                _ => return Err(name.clone()),
            }
        }
        Ok(functions)
    }
}

/// Reads each type once: what is used in many places is shared.
struct Reader<'a> {
    types: &'a Types,
    known: HashMap<ComponentDefinedTypeId, Arc<Type>>,
}

impl Reader<'_> {
    fn function(&mut self, id: ComponentFuncTypeId) -> Function {
        let function = &self.types[id];
        Function {
            asynchronous: function.async_,
            params: function.params.iter().map(|(name, ty)| (name.to_string(), self.value(*ty))).collect(),
            result: function.result.map(|ty| self.value(ty)),
        }
    }

    fn value(&mut self, ty: ComponentValType) -> Arc<Type> {
        let id = match ty {
            ComponentValType::Primitive(primitive) => return Arc::new(simple(primitive)),
            ComponentValType::Type(id) => id,
        };
        if let Some(known) = self.known.get(&id) {
            return Arc::clone(known);
        }
        let ty = Arc::new(self.defined(&self.types[id]));
        self.known.insert(id, Arc::clone(&ty));
        ty
    }

    fn some(&mut self, ty: Option<ComponentValType>) -> Option<Arc<Type>> {
        ty.map(|ty| self.value(ty))
    }

    fn defined(&mut self, ty: &ComponentDefinedType) -> Type {
        let names = |names: &mut dyn Iterator<Item = String>| names.collect();
        match ty {
            ComponentDefinedType::Primitive(primitive) => simple(*primitive),
            ComponentDefinedType::Record(record) => {
                Type::Record(record.fields.iter().map(|(name, ty)| (name.to_string(), self.value(*ty))).collect())
            }
            ComponentDefinedType::Variant(variant) => {
                Type::Variant(variant.cases.iter().map(|(name, case)| (name.to_string(), self.some(case.ty))).collect())
            }
            ComponentDefinedType::List { element, .. } => Type::List(self.value(*element)),
            ComponentDefinedType::Tuple(tuple) => Type::Tuple(tuple.types.iter().map(|ty| self.value(*ty)).collect()),
            ComponentDefinedType::Flags(flags) => Type::Flags(names(&mut flags.iter().map(ToString::to_string))),
            ComponentDefinedType::Enum(cases) => Type::Enum(names(&mut cases.iter().map(ToString::to_string))),
            ComponentDefinedType::Option { ty, .. } => Type::Option(self.value(*ty)),
            ComponentDefinedType::Result { ok, err, .. } => Type::Result { ok: self.some(*ok), error: self.some(*err) },
            ComponentDefinedType::Map { .. } => Type::Foreign("map"),
            ComponentDefinedType::FixedLengthList { .. } => Type::Foreign("list of a fixed length"),
            ComponentDefinedType::Own(_) => Type::Foreign("own<resource>"),
            ComponentDefinedType::Borrow(_) => Type::Foreign("borrow<resource>"),
            ComponentDefinedType::Future { .. } => Type::Foreign("future"),
            ComponentDefinedType::Stream { .. } => Type::Foreign("stream"),
        }
    }
}

/// As WIT names it.
fn simple(ty: PrimitiveValType) -> Type {
    Type::Simple(match ty {
        PrimitiveValType::Bool => "bool",
        PrimitiveValType::S8 => "s8",
        PrimitiveValType::U8 => "u8",
        PrimitiveValType::S16 => "s16",
        PrimitiveValType::U16 => "u16",
        PrimitiveValType::S32 => "s32",
        PrimitiveValType::U32 => "u32",
        PrimitiveValType::S64 => "s64",
        PrimitiveValType::U64 => "u64",
        PrimitiveValType::F32 => "f32",
        PrimitiveValType::F64 => "f64",
        PrimitiveValType::Char => "char",
        PrimitiveValType::String => "string",
        PrimitiveValType::ErrorContext => return Type::Foreign("error-context"),
    })
}
