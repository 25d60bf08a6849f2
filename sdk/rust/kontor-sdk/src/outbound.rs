//! Requests to other servers: hosts that `plugin.toml` asks for and the merchant granted, in jobs and in routes that say
//! `outbound = true`. The host adds an idempotency key that is stable across retries, and never repeats an exchange when it
//! executes an invocation again.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::kontor::host::outbound;
use crate::error::{Error, Result};
use crate::params;
use crate::plugin::HandlerError;

/// A request being described: `outbound::get(url).header("accept", "application/json").send()?`.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent without `send`"]
pub struct Request {
    inner: outbound::Request,
    invalid: Option<String>,
}

/// What the server answered, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    /// Raw.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// Host not granted, private address, or this invocation may not fetch.
    Denied(String),
    /// The request is malformed or too large.
    Invalid(String),
    /// The rate budget is used up; worth trying after so many milliseconds.
    RateLimited(u64),
    /// No answer in time. The server may or may not have acted.
    Timeout(String),
    /// The connection failed, or the response was malformed or too large.
    Network(String),
    /// Something newer than this SDK.
    Other(String),
}

/// A `GET`.
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// A `POST`.
pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

/// A `PUT`.
pub fn put(url: impl Into<String>) -> Request {
    Request::new("PUT", url)
}

/// A `PATCH`.
pub fn patch(url: impl Into<String>) -> Request {
    Request::new("PATCH", url)
}

/// A `DELETE`.
pub fn delete(url: impl Into<String>) -> Request {
    Request::new("DELETE", url)
}

impl Request {
    /// A request with any method that the contract allows.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self {
            inner: outbound::Request {
                method: method.to_owned(),
                url: url.into(),
                headers: Vec::new(),
                body: Vec::new(),
                timeout_ms: 10_000,
            },
            invalid: None,
        }
    }

    /// Adds a header. `{secret:NAME}` in the value is filled in by the host.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.inner.headers.push(outbound::Header { name: name.to_ascii_lowercase(), value: value.into() });
        self
    }

    /// Adds a query parameter, percent-encoded.
    pub fn query(mut self, name: &str, value: impl fmt::Display) -> Self {
        let separator = if self.inner.url.contains('?') { '&' } else { '?' };
        self.inner.url.push(separator);
        params::percent_encode(name, &mut self.inner.url);
        self.inner.url.push('=');
        params::percent_encode(&value.to_string(), &mut self.inner.url);
        self
    }

    /// A JSON body.
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body("application/json", bytes),
            Err(error) => Self { invalid: Some(format!("the body cannot be JSON: {error}")), ..self },
        }
    }

    /// A form body. `{secret:NAME}` as a whole value is filled in by the host.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        for (name, value) in fields {
            if !text.is_empty() {
                text.push('&');
            }
            params::percent_encode(name, &mut text);
            text.push('=');
            if value.starts_with("{secret:") && value.ends_with('}') {
                text.push_str(value);
            } else {
                params::percent_encode(value, &mut text);
            }
        }
        self.body("application/x-www-form-urlencoded", text.into_bytes())
    }

    /// A body of any type.
    pub fn body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.inner.body = body;
        self.header("content-type", content_type)
    }

    /// How long the whole exchange may take: 1 ms to 30 s; 10 s without this.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.inner.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).clamp(1, 30_000);
        self
    }

    /// Sends it and waits.
    pub fn send(self) -> Result<Response, FetchError> {
        if let Some(text) = self.invalid {
            return Err(FetchError::Invalid(text));
        }
        let response = outbound::fetch(&self.inner)?;
        Ok(Response {
            status: response.status,
            headers: response.headers.into_iter().map(|header| (header.name, header.value)).collect(),
            body: response.body,
        })
    }
}

impl Response {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::bad_gateway(format!(
                "The other server's answer (status {}) is not the JSON that was expected: {error}.",
                self.status
            ))
        })
    }

    /// The body as text, for people: at most the first 500 characters, invalid bytes replaced.
    pub fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(500).collect()
    }

    /// `retry-after` in seconds, as milliseconds.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.header("retry-after")?.trim().parse::<u64>().ok()?.checked_mul(1_000)
    }

    /// The response if it is a success; otherwise the error that fits: 429 and 503 with `retry-after`, other 5xx to be tried again
    /// (502), 4xx as 422 with the code `refused-by-server`.
    pub fn error_for_status(self) -> Result<Self> {
        if self.is_success() {
            return Ok(self);
        }
        let detail = format!("The other server answered {}: {}", self.status, self.excerpt());
        Err(match (self.status, self.retry_after_ms()) {
            (429 | 503, Some(delay_ms)) => Error::unavailable(detail).with_retry_after_ms(delay_ms),
            (429 | 503, None) => Error::unavailable(detail),
            (500.., _) => Error::bad_gateway(detail),
            _ => Error::invalid(detail).with_code("refused-by-server"),
        })
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) => write!(f, "the request was denied: {text}"),
            Self::Invalid(text) => write!(f, "the request is malformed: {text}"),
            Self::RateLimited(delay_ms) => write!(f, "the rate budget is used up; try again in {delay_ms} ms"),
            Self::Timeout(text) => write!(f, "no answer in time: {text}"),
            Self::Network(text) => write!(f, "the connection failed: {text}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for FetchError {}

impl From<outbound::FetchError> for FetchError {
    fn from(error: outbound::FetchError) -> Self {
        use outbound::FetchError as E;
        match error {
            E::Denied(text) => Self::Denied(text),
            E::Invalid(text) => Self::Invalid(text),
            E::RateLimited(delay_ms) => Self::RateLimited(delay_ms),
            E::Timeout(text) => Self::Timeout(text),
            E::Network(text) => Self::Network(text),
            E::Other(text) => Self::Other(text),
        }
    }
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        let text = format!("Another server could not be reached: {error}.");
        match error {
            FetchError::RateLimited(delay_ms) => {
                Self::unavailable(text).with_code("rate-limited").with_retry_after_ms(delay_ms)
            }
            FetchError::Timeout(_) | FetchError::Network(_) => Self::bad_gateway(text),
            FetchError::Denied(_) => Self::internal(text).with_code("outbound-denied"),
            FetchError::Invalid(_) | FetchError::Other(_) => Self::internal(text).with_code("outbound-invalid"),
        }
    }
}

impl From<FetchError> for HandlerError {
    fn from(error: FetchError) -> Self {
        Error::from(error).into()
    }
}
