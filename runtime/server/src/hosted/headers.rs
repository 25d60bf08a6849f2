//! Headers on their way to a plugin and back. What belongs to the connection or to the host does not cross; what a careful page
//! should have is added when the plugin did not say otherwise.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, header::Entry};
use kontor_core::executor::HttpResponse;
use kontor_core::records::Answer;
use kontor_core::revision::{Route, RouteAuth};

use super::auth::STAFF_COOKIE;
use crate::limits::{RESPONSE_HEADER_BYTES_MAX, RESPONSE_HEADERS_MAX};
use crate::problem::{Code, Problem};

/// Of one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names of one request, for those who look at many. A question that is asked again has others, and is the same.
const OF_ONE_REQUEST: [&str; 4] = ["x-request-id", "traceparent", "tracestate", "baggage"];

/// Headers that the host may add to a response, its request id, date and length among them.
const ADDED_HEADERS: usize = 9;

/// The request's headers as the plugin sees them.
pub(crate) fn for_plugin(method: &Method, headers: &HeaderMap, route: &Route) -> Vec<(String, String)> {
    let hop_by_hop = named_by_connection(headers);
    let safe = method.is_safe();
    // On these the host consumed the credentials; elsewhere (a webhook with Basic authentication) they are the plugin's.
    let consumed = matches!(route.auth, RouteAuth::Token(_) | RouteAuth::Staff(_) | RouteAuth::Customer);
    headers
        .iter()
        .filter(|(name, _)| !is_hop_by_hop(name, &hop_by_hop))
        .filter(|(name, _)| !(consumed && *name == header::AUTHORIZATION))
        .filter(|(name, _)| route.varies_by(name.as_str()) && !(safe && OF_ONE_REQUEST.contains(&name.as_str())))
        .filter_map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let value = if name == header::COOKIE { without_own_cookie(&value)? } else { value };
            Some((name.as_str().to_owned(), value))
        })
        .collect()
}

/// The plugin's answer as it goes out.
pub(crate) fn from_plugin(mut answer: Answer, route: &Route) -> Result<Response, Problem> {
    let body = std::mem::take(&mut answer.response.body);
    outgoing(&answer.response, body.into(), answer.replayed, route)
}

/// The same for an answer that others are given too: its body is not copied.
pub(crate) fn from_memory(response: &Arc<HttpResponse>, route: &Route) -> Result<Response, Problem> {
    outgoing(response, Bytes::from_owner(KeptBody(Arc::clone(response))), false, route)
}

/// The body of a response that is kept.
struct KeptBody(Arc<HttpResponse>);

impl AsRef<[u8]> for KeptBody {
    fn as_ref(&self) -> &[u8] {
        &self.0.body
    }
}

/// `response` with `body` in the place of its own.
fn outgoing(response: &HttpResponse, body: Bytes, replayed: bool, route: &Route) -> Result<Response, Problem> {
    let refused = |why: String| Problem::new(Code::PluginResponseInvalid, why);
    let status = StatusCode::from_u16(response.status)
        .ok()
        .filter(|s| s.as_u16() >= 200)
        .ok_or_else(|| refused(format!("The plugin answered with the status {}, which is none.", response.status)))?;
    if response.headers.len() > RESPONSE_HEADERS_MAX {
        return Err(refused(format!("The plugin answered with more than {RESPONSE_HEADERS_MAX} headers.")));
    }
    let mut headers = HeaderMap::with_capacity(response.headers.len() + ADDED_HEADERS);
    let mut bytes = 0;
    for (name, value) in &response.headers {
        bytes += name.len() + value.len();
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            refused(format!("The plugin answered with the header `{}`, which is no header name.", name.escape_debug()))
        })?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| refused(format!("The plugin answered with control characters in the header `{name}`.")))?;
        if !is_ours(&name, &value) {
            headers.append(name, value);
        }
    }
    if bytes > RESPONSE_HEADER_BYTES_MAX {
        return Err(refused(format!(
            "The headers of the plugin's answer have more than {RESPONSE_HEADER_BYTES_MAX} bytes."
        )));
    }
    if replayed {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    add_careful_headers(&mut headers, &route.auth);
    if let Some(vary) = vary(route).filter(|_| !headers.contains_key(header::VARY)) {
        headers.insert(header::VARY, vary);
    }
    let bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    let body = if bodiless { Body::empty() } else { Body::from(body) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// What caches between here and the customer have to look at.
fn vary(route: &Route) -> Option<HeaderValue> {
    let names = route.vary.as_ref().filter(|names| !names.is_empty())?;
    HeaderValue::from_str(&names.join(", ")).ok()
}

fn add_careful_headers(headers: &mut HeaderMap, auth: &RouteAuth) {
    let mut add = |name: HeaderName, value: &'static str| {
        if let Entry::Vacant(place) = headers.entry(name) {
            place.insert(HeaderValue::from_static(value));
        }
    };
    add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if matches!(auth, RouteAuth::Staff(_) | RouteAuth::Token(_) | RouteAuth::Customer) {
        add(header::CACHE_CONTROL, "private, no-store");
    }
    add(header::REFERRER_POLICY, "same-origin");
    let html = headers.get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/html"));
    if html {
        let mut add = |name: HeaderName, value: &'static str| {
            if let Entry::Vacant(place) = headers.entry(name) {
                place.insert(HeaderValue::from_static(value));
            }
        };
        add(header::X_FRAME_OPTIONS, "SAMEORIGIN");
        add(header::CONTENT_SECURITY_POLICY, "object-src 'none'; base-uri 'self'; frame-ancestors 'self'");
    }
}

/// What a plugin cannot send: headers of the connection, the length (which the host computes), the host's cookie.
fn is_ours(name: &HeaderName, value: &HeaderValue) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
        || *name == header::CONTENT_LENGTH
        || *name == header::DATE
        || name == "x-request-id"
        || (*name == header::SET_COOKIE && value.as_bytes().trim_ascii_start().starts_with(STAFF_COOKIE.as_bytes()))
}

fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

fn is_hop_by_hop(name: &HeaderName, named: &[String]) -> bool {
    HOP_BY_HOP.contains(&name.as_str()) || named.iter().any(|n| n == name.as_str())
}

/// The cookies without the host's; `None` if nothing is left.
fn without_own_cookie(cookies: &str) -> Option<String> {
    let left: Vec<&str> = cookies
        .split(';')
        .map(str::trim)
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(STAFF_COOKIE))
        .collect();
    (!left.is_empty()).then(|| left.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Answer {
            response: HttpResponse { status, headers, body: b"x".to_vec() },
            replayed: false,
            revision: 1,
            executions: 1,
        }
    }

    fn route(auth: RouteAuth, vary: Option<&[&str]>) -> Route {
        let vary = vary.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Route { method: "GET".to_owned(), path: "/".to_owned(), auth, outbound: false, vary }
    }

    #[test]
    fn credentials_and_connection_headers_stay_with_the_host() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer t"),
            ("cookie", "a=1; kontor_staff=s; b=2"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("x-signature", "abc"),
            ("traceparent", "00-1-2-00"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let see = |method: Method, auth: RouteAuth, vary: Option<&[&str]>| {
            let seen = for_plugin(&method, &headers, &route(auth, vary));
            let mut seen: Vec<String> = seen.into_iter().map(|(n, v)| format!("{n}: {v}")).collect();
            seen.sort();
            seen
        };
        let staff = RouteAuth::Staff("a".to_owned());
        assert_eq!(see(Method::GET, staff.clone(), None), ["cookie: a=1; b=2", "x-signature: abc"]);
        assert_eq!(
            see(Method::POST, RouteAuth::Webhook, None),
            ["authorization: Bearer t", "cookie: a=1; b=2", "traceparent: 00-1-2-00", "x-signature: abc"]
        );
        assert_eq!(see(Method::GET, RouteAuth::Public, Some(&["cookie"])), ["cookie: a=1; b=2"]);
        assert!(see(Method::GET, staff, Some(&["authorization"])).is_empty(), "no credentials by the back door");
        assert_eq!(without_own_cookie("kontor_staff=s"), None);
    }

    #[test]
    fn a_page_gets_careful_headers_unless_it_says_otherwise() {
        let response = from_plugin(
            answer(
                200,
                &[
                    ("content-type", "text/html"),
                    ("referrer-policy", "no-referrer"),
                    ("content-length", "99"),
                    ("set-cookie", "kontor_staff=x"),
                    ("set-cookie", "visit=1"),
                    ("connection", "close"),
                ],
            ),
            &route(RouteAuth::Public, Some(&["cookie", "accept-language"])),
        )
        .unwrap();
        let headers = response.headers();
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["x-frame-options"], "SAMEORIGIN");
        assert_eq!(headers["vary"], "cookie, accept-language");
        assert!(!headers.contains_key("content-length") && !headers.contains_key("connection"));
        assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["visit=1"]);
        assert!(!headers.contains_key("cache-control"));
        let staff = from_plugin(answer(200, &[]), &route(RouteAuth::Staff("a".to_owned()), None)).unwrap();
        assert_eq!(staff.headers()["cache-control"], "private, no-store");
    }

    #[test]
    fn what_is_no_http_is_refused_by_name() {
        for (answer, says) in [
            (answer(99, &[]), "status 99"),
            (answer(101, &[]), "status 101"),
            (answer(200, &[("a b", "x")]), "`a b`"),
            (answer(200, &[("x-a", "1\r\nx-b: 2")]), "`x-a`"),
        ] {
            let problem = from_plugin(answer, &route(RouteAuth::Public, None)).unwrap_err();
            assert_eq!(problem.code(), Code::PluginResponseInvalid);
            assert!(problem.detail().contains(says), "{}", problem.detail());
        }
    }
}
