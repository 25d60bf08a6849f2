//! Amazon as a sales channel, over the Selling Partner API.
//!
//! Orders come in by a sweep that overlaps itself and by notifications; stock and prices of listings go out when they change;
//! shipments are confirmed. The rules are plain Rust without host calls: [`mapping`] (an order as Amazon tells it, as Kontor
//! keeps it), [`sweep`] (windows, marks, the search budget), [`offer`] (what is sent, and that nothing older follows),
//! [`shipment`], [`retry`] (what an answer means), [`money`]. `intake` and `outgoing` join them to the host and to the services of
//! orders, inventory, catalogue and pricing; this file is what the host calls.
//!
//! | route | for | what |
//! |---|---|---|
//! | `GET /` | staff `amazon:read` | the page for staff |
//! | `GET /v1/status` | token `amazon:read` | the same as JSON |
//! | `POST /v1/sweep` | token `amazon:write` | fetches changed orders now |
//! | `POST /v1/listings/{sku}/push` | token `amazon:write` | sends stock and price of a SKU again |
//! | `POST /v1/notifications` | token `amazon:notify` | takes Amazon's `ORDER_CHANGE` notifications |
//!
//! Not here: fulfilment by Amazon beyond taking its orders as history, feeds, returns, refunds.

pub mod api;
mod client;
mod convert;
mod intake;
pub mod mapping;
pub mod money;
pub mod offer;
mod outgoing;
pub mod page;
pub mod retry;
pub mod settings;
pub mod shipment;
pub mod sweep;

#[cfg(test)]
mod mapping_tests;

use kontor_sdk::http::{Html, Json, Path, Result, Router, StatusCode};
use kontor_sdk::{Error, Event, HandlerError, Job, JobType, Plugin, config};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Notification;
use crate::offer::SendOffer;
use crate::page::{ListingError, Status, TroubleView};
use crate::settings::Settings;

kontor_sdk::services! {
    mod bindings;
    path: "../../../wit/commerce/0.1.0",
    world: "
        package kontor:amazon-plugin;
        world amazon {
            import kontor:commerce/orders@0.1.0;
            import kontor:commerce/inventory@0.1.0;
            import kontor:commerce/catalog@0.1.0;
            import kontor:commerce/pricing@0.1.0;
        }
    ",
}

pub(crate) const SWEEP: JobType<Value> = JobType::new("sweep");
pub(crate) const FETCH_ORDER: JobType<FetchOrder> = JobType::new("fetch-order");
pub(crate) const PUSH_OFFER: JobType<PushOffer> = JobType::new("push-offer");
pub(crate) const SEND_OFFER: JobType<SendOffer> = JobType::new("send-offer");
pub(crate) const CONFIRM_SHIPMENT: JobType<ConfirmShipment> = JobType::new("confirm-shipment");

/// The key of the schedule's jobs and of ours: there is one sweep at a time.
pub(crate) const SWEEP_KEY: &str = "sweep";
/// Rows that the status lists.
const STATUS_ROWS_MAX: u32 = 200;

/// Fetch one order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FetchOrder {
    pub(crate) order_id: String,
}

/// Look at what a SKU should offer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PushOffer {
    pub(crate) sku: String,
}

/// Confirm what has left of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ConfirmShipment {
    pub(crate) order_id: String,
}

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Amazon;

impl Plugin for Amazon {
    fn routes() -> Router {
        Router::new()
            .get("/", status_page)
            .get("/v1/status", status_json)
            .post("/v1/sweep", sweep_now)
            .post("/v1/listings/{sku}/push", push_now)
            .post("/v1/notifications", notified)
    }

    fn event(event: Event) -> Result<(), HandlerError> {
        let settings: Settings = config::get()?;
        if !settings.is_configured() {
            return Ok(());
        }
        if event.event_type == "kontor.orders.order-shipped.v1" {
            return order_shipped(&settings, &event);
        }
        if event.event_type == "kontor.orders.order-updated.v1" {
            return order_updated(&settings, &event);
        }
        for sku in skus_of(&event) {
            if outgoing::listing(&settings, &sku)?.is_some() {
                outgoing::queue_push(&sku, false)?;
            }
        }
        Ok(())
    }

    fn job(job: Job) -> Result<(), HandlerError> {
        let settings: Settings = config::get()?;
        if !settings.is_configured() {
            return Ok(());
        }
        if job.name == SWEEP.name() {
            return intake::sweep(&settings);
        }
        if let Some(fetch) = FETCH_ORDER.read(&job)? {
            return intake::fetch_order(&settings, &fetch);
        }
        if let Some(push) = PUSH_OFFER.read(&job)? {
            return outgoing::push_offer(&settings, &push);
        }
        if let Some(sending) = SEND_OFFER.read(&job)? {
            return outgoing::send_offer(&settings, &sending);
        }
        if let Some(confirm) = CONFIRM_SHIPMENT.read(&job)? {
            return outgoing::confirm_shipment(&settings, &confirm);
        }
        Err(HandlerError::permanent(format!("there is no job `{}`", job.name)))
    }
}

/// The SKUs that an event is about: its payload names one or several; otherwise its key does.
fn skus_of(event: &Event) -> Vec<String> {
    let payload: Value = serde_json::from_str(&event.payload).unwrap_or_default();
    if let Some(sku) = payload.get("sku").and_then(Value::as_str) {
        return vec![sku.to_owned()];
    }
    match payload.get("skus").and_then(Value::as_array) {
        Some(skus) => skus.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => vec![event.key.clone()],
    }
}

fn order_shipped(settings: &Settings, event: &Event) -> Result<(), HandlerError> {
    let payload: Value = serde_json::from_str(&event.payload).unwrap_or_default();
    if payload.get("channel").and_then(Value::as_str).is_some_and(|channel| channel != settings.channel) {
        return Ok(());
    }
    let order_id = payload.get("order_id").and_then(Value::as_str).unwrap_or(&event.key).to_owned();
    CONFIRM_SHIPMENT.enqueue(&ConfirmShipment { order_id: order_id.clone() }).key(&order_id).send()?;
    Ok(())
}

/// An order that waited for stock has it now: nobody needs to look at it any more.
fn order_updated(settings: &Settings, event: &Event) -> Result<(), HandlerError> {
    let payload: Value = serde_json::from_str(&event.payload).unwrap_or_default();
    let text = |name: &str| payload.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("channel") == settings.channel && text("account") == settings.account && text("status") == "placed" {
        intake::TROUBLES.delete(intake::order_trouble(text("external_id")))?;
    }
    Ok(())
}

fn configured() -> Result<Settings> {
    let settings: Settings = config::get()?;
    if settings.is_configured() {
        return Ok(settings);
    }
    let text = "The account is not set up. Enter the merchant token (seller_id) in the plugin's configuration.";
    Err(Error::conflict(text).with_code("not-configured"))
}

fn sweep_now() -> Result<(StatusCode, Json<Value>)> {
    configured()?;
    SWEEP.enqueue(&json!({})).key(SWEEP_KEY).send()?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "queued": "sweep" }))))
}

fn push_now(Path(sku): Path<String>) -> Result<(StatusCode, Json<Value>)> {
    let settings = configured()?;
    let listing = outgoing::listing(&settings, &sku).map_err(|error| Error::unavailable(error.to_string()))?;
    if listing.is_none() {
        return Err(Error::not_found(format!("SKU {sku} has no listing on this account.")));
    }
    outgoing::queue_push(&sku, true)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "queued": "push-offer", "sku": sku }))))
}

/// Several notifications of an order become one fetch, and a repeated one finds the version taken: no list of ids is needed.
fn notified(Json(notification): Json<Notification>) -> Result<(StatusCode, Json<Value>)> {
    configured()?;
    let change = notification.payload.and_then(|payload| payload.order_change_notification);
    if notification.notification_type != "ORDER_CHANGE" {
        return Ok((StatusCode::OK, Json(json!({ "ignored": notification.notification_type }))));
    }
    let Some(change) = change else {
        return Err(Error::bad_request("The notification has no Payload.OrderChangeNotification.AmazonOrderId."));
    };
    let order_id = change.amazon_order_id;
    FETCH_ORDER.enqueue(&FetchOrder { order_id: order_id.clone() }).key(&order_id).send()?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "queued": "fetch-order", "order_id": order_id }))))
}

fn status() -> Result<Status> {
    let settings: Settings = config::get()?;
    let state = intake::state(&settings)?;
    let offers = outgoing::OFFERS.scan().limit(10_000).entries()?;
    let waiting = offers.iter().filter(|(_, offer)| offer.error.is_none() && offer.wanted != offer.sent).count();
    let listing_errors = offers
        .iter()
        .filter_map(|(sku, offer)| offer.error.clone().map(|error| ListingError { sku: sku.clone(), error }))
        .take(STATUS_ROWS_MAX as usize)
        .collect();
    let troubles = intake::TROUBLES.scan().limit(STATUS_ROWS_MAX).entries()?;
    Ok(Status {
        configured: settings.is_configured(),
        seller_id: settings.seller_id,
        marketplace_ids: settings.marketplace_ids,
        last_sweep_ms: state.finished_at_ms,
        last_sweep_orders: state.last_orders,
        sweeps: state.sweeps,
        high_water_ms: state.high_water_ms,
        sweeping: state.window.is_some(),
        sweep_error: state.last_error,
        offers: offers.len() as u64,
        offers_waiting: waiting as u64,
        listing_errors,
        troubles: troubles
            .into_iter()
            .map(|(about, trouble)| TroubleView { about, text: trouble.text, at_ms: trouble.at_ms })
            .collect(),
    })
}

fn status_json() -> Result<Json<Status>> {
    Ok(Json(status()?))
}

fn status_page() -> Result<Html<String>> {
    Ok(Html(page::render(&status()?).into_string()))
}

kontor_sdk::export!(Amazon);
