//! The packed plugin: one `.kontor` file, a component with its manifest and signature in custom sections.

use std::fmt;

use sha2::{Digest as _, Sha256};
use wasmparser::{Parser, Payload};

use crate::manifest::Manifest;
use crate::signature::{Signature, SigningKey};

/// The custom section with the manifest as JSON.
pub const MANIFEST_SECTION: &str = "kontor:manifest";
/// The custom section with the signature; the last one of the file.
pub const SIGNATURE_SECTION: &str = "kontor:signature";
/// Larger plugins are refused: compiling one takes about a second per megabyte.
pub const PACKAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A packed plugin that was read and found sound.
#[derive(Clone)]
pub struct Package {
    bytes: Vec<u8>,
    manifest: Manifest,
    digest: String,
    signature: Option<Signature>,
}

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Package")
            .field("id", &self.manifest.id)
            .field("version", &self.manifest.version)
            .field("digest", &self.digest)
            .field("signature", &self.signature)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// Why bytes are not a packed plugin.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PackageError {
    /// Larger than [`PACKAGE_BYTES_MAX`].
    #[error("the package has {0} bytes; at most {PACKAGE_BYTES_MAX} are accepted")]
    TooLarge(usize),
    /// Not a component at all.
    #[error("this is not a packed plugin: {0}. `cargo kontor build` makes one (a `.kontor` file)")]
    NotAComponent(String),
    /// Begins like a component, but is not a valid one.
    #[error("the package is damaged: {0}. Build or download it again")]
    Damaged(String),
    /// A component without a manifest.
    #[error("the component has no manifest (custom section `{MANIFEST_SECTION}`); pack it with `cargo kontor build`")]
    NoManifest,
    /// The manifest is not one that this version accepts.
    #[error("the manifest inside the package is refused: {0}")]
    Manifest(String),
    /// A signature that does not fit. Never taken for an unsigned package.
    #[error(
        "the signature of the package is invalid: {0}. The file was changed after it was signed; do not install it"
    )]
    Signature(String),
}

impl PackageError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "package-too-large",
            Self::NotAComponent(_) => "package-not-a-component",
            Self::Damaged(_) => "package-damaged",
            Self::NoManifest => "package-without-manifest",
            Self::Manifest(_) => "package-manifest",
            Self::Signature(_) => "package-signature",
        }
    }
}

impl Package {
    /// The whole file: a WebAssembly component, which an engine takes as it is.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// `sha256:<hex>` over the whole file.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The signature, which fits the content; none if nobody signed.
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// What the host needs of the manifest.
    pub fn spec(&self) -> Result<kontor_core::revision::PluginSpec, PackageError> {
        self.manifest.to_spec(&self.digest).map_err(PackageError::Manifest)
    }

    /// The file name it goes by.
    pub fn file_name(&self) -> String {
        format!("{}-{}.kontor", self.manifest.id, self.manifest.version)
    }
}

/// Packs a component: embeds the manifest, and signs if a key is given.
pub fn pack(component: &[u8], manifest: &Manifest, key: Option<&SigningKey>) -> Result<Package, PackageError> {
    let found = scan(component)?;
    if found.manifest.is_some() || found.signature.is_some() {
        return Err(PackageError::Manifest("the component is packed already".to_owned()));
    }
    let json = manifest.to_json().map_err(PackageError::Manifest)?;
    let mut bytes = component.to_vec();
    append_section(&mut bytes, MANIFEST_SECTION, &json);
    if let Some(key) = key {
        let signature = key.sign(&Sha256::digest(&bytes).into());
        append_section(&mut bytes, SIGNATURE_SECTION, &signature.to_bytes());
    }
    read_package(bytes)
}

/// Reads a packed plugin: checks that it is a valid component, that the manifest is one that this version accepts, and that the
/// signature, if there is one, belongs to this content. Whom to trust is the caller's: [`crate::signature::trust`].
pub fn read_package(bytes: Vec<u8>) -> Result<Package, PackageError> {
    let found = scan(&bytes)?;
    let json = found.manifest.ok_or(PackageError::NoManifest)?;
    let manifest = Manifest::from_json(json).map_err(PackageError::Manifest)?;
    let content = bytes.get(..found.content_end).unwrap_or(&bytes);
    let signed: [u8; 32] = Sha256::digest(content).into();
    let signature = found
        .signature
        .map(|section| Signature::verify(section, &signed))
        .transpose()
        .map_err(PackageError::Signature)?;
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
    Ok(Package { manifest, digest, signature, bytes })
}

struct Found<'a> {
    manifest: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
    /// Where what is signed ends.
    content_end: usize,
}

fn scan(bytes: &[u8]) -> Result<Found<'_>, PackageError> {
    if bytes.len() > PACKAGE_BYTES_MAX {
        return Err(PackageError::TooLarge(bytes.len()));
    }
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 0x0d, 0, 1, 0]) => {}
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => {
            return Err(PackageError::NotAComponent("it is a core WebAssembly module".to_owned()));
        }
        _ => return Err(PackageError::NotAComponent("it does not begin like WebAssembly".to_owned())),
    }
    wasmparser::Validator::new().validate_all(bytes).map_err(|error| PackageError::Damaged(error.to_string()))?;
    let mut found = Found { manifest: None, signature: None, content_end: bytes.len() };
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| PackageError::Damaged(error.to_string()))? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 => {
                let twice = || PackageError::Damaged(format!("there are two sections `{}`", section.name()));
                match section.name() {
                    _ if found.signature.is_some() => {
                        return Err(PackageError::Signature("something follows it".to_owned()));
                    }
                    MANIFEST_SECTION if found.manifest.replace(section.data()).is_some() => return Err(twice()),
                    SIGNATURE_SECTION => {
                        found.signature = Some(section.data());
                        let end = usize::try_from(section.range().end).unwrap_or(bytes.len());
                        found.content_end = section_start(bytes, end, SIGNATURE_SECTION, section.data().len());
                    }
                    _ => {}
                }
            }
            Payload::Version { .. } | Payload::CustomSection(_) => {}
            _ if depth == 0 && found.signature.is_some() => {
                return Err(PackageError::Signature("something follows it".to_owned()));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Where a section that ends at `end` begins, given what [`append_section`] writes.
fn section_start(bytes: &[u8], end: usize, name: &str, data_length: usize) -> usize {
    let mut header = Vec::new();
    section_header(&mut header, name, data_length);
    let start = end.saturating_sub(header.len() + data_length);
    // Another encoding of the same lengths is none that we write: then nothing is left out, and no signature fits.
    if bytes.get(start..).is_some_and(|rest| rest.starts_with(header.as_slice())) { start } else { end }
}

fn append_section(bytes: &mut Vec<u8>, name: &str, data: &[u8]) {
    section_header(bytes, name, data.len());
    bytes.extend_from_slice(data);
}

fn section_header(bytes: &mut Vec<u8>, name: &str, data_length: usize) {
    let mut named = Vec::new();
    leb128(&mut named, name.len());
    named.extend_from_slice(name.as_bytes());
    bytes.push(0);
    leb128(bytes, named.len() + data_length);
    bytes.extend_from_slice(&named);
}

fn leb128(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}
