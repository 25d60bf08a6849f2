//! Other servers, scripted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt};
use kontor_core::effects::{Outbound, OutboundContext, OutboundError, OutboundRequest, OutboundResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A request as the other server gets it: secrets are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Which plugin sent it.
    pub plugin: String,
    /// Upper case.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    /// Raw.
    pub body: Vec<u8>,
    /// What the host sends as `idempotency-key`.
    pub idempotency_key: String,
}

impl Recorded {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as a `T`.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body does not fit: {error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a scripted server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply(Result<OutboundResponse, OutboundError>);

impl Reply {
    /// JSON.
    pub fn json<T: Serialize>(status: u16, body: &T) -> Self {
        let body = serde_json::to_vec(body).expect("a scripted answer is JSON");
        Self::new(status, "application/json", body)
    }

    /// Any body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self(Ok(OutboundResponse { status, headers, body: body.into() }))
    }

    /// No answer in time.
    pub fn timeout() -> Self {
        Self(Err(OutboundError::Timeout("scripted".to_owned())))
    }

    /// A connection that fails.
    pub fn broken() -> Self {
        Self(Err(OutboundError::Network("scripted".to_owned())))
    }

    /// The same with a header more.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Ok(response) = &mut self.0 {
            response.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        self
    }
}

type Responder = Arc<dyn Fn(&Recorded) -> Reply + Send + Sync>;

struct Script {
    method: String,
    url: String,
    /// Once each, in order; then `always`.
    queue: VecDeque<Reply>,
    always: Option<Responder>,
}

#[derive(Default)]
struct State {
    scripts: Vec<Script>,
    requests: Vec<Recorded>,
}

#[derive(Default)]
pub(crate) struct Outside(Mutex<State>);

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

impl Outside {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn once(&self, method: &str, url: &str, reply: Reply) {
        self.script(method, url, |script| script.queue.push_back(reply));
    }

    pub(crate) fn always(&self, method: &str, url: &str, responder: Responder) {
        self.script(method, url, |script| script.always = Some(responder));
    }

    fn script(&self, method: &str, url: &str, change: impl FnOnce(&mut Script)) {
        let mut state = self.state();
        let known = state.scripts.iter().position(|script| script.method == method && script.url == url);
        if known.is_none() {
            state.scripts.push(Script {
                method: method.to_owned(),
                url: url.to_owned(),
                queue: VecDeque::new(),
                always: None,
            });
        }
        let position = known.unwrap_or(state.scripts.len() - 1);
        if let Some(script) = state.scripts.get_mut(position) {
            change(script);
        }
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    fn answer(&self, request: Recorded) -> Result<OutboundResponse, OutboundError> {
        let responder = {
            let mut state = self.state();
            state.requests.push(request.clone());
            let script = state
                .scripts
                .iter_mut()
                .filter(|script| script.method == "*" || script.method == request.method)
                .filter(|script| matches(&script.url, &request.url))
                .max_by_key(|script| script.url.len());
            match script {
                Some(script) => match (script.queue.pop_front(), &script.always) {
                    (Some(reply), _) => return reply.0,
                    (None, Some(responder)) => Some(responder.clone()),
                    (None, None) => None,
                },
                None => None,
            }
        };
        match responder {
            Some(responder) => responder(&request).0,
            None => {
                Err(OutboundError::Network(format!("the test scripts no answer to {} {}", request.method, request.url)))
            }
        }
    }
}

/// Without the query, unless the pattern has one; a trailing `*` stands for any rest.
fn matches(pattern: &str, url: &str) -> bool {
    let url = if pattern.contains('?') { url } else { url.split('?').next().unwrap_or(url) };
    match pattern.strip_suffix('*') {
        Some(prefix) => url.starts_with(prefix),
        None => url == pattern,
    }
}

impl Outbound for Outside {
    fn fetch(
        &self,
        context: OutboundContext,
        request: OutboundRequest,
    ) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>> {
        let fill = |text: &str, encode: bool| {
            context.secrets.iter().fold(text.to_owned(), |text, (name, value)| {
                let value = if encode { percent_encoded(value) } else { value.clone() };
                text.replace(&format!("{{secret:{name}}}"), &value)
            })
        };
        let headers: Vec<(String, String)> =
            request.headers.iter().map(|(name, value)| (name.clone(), fill(value, false))).collect();
        let is_form = headers
            .iter()
            .any(|(name, value)| name == "content-type" && value.starts_with("application/x-www-form-urlencoded"));
        let body = match String::from_utf8(request.body) {
            Ok(text) if is_form => fill(&text, true).into_bytes(),
            Ok(text) => text.into_bytes(),
            Err(error) => error.into_bytes(),
        };
        let recorded = Recorded {
            plugin: context.plugin.to_string(),
            method: request.method,
            url: request.url,
            headers,
            body,
            idempotency_key: context.idempotency_key.clone(),
        };
        std::future::ready(self.answer(recorded)).boxed()
    }
}

pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
