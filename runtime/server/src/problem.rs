//! Errors as clients see them: `application/problem+json` (RFC 9457) with a stable code. One enum says code, status and title.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:ident, $title:literal;)*) => {
        /// What went wrong, as a stable name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// All of them, for the reference.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The stable name.
            pub fn as_str(self) -> &'static str { match self { $(Code::$variant => $text,)* } }
            /// The HTTP status.
            pub fn status(self) -> StatusCode { match self { $(Code::$variant => StatusCode::$status,)* } }
            /// One sentence for people.
            pub fn title(self) -> &'static str { match self { $(Code::$variant => $title,)* } }
        }
    };
}

codes! {
    /// Malformed request.
    InvalidRequest = "invalid-request", BAD_REQUEST, "The request is malformed.";
    /// No such thing.
    NotFound = "not-found", NOT_FOUND, "There is nothing at this address.";
    /// The address exists, the method does not.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "This address does not answer to this method.";
    /// No or wrong credentials.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "This needs a valid token.";
    /// Valid credentials that lack a scope.
    MissingScope = "missing-scope", FORBIDDEN, "The token does not carry the scope that this needs.";
    /// The request seems to come from another site.
    CrossSite = "cross-site-request", FORBIDDEN, "The request was sent from another site.";
    /// Customers cannot sign in yet.
    CustomerSignInMissing = "customer-sign-in-unavailable", UNAUTHORIZED, "Customers cannot sign in here.";
    /// Body too large.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "The request body is too large.";
    /// Body too slow.
    BodyTimeout = "body-timeout", REQUEST_TIMEOUT, "The request body did not arrive in time.";
    /// Wrong content type.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The request body is of a type that is not understood here.";
    /// Too many at once.
    Saturated = "saturated", SERVICE_UNAVAILABLE, "The host is busy.";
    /// Starting, stopping, or the store does not serve.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The host cannot serve this now.";
    /// The invocation took too long.
    InvocationTimeout = "invocation-timeout", GATEWAY_TIMEOUT, "The plugin did not answer in time.";
    /// The plugin was stopped.
    PluginStopped = "plugin-stopped", INTERNAL_SERVER_ERROR, "The plugin was stopped.";
    /// The plugin reported a failure.
    PluginFailed = "plugin-failed", BAD_GATEWAY, "The plugin failed.";
    /// The plugin's answer is no HTTP.
    PluginResponseInvalid = "plugin-response-invalid", BAD_GATEWAY, "The plugin gave an answer that cannot be sent.";
    /// A bug or fault of the host.
    Internal = "internal", INTERNAL_SERVER_ERROR, "The host made a mistake.";
    /// The same idempotency key for another request.
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "The idempotency key was used for another request.";
    /// Carried out, but the answer is gone.
    IdempotencyResponseLost = "idempotency-response-lost", CONFLICT, "The request was carried out already.";
    /// Not a valid packed plugin.
    PackageInvalid = "package-invalid", UNPROCESSABLE_ENTITY, "The file is not a valid plugin package.";
    /// No signature, or one that counts only in dev mode.
    PackageUnsigned = "package-unsigned", FORBIDDEN, "The plugin package is not signed by a publisher.";
    /// The code cannot be run by this host.
    PluginRefused = "plugin-refused", UNPROCESSABLE_ENTITY, "The plugin cannot be run by this host.";
    /// The configuration does not fit its schema.
    ConfigInvalid = "config-invalid", UNPROCESSABLE_ENTITY, "The configuration does not fit the plugin's schema.";
    /// A grant that the plugin did not ask for.
    GrantNotAsked = "grant-not-asked", UNPROCESSABLE_ENTITY, "The plugin does not ask for what was granted.";
    /// A service that nobody provides.
    ServiceMissing = "service-missing", CONFLICT, "A service that a plugin requires has no provider.";
    /// Two plugins provide one service.
    ServiceAmbiguous = "service-ambiguous", CONFLICT, "Two plugins provide the same service.";
    /// Others need it.
    StillRequired = "still-required", CONFLICT, "Other plugins require services of this plugin.";
    /// The version is not higher.
    NotAnUpgrade = "not-an-upgrade", CONFLICT, "This version is not higher than the installed one.";
    /// Exists already.
    AlreadyExists = "already-exists", CONFLICT, "This exists already.";
    /// Somebody else changed it meanwhile.
    Conflict = "conflict", CONFLICT, "This was changed meanwhile.";
    /// The set of plugins does not fit together.
    RevisionInvalid = "revision-invalid", UNPROCESSABLE_ENTITY, "This set of plugins does not fit together.";
    /// The migration of a plugin failed.
    MigrationFailed = "migration-failed", UNPROCESSABLE_ENTITY, "A plugin could not bring its data to the new version.";
    /// Too many of something.
    LimitReached = "limit-reached", UNPROCESSABLE_ENTITY, "A limit of the host was reached.";
}

/// An error response.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    members: serde_json::Map<String, serde_json::Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The media type of problems.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

impl Problem {
    /// A problem; `detail` says what happened here, where, and what to do.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), members: serde_json::Map::new(), headers: Vec::new() }
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header. A value that cannot be a header is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// 400.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// 401 with the challenge that RFC 6750 asks for.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, detail).header(WWW_AUTHENTICATE, "Bearer realm=\"kontor\"")
    }

    /// 405 with `Allow`.
    pub fn method_not_allowed(method: &str, allowed: &[String]) -> Self {
        let allowed = allowed.join(", ");
        Self::new(Code::MethodNotAllowed, format!("{method} is not allowed here; use {allowed}."))
            .header(ALLOW, &allowed)
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(code: Code, detail: impl Into<String>, retry_after_seconds: u64) -> Self {
        Self::new(code, detail).header(RETRY_AFTER, &retry_after_seconds.to_string())
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What happened here.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The same as a small page for a person.
    pub fn into_page(self) -> Response {
        let body = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title}</title><body style=\"font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem\">\
             <h1 style=\"font-size:1.4rem\">{title}</h1><p>{detail}</p><p style=\"color:#666\">{status} {code}</p></body></html>",
            title = escape(self.code.title()),
            detail = escape(&self.detail),
            status = self.code.status().as_u16(),
            code = self.code.as_str(),
        );
        let mut response = Response::new(Body::from(body));
        self.finish(&mut response, HeaderValue::from_static("text/html; charset=utf-8"));
        response
    }

    fn finish(self, response: &mut Response, content_type: HeaderValue) {
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response.extensions_mut().insert(self.code);
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let mut body = serde_json::json!({
            "type": format!("urn:kontor:problem:{}", self.code.as_str()),
            "code": self.code.as_str(),
            "title": self.code.title(),
            "status": self.code.status().as_u16(),
            "detail": self.detail,
        });
        if let Some(object) = body.as_object_mut() {
            object.append(&mut self.members);
        }
        let mut response = Response::new(Body::from(body.to_string()));
        self.finish(&mut response, PROBLEM_JSON);
        response
    }
}

/// Text made safe for HTML content and quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_plain() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code:?}");
            assert!(code.status().as_u16() >= 400);
            assert!(code.title().ends_with('.'));
        }
    }

    #[test]
    fn html_is_escaped() {
        assert_eq!(escape("<a href='x'>&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;");
    }
}
