//! A client of the control API and of plugins' routes: JSON in, JSON out, problems as [`Failure`]s.

use std::time::Duration;

use kontor_server::api::ProblemBody;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Failure, Result};

/// Longer than any invocation may take.
const TIMEOUT: Duration = Duration::from_secs(180);

#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    pub(crate) fn new(base: &str, token: &str) -> Result<Self> {
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("kontor/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Failure::new("http-client", format!("cannot make an HTTP client: {error}")))?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token: token.to_owned() })
    }

    /// The same host, with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.json(self.request(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, path)).await.map(|_| ())
    }

    /// Uploads bytes.
    pub(crate) async fn upload<T: DeserializeOwned>(&self, path: &str, media_type: &str, bytes: Vec<u8>) -> Result<T> {
        self.json(self.request(Method::POST, path).header("content-type", media_type).body(bytes)).await
    }

    /// Whether a host answers there.
    pub(crate) async fn answers(&self) -> bool {
        self.send(self.request(Method::GET, "/healthz")).await.is_ok()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = self.send(request).await?;
        let url = response.url().path().to_owned();
        let bytes = response.bytes().await.map_err(|error| network(&self.base, &error))?;
        let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(bytes).map_err(|error| {
            Failure::new("unexpected-answer", format!("{}{url} answered something unexpected: {error}", self.base))
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| network(&self.base, &error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, path) = (response.status(), response.url().path().to_owned());
        let bytes = response.bytes().await.unwrap_or_default();
        Err(problem(status, &path, &bytes))
    }
}

fn network(base: &str, error: &reqwest::Error) -> Failure {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        why = inner.to_string();
        source = inner.source();
    }
    Failure::new("network", format!("cannot talk to the host at {base}: {why}. Is it running?"))
}

fn problem(status: StatusCode, path: &str, bytes: &[u8]) -> Failure {
    if let Ok(body) = serde_json::from_slice::<ProblemBody>(bytes) {
        let places = body
            .errors
            .iter()
            .map(|error| format!("{}: {}", if error.pointer.is_empty() { "/" } else { &error.pointer }, error.message));
        return Failure::new(&body.code, body.detail).with_details(places);
    }
    // A problem of a plugin may carry members of its own.
    if let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(bytes)
        && let (Some(code), Some(detail)) =
            (members.get("code").and_then(Value::as_str), members.get("detail").and_then(Value::as_str))
    {
        return Failure::new(code, detail);
    }
    let text: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
    Failure::new("http", format!("{path} answered {status}: {text}"))
}
