//! What a token looks like: `kontor_<kind>_<id>_<secret>`. The kind and the id are no secret: they find the record, and let a scanner
//! recognise a token that was published by mistake.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::api::TokenKind;
use crate::environment::random_bytes;

const BRAND: &str = "kontor";
const ID_CHARS: usize = 16;
/// 256 bits in base64.
const SECRET_CHARS: usize = 43;

/// A whole token. Never shown by `Debug`.
pub(crate) struct TokenText {
    text: String,
    kind: TokenKind,
    id: String,
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenText").field("kind", &self.kind).field("id", &self.id).finish_non_exhaustive()
    }
}

impl TokenText {
    /// A new one, of the operating system's randomness.
    pub(crate) fn generate(kind: TokenKind) -> Self {
        let id = hex::encode(random_bytes::<8>());
        let secret = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
        Self { text: format!("{BRAND}_{}_{id}_{secret}", letter(kind)), kind, id }
    }

    /// Reads one that was presented; `None` for anything malformed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '_');
        let (brand, kind, id, secret) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let kind = match kind {
            "a" => TokenKind::Admin,
            "t" => TokenKind::Token,
            "s" => TokenKind::Staff,
            _ => return None,
        };
        let well_formed = brand == BRAND
            && is_id(id)
            && secret.len() == SECRET_CHARS
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        well_formed.then(|| Self { text: text.to_owned(), kind, id: id.to_owned() })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn kind(&self) -> TokenKind {
        self.kind
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.text.as_bytes()))
    }

    /// Whether the stored hash is that of this token, in constant time.
    pub(crate) fn matches(&self, stored: &str) -> bool {
        self.hash().as_bytes().ct_eq(stored.as_bytes()).into()
    }
}

/// Whether `id` may be the id of a token.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() == ID_CHARS && id.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
}

fn letter(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Admin => "a",
        TokenKind::Token => "t",
        TokenKind::Staff => "s",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_matches_only_itself() {
        for kind in [TokenKind::Admin, TokenKind::Token, TokenKind::Staff] {
            let token = TokenText::generate(kind);
            let read = TokenText::parse(token.as_str()).unwrap();
            assert_eq!((read.kind(), read.id()), (kind, token.id()));
            assert!(read.matches(&token.hash()));
            assert!(!TokenText::generate(kind).matches(&token.hash()));
            assert!(!format!("{token:?}").contains(token.as_str()));
            assert!(!token.hash().contains(token.as_str()));
        }
    }

    #[test]
    fn anything_else_is_no_token() {
        let good = TokenText::generate(TokenKind::Token);
        let short = &good.as_str()[..good.as_str().len() - 1];
        for bad in [
            "",
            "kontor",
            "kontor_t_0123456789abcdef_",
            "kontor_x_0123456789abcdef_aaaa",
            short,
            &format!("{}=", good.as_str()),
        ] {
            assert!(TokenText::parse(bad).is_none(), "{bad}");
        }
    }
}
