//! Requests to other servers: what is checked before one goes out. Budgets, journal and the exchange itself are
//! [`super::Outside`]'s.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use url::Url;

use super::{Exchange, ExchangeError, Outside, Transaction};
use crate::effects::{OutboundContext, OutboundError, OutboundRequest, OutboundResponse};
use crate::limits::{OUTBOUND_REQUEST_BODY_BYTES_MAX, OUTBOUND_REQUESTS_MAX, OUTBOUND_TIMEOUT_MS_MAX};
use crate::revision::matches_host;

/// Methods that may go out.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
/// Headers of one request, and bytes of them: more is no request that a server accepts.
const HEADERS_MAX: usize = 100;
const HEADER_BYTES_MAX: usize = 32 * 1024;

impl Transaction {
    /// Grant, budget, journal, then the exchange. Replays what the journal has.
    pub async fn fetch(&mut self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        let (outside, exchange) = self.prepare(request)?;
        match outside.exchange(self.installed(), exchange).await {
            Ok(response) => Ok(response),
            Err(ExchangeError::Outbound(error)) => Err(error),
            Err(ExchangeError::Store(error)) => {
                // Whatever the guest makes of it: this execution is not believed.
                self.broken.get_or_insert_with(|| error.clone());
                let message = format!("the exchange could not be recorded: {error}");
                Err(OutboundError::Network(message))
            }
        }
    }

    /// Everything that can be checked before anything goes out.
    fn prepare(&mut self, request: OutboundRequest) -> Result<(Arc<dyn Outside>, Exchange), OutboundError> {
        let Some(outside) = self.outside.clone() else {
            return Err(OutboundError::Denied(
                "this invocation may not reach other servers; only jobs and routes that declare `outbound` may"
                    .to_owned(),
            ));
        };
        let (request, url) = check_request(request)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let (mut granted, mut allow_http, mut allow_private) = (false, false, false);
        for grant in &self.installed().grants.outbound {
            if matches_host(&grant.host, &host) {
                granted = true;
                allow_http |= grant.allow_http;
                allow_private |= grant.allow_private;
            }
        }
        if !granted {
            let message = format!("host `{host}` is not granted to plugin `{}`", self.plugin());
            return Err(OutboundError::Denied(message));
        }
        if url.scheme() == "http" && !allow_http {
            let message = format!("plain http to `{host}` is not granted; use https");
            return Err(OutboundError::Denied(message));
        }
        let secrets = self.secrets_in(&request)?;
        if self.fetch_ordinal >= OUTBOUND_REQUESTS_MAX {
            let message = format!("limit reached: outbound requests ({OUTBOUND_REQUESTS_MAX})");
            return Err(OutboundError::Denied(message));
        }
        let ordinal = self.fetch_ordinal;
        self.fetch_ordinal += 1;
        let digest = digest(&request);
        let context = OutboundContext {
            merchant: self.merchant.clone(),
            plugin: self.plugin().clone(),
            invocation: self.invocation.clone(),
            allow_http,
            allow_private,
            idempotency_key: self.idempotency_key(ordinal, &digest),
            secrets,
        };
        let path = url.path().to_owned();
        let exchange = Exchange { context, request, ordinal, digest, host, path };
        Ok((outside, exchange))
    }

    /// Stable over executions, attempts and crashes, as long as the request is the same.
    fn idempotency_key(&self, ordinal: u32, digest: &str) -> String {
        let mut hash = Sha256::new();
        for part in [self.merchant.as_str(), self.invocation.as_str(), digest] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(ordinal.to_be_bytes());
        let mut key = hex::encode(hash.finalize());
        key.truncate(32);
        key
    }

    /// The secrets that the request names as `{secret:NAME}`.
    fn secrets_in(&self, request: &OutboundRequest) -> Result<Vec<(String, String)>, OutboundError> {
        let mut names = BTreeSet::new();
        for (_, value) in &request.headers {
            names.extend(placeholders(value));
        }
        let form = request.headers.iter().any(|(name, value)| {
            name == "content-type" && value.trim_start().starts_with("application/x-www-form-urlencoded")
        });
        let body = if form { String::from_utf8_lossy(&request.body).into_owned() } else { String::new() };
        names.extend(placeholders(&body));
        names
            .into_iter()
            .map(|name| match self.secret(&name) {
                Ok(Some(value)) => Ok((name, value.as_ref().to_owned())),
                Ok(None) => Err(OutboundError::Invalid(format!("secret `{name}` is not set; set it and try again"))),
                Err(error) => Err(OutboundError::Invalid(error.to_string())),
            })
            .collect()
    }
}

fn placeholders(text: &str) -> Vec<String> {
    text.split("{secret:").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned()).collect()
}

fn check_request(mut request: OutboundRequest) -> Result<(OutboundRequest, Url), OutboundError> {
    let invalid = |message: String| Err(OutboundError::Invalid(message));
    if !METHODS.contains(&request.method.as_str()) {
        let shown: String = request.method.chars().take(20).collect();
        return invalid(format!("method `{shown}` is not one of {}", METHODS.join(", ")));
    }
    if request.body.len() > OUTBOUND_REQUEST_BODY_BYTES_MAX {
        return invalid(format!(
            "a body of {} bytes is larger than {OUTBOUND_REQUEST_BODY_BYTES_MAX}",
            request.body.len()
        ));
    }
    if request.timeout_ms == 0 || request.timeout_ms > OUTBOUND_TIMEOUT_MS_MAX {
        return invalid(format!("a time-out is 1 to {OUTBOUND_TIMEOUT_MS_MAX} ms, not {}", request.timeout_ms));
    }
    let bytes: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if request.headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return invalid(format!("at most {HEADERS_MAX} headers of {HEADER_BYTES_MAX} bytes together"));
    }
    for (name, value) in &mut request.headers {
        name.make_ascii_lowercase();
        let legal =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !legal || value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
            let shown: String = name.chars().take(60).collect();
            return invalid(format!("header `{shown}` has characters that headers cannot have"));
        }
    }
    let url = match Url::parse(&request.url) {
        Ok(url) => url,
        Err(error) => return invalid(format!("the URL is malformed: {error}")),
    };
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return invalid("the URL must be absolute, with https and a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("the URL must not carry a user name or password; use a header with {secret:NAME}".to_owned());
    }
    Ok((request, url))
}

/// Of everything that the guest chose. Secrets are digested as placeholders: their values are nobody's business here.
fn digest(request: &OutboundRequest) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(request.method.as_bytes());
    part(request.url.as_bytes());
    for (name, value) in &request.headers {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    part(&request.body);
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> OutboundRequest {
        OutboundRequest {
            method: "GET".into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 1000,
        }
    }

    #[test]
    fn urls_that_are_refused() {
        for url in
            ["", "/relative", "ftp://a.example/x", "https://user:word@a.example/", "https://", "data:text/plain,x"]
        {
            assert!(matches!(check_request(request(url)), Err(OutboundError::Invalid(_))), "{url}");
        }
        assert!(check_request(request("https://a.example/x?y")).is_ok());
    }

    #[test]
    fn headers_cannot_be_smuggled() {
        for (name, value) in [("a b", "x"), ("a", "x\r\nb: y"), ("", "x"), ("a:", "x"), ("a", "\u{0}")] {
            let mut bad = request("https://a.example/");
            bad.headers.push((name.into(), value.into()));
            assert!(matches!(check_request(bad), Err(OutboundError::Invalid(_))), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn placeholders_are_found() {
        assert_eq!(placeholders("Bearer {secret:token} {secret:b} {secret:open"), ["token", "b"]);
    }
}
