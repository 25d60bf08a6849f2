//! The marketplace behind HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::bucket::Operation;
use super::decimal;
use super::faults::Fault;
use super::model::{Money, time_text};
use super::simulator::{Exchanged, LoggedRequest, Shared, State};
use super::validate::{
    ApiError, PatchRequest, SearchRequest, SearchWindow, ShipmentRequest, get_listing_query, get_order_query,
    token_request,
};

/// Amazon refuses larger ones too.
const BODY_BYTES_MAX: usize = 1024 * 1024;

type Answer = Response<Bytes>;

/// Accepts connections until it is told to stop; then open ones are dropped.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // The sender's end is the handle: when it is gone, nobody needs the server any more.
            _ = stopped.changed() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Ok((stream, _)) = accepted else { continue };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| handle(Arc::clone(&shared), request));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection ended early");
            }
        });
    }
}

/// What a request asks for, with the parts of its path.
enum Target {
    Token,
    SearchOrders,
    GetOrder(String),
    Listing { seller: String, sku: String, patch: bool },
    ConfirmShipment(String),
    Unknown,
}

impl Target {
    fn of(method: &Method, path: &str) -> Self {
        let parts: Vec<String> = path
            .trim_start_matches('/')
            .split('/')
            .map(|part| {
                // A plus in a path is a plus: only percent-escapes are decoded.
                let escaped = part.replace('+', "%2B");
                url::form_urlencoded::parse(format!("p={escaped}").as_bytes())
                    .next()
                    .map_or_else(String::new, |(_, value)| value.into_owned())
            })
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["auth", "o2", "token"]) => Self::Token,
            ("GET", ["orders", "2026-01-01", "orders"]) => Self::SearchOrders,
            ("GET", ["orders", "2026-01-01", "orders", order_id]) => Self::GetOrder((*order_id).to_owned()),
            ("GET" | "PATCH", ["listings", "2021-08-01", "items", seller, sku]) => {
                Self::Listing { seller: (*seller).to_owned(), sku: (*sku).to_owned(), patch: method == Method::PATCH }
            }
            ("POST", ["orders", "v0", "orders", order_id, "shipmentConfirmation"]) => {
                Self::ConfirmShipment((*order_id).to_owned())
            }
            _ => Self::Unknown,
        }
    }

    fn operation(&self) -> Operation {
        match self {
            Self::Token => Operation::Token,
            Self::SearchOrders => Operation::SearchOrders,
            Self::GetOrder(_) => Operation::GetOrder,
            Self::Listing { patch: true, .. } => Operation::PatchListing,
            Self::Listing { .. } => Operation::GetListing,
            Self::ConfirmShipment(_) => Operation::ConfirmShipment,
            Self::Unknown => Operation::Unknown,
        }
    }

    /// What the request is about; faults are drawn per subject.
    fn subject(&self) -> &str {
        match self {
            Self::GetOrder(subject) | Self::ConfirmShipment(subject) | Self::Listing { sku: subject, .. } => subject,
            Self::Token | Self::SearchOrders | Self::Unknown => "",
        }
    }
}

/// A request, read.
struct Received {
    target: Target,
    method: Method,
    path_and_query: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Received {
    fn of(parts: http::request::Parts, body: Bytes) -> Self {
        Self {
            target: Target::of(&parts.method, parts.uri.path()),
            method: parts.method,
            path_and_query: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            body,
        }
    }
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return Ok(refusal(&ApiError::new(413, "PayloadTooLarge", "The request is too large.")).map(Full::new));
        }
    };
    let received = Received::of(parts, body);
    let (answer, fault, hang_ms) = exchange(&shared, &received);
    match fault {
        Some(Fault::DropBefore | Fault::DropAfter) => Err(io::Error::other("simulated: connection broken")),
        Some(Fault::Hang) => {
            tokio::time::sleep(Duration::from_millis(hang_ms)).await;
            Err(io::Error::other("simulated: no answer in time"))
        }
        _ => Ok(answer.map(Full::new)),
    }
}

/// A request that came without a network.
pub(crate) fn exchange_directly(
    shared: &Shared,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Result<Exchanged, http::Error> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let (parts, body) = request.body(Bytes::from(body))?.into_parts();
    let (answer, fault, _) = exchange(shared, &Received::of(parts, body));
    Ok(match fault {
        Some(Fault::DropBefore | Fault::DropAfter) => Exchanged::Broken,
        Some(Fault::Hang) => Exchanged::TimedOut,
        _ => Exchanged::Answer {
            status: answer.status().as_u16(),
            headers: answer
                .headers()
                .iter()
                .filter_map(|(name, value)| value.to_str().ok().map(|value| (name.to_string(), value.to_owned())))
                .collect(),
            body: answer.into_body().to_vec(),
        },
    })
}

/// Everything between a request and its answer; under one lock, so that requests are served one after the other.
fn exchange(shared: &Shared, received: &Received) -> (Answer, Option<Fault>, u64) {
    let (mut state, now_ms) = shared.lock();
    let state = &mut *state;
    let operation = received.target.operation();
    let plan = state.market.settings.plan;
    let seed = state.market.settings.seed;
    let fault = state.faults.next(&plan, seed, operation, received.target.subject());
    let outcome = match fault {
        Some(Fault::DropBefore) => Err(ApiError::new(500, "InternalFailure", "The connection broke.")),
        Some(Fault::InternalError) => {
            Err(ApiError::new(500, "InternalFailure", "We encountered an internal error. Please try again."))
        }
        Some(Fault::Unavailable) => {
            Err(ApiError::new(503, "ServiceUnavailable", "The service is temporarily overloaded."))
        }
        Some(Fault::Throttle) => Err(quota_exceeded()),
        _ => answer(shared, state, received, now_ms),
    };
    let broken = matches!(fault, Some(Fault::DropBefore | Fault::DropAfter | Fault::Hang));
    let status = match &outcome {
        Ok(response) => response.status().as_u16(),
        Err(error) => error.status,
    };
    let header_text = |name: &str| received.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let number = state.log(LoggedRequest {
        number: 0,
        at_ms: now_ms,
        operation,
        method: received.method.to_string(),
        target: received.path_and_query.clone(),
        body: match operation {
            Operation::Token => String::new(),
            _ => String::from_utf8_lossy(&received.body).into_owned(),
        },
        status: (!broken).then_some(status),
        fault,
        idempotency_key: header_text("idempotency-key"),
    });
    // What the caller could have known is a violation; what only the marketplace knows (a limit, an expired token, an order
    // that is gone) is not.
    if let Err(error) = &outcome
        && fault.is_none()
        && (operation == Operation::Unknown || matches!(error.status, 400 | 401 | 413 | 415))
    {
        let text = format!("{} {}: {}", received.method, received.path_and_query, error.message);
        state.violation(number, operation, status, text);
    }
    let mut response = outcome.unwrap_or_else(|error| match operation {
        Operation::Token => token_refusal(&error),
        _ => refusal(&error),
    });
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&format!("sim-{seed}-{number}")) {
        headers.insert("x-amzn-requestid", value);
    }
    if let Some(limit) = shared.rates.of(operation)
        && let Ok(value) = HeaderValue::from_str(&limit.header_value())
    {
        headers.insert("x-amzn-ratelimit-limit", value);
    }
    (response, fault, plan.hang_ms)
}

fn quota_exceeded() -> ApiError {
    ApiError::new(429, "QuotaExceeded", "You exceeded your quota for the requested resource.")
}

fn answer(shared: &Shared, state: &mut State, received: &Received, now_ms: u64) -> Result<Answer, ApiError> {
    let operation = received.target.operation();
    if operation == Operation::Token {
        return token(shared, state, received, now_ms);
    }
    if operation == Operation::Unknown {
        let text = format!("There is no operation {} {}.", received.method, received.path_and_query);
        return Err(ApiError::new(404, "NotFound", &text));
    }
    check_headers(state, received, now_ms)?;
    state.take_token(&shared.rates, operation, now_ms).map_err(|_limit| quota_exceeded())?;
    let marketplaces: Vec<String> =
        state.market.settings.marketplaces.iter().map(|marketplace| marketplace.id.clone()).collect();
    let currency =
        state.market.settings.marketplaces.first().map_or_else(String::new, |marketplace| marketplace.currency.clone());
    match &received.target {
        Target::SearchOrders => {
            let request = SearchRequest::parse(&received.query, &marketplaces, now_ms)?;
            let page = state.market.search(&request, now_ms)?;
            let bound = match request.window {
                SearchWindow::Created { .. } => "createdBefore",
                SearchWindow::Updated { .. } => "lastUpdatedBefore",
            };
            let mut body = json!({ "orders": page.orders });
            if let Some(fields) = body.as_object_mut() {
                fields.insert(bound.to_owned(), json!(page.upper_bound));
                if let Some(token) = page.next_token {
                    fields.insert("pagination".to_owned(), json!({ "nextToken": token }));
                }
            }
            Ok(respond(200, &body))
        }
        Target::GetOrder(order_id) => {
            let included = get_order_query(&received.query)?;
            let order = state.market.get_order(order_id, &included, now_ms)?;
            Ok(respond(200, &json!({ "order": order })))
        }
        Target::Listing { seller, sku, patch } => {
            if seller != &shared.seller_id {
                return Err(ApiError::new(403, "Unauthorized", "Access to requested resource is denied."));
            }
            if *patch {
                patch_listing(state, received, sku, &marketplaces, &currency, now_ms)
            } else {
                get_listing(state, received, sku, &marketplaces, &currency)
            }
        }
        Target::ConfirmShipment(order_id) => {
            let request = ShipmentRequest::parse(&received.query, &json_body(received)?)?;
            state.market.confirm_shipment(order_id, &request, now_ms)?;
            Ok(respond(204, &Value::Null))
        }
        Target::Token | Target::Unknown => Err(ApiError::new(404, "NotFound", "There is no such operation.")),
    }
}

fn check_headers(state: &State, received: &Received, now_ms: u64) -> Result<(), ApiError> {
    if !received.headers.contains_key(header::USER_AGENT) {
        return Err(ApiError::invalid("user-agent", "is a required header"));
    }
    let token = received.headers.get("x-amz-access-token").and_then(|value| value.to_str().ok());
    let Some(token) = token else {
        return Err(ApiError::new(401, "Unauthorized", "Access token is missing in the request header."));
    };
    if !state.token_is_valid(token, now_ms) {
        return Err(ApiError::new(
            403,
            "Unauthorized",
            "The access token you provided is revoked, malformed, expired or invalid.",
        ));
    }
    Ok(())
}

fn has_content_type(received: &Received, wanted: &str) -> bool {
    let content_type =
        received.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

fn json_body(received: &Received) -> Result<Value, ApiError> {
    if !has_content_type(received, "application/json") {
        return Err(ApiError::new(415, "UnsupportedMediaType", "The request's content type must be application/json."));
    }
    serde_json::from_slice(&received.body).map_err(|error| ApiError::invalid("body", &format!("is no JSON: {error}")))
}

fn token(shared: &Shared, state: &mut State, received: &Received, now_ms: u64) -> Result<Answer, ApiError> {
    if !has_content_type(received, "application/x-www-form-urlencoded") {
        return Err(ApiError::new(
            400,
            "invalid_request",
            "The content type must be application/x-www-form-urlencoded",
        ));
    }
    token_request(&received.body, &shared.credentials)
        .map_err(|(status, code, text)| ApiError::new(status, code, &text))?;
    let access_token = state.issue_token(shared.token_ttl_ms, now_ms);
    Ok(respond(
        200,
        &json!({
            "access_token": access_token,
            "refresh_token": shared.credentials.refresh_token,
            "token_type": "bearer",
            "expires_in": shared.token_ttl_ms / 1_000,
        }),
    ))
}

fn patch_listing(
    state: &mut State,
    received: &Received,
    sku: &str,
    marketplaces: &[String],
    currency: &str,
    now_ms: u64,
) -> Result<Answer, ApiError> {
    let request = PatchRequest::parse(&received.query, &json_body(received)?, marketplaces, currency)?;
    let Some(asin) = state.market.listing(sku).map(|listing| listing.asin.clone()) else {
        return Err(ApiError::not_found(&format!("SKU {sku} is not found in the marketplaces asked for.")));
    };
    let (submission_id, issues) = state.market.patch_listing(sku, &request, now_ms);
    let status = match (issues.is_empty(), request.preview) {
        (true, true) => "VALID",
        (true, false) => "ACCEPTED",
        (false, _) => "INVALID",
    };
    let mut body = json!({ "sku": sku, "status": status, "submissionId": submission_id, "issues": issues });
    if let (true, Some(fields)) = (request.preview, body.as_object_mut()) {
        let identifiers: Vec<Value> =
            marketplaces.iter().map(|id| json!({ "marketplaceId": id, "asin": asin })).collect();
        fields.insert("identifiers".to_owned(), json!(identifiers));
    }
    Ok(respond(200, &body))
}

fn get_listing(
    state: &State,
    received: &Received,
    sku: &str,
    marketplaces: &[String],
    currency: &str,
) -> Result<Answer, ApiError> {
    let included = get_listing_query(&received.query, marketplaces)?;
    let Some(listing) = state.market.listing(sku) else {
        return Err(ApiError::not_found(&format!("SKU {sku} is not found in the marketplaces asked for.")));
    };
    let marketplace = marketplaces.first().cloned().unwrap_or_default();
    let price = listing.input.price_minor;
    let quantity = listing.input.quantity;
    let buyable = price.is_some() && quantity.is_some_and(|quantity| quantity > 0);
    let mut body = json!({ "sku": sku });
    let Some(fields) = body.as_object_mut() else { return Ok(respond(500, &Value::Null)) };
    if included.contains("summaries") {
        let status = if buyable { json!(["BUYABLE", "DISCOVERABLE"]) } else { json!(["DISCOVERABLE"]) };
        fields.insert(
            "summaries".to_owned(),
            json!([{
                "marketplaceId": marketplace,
                "asin": listing.asin,
                "productType": listing.input.product_type,
                "conditionType": "new_new",
                "status": status,
                "itemName": listing.input.title,
                "createdDate": time_text(listing.created_ms),
                "lastUpdatedDate": time_text(listing.updated_ms),
            }]),
        );
    }
    if included.contains("offers") {
        let offers: Vec<Value> = price
            .map(|minor| Money { amount: decimal::format(minor, currency), currency_code: currency.to_owned() })
            .map(|price| json!({ "marketplaceId": marketplace, "offerType": "B2C", "price": price }))
            .into_iter()
            .collect();
        fields.insert("offers".to_owned(), json!(offers));
    }
    if included.contains("fulfillmentAvailability") {
        let availability: Vec<Value> = quantity
            .map(|quantity| json!({ "fulfillmentChannelCode": "DEFAULT", "quantity": quantity }))
            .into_iter()
            .collect();
        fields.insert("fulfillmentAvailability".to_owned(), json!(availability));
    }
    if included.contains("issues") {
        fields.insert("issues".to_owned(), json!([]));
    }
    if included.contains("productTypes") {
        let types = json!([{ "marketplaceId": marketplace, "productType": listing.input.product_type }]);
        fields.insert("productTypes".to_owned(), types);
    }
    Ok(respond(200, &body))
}

fn respond(status: u16, body: &Value) -> Answer {
    let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let mut response = Response::new(bytes);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !body.is_null() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

fn refusal(error: &ApiError) -> Answer {
    respond(error.status, &error.body())
}

fn token_refusal(error: &ApiError) -> Answer {
    respond(error.status, &json!({ "error": error.code, "error_description": error.message }))
}
