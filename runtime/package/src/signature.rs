//! Who signed a packed plugin: Ed25519 over the hash of its content. A developer's key is made on first use and says of itself that it is one, so
//! that what was built on someone's machine is never taken for a release.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::Signer as _;

/// What is signed begins with this, so that a signature is never valid for anything else.
const CONTEXT: &[u8] = b"kontor plugin package v1\0";
const FORMAT: u8 = 1;
const LENGTH: usize = 2 + 32 + 64;

/// The signature of a packed plugin, valid for its content when it comes from [`crate::read_package`].
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    developer: bool,
    key: [u8; 32],
    code: [u8; 64],
}

/// How far a packed plugin can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nobody signed it.
    Unsigned,
    /// Signed by a developer's key: not a release.
    Developer {
        /// The key, hexadecimal.
        key: String,
    },
    /// Signed by a key that the merchant does not know.
    UnknownKey {
        /// The key, hexadecimal.
        key: String,
    },
    /// Signed by a key that the merchant trusts.
    Trusted {
        /// The key, hexadecimal.
        key: String,
    },
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("unsigned"),
            Self::Developer { key } => write!(f, "dev-signed by {key}"),
            Self::UnknownKey { key } => write!(f, "signed by the unknown key {key}"),
            Self::Trusted { key } => write!(f, "signed by {key}"),
        }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature")
            .field("developer", &self.developer)
            .field("key", &self.key_hex())
            .finish_non_exhaustive()
    }
}

impl Signature {
    /// The public key, hexadecimal.
    pub fn key_hex(&self) -> String {
        hex::encode(self.key)
    }

    /// Whether it is a developer's, not a release.
    pub fn is_developer(&self) -> bool {
        self.developer
    }

    /// Reads the content of the section and checks it against `digest`.
    pub(crate) fn verify(bytes: &[u8], digest: &[u8; 32]) -> Result<Self, String> {
        let fields: &[u8; LENGTH] =
            bytes.try_into().map_err(|_| format!("it has {} bytes instead of {LENGTH}", bytes.len()))?;
        let (head, rest) = fields.split_at(2);
        let (key, code) = rest.split_at(32);
        let developer = match head {
            [FORMAT, 0] => false,
            [FORMAT, 1] => true,
            _ => return Err("its format is unknown; a newer Kontor may read it".to_owned()),
        };
        let (key, code) = (
            <[u8; 32]>::try_from(key).map_err(|error| error.to_string())?,
            <[u8; 64]>::try_from(code).map_err(|error| error.to_string())?,
        );
        ed25519_dalek::VerifyingKey::from_bytes(&key)
            .and_then(|verifying| {
                verifying.verify_strict(&message(developer, digest), &ed25519_dalek::Signature::from_bytes(&code))
            })
            .map_err(|_| "it does not belong to this content".to_owned())?;
        Ok(Self { developer, key, code })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [&[FORMAT, u8::from(self.developer)][..], &self.key, &self.code].concat()
    }
}

/// Whether `signature` is by one of the trusted keys (hexadecimal).
pub fn trust(signature: Option<&Signature>, trusted_keys: &[String]) -> Trust {
    match signature {
        None => Trust::Unsigned,
        Some(signature) if trusted_keys.iter().any(|key| key.eq_ignore_ascii_case(&signature.key_hex())) => {
            Trust::Trusted { key: signature.key_hex() }
        }
        Some(signature) if signature.developer => Trust::Developer { key: signature.key_hex() },
        Some(signature) => Trust::UnknownKey { key: signature.key_hex() },
    }
}

fn message(developer: bool, digest: &[u8; 32]) -> Vec<u8> {
    [CONTEXT, &[u8::from(developer)], digest].concat()
}

/// A key to sign with.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    developer: bool,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public_hex()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A publisher's key, from the 32 bytes of its seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { key: ed25519_dalek::SigningKey::from_bytes(seed), developer: false }
    }

    /// This user's developer key, made when there is none: `$KONTOR_HOME/dev-key`, or `kontor/dev-key` in the user's configuration folder.
    pub fn developer() -> io::Result<Self> {
        let directory = home()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no home folder; set KONTOR_HOME"))?;
        Self::developer_in(&directory)
    }

    /// The developer key in this folder, made when there is none.
    pub fn developer_in(directory: &Path) -> io::Result<Self> {
        let path = directory.join("dev-key");
        let explain =
            |error: io::Error| io::Error::new(error.kind(), format!("the developer key {}: {error}", path.display()));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(directory, &path).map_err(explain)?,
            Err(error) => return Err(explain(error)),
        };
        let seed =
            hex::decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or_else(|| {
                explain(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "is not 64 hexadecimal digits; delete the file to get a new key",
                ))
            })?;
        Ok(Self { key: ed25519_dalek::SigningKey::from_bytes(&seed), developer: true })
    }

    /// The public key, hexadecimal.
    pub fn public_hex(&self) -> String {
        hex::encode(self.key.verifying_key().as_bytes())
    }

    pub(crate) fn sign(&self, digest: &[u8; 32]) -> Signature {
        Signature {
            developer: self.developer,
            key: *self.key.verifying_key().as_bytes(),
            code: self.key.sign(&message(self.developer, digest)).to_bytes(),
        }
    }
}

fn home() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("KONTOR_HOME")
        .or_else(|| set("XDG_CONFIG_HOME").map(|folder| folder.join("kontor")))
        .or_else(|| set("HOME").map(|folder| folder.join(".config/kontor")))
        .or_else(|| set("APPDATA").map(|folder| folder.join("kontor")))
}

/// Makes a key. When another process makes one at the same time, theirs is taken.
fn make(directory: &Path, path: &Path) -> io::Result<String> {
    fs::create_dir_all(directory)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    let text = hex::encode(seed);
    let temporary = directory.join(format!("dev-key.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let made = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match made {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path),
        Err(error) => Err(error),
    }
}
