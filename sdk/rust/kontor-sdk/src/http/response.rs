//! What handlers return.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::StatusCode;
use crate::bindings::kontor::host::handler_types as wire;
use crate::error::Error;

/// A response: status, headers, body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status. 400 and above roll back.
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    /// Raw.
    pub body: Vec<u8>,
}

impl Response {
    /// A response of this status and content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body: body.into() }
    }

    /// The same with a header more.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status: status.as_u16(), ..self }
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn into_wire(self) -> wire::HttpResponse {
        wire::HttpResponse {
            status: self.status,
            headers: self.headers.into_iter().map(|(name, value)| wire::Header { name, value }).collect(),
            body: self.body,
        }
    }
}

/// A type that a handler can return.
pub trait IntoResponse {
    /// The response.
    fn into_response(self) -> Response;
}

/// JSON, as an extractor and as a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// An HTML page. With maud: `Html(markup.into_string())`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Html<T>(pub T);

/// Text of another type than plain: `Text("text/css; charset=utf-8", STYLE)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<T>(pub &'static str, pub T);

/// 204.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoContent;

/// A redirect. Put the request's base path before paths of this plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    status: u16,
    location: String,
}

impl Redirect {
    /// 303: go there with `GET`. What follows a successful form.
    pub fn see_other(location: impl Into<String>) -> Self {
        Self { status: 303, location: location.into() }
    }

    /// 307: the same request, there, this time.
    pub fn temporary(location: impl Into<String>) -> Self {
        Self { status: 307, location: location.into() }
    }

    /// 308: the same request, there, always.
    pub fn permanent(location: impl Into<String>) -> Self {
        Self { status: 308, location: location.into() }
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        NoContent.into_response()
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        Response { status: 204, headers: Vec::new(), body: Vec::new() }
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        Response { status: self.as_u16(), headers: Vec::new(), body: Vec::new() }
    }
}

impl IntoResponse for &str {
    fn into_response(self) -> Response {
        Response::new(200, "text/plain; charset=utf-8", self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::new(200, "text/plain; charset=utf-8", self)
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::new(200, "application/octet-stream", self)
    }
}

impl<T: Into<Vec<u8>>> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        Response::new(200, "text/html; charset=utf-8", self.0)
    }
}

impl<T: Into<Vec<u8>>> IntoResponse for Text<T> {
    fn into_response(self) -> Response {
        Response::new(200, self.0, self.1)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => Response::new(200, "application/json", body),
            Err(error) => Error::internal(format!("The answer cannot be JSON: {error}.")).into_response(),
        }
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        Response { status: self.status, headers: vec![("location".to_owned(), self.location)], body: Vec::new() }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let response = Response::new(self.status(), "application/problem+json", self.to_problem().to_string());
        match self.retry_after_ms() {
            Some(delay_ms) => response.with_header("retry-after", delay_ms.div_ceil(1_000).to_string()),
            None => response,
        }
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        self.1.into_response().with_status(self.0)
    }
}

impl<N: AsRef<str>, V: Into<String>, T: IntoResponse, const LENGTH: usize> IntoResponse for ([(N, V); LENGTH], T) {
    fn into_response(self) -> Response {
        self.0.into_iter().fold(self.1.into_response(), |response, (name, value)| {
            let name = name.as_ref().to_ascii_lowercase();
            // A cookie is added to others; anything else replaces what the inner response said.
            let mut response = response;
            if name != "set-cookie" {
                response.headers.retain(|(known, _)| *known != name);
            }
            response.with_header(&name, value)
        })
    }
}

impl<N: AsRef<str>, V: Into<String>, T: IntoResponse, const LENGTH: usize> IntoResponse
    for (StatusCode, [(N, V); LENGTH], T)
{
    fn into_response(self) -> Response {
        (self.1, self.2).into_response().with_status(self.0)
    }
}

/// A cookie to set: `([("set-cookie", Cookie::new("cart", &id).path(&base).max_age(month).to_string())], page)`. Not readable by
/// scripts and not sent along by other sites' forms, unless it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    value: String,
    path: String,
    max_age_s: Option<u64>,
    secure: bool,
}

impl Cookie {
    /// A cookie for the session. The value should be of letters, digits and `-._~`; anything else is percent-encoded.
    pub fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: crate::params::encoded(value),
            path: "/".to_owned(),
            max_age_s: None,
            secure: false,
        }
    }

    /// A cookie that takes back the one of this name.
    pub fn removal(name: &str) -> Self {
        Self::new(name, "").max_age(Duration::ZERO)
    }

    /// Only for paths below this one.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        self
    }

    /// How long it lives.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age_s = Some(age.as_secs());
        self
    }

    /// Only over HTTPS.
    #[must_use]
    pub fn secure(mut self) -> Self {
        self.secure = true;
        self
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}; Path={}; HttpOnly; SameSite=Lax", self.name, self.value, self.path)?;
        if let Some(seconds) = self.max_age_s {
            write!(f, "; Max-Age={seconds}")?;
        }
        if self.secure {
            f.write_str("; Secure")?;
        }
        Ok(())
    }
}
