//! Names of merchants, plugins and invocations. Each is checked once, where it enters.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::INVOCATION_ID_CHARS_MAX;

/// Why a name was refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{value}` is not a {kind}: {rule}")]
pub struct InvalidId {
    kind: &'static str,
    value: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `value`: `[a-z][a-z0-9-]*`, at most
            #[doc = stringify!($max)]
            /// characters.
            pub fn new(value: &str) -> Result<Self, InvalidId> {
                let mut bytes = value.bytes();
                let head = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
                let tail = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                if head && tail && value.len() <= $max {
                    Ok(Self(value.into()))
                } else {
                    Err(InvalidId {
                        kind: $kind,
                        value: value.chars().take(80).collect(),
                        rule: concat!("use a lower-case letter, then lower-case letters, digits and hyphens; at most ", stringify!($max), " characters"),
                    })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                Self::new(&value)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0.as_ref().to_owned()
            }
        }
    };
}

name!(
    /// A merchant: the unit of isolation. The first part of every key.
    MerchantId, "merchant id", 32
);
name!(
    /// A plugin, as installed for a merchant.
    PluginId, "plugin id", 48
);

/// An invocation. Stable across re-executions, retries and crashes; what deduplication goes by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InvocationId(Arc<str>);

impl InvocationId {
    /// An id from what caused the invocation, such as `job/<id>` or `req/<uuid>`. At most [`INVOCATION_ID_CHARS_MAX`] characters are kept.
    pub fn new(value: &str) -> Self {
        let end = value.char_indices().nth(INVOCATION_ID_CHARS_MAX).map_or(value.len(), |(end, _)| end);
        Self(value.get(..end).unwrap_or(value).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}
