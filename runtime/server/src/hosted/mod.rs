//! The routes of plugins under `/m/{merchant}/{plugin}/`: a request is admitted by the manifest of the revision in force, becomes an
//! invocation, and its answer goes back.

mod auth;
mod finishing;
mod headers;
mod index;
mod sign_in;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kontor_core::error::Error;
use kontor_core::executor::HttpRequest;
use kontor_core::ids::{InvocationId, MerchantId, PluginId};
use kontor_core::limits::HTTP_REQUEST_BODY_BYTES_MAX;
use kontor_core::records::{Answer, RequestContext};
use kontor_core::revision::{Revision, RouteAuth};
use sha2::{Digest as _, Sha256};

use crate::environment::time_ordered_id;
use crate::limits::{BODY_READ_TIMEOUT, IDEMPOTENCY_KEY_BYTES_MAX, INVOCATION_TIMEOUT};
use crate::observe::{Labelled, Labels, panic_text};
use crate::problem::{Code, Problem};
use crate::routing::{Matched, match_route};
use crate::state::{State, shorten};
use crate::steps::end_of_step;
use auth::Admission;
use finishing::Finishing;

pub(crate) use auth::bearer;
pub(crate) use index::root;

/// How often a request is admitted anew when the revision is switched under it.
const ADMISSIONS_MAX: usize = 5;

/// A hosted address taken apart.
#[derive(Debug)]
struct Address {
    merchant: MerchantId,
    plugin: PluginId,
    /// Below the plugin's prefix, as received.
    path: String,
}

/// Where the addresses of all merchants begin.
const PREFIX: &str = "/m/";

/// Whether the path is a merchant's or below one.
pub(crate) fn is_hosted(path: &str) -> bool {
    path.len() > PREFIX.len() && path.starts_with(PREFIX)
}

/// Everything that [`is_hosted`].
pub(crate) async fn hosted(state: &Arc<State>, request: Request<Body>, peer: SocketAddr) -> Labelled {
    let page_wanted = wants_page(request.method(), request.headers());
    match dispatch(state, request, peer).await {
        Ok(answered) => answered,
        Err(problem) if page_wanted => (problem.into_page(), None),
        Err(problem) => (problem.into_response(), None),
    }
}

async fn dispatch(state: &Arc<State>, request: Request<Body>, peer: SocketAddr) -> Result<Labelled, Problem> {
    let path = request.uri().path().to_owned();
    let below = path.strip_prefix(PREFIX).unwrap_or_default();
    let (merchant, rest) = below.split_once('/').unwrap_or((below, ""));
    let merchant = State::merchant_id(merchant)?;
    match rest.trim_end_matches('/') {
        "" => return index::merchant(state, &merchant).await.map(unlabelled),
        sign_in::SIGN_IN => return sign_in::sign_in(state, &merchant, request).await.map(unlabelled),
        sign_in::SIGN_OUT => return sign_in::sign_out(state, &merchant, &request).map(unlabelled),
        _ => {}
    }
    let (plugin, path) = rest.split_once('/').unwrap_or((rest, ""));
    let plugin =
        PluginId::new(plugin).map_err(|_| Problem::not_found(format!("There is no plugin `{}`.", shorten(plugin))))?;
    serve(state, Address { merchant, plugin, path: format!("/{path}") }, request, peer).await
}

/// Names that no plugin may have, because the host's own pages are there.
pub(crate) const RESERVED_PLUGIN_IDS: [&str; 2] = [sign_in::SIGN_IN, sign_in::SIGN_OUT];

async fn serve(
    state: &Arc<State>,
    address: Address,
    request: Request<Body>,
    peer: SocketAddr,
) -> Result<Labelled, Problem> {
    let (parts, body) = request.into_parts();
    let mut body = Some(body);
    let mut content: Option<Bytes> = None;
    for _ in 0..ADMISSIONS_MAX {
        let revision = state.note(state.machine.current(&address.merchant).await)?;
        let admission = match admit(state, &address, &revision, &parts).await? {
            Admitted::Invoke(admission) => admission,
            Admitted::Answer(response) => return Ok(unlabelled(*response)),
        };
        if let Some(body) = body.take() {
            content = Some(read_body(&parts.headers, body).await?);
        }
        let content = content.clone().unwrap_or_default();
        let call = Arc::new(HttpRequest {
            method: parts.method.as_str().to_owned(),
            path: address.path.clone(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: headers::for_plugin(&parts.method, &parts.headers, admission.route),
            body: content.to_vec(),
            base_path: format!("/m/{}/{}", address.merchant, address.plugin),
            remote_address: if admission.route.vary.is_none() { peer.ip().to_string() } else { String::new() },
            route: Some(admission.position),
        });
        let (merchant, plugin) = (&address.merchant, &address.plugin);
        let response = match state.machine.recall(merchant, plugin, &call, Some(admission.revision)) {
            Some(response) => headers::from_memory(&response, admission.route)?,
            None => {
                let context = context(&address, &admission, &parts.method, &parts.headers)?;
                let place = state.places.take().await?;
                end_of_step().await;
                let result = invoke(state, &address, call, context).await;
                drop(place);
                end_of_step().await;
                match result {
                    Ok(answer) => headers::from_plugin(answer, admission.route)?,
                    Err(Outcome::Again) => continue,
                    Err(Outcome::Failed(problem)) => return Err(*problem),
                }
            }
        };
        let class = auth::class(&admission.route.auth);
        return Ok((response, Some(Labels { merchant: address.merchant, plugin: address.plugin, class })));
    }
    Err(Problem::unavailable(Code::Unavailable, "The set of plugins is being changed; try again in a second.", 1))
}

fn unlabelled(response: Response) -> Labelled {
    (response, None)
}

enum Admitted<'a> {
    Invoke(Admission<'a>),
    Answer(Box<Response>),
}

/// Finds the route in the revision in force and checks who is calling.
async fn admit<'a>(
    state: &Arc<State>,
    address: &Address,
    revision: &'a Revision,
    parts: &Parts,
) -> Result<Admitted<'a>, Problem> {
    let (method, request_headers) = (&parts.method, &parts.headers);
    let Some(installed) = revision.plugins.get(&address.plugin) else {
        return Err(Problem::not_found(format!(
            "The plugin `{}` is not installed for `{}`.",
            address.plugin, address.merchant
        )));
    };
    let (position, route) = match match_route(&installed.spec.routes, method.as_str(), &address.path) {
        Matched::Route(position, route) => (position, route),
        Matched::MethodNotAllowed(allowed) => return Err(Problem::method_not_allowed(method.as_str(), &allowed)),
        Matched::NotFound => return Err(Problem::not_found(format!("`{}` has no such address.", installed.spec.name))),
        Matched::Ambiguous(reason) => return Err(Problem::invalid(format!("This path cannot be used: {reason}."))),
    };
    let caller = match auth::authenticate(state, &address.merchant, route, method, request_headers).await {
        Ok(caller) => caller,
        Err(problem) if may_sign_in(&route.auth, method, request_headers, &problem) => {
            let response = sign_in::redirect(&address.merchant, &parts.uri);
            return Ok(Admitted::Answer(Box::new(response)));
        }
        Err(problem) => return Err(problem),
    };
    Ok(Admitted::Invoke(Admission { caller, route, position, revision: revision.number }))
}

/// A person who opens a page for staff is shown where to sign in.
fn may_sign_in(auth: &RouteAuth, method: &Method, headers: &HeaderMap, problem: &Problem) -> bool {
    matches!(auth, RouteAuth::Staff(_)) && problem.code() == Code::Unauthenticated && wants_page(method, headers)
}

fn wants_page(method: &Method, headers: &HeaderMap) -> bool {
    let html = headers.get(http::header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("text/html"));
    html && (method == Method::GET || method == Method::HEAD || method == Method::POST)
}

/// Reads the whole body, within bounds of size and time.
pub(crate) async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    read_body_within(headers, body, HTTP_REQUEST_BODY_BYTES_MAX).await
}

/// Reads the whole body of at most `limit` bytes.
pub(crate) async fn read_body_within(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(Code::BodyTooLarge, format!("At most {limit} bytes are accepted here.")).with("limit_bytes", limit)
    };
    let announced =
        headers.get(http::header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|n| n > limit as u64) {
        return Err(too_large());
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(BODY_READ_TIMEOUT, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::invalid("The request body broke off.")),
        Err(_) => Err(Problem::new(Code::BodyTimeout, "The request body must arrive within 30 seconds.")),
    }
}

fn context(
    address: &Address,
    admission: &Admission<'_>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<RequestContext, Problem> {
    let idempotency = match headers.get("idempotency-key") {
        Some(value) if !method.is_safe() => Some(idempotency_key(admission, headers, value.as_bytes())?),
        _ => None,
    };
    let invocation = match &idempotency {
        Some(key) => InvocationId::new(&format!("req/{}/{key}", address.plugin)),
        None => InvocationId::new(&format!("req/{}", time_ordered_id())),
    };
    Ok(RequestContext {
        invocation,
        actor: admission.caller.actor.clone(),
        scopes: admission.caller.scopes.clone(),
        may_fetch: admission.route.outbound,
        idempotency,
        admitted_by: Some(admission.revision),
    })
}

/// The key as the machine keeps it: bound to who sent it (for anonymous callers to their cookies), so that nobody is given
/// another's answer by guessing a key.
fn idempotency_key(admission: &Admission<'_>, headers: &HeaderMap, key: &[u8]) -> Result<String, Problem> {
    let visible = key.iter().all(|b| (0x21..=0x7e).contains(b));
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX || !visible {
        return Err(Problem::invalid(format!(
            "The Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters."
        )));
    }
    let mut hash = Sha256::new();
    hash.update(format!("{:?}", admission.caller.actor));
    hash.update([0]);
    if admission.caller.token.is_none() {
        for cookie in headers.get_all(http::header::COOKIE) {
            hash.update(cookie.as_bytes());
        }
    }
    hash.update(admission.caller.token.as_deref().unwrap_or_default());
    hash.update([0]);
    hash.update(key);
    Ok(hex::encode(hash.finalize()))
}

enum Outcome {
    /// The revision was switched: admit again.
    Again,
    Failed(Box<Problem>),
}

/// Runs the invocation to its end: a client that goes away does not break it off half-way, and a panic stays inside.
async fn invoke(
    state: &Arc<State>,
    address: &Address,
    call: Arc<HttpRequest>,
    context: RequestContext,
) -> Result<Answer, Outcome> {
    let (machine, merchant, plugin) = (Arc::clone(&state.machine), address.merchant.clone(), address.plugin.clone());
    let work = async move { machine.request(&merchant, &plugin, call, context).await };
    let work = Finishing::new(&state.invocations, work);
    let failed = |problem: Problem| Outcome::Failed(Box::new(problem));
    match tokio::time::timeout(INVOCATION_TIMEOUT, work).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(Error::RevisionChanged { .. }))) => Err(Outcome::Again),
        Ok(Ok(Err(error))) => Err(failed(
            state
                .note::<Answer>(Err(error))
                .map_or_else(Problem::from, |_| Problem::new(Code::Internal, "An error was lost.")),
        )),
        Ok(Err(panic)) => {
            tracing::error!(panic = panic_text(panic.as_ref()), plugin = %address.plugin, "an invocation panicked");
            Err(failed(Problem::new(Code::Internal, "The invocation broke off; nothing of it remains.")))
        }
        Err(_) => Err(failed(Problem::new(
            Code::InvocationTimeout,
            "The invocation took too long. It may still come to its end: repeat the request with the same Idempotency-Key, or look first.",
        ))),
    }
}
