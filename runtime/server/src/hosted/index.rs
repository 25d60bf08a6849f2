//! A plain page for a person who opens the host's address: which merchants there are, and which of their plugins have a page.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use kontor_core::ids::MerchantId;
use kontor_core::revision::{InstalledPlugin, Revision, RouteAuth};

use crate::problem::{Problem, escape};
use crate::routing::{Matched, match_route};
use crate::state::State;

/// Merchants on the page; a host with more has its own.
const MERCHANTS_SHOWN_MAX: usize = 100;

/// `/`
pub(crate) async fn root(Extract(state): Extract<Arc<State>>) -> Response {
    match all(&state).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn all(state: &Arc<State>) -> Result<Response, Problem> {
    let merchants = state.note(state.machine.merchants().await)?;
    let mut body = String::new();
    for merchant in merchants.iter().take(MERCHANTS_SHOWN_MAX) {
        let revision = state.note(state.machine.current(merchant).await)?;
        section(&mut body, merchant, &revision);
    }
    if merchants.is_empty() {
        body.push_str("<p>There is no merchant yet. Create one with <code>kontor</code>, then install plugins.</p>");
    }
    Ok(page("Kontor", &body))
}

/// `/m/{merchant}`
pub(crate) async fn merchant(state: &Arc<State>, merchant: &MerchantId) -> Result<Response, Problem> {
    let revision = state.note(state.machine.current(merchant).await)?;
    let mut body = String::new();
    section(&mut body, merchant, &revision);
    Ok(page(merchant.as_str(), &body))
}

fn section(out: &mut String, merchant: &MerchantId, revision: &Revision) {
    let _infallible = write!(out, "<h2>{merchant}</h2><ul>");
    let mut any = false;
    for (id, plugin) in &revision.plugins {
        let Some(auth) = front_page(plugin) else { continue };
        any = true;
        let note = if matches!(auth, RouteAuth::Staff(_)) { " (staff)" } else { "" };
        let _infallible = write!(
            out,
            "<li><a href=\"/m/{merchant}/{id}/\">{name}</a>{note}<br><small>{text}</small></li>",
            name = escape(&plugin.spec.name),
            text = escape(&plugin.spec.description),
        );
    }
    out.push_str(if any { "</ul>" } else { "<li>No installed plugin has a page.</li></ul>" });
}

/// Who may open the plugin's front page, if it has one for people.
fn front_page(plugin: &InstalledPlugin) -> Option<&RouteAuth> {
    match match_route(&plugin.spec.routes, "GET", "/") {
        Matched::Route(_, route) if matches!(route.auth, RouteAuth::Public | RouteAuth::Staff(_)) => Some(&route.auth),
        _ => None,
    }
}

fn page(title: &str, body: &str) -> Response {
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><body style=\"font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem\">\
         <h1>{title}</h1>{body}</body></html>",
        title = escape(title),
    );
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        ),
    );
    response
}
