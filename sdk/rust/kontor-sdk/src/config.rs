//! What the merchant configured for this plugin: a JSON object that fits the schema in `plugin.toml`, defaults filled in.

use serde::de::DeserializeOwned;

use crate::bindings::kontor::host::config;
use crate::error::{Error, Result};

/// The whole configuration.
pub fn get<T: DeserializeOwned>() -> Result<T> {
    serde_json::from_str(&config::get()).map_err(|error| {
        Error::internal(format!("The configuration does not fit the plugin's type: {error}. Bring the type and `config.schema` of plugin.toml together."))
            .with_code("config-decode")
    })
}
