//! Why a rule refused. The translation into the contract's variant is in the crate's root.

use std::fmt;

/// Why a rule refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// No such cart or line.
    NotFound(String),
    /// The input breaks a rule.
    Invalid(String),
    /// SKU, requested, available.
    Insufficient(Vec<(String, i64, i64)>),
    /// The order that the cart became.
    Placed(String),
    /// The total now, in minor units.
    TotalChanged(i64),
    /// The store, the host or a provider failed.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(text) | Self::Invalid(text) | Self::Other(text) => f.write_str(text),
            Self::Insufficient(shortages) => {
                f.write_str("not enough to sell:")?;
                shortages.iter().try_for_each(|(sku, requested, available)| {
                    write!(f, " {sku} ({requested} wanted, {available} there)")
                })
            }
            Self::Placed(order) => write!(f, "the cart was placed as order {order}"),
            Self::TotalChanged(total) => write!(f, "the total is {total} minor units now"),
        }
    }
}

impl std::error::Error for Error {}
