//! Requests of plugins to other servers. The machine has checked the grant for the host; here the request leaves the process:
//! secrets are filled in, private addresses refused, redirects not followed, time and size bounded. Secrets are never logged.

mod address;
mod resolver;
mod secrets;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kontor_core::effects::{Outbound, OutboundContext, OutboundError, OutboundRequest, OutboundResponse};
use kontor_core::limits::{OUTBOUND_REQUEST_BODY_BYTES_MAX, OUTBOUND_RESPONSE_BODY_BYTES_MAX, OUTBOUND_TIMEOUT_MS_MAX};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument as _;
use url::{Host, Url};

use crate::telemetry::trace_context;
use resolver::{PrivateOnly, PublicResolver};
use secrets::{Writing, fill};

const USER_AGENT: &str = concat!("kontor/", env!("CARGO_PKG_VERSION"));
const FORM: &str = "application/x-www-form-urlencoded";
/// Headers that are the host's business.
const OWN_HEADERS: [&str; 12] = [
    "host",
    "content-length",
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "idempotency-key",
    "traceparent",
];

/// Real HTTP, by reqwest and rustls.
#[derive(Clone, Debug)]
pub struct HttpOutbound {
    public: reqwest::Client,
    private: reqwest::Client,
}

/// Why the client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for plugins cannot be set up: {0}")]
pub struct OutboundSetupError(#[from] reqwest::Error);

impl HttpOutbound {
    /// The clients: one that resolves names to public addresses only, and one for hosts whose grant allows private addresses.
    pub fn new() -> Result<Self, OutboundSetupError> {
        crate::telemetry::install_crypto_provider();
        let builder = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .user_agent(USER_AGENT)
                .connect_timeout(Duration::from_secs(10))
                .pool_idle_timeout(Duration::from_secs(60))
                .pool_max_idle_per_host(32)
        };
        let public = || builder().dns_resolver(Arc::new(PublicResolver));
        match (public().build(), builder().build()) {
            (Ok(public), Ok(private)) => Ok(Self { public, private }),
            (Err(error), _) | (_, Err(error)) => {
                // Without root certificates (a bare container) the host still starts: plugins that reach no other server need
                // none. Every `https` request then fails by name.
                tracing::warn!(%error, "no root certificates were found, so plugins reach no https server; install ca-certificates");
                Ok(Self {
                    public: public().tls_backend_preconfigured(without_roots()).build()?,
                    private: builder().tls_backend_preconfigured(without_roots()).build()?,
                })
            }
        }
    }

    async fn exchange(
        &self,
        context: &OutboundContext,
        request: OutboundRequest,
    ) -> Result<OutboundResponse, OutboundError> {
        let url = checked_url(context, &request.url)?;
        let method = checked_method(&request.method)?;
        if request.body.len() > OUTBOUND_REQUEST_BODY_BYTES_MAX {
            return Err(OutboundError::Invalid(format!(
                "the body has {} bytes; at most {OUTBOUND_REQUEST_BODY_BYTES_MAX} are allowed",
                request.body.len()
            )));
        }
        let timeout_ms = request.timeout_ms.clamp(1, OUTBOUND_TIMEOUT_MS_MAX);
        let headers = filled_headers(context, &request.headers)?;
        let body = filled_body(context, &headers, request.body)?;
        let client = if context.allow_private { &self.private } else { &self.public };
        let exchange = async {
            let sent = client.request(method, url).headers(headers).body(body).send().await;
            read_response(sent.map_err(|e| transport_error(&e))?).await
        };
        match tokio::time::timeout(Duration::from_millis(u64::from(timeout_ms)), exchange).await {
            Ok(result) => result,
            Err(_) => Err(OutboundError::Timeout(format!("no complete answer within {timeout_ms} ms"))),
        }
    }
}

impl Outbound for HttpOutbound {
    fn fetch(
        &self,
        context: OutboundContext,
        request: OutboundRequest,
    ) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>> {
        let host = Url::parse(&request.url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
        let span = tracing::info_span!(
            "outbound", merchant = %context.merchant, plugin = %context.plugin, method = %request.method, host = %host,
            status = tracing::field::Empty, outcome = tracing::field::Empty,
        );
        let record = span.clone();
        Box::pin(
            async move {
                let result = self.exchange(&context, request).await;
                match &result {
                    Ok(response) => record.record("status", response.status),
                    Err(error) => record.record("outcome", outcome(error)),
                };
                let label = result.as_ref().map_or_else(outcome, |_| "answered");
                metrics::counter!("kontor_outbound_requests_total", "merchant" => context.merchant.to_string(),
                    "plugin" => context.plugin.to_string(), "outcome" => label)
                .increment(1);
                result
            }
            .instrument(span),
        )
    }
}

fn without_roots() -> rustls::ClientConfig {
    rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

fn outcome(error: &OutboundError) -> &'static str {
    match error {
        OutboundError::Denied(_) => "denied",
        OutboundError::Invalid(_) => "invalid",
        OutboundError::RateLimited(_) => "rate-limited",
        OutboundError::Timeout(_) => "timeout",
        OutboundError::Network(_) => "network",
    }
}

fn checked_method(method: &str) -> Result<reqwest::Method, OutboundError> {
    match method {
        "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" => {
            reqwest::Method::from_bytes(method.as_bytes()).map_err(|e| OutboundError::Invalid(e.to_string()))
        }
        other => Err(OutboundError::Invalid(format!(
            "the method `{}` is not supported; use GET, POST, PUT, PATCH, DELETE or HEAD",
            other.chars().take(16).collect::<String>()
        ))),
    }
}

fn checked_url(context: &OutboundContext, text: &str) -> Result<Url, OutboundError> {
    let url = Url::parse(text).map_err(|e| OutboundError::Invalid(format!("the URL is malformed: {e}")))?;
    match url.scheme() {
        "https" => {}
        "http" if context.allow_http => {}
        "http" => return Err(OutboundError::Denied("plain http was not granted for this host; use https".to_owned())),
        other => return Err(OutboundError::Invalid(format!("the scheme `{other}` is not supported; use https"))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(OutboundError::Invalid("the URL carries credentials; send them as a header".to_owned()));
    }
    // Names are checked where they are resolved; literals never reach the resolver.
    let literal = match url.host() {
        Some(Host::Ipv4(v4)) => Some(v4.into()),
        Some(Host::Ipv6(v6)) => Some(v6.into()),
        Some(Host::Domain(_)) => None,
        None => return Err(OutboundError::Invalid("the URL has no host".to_owned())),
    };
    match literal {
        Some(address) if !context.allow_private && !address::is_public(address) => {
            Err(OutboundError::Denied(format!("{address} is a private address, which the merchant did not grant")))
        }
        _ => Ok(url),
    }
}

fn filled_headers(context: &OutboundContext, given: &[(String, String)]) -> Result<HeaderMap, OutboundError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        if OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            continue;
        }
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| OutboundError::Invalid(format!("`{}` is not a header name", name.escape_debug())))?;
        let filled = fill(value, &context.secrets, Writing::Plain)?;
        let mut filled = HeaderValue::from_str(&filled).map_err(|_| {
            OutboundError::Invalid(format!("the value of the header `{header}` holds control characters"))
        })?;
        filled.set_sensitive(value.contains("{secret:"));
        headers.append(header, filled);
    }
    let invalid = |_| OutboundError::Invalid("the idempotency key cannot be sent".to_owned());
    headers.insert("idempotency-key", HeaderValue::from_str(&context.idempotency_key).map_err(invalid)?);
    let trace = trace_context::outgoing(&context.idempotency_key);
    if let Ok(trace) = HeaderValue::from_str(&trace) {
        headers.insert("traceparent", trace);
    }
    Ok(headers)
}

fn filled_body(context: &OutboundContext, headers: &HeaderMap, body: Vec<u8>) -> Result<Vec<u8>, OutboundError> {
    let form = headers
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case(FORM)));
    if !form {
        return Ok(body);
    }
    match String::from_utf8(body) {
        Ok(text) => Ok(fill(&text, &context.secrets, Writing::Form)?.into_bytes()),
        Err(_) => Err(OutboundError::Invalid("a form body must be UTF-8".to_owned())),
    }
}

async fn read_response(mut response: reqwest::Response) -> Result<OutboundResponse, OutboundError> {
    let too_large =
        || OutboundError::Network(format!("the answer is larger than {OUTBOUND_RESPONSE_BODY_BYTES_MAX} bytes"));
    if response.content_length().is_some_and(|n| n > OUTBOUND_RESPONSE_BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| transport_error(&e))? {
        if body.len() + chunk.len() > OUTBOUND_RESPONSE_BODY_BYTES_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(OutboundResponse { status, headers, body })
}

/// The error without the URL (whose query may hold personal data), but with what caused it.
fn transport_error(error: &reqwest::Error) -> OutboundError {
    let mut text = String::new();
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(inner) = cause {
        if let Some(private) = inner.downcast_ref::<PrivateOnly>() {
            return OutboundError::Denied(private.to_string());
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    if error.is_timeout() {
        return OutboundError::Timeout(text);
    }
    if text.is_empty() {
        text = "the exchange failed".to_owned();
    }
    OutboundError::Network(text)
}
