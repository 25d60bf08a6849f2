//! Who may call a route.

use std::sync::Arc;

use http::{HeaderMap, Method};
use kontor_core::ids::MerchantId;
use kontor_core::revision::{RevisionNumber, Route, RouteAuth};
use kontor_core::transaction::Actor;

use crate::api::{Token, TokenKind};
use crate::problem::{Code, Problem};
use crate::state::State;
use crate::tokens::covers;

/// The host's only cookie: a staff token.
pub(crate) const STAFF_COOKIE: &str = "kontor_staff";

/// Who is calling.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    pub(crate) scopes: Vec<String>,
    /// Id of the token used.
    pub(crate) token: Option<String>,
}

/// A request that may go on.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    pub(crate) caller: Caller,
    pub(crate) route: &'a Route,
    /// Among the routes of its plugin.
    pub(crate) position: usize,
    pub(crate) revision: RevisionNumber,
}

/// The class of a route, for metrics.
pub(crate) fn class(auth: &RouteAuth) -> &'static str {
    match auth {
        RouteAuth::Public => "public",
        RouteAuth::Webhook => "webhook",
        RouteAuth::Customer => "customer",
        RouteAuth::Staff(_) => "staff",
        RouteAuth::Token(_) => "token",
    }
}

/// Checks the request against what the route asks for.
pub(crate) async fn authenticate(
    state: &Arc<State>,
    merchant: &MerchantId,
    route: &Route,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Caller, Problem> {
    match &route.auth {
        RouteAuth::Public | RouteAuth::Webhook => Ok(Caller { actor: Actor::Public, scopes: Vec::new(), token: None }),
        RouteAuth::Customer => Err(Problem::new(
            Code::CustomerSignInMissing,
            "This address is for signed-in customers, and no installed plugin signs customers in.",
        )),
        RouteAuth::Token(scope) => {
            let Some(presented) = bearer(headers) else {
                return Err(Problem::unauthenticated(format!(
                    "Send a token with the scope `{scope}` as `Authorization: Bearer <token>`."
                )));
            };
            let token = verified(state, merchant, presented).await?;
            admitted(token, scope)
        }
        RouteAuth::Staff(scope) => {
            let (presented, by_cookie) = match (bearer(headers), staff_cookie(headers)) {
                (Some(token), _) => (token, false),
                (None, Some(token)) => (token, true),
                (None, None) => {
                    return Err(Problem::unauthenticated(format!(
                        "Sign in as staff with the scope `{scope}` at /m/{merchant}/sign-in, or send a staff token."
                    )));
                }
            };
            let token = verified(state, merchant, presented).await?;
            if token.kind == TokenKind::Token {
                return Err(Problem::unauthenticated("This address is for staff; the token is one for programs."));
            }
            if by_cookie && !method.is_safe() {
                same_origin(headers)?;
            }
            admitted(token, scope)
        }
    }
}

async fn verified(state: &Arc<State>, merchant: &MerchantId, presented: &str) -> Result<Token, Problem> {
    state
        .tokens
        .verify(Some(merchant), presented)
        .await?
        .ok_or_else(|| Problem::unauthenticated("The token is unknown here, revoked or expired."))
}

fn admitted(token: Token, scope: &str) -> Result<Caller, Problem> {
    let scopes = if token.kind == TokenKind::Admin { vec!["*".to_owned()] } else { token.scopes };
    if !covers(&scopes, scope) {
        return Err(Problem::new(Code::MissingScope, format!("The scope `{scope}` is needed.")).with("scope", scope));
    }
    let actor = if token.kind == TokenKind::Token { Actor::Token(token.name) } else { Actor::Staff(token.name) };
    Ok(Caller { actor, scopes, token: Some(token.id) })
}

/// The token of `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn staff_cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == STAFF_COOKIE).then_some(value))
}

/// Refuses what another site made a browser send. The cookie is `SameSite=Strict` already; this also holds where a browser
/// does not know that.
pub(crate) fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let refused = |why: &str| Err(Problem::new(Code::CrossSite, why));
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return refused("The browser says that another site sent this request.");
    }
    let Some(origin) = text("origin") else {
        return if text("sec-fetch-site").is_some() { Ok(()) } else { refused("The request names no origin.") };
    };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    match (authority, text("host")) {
        (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => Ok(()),
        _ => refused("The request comes from another origin than this host."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn only_our_own_pages_may_post_with_the_cookie() {
        let host = ("host", "host.example:8080");
        for (list, allowed) in [
            (vec![host, ("origin", "http://host.example:8080")], true),
            (vec![host, ("origin", "https://host.example:8080"), ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("sec-fetch-site", "same-site"), ("origin", "http://host.example:8080")], false),
            (vec![host, ("origin", "https://evil.example")], false),
            (vec![host, ("origin", "http://host.example")], false),
            (vec![host, ("origin", "null")], false),
            (vec![host], false),
            (vec![("origin", "http://host.example:8080")], false),
        ] {
            assert_eq!(same_origin(&headers(&list)).is_ok(), allowed, "{list:?}");
        }
    }

    #[test]
    fn credentials_are_found() {
        assert_eq!(bearer(&headers(&[("authorization", "bearer  abc ")])), Some("abc"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic abc")])), None);
        assert_eq!(staff_cookie(&headers(&[("cookie", "a=1; kontor_staff=xyz; b=2")])), Some("xyz"));
        assert_eq!(staff_cookie(&headers(&[("cookie", "xkontor_staff=xyz")])), None);
    }
}
