//! Bounds on a component before it is compiled: compiling hostile code must not eat the host's time and memory.

use kontor_core::ids::PluginId;
use wasmparser::{Parser, Payload};

use crate::error::PrepareError;
use crate::limits;

/// Refuses what is larger than the engine compiles. What is malformed is left to wasmtime's validation.
pub(crate) fn check(plugin: &PluginId, wasm: &[u8]) -> Result<(), PrepareError> {
    let within = |what, actual, max| {
        if actual <= max {
            return Ok(());
        }
        Err(PrepareError::TooLarge { plugin: plugin.clone(), what, actual, max })
    };
    within("its size in bytes", wasm.len(), limits::COMPONENT_BYTES_MAX)?;
    let (mut modules, mut functions, mut depth) = (0_usize, 0_usize, 0_usize);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload =
            payload.map_err(|error| PrepareError::Invalid { plugin: plugin.clone(), reason: error.to_string() })?;
        match payload {
            Payload::ModuleSection { .. } => {
                modules += 1;
                depth += 1;
                within("its number of core modules", modules, limits::CORE_MODULES_MAX)?;
            }
            Payload::ComponentSection { .. } => {
                depth += 1;
                within("its depth of components", depth, limits::COMPONENT_DEPTH_MAX)?;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionEntry(body) => {
                functions += 1;
                within("its number of functions", functions, limits::FUNCTIONS_MAX)?;
                let range = body.range();
                let size = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                within("a function's size in bytes", size, limits::FUNCTION_BYTES_MAX)?;
            }
            _ => {}
        }
    }
    Ok(())
}
