//! Secrets that the merchant set. The host computes with them; the plugin does not see them, unless `plain` was asked for and
//! granted. In outbound requests write `{secret:NAME}` in a header or form field instead.

use crate::bindings::kontor::host::secrets;
use crate::error::Result;

pub use crate::bindings::kontor::host::secrets::MacAlgorithm;

/// The message authentication code over `message` with the secret `name` as key.
pub fn mac(name: &str, algorithm: MacAlgorithm, message: &[u8]) -> Result<Vec<u8>> {
    Ok(secrets::mac(name, algorithm, message)?)
}

/// Whether `code` is the code over `message`; compared in constant time.
pub fn verify_mac(name: &str, algorithm: MacAlgorithm, message: &[u8], code: &[u8]) -> Result<bool> {
    Ok(secrets::verify_mac(name, algorithm, message, code)?)
}

/// The secret itself, where the manifest asks `plain = true` and the merchant granted it.
pub fn plain(name: &str) -> Result<String> {
    Ok(secrets::plain(name)?)
}
