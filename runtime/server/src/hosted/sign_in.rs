//! The page where staff sign in with their token until there are accounts: it keeps the token in a cookie that scripts cannot read and
//! other sites cannot send.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use kontor_core::ids::MerchantId;

use super::auth::{STAFF_COOKIE, same_origin};
use crate::api::TokenKind;
use crate::hosted::read_body_within;
use crate::problem::{Problem, escape};
use crate::state::State;

/// Where to sign in, below the merchant.
pub(crate) const SIGN_IN: &str = "sign-in";
/// Where to sign out.
pub(crate) const SIGN_OUT: &str = "sign-out";
/// A token and an address fit.
const FORM_BYTES_MAX: usize = 8 * 1024;
/// A working day with its evening.
const COOKIE_SECONDS: u64 = 16 * 60 * 60;

/// Shows the form, or takes it.
pub(crate) async fn sign_in(
    state: &Arc<State>,
    merchant: &MerchantId,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let known = state.note(state.machine.current(merchant).await);
    known?;
    match *request.method() {
        Method::GET | Method::HEAD => {
            let next = query_value(request.uri(), "next").unwrap_or_default();
            Ok(page(merchant, &next, None, StatusCode::OK))
        }
        Method::POST => {
            same_origin(request.headers())?;
            let (parts, body) = request.into_parts();
            let body = read_body_within(&parts.headers, body, FORM_BYTES_MAX).await?;
            let field = |name: &str| {
                url::form_urlencoded::parse(&body)
                    .find_map(|(n, v)| (n == name).then(|| v.into_owned()))
                    .unwrap_or_default()
            };
            let (token, next) = (field("token"), field("next"));
            let token = token.trim();
            let verified = state.tokens.verify(Some(merchant), token).await?;
            if verified.is_none_or(|t| t.kind != TokenKind::Staff) {
                let text =
                    "This is not a valid staff token of this merchant. Ask who manages the tokens for a new one.";
                return Ok(page(merchant, &next, Some(text), StatusCode::UNAUTHORIZED));
            }
            let secure = if state.secure_cookies { "; Secure" } else { "" };
            let cookie = format!(
                "{STAFF_COOKIE}={token}; Path=/m/{merchant}; HttpOnly; SameSite=Strict; Max-Age={COOKIE_SECONDS}{secure}"
            );
            Ok(go_to(&safe_next(merchant, &next), Some(&cookie)))
        }
        ref other => {
            Err(Problem::method_not_allowed(other.as_str(), &["GET".to_owned(), "HEAD".to_owned(), "POST".to_owned()]))
        }
    }
}

/// Forgets the cookie.
pub(crate) fn sign_out(
    state: &Arc<State>,
    merchant: &MerchantId,
    request: &Request<Body>,
) -> Result<Response, Problem> {
    if request.method() != Method::POST {
        return Err(Problem::method_not_allowed(request.method().as_str(), &["POST".to_owned()]));
    }
    same_origin(request.headers())?;
    let secure = if state.secure_cookies { "; Secure" } else { "" };
    let cookie = format!("{STAFF_COOKIE}=; Path=/m/{merchant}; HttpOnly; SameSite=Strict; Max-Age=0{secure}");
    Ok(go_to(&format!("/m/{merchant}/{SIGN_IN}"), Some(&cookie)))
}

/// Sends a person to the form, and back to `uri` afterwards.
pub(crate) fn redirect(merchant: &MerchantId, uri: &Uri) -> Response {
    let next = uri.path_and_query().map_or("/", |p| p.as_str());
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    go_to(&format!("/m/{merchant}/{SIGN_IN}?next={next}"), None)
}

/// Only addresses of the same merchant on this host: the form must not send people elsewhere.
fn safe_next(merchant: &MerchantId, next: &str) -> String {
    let home = format!("/m/{merchant}/");
    let plain = next.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'\\');
    let inside = next.starts_with(&home) && !next.contains("//") && !next.contains("/../");
    if plain && inside { next.to_owned() } else { home }
}

fn query_value(uri: &Uri, name: &str) -> Option<String> {
    url::form_urlencoded::parse(uri.query()?.as_bytes()).find_map(|(n, v)| (n == name).then(|| v.into_owned()))
}

fn go_to(location: &str, cookie: Option<&str>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(LOCATION, HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/")));
    if let Some(Ok(mut cookie)) = cookie.map(HeaderValue::from_str) {
        cookie.set_sensitive(true);
        headers.insert(SET_COOKIE, cookie);
    }
    response
}

fn page(merchant: &MerchantId, next: &str, error: Option<&str>, status: StatusCode) -> Response {
    let error =
        error.map(|e| format!("<p role=\"alert\" style=\"color:#a40000\">{}</p>", escape(e))).unwrap_or_default();
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Sign in · {merchant}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:3rem auto;padding:0 1rem;color:#1c1c1c}}\
         label,input,button{{display:block;width:100%;box-sizing:border-box;font:inherit}}\
         input,button{{padding:.7rem;margin:.3rem 0 1rem;border:1px solid #767676;border-radius:.4rem}}\
         button{{background:#1c1c1c;color:#fff;cursor:pointer}}</style>\
         <h1 style=\"font-size:1.4rem\">Sign in</h1><p>Staff of <strong>{merchant}</strong>.</p>{error}\
         <form method=\"post\" action=\"/m/{merchant}/{SIGN_IN}\"><label for=\"token\">Staff token</label>\
         <input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" required autofocus>\
         <input name=\"next\" type=\"hidden\" value=\"{next}\"><button>Sign in</button></form></html>",
        next = escape(next),
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_sends_nobody_elsewhere() {
        let merchant = MerchantId::new("demo").unwrap();
        for (next, expected) in [
            ("/m/demo/till/?a=b", "/m/demo/till/?a=b"),
            ("", "/m/demo/"),
            ("https://evil.example/", "/m/demo/"),
            ("//evil.example/m/demo/", "/m/demo/"),
            ("/m/demo/../../x", "/m/demo/"),
            ("/m/demo/\\evil", "/m/demo/"),
            ("/m/demo/\r\nx: y", "/m/demo/"),
            ("/m/demo2/x", "/m/demo/"),
        ] {
            assert_eq!(safe_next(&merchant, next), expected, "{next}");
        }
    }
}
