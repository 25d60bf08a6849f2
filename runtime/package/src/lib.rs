//! What a plugin is as a file: its manifest (`plugin.toml`), the packed plugin (one `.kontor` file), digest and signature; and the
//! tool that builds one from a crate. Not here: running plugins (`engine`), and granting what they ask for (`server`).
//!
//! A packed plugin is a WebAssembly component with two custom sections: the manifest as JSON, and, last, an Ed25519
//! signature over the SHA-256 of everything before it. The digest by which a plugin is known is SHA-256 over the whole file.

pub mod build;
pub mod component;
pub mod manifest;
pub mod packed;
pub mod signature;
pub mod template;

mod locate;

pub use build::{BuildError, Builder, Built, Progress};
pub use manifest::{Manifest, ManifestError};
pub use packed::{Package, PackageError, pack, read_package};
pub use signature::{Signature, SigningKey, Trust};
