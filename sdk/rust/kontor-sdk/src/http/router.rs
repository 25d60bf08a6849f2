//! Which handler answers a request. Paths are written as in `plugin.toml`: literal segments, `{name}` for one segment, `{*name}` at
//! the end for the rest. A literal segment wins over a captured one, and `{name}` over `{*name}`.

use std::borrow::Cow;
use std::fmt;

use super::extract::FromRequest;
use super::request::Request;
use super::response::{IntoResponse, Response};
use crate::error::Error;
use crate::params;

type Endpoint = Box<dyn Fn(&Request) -> Response>;
/// What a path captured: names with values.
type Captured = Vec<(String, String)>;

/// Routes with their handlers.
#[derive(Default)]
pub struct Router {
    routes: Vec<Route>,
    fallback: Option<Endpoint>,
}

struct Route {
    method: &'static str,
    path: Cow<'static, str>,
    endpoint: Endpoint,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|route| format!("{} {}", route.method, route.path))).finish()
    }
}

/// A function that answers requests: of up to eight extractors, returning anything that is a response.
pub trait Handler<Arguments>: 'static {
    /// Answers.
    fn call(&self, request: &Request) -> Response;
}

macro_rules! handlers {
    ($(($($argument:ident),*))+) => {$(
        impl<Function, Output, $($argument),*> Handler<($($argument,)*)> for Function
        where
            Function: Fn($($argument),*) -> Output + 'static,
            Output: IntoResponse,
            $($argument: FromRequest),*
        {
            #[allow(non_snake_case, unused_variables, reason = "one macro for every number of arguments")]
            fn call(&self, request: &Request) -> Response {
                $(
                    let $argument = match $argument::from_request(request) {
                        Ok(value) => value,
                        Err(error) => return error.into_response(),
                    };
                )*
                self($($argument),*).into_response()
            }
        }
    )+};
}

handlers! {
    ()
    (A)
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
    (A, B, C, D, E, F)
    (A, B, C, D, E, F, G)
    (A, B, C, D, E, F, G, H)
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident $method:literal;)+) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name<A>(self, path: impl Into<Cow<'static, str>>, handler: impl Handler<A>) -> Self {
            self.route($method, path, handler)
        }
    )+};
}

impl Router {
    /// Without routes.
    pub fn new() -> Self {
        // Made anew for every request, usually by more than a dozen calls.
        Self { routes: Vec::with_capacity(32), fallback: None }
    }

    methods! {
        /// Answers `GET`, and `HEAD` without the body.
        get "GET";
        /// Answers `POST`.
        post "POST";
        /// Answers `PUT`.
        put "PUT";
        /// Answers `PATCH`.
        patch "PATCH";
        /// Answers `DELETE`.
        delete "DELETE";
        /// Answers every method.
        any "*";
    }

    /// Answers a method (upper case, `*` for every) at a path.
    #[must_use]
    pub fn route<A>(
        mut self,
        method: &'static str,
        path: impl Into<Cow<'static, str>>,
        handler: impl Handler<A>,
    ) -> Self {
        self.routes.push(Route {
            method,
            path: path.into(),
            endpoint: Box::new(move |request: &Request| handler.call(request)),
        });
        self
    }

    /// The routes of `other` as well.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self.fallback = self.fallback.or(other.fallback);
        self
    }

    /// Answers what no route does, instead of the problem document.
    #[must_use]
    pub fn fallback<A>(mut self, handler: impl Handler<A>) -> Self {
        self.fallback = Some(Box::new(move |request: &Request| handler.call(request)));
        self
    }

    /// Answers a request.
    pub fn handle(&self, request: Request) -> Response {
        let head = request.method() == "HEAD";
        let mut response = self.dispatch(request);
        if head {
            response.body.clear();
        }
        response
    }

    fn dispatch(&self, request: Request) -> Response {
        let segments = segments(request.path());
        let mut best: Option<(Rank, &Route)> = None;
        let mut allowed: Vec<&'static str> = Vec::new();
        for route in &self.routes {
            let Some(rank) = matches(&route.path, &segments, None) else { continue };
            if !answers(route.method, request.method()) {
                allowed.push(route.method);
            } else if best.is_none_or(|(best_rank, _)| rank < best_rank) {
                best = Some((rank, route));
            }
        }
        if let Some((_, route)) = best {
            let mut captured = Captured::new();
            matches(&route.path, &segments, Some(&mut captured));
            return (route.endpoint)(&request.with_params(captured));
        }
        if !allowed.is_empty() {
            return not_allowed(&request, allowed);
        }
        match &self.fallback {
            Some(endpoint) => endpoint(&request),
            None => Error::not_found(format!("There is nothing at `{}`.", request.path()))
                .with_code("no-route")
                .into_response(),
        }
    }
}

fn answers(route: &str, method: &str) -> bool {
    route == "*" || route == method || (route == "GET" && method == "HEAD")
}

fn not_allowed(request: &Request, mut allowed: Vec<&'static str>) -> Response {
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    allowed.sort_unstable();
    allowed.dedup();
    let allowed = allowed.join(", ");
    let detail = format!("`{}` does not answer {}, only {allowed}.", request.path(), request.method());
    Error::new(405, "method-not-allowed", detail).into_response().with_header("allow", allowed)
}

/// A segment of the path that was asked for. A path is cut once, however many routes are tried.
struct Segment<'a> {
    /// From here to the end, as sent.
    rest: &'a str,
    /// `None`: its escapes are malformed, so it matches nothing.
    decoded: Option<Cow<'a, str>>,
}

/// None, unless the path begins with a slash.
fn segments(path: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::with_capacity(8);
    let mut left = path.strip_prefix('/');
    while let Some(rest) = left {
        let (part, next) = cut(rest);
        segments.push(Segment { rest, decoded: params::percent_decode(part) });
        left = next;
    }
    segments
}

/// Up to the first slash, and what follows it. Segments are too short for the standard library's search to be worth its beginning.
fn cut(text: &str) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == b'/').and_then(|slash| text.split_at_checked(slash)) {
        Some((part, next)) => (part, next.strip_prefix('/')),
        None => (text, None),
    }
}

/// How `pattern` matches a path: the more literal pattern ranks lower. `None`: it does not. What it captures goes to `captured`, if
/// anybody wants to know: every route of a plugin is tried for every request, so most calls end at a first literal that differs.
fn matches(pattern: &str, segments: &[Segment<'_>], mut captured: Option<&mut Captured>) -> Option<Rank> {
    let mut rank = Rank::default();
    let mut capture = |name: &str, value: &str| {
        if let Some(captured) = &mut captured {
            captured.push((name.to_owned(), value.to_owned()));
        }
    };
    let mut wanted = Some(pattern.strip_prefix('/')?);
    for segment in segments {
        let left = wanted?;
        if !left.starts_with('{') {
            let after = literal(left, segment.decoded.as_deref()?)?;
            rank = rank.then(Kind::Literal);
            wanted = after.strip_prefix('/');
            continue;
        }
        let (part, next) = cut(left);
        let name = part.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        if let Some(name) = name.and_then(|name| name.strip_prefix('*')) {
            if segment.rest.is_empty() || next.is_some() {
                return None;
            }
            capture(name, &params::percent_decode(segment.rest)?);
            return Some(rank.then(Kind::Rest));
        }
        let decoded = segment.decoded.as_deref()?;
        match name {
            Some(_) if decoded.is_empty() => return None,
            Some(name) => {
                rank = rank.then(Kind::Captured);
                capture(name, decoded);
            }
            None if decoded == part => rank = rank.then(Kind::Literal),
            None => return None,
        }
        wanted = next;
    }
    (wanted.is_none() && !segments.is_empty()).then_some(rank)
}

/// What is left of `pattern` after a first segment that is `segment`, compared where it stands.
fn literal<'a>(pattern: &'a str, segment: &str) -> Option<&'a str> {
    let after = pattern.strip_prefix(segment)?;
    // What was sent escaped may hold a slash, and is one segment all the same.
    ((after.is_empty() || after.starts_with('/')) && !segment.bytes().any(|byte| byte == b'/')).then_some(after)
}

/// What a segment of a pattern is, in the order of preference.
#[derive(Clone, Copy)]
enum Kind {
    Literal = 1,
    Captured = 2,
    Rest = 3,
}

/// The kinds of a pattern's segments, two bits each, the first in the highest: patterns that match the same path are compared by
/// their first segments of different kinds. Beyond 32 segments all patterns are alike.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    kinds: u64,
    segments: u32,
}

impl Rank {
    fn then(self, kind: Kind) -> Self {
        let place = 62_u32.checked_sub(2 * self.segments);
        let kinds = self.kinds | place.map_or(0, |place| (kind as u64) << place);
        Self { kinds, segments: (self.segments + 1).min(32) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Form, Html, Json, Path, Query, StatusCode};
    use super::*;
    use crate::error::Result;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Limit {
        limit: Option<u32>,
    }

    fn list(Query(query): Query<Limit>) -> String {
        format!("list {:?}", query.limit)
    }

    fn show(Path(id): Path<String>) -> Result<Html<String>> {
        if id == "none" { Err(Error::not_found("There is no such product.")) } else { Ok(Html(format!("show {id}"))) }
    }

    fn create(Json(limit): Json<Limit>) -> (StatusCode, String) {
        (StatusCode::CREATED, format!("created {:?}", limit.limit))
    }

    fn form(Form(limit): Form<Limit>) -> String {
        format!("form {:?}", limit.limit)
    }

    fn router() -> Router {
        Router::new()
            .get("/", || "home")
            .get("/products", list)
            .post("/products", create)
            .get("/products/{id}", show)
            .get("/products/new", || "new")
            .get("/{kind}/{id}/latest", || "some latest")
            .get("/products/{id}/{*rest}", |Path((id, rest)): Path<(String, String)>| format!("{id} and {rest}"))
            .get("/products/{id}/lines/{line}", |Path((id, line)): Path<(String, u8)>| format!("{id} {line}"))
            .get("/files/{*rest}", |Path(rest): Path<String>| rest)
            .post("/form", form)
    }

    fn call(method: &str, target: &str, body: &str) -> (u16, String) {
        let response = router().handle(Request::new(method, target, body.as_bytes()));
        (response.status, String::from_utf8(response.body).unwrap())
    }

    #[test]
    fn requests_reach_the_most_literal_route() {
        for (method, target, body, status, expected) in [
            ("GET", "/", "", 200, "home"),
            ("GET", "/products", "", 200, "list None"),
            ("GET", "/products?limit=3", "", 200, "list Some(3)"),
            ("POST", "/products", r#"{"limit":1}"#, 201, "created Some(1)"),
            ("GET", "/products/new", "", 200, "new"),
            ("GET", "/products/a%2Fb%20c", "", 200, "show a/b c"),
            ("GET", "/products/p/lines/7", "", 200, "p 7"),
            ("GET", "/products/p/latest", "", 200, "p and latest"),
            ("GET", "/files/p/latest", "", 200, "p/latest"),
            ("GET", "/notes/p/latest", "", 200, "some latest"),
            ("GET", "/files/a/b.css", "", 200, "a/b.css"),
            ("HEAD", "/products/new", "", 200, ""),
            ("POST", "/form", "limit=9", 200, "form Some(9)"),
        ] {
            assert_eq!(call(method, target, body), (status, expected.to_owned()), "{method} {target}");
        }
    }

    /// Matching said plainly: cut both at slashes, decode, compare one by one.
    fn matches_plainly(pattern: &str, path: &str) -> bool {
        let (Some(pattern), Some(path)) = (pattern.strip_prefix('/'), path.strip_prefix('/')) else { return false };
        let (wanted, given): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
        let rest = wanted.last().is_some_and(|last| last.starts_with("{*"));
        let fixed = wanted.len() - usize::from(rest);
        let segment = |(wanted, given): (&&str, &&str)| {
            let Some(given) = params::percent_decode(given) else { return false };
            if wanted.starts_with('{') && wanted.ends_with('}') { !given.is_empty() } else { given == *wanted }
        };
        let end = given.get(fixed..).map(|end| end.join("/"));
        let ends = if rest { end.is_some_and(|end| !end.is_empty()) } else { given.len() == fixed };
        ends && wanted.iter().zip(&given).take(fixed).all(segment)
    }

    #[test]
    fn every_short_path_matches_as_the_rule_says() {
        let patterns: Vec<String> = ["", "a", "ab", "{x}", "{x}b", "b}"]
            .iter()
            .flat_map(|first| ["", "/", "/a", "/ab", "/{y}", "/{*rest}"].map(|then| format!("/{first}{then}")))
            .chain(["/{*rest}".to_owned(), "a".to_owned()])
            .collect();
        let sent = ["", "a", "ab", "b", "%61", "a%2Fb", "%", "{x}b", "b}", "/"];
        let (mut matched, mut refused) = (0, 0);
        for (one, two, three) in sent
            .iter()
            .flat_map(|one| sent.iter().map(move |two| (one, two)))
            .flat_map(|(one, two)| ["", "/", "/a", "/b/a"].map(move |three| (one, two, three)))
        {
            for path in [format!("/{one}{three}"), format!("/{one}/{two}{three}"), (*one).to_owned()] {
                for pattern in &patterns {
                    // What the rest decodes to is another rule.
                    if pattern.contains('*') && path.contains('%') {
                        continue;
                    }
                    let expected = matches_plainly(pattern, &path);
                    assert_eq!(matches(pattern, &segments(&path), None).is_some(), expected, "{pattern} {path}");
                    *(if expected { &mut matched } else { &mut refused }) += 1;
                }
            }
        }
        assert!(matched > 500 && refused > 5_000, "{matched} {refused}");
    }

    #[test]
    fn refusals_are_problem_documents_that_say_what_and_where() {
        for (method, target, body, status, code, part) in [
            ("GET", "/nothing", "", 404, "no-route", "/nothing"),
            ("GET", "/products/", "", 404, "no-route", ""),
            ("GET", "/files/", "", 404, "no-route", ""),
            ("GET", "/product", "", 404, "no-route", ""),
            ("GET", "/productsx", "", 404, "no-route", ""),
            ("GET", "/products%2Fnew", "", 404, "no-route", ""),
            ("GET", "products", "", 404, "no-route", ""),
            ("GET", "", "", 404, "no-route", ""),
            ("GET", "/products/%ff", "", 404, "no-route", ""),
            ("DELETE", "/products", "", 405, "method-not-allowed", "GET, HEAD, POST"),
            ("GET", "/products?limit=many", "", 400, "bad-query", "`limit` is `many`"),
            ("GET", "/products/p/lines/300", "", 400, "bad-path", "0 to 255"),
            ("POST", "/products", r#"{"limit":-1}"#, 400, "bad-json", "line 1 column"),
            ("POST", "/form", "limit=%", 400, "bad-form", "percent escape"),
            ("GET", "/products/none", "", 404, "not-found", "no such product"),
        ] {
            let (got, text) = call(method, target, body);
            let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((got, problem["code"].as_str().unwrap()), (status, code), "{method} {target}: {text}");
            assert_eq!(problem["status"], status);
            assert!(problem["detail"].as_str().unwrap().contains(part), "{text}");
        }
    }

    #[test]
    fn a_body_of_another_type_is_refused() {
        let request = Request::new("POST", "/products", b"{}").with_header("content-type", "text/plain");
        assert_eq!(router().handle(request).status, 415);
    }
}
