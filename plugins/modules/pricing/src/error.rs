//! Why a rule refused. The translation into the contract's variant is in the crate's root.

use std::fmt;

/// Why a rule refused. Each text names the field and says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// No such price list, price or rate.
    NotFound(String),
    /// The input breaks a rule.
    Invalid(String),
    /// The store or the host refused.
    Other(String),
}

impl Error {
    /// An amount that does not fit into 64 bits of minor units.
    pub(crate) fn too_large(what: &str) -> Self {
        Self::Invalid(format!("{what}: the amount is too large; it must stay below 2^63 minor units"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(text) | Self::Invalid(text) | Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
