//! A client of a running host, as a merchant's tools are one: control API and plugins' routes over HTTP.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Why the demo cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The host answered with an error.
    #[error("{method} {path} answered {status}: {detail}")]
    Refused {
        /// Of the request.
        method: String,
        /// Of the request.
        path: String,
        /// Of the answer.
        status: u16,
        /// The problem's code, if it is one.
        code: String,
        /// What it says.
        detail: String,
    },
    /// The host cannot be reached.
    #[error("cannot talk to the host: {0}")]
    Network(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl DemoError {
    /// The problem's code, if the host answered with one.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Network(_) | Self::Other(_) => "",
        }
    }

    /// The status that the host answered with.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Network(_) | Self::Other(_) => None,
        }
    }
}

/// A host with the token to use.
#[derive(Clone)]
pub struct HostClient {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl std::fmt::Debug for HostClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostClient").field("base", &self.base).finish_non_exhaustive()
    }
}

impl HostClient {
    /// A client of the host at `base`.
    pub fn new(base: &str, token: &str) -> Result<Self, DemoError> {
        // Fails only when one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            // Shorter than the host waits for a head: no request is sent into a connection that it is closing.
            .pool_idle_timeout(Duration::from_secs(5))
            .timeout(TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| DemoError::Other(error.to_string()))?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token: token.to_owned() })
    }

    /// The same host with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Where the host is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `GET`, JSON.
    pub async fn get(&self, path: &str) -> Result<Value, DemoError> {
        self.send(Method::GET, path, None::<&Value>).await
    }

    /// `POST`, JSON.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, DemoError> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// `PUT`, JSON.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> Result<Value, DemoError> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// `PATCH`, JSON.
    pub async fn patch(&self, path: &str, body: &impl Serialize) -> Result<Value, DemoError> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// `GET`, text.
    pub async fn text(&self, path: &str) -> Result<String, DemoError> {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        let response = request.send().await.map_err(network)?;
        response.text().await.map_err(network)
    }

    /// `POST` of bytes.
    pub async fn upload(&self, path: &str, media_type: &str, bytes: Vec<u8>) -> Result<Value, DemoError> {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token);
        let response = request.header("content-type", media_type).body(bytes).send().await.map_err(network)?;
        read("POST", path, response).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Value, DemoError> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(network)?;
        read(method.as_str(), path, response).await
    }
}

async fn read(method: &str, path: &str, response: reqwest::Response) -> Result<Value, DemoError> {
    let status = response.status();
    let bytes = response.bytes().await.map_err(network)?;
    if status.is_success() {
        if bytes.is_empty() || status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        return serde_json::from_slice(&bytes).map_err(|error| DemoError::Other(format!("{method} {path}: {error}")));
    }
    let problem: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let text = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
    Err(DemoError::Refused {
        method: method.to_owned(),
        path: path.to_owned(),
        status: status.as_u16(),
        code: text("code").unwrap_or_default(),
        detail: text("detail").unwrap_or_else(|| String::from_utf8_lossy(&bytes).chars().take(300).collect()),
    })
}

fn network(error: reqwest::Error) -> DemoError {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        why = inner.to_string();
        source = inner.source();
    }
    DemoError::Network(why)
}
