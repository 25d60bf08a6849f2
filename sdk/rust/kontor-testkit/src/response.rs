//! A plugin's answer, with what tests ask of it.

use kontor_core::executor::HttpResponse;
use serde::de::DeserializeOwned;

/// A plugin's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status. When the machine answers instead of the plugin (a guest was stopped: 500 `plugin-stopped`), the status and code of its error.
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    /// Raw.
    pub body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(said: HttpResponse) -> Self {
        Self { status: said.status, headers: said.headers, body: said.body }
    }

    /// The answer, for more; panics with all of it unless its status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the plugin answered {}: {}", self.status, self.text());
        self
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as a `T`.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the answer does not fit: {error}: {}", self.text()))
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The `code` of a problem document; empty if it is none.
    pub fn problem_code(&self) -> String {
        serde_json::from_slice::<serde_json::Value>(&self.body)
            .ok()
            .and_then(|problem| problem.get("code").and_then(|code| code.as_str()).map(str::to_owned))
            .unwrap_or_default()
    }
}
