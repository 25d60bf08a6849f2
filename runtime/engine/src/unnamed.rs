//! Takes the names of fields out of a component's types before it is compiled. Records become tuples, which are laid out in memory in the same
//! way, so the code in the component does not notice; but the values that the host moves between plugins then need no string of its own for each
//! field. The records of the host's contract keep their names, as typed calls want them. Not here: whether caller and provider mean the
//! same fields ([`crate::types`]); that is decided before, with names.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::LazyLock;

use wasm_encoder::reencode::{self, Reencode, ReencodeComponent};
use wasm_encoder::{Component, ComponentDefinedTypeEncoder, ComponentSectionId, RawSection};
use wasmparser::{ComponentDefinedType, Parser};
use wit_parser::{Resolve, TypeDefKind};

/// The host's contract.
const CONTRACT: &str = include_str!("../../../wit/host/0.1.0/host.wit");

/// The fields of each record in it, in their order.
static HOST_RECORDS: LazyLock<Result<HashSet<Vec<String>>, String>> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    resolve.push_str("host.wit", CONTRACT).map_err(|error| format!("{error:#}"))?;
    let fields = |kind: &TypeDefKind| match kind {
        TypeDefKind::Record(record) => Some(record.fields.iter().map(|field| field.name.clone()).collect()),
        _ => None,
    };
    Ok(resolve.types.iter().filter_map(|(_, ty)| fields(&ty.kind)).collect())
});

/// Copies everything, but for the records that are not in `kept`.
struct Unnamed<'a> {
    kept: &'a HashSet<Vec<String>>,
}

impl Reencode for Unnamed<'_> {
    type Error = Infallible;
}

impl ReencodeComponent for Unnamed<'_> {
    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        _parser: Parser,
        module: &[u8],
    ) -> Result<(), reencode::Error<Self::Error>> {
        component.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data: module });
        Ok(())
    }

    fn parse_component_defined_type(
        &mut self,
        defined: ComponentDefinedTypeEncoder<'_>,
        ty: ComponentDefinedType<'_>,
    ) -> Result<(), reencode::Error<Self::Error>> {
        if let ComponentDefinedType::Record(fields) = &ty {
            let names: Vec<String> = fields.iter().map(|(name, _)| (*name).to_owned()).collect();
            if !self.kept.contains(&names) {
                defined.tuple(fields.iter().map(|(_, ty)| self.component_val_type(*ty)));
                return Ok(());
            }
        }
        reencode::component_utils::parse_component_defined_type(self, defined, ty)
    }
}

/// The same component, its own records without names. To be given what was read by [`crate::surface`] before: so it is well-formed.
pub(crate) fn rewrite(component: &[u8]) -> Result<Vec<u8>, String> {
    let kept = HOST_RECORDS.as_ref().map_err(Clone::clone)?;
    let mut rewritten = Component::new();
    Unnamed { kept }.parse_component(&mut rewritten, Parser::new(0), component).map_err(|error| error.to_string())?;
    Ok(rewritten.finish())
}
