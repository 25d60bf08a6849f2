//! Packed plugins as `kontor-package` reads them, and how far this host trusts who signed them.

use std::sync::Arc;

use kontor_package::signature::{Trust, trust};

use crate::api::PackageSignature;
use crate::packed::{PackageReader, Unpacked};

/// See the module.
#[derive(Debug)]
pub(crate) struct SignedPackages {
    /// Keys of trusted publishers, hexadecimal.
    pub(crate) trusted_keys: Vec<String>,
}

impl PackageReader for SignedPackages {
    fn read(&self, bytes: Vec<u8>) -> Result<Unpacked, String> {
        let package = kontor_package::read_package(bytes).map_err(|e| e.to_string())?;
        let spec = package.spec().map_err(|e| e.to_string())?;
        let signature = match trust(package.signature(), &self.trusted_keys) {
            Trust::Trusted { .. } => PackageSignature::Publisher,
            Trust::UnknownKey { .. } => PackageSignature::Unknown,
            Trust::Developer { .. } => PackageSignature::Development,
            Trust::Unsigned => PackageSignature::None,
        };
        // The engine takes the whole file: the manifest and the signature are custom sections of the component.
        Ok(Unpacked { spec: Arc::new(spec), signature, wasm: Arc::new(package.bytes().to_vec()) })
    }
}
