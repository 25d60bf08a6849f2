//! The one error of the SDK: what a host call refused, and what a handler answers. Rendered as `application/problem+json`
//! (RFC 9457) by a route, and turned into [`HandlerError`](crate::HandlerError) by an event or job handler.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::bindings::kontor::host;

/// Result with the SDK's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with an HTTP status, a stable code for programs, and a sentence for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    status: u16,
    code: Cow<'static, str>,
    detail: String,
    retry_after_ms: Option<u64>,
    extensions: Map<String, Value>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal;)+) => {$(
        $(#[$doc])*
        pub fn $name(detail: impl fmt::Display) -> Self {
            Self::new($status, $code, detail)
        }
    )+};
}

impl Error {
    /// An error of your own: status 400 to 599, a code in kebab case that never changes, and one sentence that says what
    /// happened, where, and what to do.
    pub fn new(status: u16, code: impl Into<Cow<'static, str>>, detail: impl fmt::Display) -> Self {
        Self(Box::new(Inner {
            status: if (400..=599).contains(&status) { status } else { 500 },
            code: code.into(),
            detail: detail.to_string(),
            retry_after_ms: None,
            extensions: Map::new(),
        }))
    }

    kinds! {
        /// 400 `bad-request`: the request is malformed.
        bad_request = 400 "bad-request";
        /// 401 `unauthorized`: a signature or token is missing or wrong.
        unauthorized = 401 "unauthorized";
        /// 403 `forbidden`.
        forbidden = 403 "forbidden";
        /// 404 `not-found`.
        not_found = 404 "not-found";
        /// 409 `conflict`: the state of things does not allow it.
        conflict = 409 "conflict";
        /// 422 `invalid`: well formed, but breaks a rule.
        invalid = 422 "invalid";
        /// 500 `internal`: a fault of the plugin.
        internal = 500 "internal";
        /// 502 `bad-gateway`: another server failed or said something unexpected.
        bad_gateway = 502 "bad-gateway";
        /// 503 `unavailable`: try again later.
        unavailable = 503 "unavailable";
    }

    /// The same with another code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = code.into();
        self
    }

    /// The same with a member more in the problem document, such as the field that was wrong.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// The same, worth trying again after so many milliseconds.
    #[must_use]
    pub fn with_retry_after_ms(mut self, delay_ms: u64) -> Self {
        self.0.retry_after_ms = Some(delay_ms);
        self
    }

    /// HTTP status, 400 to 599.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Stable code.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The sentence for people.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// When it is worth trying again.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.0.retry_after_ms
    }

    /// The problem document (RFC 9457).
    pub fn to_problem(&self) -> Value {
        let mut problem = self.0.extensions.clone();
        problem.insert("type".into(), format!("urn:kontor:problem:{}", self.0.code).into());
        problem.insert("title".into(), title(self.0.status).into());
        problem.insert("status".into(), self.0.status.into());
        problem.insert("code".into(), self.0.code.clone().into_owned().into());
        problem.insert("detail".into(), self.0.detail.clone().into());
        Value::Object(problem)
    }
}

fn title(status: u16) -> &'static str {
    ::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.detail, self.0.code)
    }
}

impl std::error::Error for Error {}

impl From<host::store::StoreError> for Error {
    fn from(error: host::store::StoreError) -> Self {
        use host::store::StoreError as E;
        match error {
            E::Invalid(text) => Self::new(500, "store-invalid", text),
            E::Bound => Self::new(409, "counter-bound", "The counter would leave its bounds."),
            E::Limit(text) => Self::new(500, "store-limit", text),
            E::Unavailable(text) => Self::new(503, "store-unavailable", text),
            E::Other(text) => Self::new(500, "store", text),
        }
    }
}

impl From<host::events::EventError> for Error {
    fn from(error: host::events::EventError) -> Self {
        use host::events::EventError as E;
        match error {
            E::Invalid(text) => Self::new(500, "event-invalid", text),
            E::Limit(text) => Self::new(500, "event-limit", text),
            E::Other(text) => Self::new(500, "event", text),
        }
    }
}

impl From<host::jobs::JobError> for Error {
    fn from(error: host::jobs::JobError) -> Self {
        use host::jobs::JobError as E;
        match error {
            E::Invalid(text) => Self::new(500, "job-invalid", text),
            E::Limit(text) => Self::new(500, "job-limit", text),
            E::Other(text) => Self::new(500, "job", text),
        }
    }
}

impl From<host::secrets::SecretError> for Error {
    fn from(error: host::secrets::SecretError) -> Self {
        use host::secrets::SecretError as E;
        match error {
            E::Undeclared(text) => Self::new(500, "secret-undeclared", text),
            E::Unset(text) => Self::new(503, "secret-unset", text),
            E::Denied(text) => Self::new(500, "secret-denied", text),
            E::Other(text) => Self::new(500, "secret", text),
        }
    }
}
