//! How values become bytes: MessagePack with field names, so that a later version may add fields (`#[serde(default)]`), reorder
//! them, or drop them, and still read what an earlier one wrote.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// What the contract allows.
const VALUE_BYTES_MAX: usize = 256 * 1024;

pub(crate) fn encode<V: Serialize>(table: &str, value: &V) -> Result<Vec<u8>> {
    let bytes = rmp_serde::to_vec_named(value).map_err(|error| {
        Error::new(500, "value-encode", format!("A value for the table `{table}` cannot be stored: {error}."))
    })?;
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(Error::new(
            422,
            "value-too-large",
            format!(
                "A value for the table `{table}` has {} bytes; at most {VALUE_BYTES_MAX} fit. Spread it over several keys.",
                bytes.len()
            ),
        ));
    }
    Ok(bytes)
}

pub(crate) fn decode<V: DeserializeOwned>(table: &str, bytes: &[u8]) -> Result<V> {
    rmp_serde::from_slice(bytes).map_err(|error| {
        Error::new(
            500,
            "value-decode",
            format!(
                "A value of the table `{table}` does not fit its type: {error}. Give new fields `#[serde(default)]`, or migrate."
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize)]
    struct Before {
        gone: u8,
        name: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct After {
        name: String,
        #[serde(default)]
        tags: Vec<String>,
    }

    #[test]
    fn a_later_version_adds_and_drops_fields() {
        let bytes = encode("t", &Before { gone: 1, name: "lamp".into() }).unwrap();
        let after: After = decode("t", &bytes).unwrap();
        assert_eq!(after, After { name: "lamp".into(), tags: vec![] });
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_the_table() {
        let bytes = encode("notes", &"x".repeat(10)).unwrap();
        let error = decode::<After>("notes", &bytes).unwrap_err();
        assert_eq!(error.code(), "value-decode");
        assert!(error.detail().contains("`notes`"), "{error}");
        let error = encode("notes", &"x".repeat(VALUE_BYTES_MAX)).unwrap_err();
        assert_eq!(error.code(), "value-too-large");
    }
}
