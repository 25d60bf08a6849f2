//! The HTTP API of orders, for imports, tools and the console. JSON with the contract's names in snake case, also for enum cases
//! (`on_hold`); unknown fields are refused. Errors are problem documents: 404 `not-found`, 422 `invalid`, 409 `conflict` and 409
//! `insufficient`.
//!
//! | route | scope | body or query | answer |
//! |---|---|---|---|
//! | `GET /v1/orders` | `orders:read` | `?channel=C&cursor=..&limit=50` | `{orders: [summary], next_cursor}` |
//! | `POST /v1/orders` | `orders:write` | an order-input | `{order_id, number, created}` |
//! | `POST /v1/channel-orders` | `orders:write` | `{input: order-input, state, changed_at_ms}` | `{outcome}` |
//! | `GET /v1/orders/{id}` | `orders:read` | | the order |
//! | `GET /v1/order` | `orders:read` | `?channel=C&account=default&external_id=E` | the order |
//! | `POST /v1/orders/{id}/cancel` | `orders:write` | `{reason}` | the order |
//! | `POST /v1/orders/{id}/ship` | `orders:write` | `{shipment_id, carrier, tracking_number, lines: [{line_id, quantity}]}`; without `lines`: all that can be shipped | the order |
//! | `POST /v1/orders/{id}/payments` | `orders:write` | `{reference, amount_minor}` | the order |
//! | `POST /v1/orders:import` | `orders:write` | `{orders: [order-input]}`, up to 250 | `{placings: [{order_id, number, created}]}` |
//!
//! An order-input is the contract's record; `account` is `default`, `stock` is `"none"` (else `"reserve"`, `{"reservation": id}`,
//! `{"handed_over": location}`), amounts of shipping, discount and paid are 0, lines are stocked, unless they say otherwise. An import is all or
//! none, and repeating it changes nothing.

use kontor_sdk::Error;
use kontor_sdk::http::{Json, Path, Query, Result, Router};
use serde::{Deserialize, Serialize};

use crate::model::{self, OrderInput, Page, Placing, Report, ReportOutcome};
use crate::tables::Tables;
use crate::{changing, listing, placing, report, units};

/// The routes; `plugin.toml` declares the same.
pub fn routes() -> Router {
    Router::new()
        .get("/v1/orders", list)
        .post("/v1/orders", place)
        .post("/v1/channel-orders", upsert)
        .get("/v1/orders/{id}", get)
        .get("/v1/order", find)
        .post("/v1/orders/{id}/cancel", cancel)
        .post("/v1/orders/{id}/ship", ship)
        .post("/v1/orders/{id}/payments", pay)
        .post("/v1/orders:import", import)
}

/// As an answer to a request.
pub fn problem(error: model::Error) -> Error {
    let text = error.to_string();
    match error {
        model::Error::NotFound(_) => Error::not_found(text),
        model::Error::Invalid(_) => Error::invalid(text),
        model::Error::Conflict(_) => Error::conflict(text),
        model::Error::Other(_) => Error::internal(text),
        model::Error::Insufficient(shortages) => {
            let shortages: Vec<_> = shortages
                .into_iter()
                .map(|(sku, requested, available)| {
                    serde_json::json!({"sku": sku, "requested": requested, "available": available})
                })
                .collect();
            Error::new(409, "insufficient", text).with("shortages", shortages)
        }
    }
}

/// An order with the statuses that are derived.
#[derive(Debug, Serialize)]
pub struct OrderView {
    id: String,
    number: String,
    channel: String,
    account: String,
    external_id: String,
    placed_at_ms: u64,
    updated_at_ms: u64,
    version: u64,
    status: model::OrderStatus,
    payment: model::PaymentStatus,
    fulfilment: model::FulfilmentStatus,
    returns: model::ReturnStatus,
    hold_reason: Option<String>,
    currency: String,
    email: Option<String>,
    customer_ref: Option<String>,
    shipping_address: Option<model::Address>,
    shipping_method: Option<String>,
    lines: Vec<LineView>,
    shipping_net_minor: i64,
    shipping_tax_minor: i64,
    shipping_gross_minor: i64,
    total_minor: i64,
    paid_minor: i64,
    refunded_minor: i64,
    payment_method: String,
    reservation_id: Option<String>,
    shipments: Vec<ShipmentView>,
    attributes: Vec<model::Attribute>,
}

#[derive(Debug, Serialize)]
struct LineView {
    line_id: String,
    sku: String,
    title: String,
    quantity: i64,
    unit_price_minor: i64,
    discount_minor: i64,
    net_minor: i64,
    tax_minor: i64,
    gross_minor: i64,
    rate_basis_points: u32,
    stocked: bool,
    units: Vec<UnitsView>,
}

#[derive(Debug, Serialize)]
struct UnitsView {
    state: model::UnitState,
    quantity: i64,
}

#[derive(Debug, Serialize)]
struct ShipmentView {
    id: String,
    carrier: String,
    tracking_number: String,
    shipped_at_ms: u64,
    lines: Vec<ShippedLine>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShippedLine {
    line_id: String,
    quantity: i64,
}

impl From<model::Order> for OrderView {
    fn from(order: model::Order) -> Self {
        OrderView {
            payment: units::payment(&order),
            fulfilment: units::fulfilment(&order),
            returns: units::returns(&order),
            paid_minor: order.paid_minor(),
            id: order.id,
            number: order.number,
            channel: order.channel,
            account: order.account,
            external_id: order.external_id,
            placed_at_ms: order.placed_at_ms,
            updated_at_ms: order.updated_at_ms,
            version: order.version,
            status: order.status,
            hold_reason: order.hold_reason,
            currency: order.currency,
            email: order.email,
            customer_ref: order.customer_ref,
            shipping_address: order.shipping_address,
            shipping_method: order.shipping_method,
            lines: order.lines.into_iter().map(LineView::from).collect(),
            shipping_net_minor: order.shipping_net_minor,
            shipping_tax_minor: order.shipping_tax_minor,
            shipping_gross_minor: order.shipping_gross_minor,
            total_minor: order.total_minor,
            refunded_minor: order.refunded_minor,
            payment_method: order.payment_method,
            reservation_id: order.reservations.into_iter().next(),
            shipments: order.shipments.into_iter().map(ShipmentView::from).collect(),
            attributes: order.attributes,
        }
    }
}

impl From<model::Line> for LineView {
    fn from(line: model::Line) -> Self {
        LineView {
            line_id: line.line_id,
            sku: line.sku,
            title: line.title,
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
            discount_minor: line.discount_minor,
            net_minor: line.net_minor,
            tax_minor: line.tax_minor,
            gross_minor: line.gross_minor,
            rate_basis_points: line.rate_basis_points,
            stocked: line.stocked,
            units: line.units.into_iter().map(|(state, quantity)| UnitsView { state, quantity }).collect(),
        }
    }
}

impl From<model::Shipment> for ShipmentView {
    fn from(shipment: model::Shipment) -> Self {
        let lines = shipment.lines.into_iter();
        ShipmentView {
            id: shipment.id,
            carrier: shipment.carrier,
            tracking_number: shipment.tracking_number,
            shipped_at_ms: shipment.shipped_at_ms,
            lines: lines.map(|(line_id, quantity)| ShippedLine { line_id, quantity }).collect(),
        }
    }
}

fn view(result: model::Result<model::Order>) -> Result<Json<OrderView>> {
    result.map(|order| Json(order.into())).map_err(problem)
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    channel: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

fn list(Query(query): Query<ListQuery>) -> Result<Json<Page>> {
    listing::list(&mut Tables, query.channel.as_deref(), query.cursor.as_deref(), query.limit.unwrap_or(50))
        .map(Json)
        .map_err(problem)
}

fn place(Json(input): Json<OrderInput>) -> Result<Json<Placing>> {
    placing::place(&mut Tables, &input).map(Json).map_err(problem)
}

#[derive(Debug, Serialize)]
struct Outcome {
    outcome: ReportOutcome,
}

fn upsert(Json(report): Json<Report>) -> Result<Json<Outcome>> {
    let outcome = report::upsert(&mut Tables, &report).map_err(problem)?;
    Ok(Json(Outcome { outcome }))
}

fn get(Path(id): Path<String>) -> Result<Json<OrderView>> {
    view(placing::load(&mut Tables, &id))
}

#[derive(Debug, Deserialize)]
struct FindQuery {
    channel: String,
    account: Option<String>,
    external_id: String,
}

fn find(Query(query): Query<FindQuery>) -> Result<Json<OrderView>> {
    let account = query.account.as_deref().unwrap_or("default");
    view(listing::find(&mut Tables, &query.channel, account, &query.external_id))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    #[serde(default)]
    reason: String,
}

fn cancel(Path(id): Path<String>, Json(body): Json<CancelBody>) -> Result<Json<OrderView>> {
    view(changing::cancel(&mut Tables, &id, &body.reason))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShipBody {
    shipment_id: String,
    #[serde(default)]
    carrier: String,
    #[serde(default)]
    tracking_number: String,
    #[serde(default)]
    lines: Option<Vec<ShippedLine>>,
}

fn ship(Path(id): Path<String>, Json(body): Json<ShipBody>) -> Result<Json<OrderView>> {
    let lines = match body.lines {
        Some(lines) => lines.into_iter().map(|line| (line.line_id, line.quantity)).collect(),
        None => changing::shippable(&mut Tables, &id).map_err(problem)?,
    };
    view(changing::ship(&mut Tables, &id, &body.shipment_id, &body.carrier, &body.tracking_number, &lines))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PaymentBody {
    reference: String,
    amount_minor: i64,
}

fn pay(Path(id): Path<String>, Json(body): Json<PaymentBody>) -> Result<Json<OrderView>> {
    view(changing::record_payment(&mut Tables, &id, &body.reference, body.amount_minor))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportBody {
    orders: Vec<OrderInput>,
}

#[derive(Debug, Serialize)]
struct Imported {
    placings: Vec<Placing>,
}

fn import(Json(body): Json<ImportBody>) -> Result<Json<Imported>> {
    let placings = placing::import(&mut Tables, &body.orders).map_err(problem)?;
    Ok(Json(Imported { placings }))
}
