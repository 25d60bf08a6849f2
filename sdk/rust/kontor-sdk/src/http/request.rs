//! A request to one of the plugin's routes.

use std::rc::Rc;

use crate::bindings::kontor::host::handler_types as wire;
use crate::params;

/// A request. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Request(Rc<Parts>);

#[derive(Clone, Debug, Default)]
struct Parts {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    base_path: String,
    remote_address: String,
    params: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn from_wire(request: wire::HttpRequest) -> Self {
        Self(Rc::new(Parts {
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers.into_iter().map(|header| (header.name, header.value)).collect(),
            body: request.body,
            base_path: request.base_path,
            remote_address: request.remote_address,
            params: Vec::new(),
        }))
    }

    /// A request for tests of handlers: `Request::new("GET", "/products?limit=2", b"")`.
    pub fn new(method: &str, path_and_query: &str, body: &[u8]) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        Self(Rc::new(Parts {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: body.to_vec(),
            ..Parts::default()
        }))
    }

    /// The same with a header more.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        Rc::make_mut(&mut self.0).headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    pub(crate) fn with_params(mut self, params: Vec<(String, String)>) -> Self {
        Rc::make_mut(&mut self.0).params = params;
        self
    }

    /// Upper case.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// Below the plugin's prefix, beginning with `/`, percent-encoded as received.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The query without `?`, as received.
    pub fn query(&self) -> &str {
        &self.0.query
    }

    /// Headers with lower-case names, in the order received.
    pub fn headers(&self) -> &[(String, String)] {
        &self.0.headers
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The raw body.
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// The prefix under which the plugin is served, such as `/m/demo/shop`: put it before links.
    pub fn base_path(&self) -> &str {
        &self.0.base_path
    }

    /// The address of the peer.
    pub fn remote_address(&self) -> &str {
        &self.0.remote_address
    }

    /// What the route's path captured, decoded, in its order.
    pub fn params(&self) -> &[(String, String)] {
        &self.0.params
    }

    /// The names and values of the query, decoded; `None` if an escape is malformed.
    pub fn query_pairs(&self) -> Option<Vec<(String, String)>> {
        params::parse_urlencoded(&self.0.query)
    }

    /// The cookie of this name.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.0
            .headers
            .iter()
            .filter(|(header, _)| header == "cookie")
            .flat_map(|(_, value)| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.trim_matches('"'))
    }
}
