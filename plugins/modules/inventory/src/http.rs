//! The HTTP API of stock, for imports, tools and the console. JSON with the contract's names in snake case, also for enum cases
//! (`receive_po`); unknown fields are refused. Errors are problem documents: 404 `not-found`, 422 `invalid`, 409 `conflict` and
//! 409 `insufficient`.
//!
//! | route | scope | body or query | answer |
//! |---|---|---|---|
//! | `GET /v1/locations` | `inventory:read` | | `{locations: [{id, name, kind, time_zone, active}]}` |
//! | `PUT /v1/locations/{id}` | `inventory:write` | `{name, kind, time_zone, active}` | the location |
//! | `GET /v1/channel-rules/{channel}` | `inventory:read` | | `{channel, locations, buffer, maximum}` |
//! | `PUT /v1/channel-rules/{channel}` | `inventory:write` | `{locations, buffer, maximum}` | the rule |
//! | `PUT /v1/safety` | `inventory:write` | `{sku, location, quantity}` | 204 |
//! | `POST /v1/movements:batch` | `inventory:write` | `{movements: [{sku, location, quantity, reason, ref_type, ref_id, line, occurred_at_ms}]}`, up to 1,000 | `{booked}` |
//! | `POST /v1/counts:batch` | `inventory:write` | `{counts: [{sku, location, expected, counted, reference}]}`, up to 250 | `{changed}` |
//! | `GET /v1/levels` | `inventory:read` | `?sku=A&sku=B`, up to 250 | `{levels: [{sku, location, on_hand, unsellable, reserved, safety, available_to_sell}]}` |
//! | `GET /v1/offers` | `inventory:read` | `?channel=C&sku=A`, up to 250 | `{offers: [{sku, quantity}]}` |
//! | `GET /v1/movements` | `inventory:read` | `?sku=A&location=L&cursor=..&limit=50` | `{movements: [..], next_cursor}` |
//! | `POST /v1/sales` | `inventory:write` | `{location, ref_id, occurred_at_ms, demands: [{sku, quantity}]}` | 204 |
//! | `POST /v1/reservations` | `inventory:write` | `{channel, kind, owner, demands: [{sku, quantity, location}], expires_at_ms, allow_partial}` | the reservation |
//! | `POST /v1/reservations/{id}/extend` | `inventory:write` | `{expires_at_ms}` | the reservation |
//! | `POST /v1/reservations/{id}/commit` | `inventory:write` | `{order_id}` | the reservation |
//! | `POST /v1/reservations/{id}/fulfil` | `inventory:write` | `{ref_id, demands}` | the reservation |
//! | `POST /v1/reservations/{id}/release` | `inventory:write` | `{}`, or a part: `{ref_id, demands}` | the reservation |
//! | `GET /v1/reservations/{id}` | `inventory:read` | | the reservation |
//! | `GET /v1/verify` | `inventory:read` | `?cursor=..` | `{checked, discrepancies: [{sku, location, field, projected, ledger}], next_cursor}` |
//!
//! Batches are all or none. Repeating one changes nothing: every booking is known by its reference.

use kontor_sdk::Error;
use kontor_sdk::http::{Json, NoContent, Path, Query, Result, Router};
use serde::{Deserialize, Serialize};

use crate::model::{
    self, ChannelOffer, ChannelRule, Demand, Location, LocationKind, MovementInput, MovementPage, Reservation,
    ReservationRequest, StockCount, StockLevel, Verification,
};
use crate::stock::Stock as _;
use crate::tables::Tables;
use crate::{booking, offers, reservation, verify};

/// The routes; `plugin.toml` declares the same.
pub fn routes() -> Router {
    Router::new()
        .get("/v1/locations", list_locations)
        .put("/v1/locations/{id}", put_location)
        .get("/v1/channel-rules/{channel}", get_channel_rule)
        .put("/v1/channel-rules/{channel}", put_channel_rule)
        .put("/v1/safety", put_safety)
        .post("/v1/movements:batch", post_movements)
        .post("/v1/counts:batch", post_counts)
        .get("/v1/levels", get_levels)
        .get("/v1/offers", get_offers)
        .get("/v1/movements", get_movements)
        .post("/v1/sales", post_sale)
        .post("/v1/reservations", post_reservation)
        .get("/v1/reservations/{id}", get_reservation)
        .post("/v1/reservations/{id}/extend", extend_reservation)
        .post("/v1/reservations/{id}/commit", commit_reservation)
        .post("/v1/reservations/{id}/fulfil", fulfil_reservation)
        .post("/v1/reservations/{id}/release", release_reservation)
        .get("/v1/verify", get_verify)
}

/// As an answer to a request.
pub fn problem(error: model::Error) -> Error {
    let text = error.to_string();
    match error {
        model::Error::NotFound(_) => Error::not_found(text),
        model::Error::Invalid(_) => Error::invalid(text),
        model::Error::Conflict(_) => Error::conflict(text),
        model::Error::Insufficient(shortages) => {
            let shortages = serde_json::to_value(shortages).unwrap_or_default();
            Error::new(409, "insufficient", text).with("shortages", shortages)
        }
        model::Error::Other(_) => Error::internal(text),
    }
}

#[derive(Debug, Serialize)]
struct Locations {
    locations: Vec<Location>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LocationBody {
    name: String,
    kind: LocationKind,
    time_zone: String,
    #[serde(default = "yes")]
    active: bool,
}

fn yes() -> bool {
    true
}

fn list_locations() -> Result<Json<Locations>> {
    let locations = Tables.locations().map_err(problem)?;
    Ok(Json(Locations { locations }))
}

fn put_location(Path(id): Path<String>, Json(body): Json<LocationBody>) -> Result<Json<Location>> {
    let location = Location { id, name: body.name, kind: body.kind, time_zone: body.time_zone, active: body.active };
    offers::upsert_location(&mut Tables, &location).map_err(problem)?;
    Ok(Json(location))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelRuleBody {
    locations: Vec<String>,
    #[serde(default)]
    buffer: i64,
    #[serde(default)]
    maximum: Option<i64>,
}

fn get_channel_rule(Path(channel): Path<String>) -> Result<Json<ChannelRule>> {
    offers::channel_rule(&mut Tables, &channel).map(Json).map_err(problem)
}

fn put_channel_rule(Path(channel): Path<String>, Json(body): Json<ChannelRuleBody>) -> Result<Json<ChannelRule>> {
    let rule = ChannelRule { channel, locations: body.locations, buffer: body.buffer, maximum: body.maximum };
    offers::set_channel_rule(&mut Tables, &rule).map_err(problem)?;
    Ok(Json(rule))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SafetyBody {
    sku: String,
    location: String,
    quantity: i64,
}

fn put_safety(Json(body): Json<SafetyBody>) -> Result<NoContent> {
    booking::set_safety(&mut Tables, &body.sku, &body.location, body.quantity).map_err(problem)?;
    Ok(NoContent)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MovementsBody {
    movements: Vec<MovementInput>,
}

#[derive(Debug, Serialize)]
struct Booked {
    booked: u32,
}

fn post_movements(Json(body): Json<MovementsBody>) -> Result<Json<Booked>> {
    let booked = booking::book(&mut Tables, &body.movements).map_err(problem)?;
    Ok(Json(Booked { booked }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CountsBody {
    counts: Vec<StockCount>,
}

#[derive(Debug, Serialize)]
struct Changed {
    changed: u32,
}

fn post_counts(Json(body): Json<CountsBody>) -> Result<Json<Changed>> {
    let changed = booking::count(&mut Tables, &body.counts).map_err(problem)?;
    Ok(Json(Changed { changed }))
}

#[derive(Debug, Deserialize)]
struct LevelsQuery {
    #[serde(default)]
    sku: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Levels {
    levels: Vec<StockLevel>,
}

fn get_levels(Query(query): Query<LevelsQuery>) -> Result<Json<Levels>> {
    let levels = offers::levels(&mut Tables, &query.sku).map_err(problem)?;
    Ok(Json(Levels { levels }))
}

#[derive(Debug, Deserialize)]
struct OffersQuery {
    channel: String,
    #[serde(default)]
    sku: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Offers {
    offers: Vec<ChannelOffer>,
}

fn get_offers(Query(query): Query<OffersQuery>) -> Result<Json<Offers>> {
    let offers = offers::offers(&mut Tables, &query.channel, &query.sku).map_err(problem)?;
    Ok(Json(Offers { offers }))
}

#[derive(Debug, Deserialize)]
struct MovementsQuery {
    sku: String,
    location: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

fn get_movements(Query(query): Query<MovementsQuery>) -> Result<Json<MovementPage>> {
    offers::movements(
        &mut Tables,
        &query.sku,
        query.location.as_deref(),
        query.cursor.as_deref(),
        query.limit.unwrap_or(50),
    )
    .map(Json)
    .map_err(problem)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaleBody {
    location: String,
    ref_id: String,
    #[serde(default)]
    occurred_at_ms: u64,
    demands: Vec<Demand>,
}

fn post_sale(Json(body): Json<SaleBody>) -> Result<NoContent> {
    booking::sell(&mut Tables, &body.location, &body.ref_id, body.occurred_at_ms, &body.demands).map_err(problem)?;
    Ok(NoContent)
}

fn held(result: model::Result<Reservation>) -> Result<Json<Reservation>> {
    result.map(Json).map_err(problem)
}

fn post_reservation(Json(request): Json<ReservationRequest>) -> Result<Json<Reservation>> {
    held(reservation::reserve(&mut Tables, &request))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtendBody {
    expires_at_ms: u64,
}

fn extend_reservation(Path(id): Path<String>, Json(body): Json<ExtendBody>) -> Result<Json<Reservation>> {
    held(reservation::extend(&mut Tables, &id, body.expires_at_ms))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitBody {
    order_id: String,
}

fn commit_reservation(Path(id): Path<String>, Json(body): Json<CommitBody>) -> Result<Json<Reservation>> {
    held(reservation::commit(&mut Tables, &id, &body.order_id))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartBody {
    ref_id: String,
    demands: Vec<Demand>,
}

fn fulfil_reservation(Path(id): Path<String>, Json(body): Json<PartBody>) -> Result<Json<Reservation>> {
    held(reservation::fulfil(&mut Tables, &id, &body.ref_id, &body.demands))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseBody {
    ref_id: Option<String>,
    demands: Option<Vec<Demand>>,
}

fn release_reservation(Path(id): Path<String>, Json(body): Json<ReleaseBody>) -> Result<Json<Reservation>> {
    match (body.ref_id, body.demands) {
        (None, None) => held(reservation::release(&mut Tables, &id)),
        (Some(ref_id), Some(demands)) => held(reservation::release_part(&mut Tables, &id, &ref_id, &demands)),
        _ => Err(Error::invalid("A part that is released needs both `ref_id` and `demands`.")),
    }
}

fn get_reservation(Path(id): Path<String>) -> Result<Json<Reservation>> {
    reservation::get(&mut Tables, &id).map(Json).map_err(problem)
}

#[derive(Debug, Deserialize)]
struct VerifyQuery {
    cursor: Option<String>,
}

fn get_verify(Query(query): Query<VerifyQuery>) -> Result<Json<Verification>> {
    verify::verify(&mut Tables, query.cursor.as_deref()).map(Json).map_err(problem)
}
