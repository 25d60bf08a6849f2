//! How the machine's own records are written: MessagePack maps with field names, so that fields can be added later.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::store::Value;

/// Encodes a record.
pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Value, Error> {
    rmp_serde::to_vec_named(record)
        .map(Value::from)
        .map_err(|error| Error::HostFault(format!("a record could not be encoded: {error}")))
}

/// Decodes a record; `what` names it in the error.
pub(crate) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Error> {
    rmp_serde::from_slice(bytes).map_err(|error| Error::RecordDamaged(format!("{what}: {error}")))
}
