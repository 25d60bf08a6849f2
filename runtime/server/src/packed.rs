//! What the server needs of a packed plugin. Reading the file is `kontor-package`'s; tests bring a reader of their own.

use std::fmt;
use std::sync::Arc;

use kontor_core::revision::PluginSpec;

use crate::api::PackageSignature;

/// A packed plugin, taken apart.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// What the host needs of its manifest.
    pub spec: Arc<PluginSpec>,
    /// Who signed it.
    pub signature: PackageSignature,
    /// The component.
    pub wasm: Arc<Vec<u8>>,
}

/// Reads packed plugins.
pub trait PackageReader: Send + Sync + fmt::Debug {
    /// Takes a file apart, computes its digest and verifies its signature. An error is a sentence for people.
    fn read(&self, bytes: Vec<u8>) -> Result<Unpacked, String>;
}
