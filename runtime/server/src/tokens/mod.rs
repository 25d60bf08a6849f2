//! Tokens: who may call what. A token is shown once; the host keeps a SHA-256 of it (it has 256 random bits, so no slow hash is needed) and
//! compares in constant time. Records lie in the store with the merchant they belong to: a token of one merchant is unknown to
//! every other.

mod secret;

use std::sync::Arc;

use kontor_core::effects::Environment;
use kontor_core::ids::MerchantId;
use kontor_core::machine::Machine;
use serde::{Deserialize, Serialize};

use crate::api::{CreatedToken, Token, TokenKind};
use crate::limits::{NAME_CHARS_MAX, SCOPE_CHARS_MAX, SCOPES_MAX, TOKENS_MAX};
use crate::problem::{Code, Problem};
use secret::TokenText;

const PREFIX: &str = "token/";

/// The registry of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    machine: Arc<Machine>,
    environment: Arc<dyn Environment>,
}

/// As stored.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    name: String,
    kind: TokenKind,
    scopes: Vec<String>,
    created_at_ms: u64,
    expires_at_ms: Option<u64>,
    /// SHA-256 of the whole token, hexadecimal.
    hash: String,
}

impl Record {
    fn into_token(self, id: &str) -> Token {
        Token {
            id: id.to_owned(),
            name: self.name,
            kind: self.kind,
            scopes: self.scopes,
            created_at_ms: self.created_at_ms,
            expires_at_ms: self.expires_at_ms,
        }
    }
}

/// What is asked for when a token is created.
#[derive(Debug)]
pub(crate) struct TokenRequest {
    pub(crate) name: String,
    pub(crate) kind: TokenKind,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires_at_ms: Option<u64>,
}

impl Tokens {
    pub(crate) fn new(machine: Arc<Machine>, environment: Arc<dyn Environment>) -> Self {
        Self { machine, environment }
    }

    /// Creates a token of a merchant, or (without one) of the host.
    pub(crate) async fn create(
        &self,
        merchant: Option<&MerchantId>,
        request: TokenRequest,
    ) -> Result<CreatedToken, Problem> {
        self.create_kept(merchant, request, |_| Ok(())).await
    }

    /// As [`Tokens::create`], after `keep` has put the secret where it is needed: a token that is valid is then known to somebody,
    /// whenever the power fails.
    pub(crate) async fn create_kept(
        &self,
        merchant: Option<&MerchantId>,
        request: TokenRequest,
        keep: impl FnOnce(&str) -> Result<(), Problem>,
    ) -> Result<CreatedToken, Problem> {
        self.check(merchant, &request).await?;
        let text = TokenText::generate(request.kind);
        let record = Record {
            name: request.name,
            kind: request.kind,
            scopes: request.scopes,
            created_at_ms: self.environment.now_ms(),
            expires_at_ms: request.expires_at_ms,
            hash: text.hash(),
        };
        let bytes = serde_json::to_vec(&record)
            .map_err(|e| Problem::new(Code::Internal, format!("the token cannot be stored: {e}")))?;
        keep(text.as_str())?;
        self.machine.host_put(merchant, &key(text.id()), bytes).await?;
        let secret = text.as_str().to_owned();
        Ok(CreatedToken { token: record.into_token(text.id()), secret })
    }

    async fn check(&self, merchant: Option<&MerchantId>, request: &TokenRequest) -> Result<(), Problem> {
        if (request.kind == TokenKind::Admin) != merchant.is_none() {
            return Err(Problem::invalid(
                "A merchant's tokens are of kind `token` or `staff`; admin tokens belong to the host.",
            ));
        }
        let name_length = request.name.chars().count();
        if name_length == 0 || name_length > NAME_CHARS_MAX || request.name.chars().any(char::is_control) {
            return Err(Problem::invalid(format!(
                "The name of a token has 1 to {NAME_CHARS_MAX} characters and no control characters."
            )));
        }
        if request.scopes.len() > SCOPES_MAX {
            return Err(Problem::invalid(format!("A token has at most {SCOPES_MAX} scopes.")));
        }
        if let Some(bad) = request.scopes.iter().find(|s| !is_scope(s)) {
            return Err(Problem::invalid(format!(
                "`{}` is not a scope: use lower-case letters, digits, `-`, `_`, `.` and `:`, at most {SCOPE_CHARS_MAX} characters, or `*`.",
                bad.chars().take(80).collect::<String>()
            )));
        }
        if request.expires_at_ms.is_some_and(|at| at <= self.environment.now_ms()) {
            return Err(Problem::invalid(
                "`expires_at_ms` lies in the past: give a time to come, in milliseconds since 1970.",
            ));
        }
        if self.machine.host_list(merchant, PREFIX).await?.len() >= TOKENS_MAX {
            return Err(Problem::new(
                Code::LimitReached,
                format!("There are {TOKENS_MAX} tokens already: revoke some first."),
            ));
        }
        Ok(())
    }

    /// All tokens, by id.
    pub(crate) async fn list(&self, merchant: Option<&MerchantId>) -> Result<Vec<Token>, Problem> {
        let records = self.machine.host_list(merchant, PREFIX).await?;
        Ok(records
            .iter()
            .filter_map(|(key, bytes)| {
                let record: Record = serde_json::from_slice(bytes).ok()?;
                Some(record.into_token(key.strip_prefix(PREFIX)?))
            })
            .collect())
    }

    /// Revokes a token at once.
    pub(crate) async fn revoke(&self, merchant: Option<&MerchantId>, id: &str) -> Result<(), Problem> {
        let unknown = || Problem::not_found(format!("There is no token with the id `{id}`."));
        if !secret::is_id(id) {
            return Err(unknown());
        }
        if self.machine.host_get(merchant, &key(id)).await?.is_none() {
            return Err(unknown());
        }
        Ok(self.machine.host_delete(merchant, &key(id)).await?)
    }

    /// The token that `presented` is, if it is one of the merchant's (or the host's) and has not expired. Nothing says
    /// why a token was not accepted.
    pub(crate) async fn verify(
        &self,
        merchant: Option<&MerchantId>,
        presented: &str,
    ) -> Result<Option<Token>, Problem> {
        let Some(text) = TokenText::parse(presented) else { return Ok(None) };
        let scope = if text.kind() == TokenKind::Admin { None } else { merchant };
        if scope.is_none() && text.kind() != TokenKind::Admin {
            return Ok(None);
        }
        let Some(bytes) = self.machine.host_get(scope, &key(text.id())).await? else { return Ok(None) };
        let record: Record = serde_json::from_slice(&bytes).map_err(|_| {
            Problem::new(Code::Internal, "The record of this token is damaged: revoke it and create a new one.")
        })?;
        let expired = record.expires_at_ms.is_some_and(|at| at <= self.environment.now_ms());
        if expired || record.kind != text.kind() || !text.matches(&record.hash) {
            return Ok(None);
        }
        let id = text.id().to_owned();
        Ok(Some(record.into_token(&id)))
    }
}

/// Whether `granted` (of a token) covers `needed` (of a route): the same, `*`, or `area:*`.
pub(crate) fn covers(granted: &[String], needed: &str) -> bool {
    granted.iter().any(|g| {
        g == "*"
            || g == needed
            || g.strip_suffix('*').is_some_and(|area| area.ends_with(':') && needed.starts_with(area))
    })
}

fn key(id: &str) -> String {
    format!("{PREFIX}{id}")
}

fn is_scope(scope: &str) -> bool {
    let body = scope.strip_suffix(":*").unwrap_or(scope);
    scope == "*"
        || (!body.is_empty()
            && scope.len() <= SCOPE_CHARS_MAX
            && body.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.:".contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_what_they_name() {
        let cases = [
            ("a:read", "a:read", true),
            ("a:read", "a:write", false),
            ("*", "a:write", true),
            ("a:*", "a:write", true),
            ("a:*", "ab:write", false),
            ("a*", "ab", false),
            ("a", "a:read", false),
        ];
        for (granted, needed, expected) in cases {
            assert_eq!(covers(&[granted.to_owned()], needed), expected, "{granted} {needed}");
        }
        assert!(!covers(&[], "a"));
    }

    #[test]
    fn scopes_are_checked() {
        for good in ["*", "a", "a:read", "a.b-c_d:1", "a:*"] {
            assert!(is_scope(good), "{good}");
        }
        for bad in ["", ":*x", "A", "a b", "**", "a*", &"a".repeat(65)] {
            assert!(!is_scope(bad), "{bad}");
        }
    }
}
