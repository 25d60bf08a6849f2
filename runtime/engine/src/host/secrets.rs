//! `kontor:host/secrets`: codes are computed here, so that a plugin can check a signature without seeing the secret.

use hmac::{Hmac, Mac};
use kontor_core::transaction::OperationError;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::bindings::secrets::{Host, MacAlgorithm, SecretError};
use crate::execution::Guest;
use crate::limits::MAC_MESSAGE_BYTES_MAX;

type HostResult<T> = wasmtime::Result<Result<T, SecretError>>;

impl Guest {
    /// The code over `message`. Neither secret nor code goes into an error.
    fn code(&mut self, name: &str, algorithm: MacAlgorithm, message: &[u8]) -> HostResult<Vec<u8>> {
        if message.len() > MAC_MESSAGE_BYTES_MAX {
            let text = format!("a message has at most {MAC_MESSAGE_BYTES_MAX} bytes, not {}", message.len());
            return Ok(Err(SecretError::Other(text)));
        }
        let secret = match self.secret_value(name)? {
            Ok(secret) => secret,
            Err(error) => return Ok(Err(error)),
        };
        let code = match algorithm {
            MacAlgorithm::HmacSha256 => code_with::<Hmac<Sha256>>(secret.as_bytes(), message),
            MacAlgorithm::HmacSha1 => code_with::<Hmac<Sha1>>(secret.as_bytes(), message),
            MacAlgorithm::HmacSha512 => code_with::<Hmac<Sha512>>(secret.as_bytes(), message),
        };
        Ok(code.ok_or_else(|| SecretError::Other("the secret cannot be a key".to_owned())))
    }

    fn secret_value(&mut self, name: &str) -> HostResult<std::sync::Arc<str>> {
        let result = self.context()?.transaction.secret(name);
        Ok(match result {
            Ok(Some(secret)) => Ok(secret),
            Ok(None) => Err(SecretError::Unset(format!("the merchant has not set the secret `{name}`"))),
            Err(OperationError::Invalid(text)) => Err(SecretError::Undeclared(text)),
            Err(OperationError::Store(error)) => {
                return Err(self.context()?.abort(crate::host::store_failure(error)));
            }
            Err(refused) => Err(SecretError::Denied(refused.to_string())),
        })
    }
}

fn code_with<M: Mac + hmac::digest::KeyInit>(secret: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let mut mac = <M as Mac>::new_from_slice(secret).ok()?;
    mac.update(message);
    Some(mac.finalize().into_bytes().to_vec())
}

impl Host for Guest {
    fn mac(&mut self, name: String, algorithm: MacAlgorithm, message: Vec<u8>) -> HostResult<Vec<u8>> {
        self.code(&name, algorithm, &message)
    }

    fn verify_mac(
        &mut self,
        name: String,
        algorithm: MacAlgorithm,
        message: Vec<u8>,
        code: Vec<u8>,
    ) -> HostResult<bool> {
        let expected = self.code(&name, algorithm, &message)?;
        Ok(expected.map(|expected| bool::from(expected.ct_eq(&code))))
    }

    fn plain(&mut self, name: String) -> HostResult<String> {
        let secret = match self.secret_value(&name)? {
            Ok(secret) => secret,
            Err(error) => return Ok(Err(error)),
        };
        if !self.context()?.transaction.secret_is_plain(&name) {
            let text = format!("the secret `{name}` may be used, but not shown to this plugin");
            return Ok(Err(SecretError::Denied(text)));
        }
        Ok(Ok(secret.as_ref().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 and RFC 4231, test case 2.
    #[test]
    fn codes_are_those_of_the_standard() {
        let (key, message) = (b"Jefe", b"what do ya want for nothing?");
        let code = |code: Option<Vec<u8>>| hex::encode(code.unwrap());
        assert_eq!(code(code_with::<Hmac<Sha1>>(key, message)), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(
            code(code_with::<Hmac<Sha256>>(key, message)),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            code(code_with::<Hmac<Sha512>>(key, message)),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        );
    }
}
