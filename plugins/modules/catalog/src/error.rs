//! Why a rule refused. The translation into the contract's variant is in the crate's root.

use std::fmt;

/// Why a rule refused. Each text names the field or the thing, and says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// No such product, variant or listing.
    NotFound(String),
    /// The input breaks a rule.
    Invalid(String),
    /// The SKU or identifier belongs to another already.
    Conflict(String),
    /// The store or the host refused.
    Other(String),
}

impl Error {
    /// A stable name, for answers to programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::Invalid(_) => "invalid",
            Self::Conflict(_) => "conflict",
            Self::Other(_) => "other",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(text) | Self::Invalid(text) | Self::Conflict(text) | Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
