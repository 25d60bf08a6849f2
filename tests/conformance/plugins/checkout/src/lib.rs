//! Speaks HTTP for the cart service, so that tests can buy something. Bodies and answers are the contract's records as JSON; a refusal
//! is a problem document whose `error` is the contract's variant.

use kontor_sdk::http::{Json, Path, Result, Router};
use kontor_sdk::{Error, Plugin};
use serde::Deserialize;

kontor_sdk::services! {
    mod bindings;
    path: "../../../../wit/commerce/0.1.0",
    world: "
        package kontor:conformance-checkout;
        world checkout {
            import kontor:commerce/cart@0.1.0;
        }
    ",
}

use bindings::kontor::commerce::cart::{self, CartError, CartView, Payment, ShippingOption};
use bindings::kontor::commerce::types::Address;

/// The plugin.
#[derive(Debug)]
pub struct Checkout;

impl Plugin for Checkout {
    fn routes() -> Router {
        Router::new()
            .post("/carts", create)
            .get("/carts/{id}", show)
            .post("/carts/{id}/lines", add_line)
            .put("/carts/{id}/lines/{line}", set_line)
            .put("/carts/{id}/delivery", set_delivery)
            .get("/carts/{id}/shipping-options", shipping_options)
            .put("/carts/{id}/shipping", set_shipping)
            .post("/carts/{id}/order", place)
            .post("/carts/{id}/tries", try_to_place)
    }
}

#[derive(Deserialize)]
struct Opening {
    channel: String,
    country: String,
}

#[derive(Deserialize)]
struct Addition {
    sku: String,
    quantity: i64,
}

#[derive(Deserialize)]
struct Quantity {
    quantity: i64,
}

#[derive(Deserialize)]
struct Delivery {
    email: String,
    shipping_address: Address,
}

#[derive(Deserialize)]
struct Choice {
    shipping_option: String,
}

fn answer<T>(result: std::result::Result<T, CartError>) -> Result<Json<T>> {
    result.map(Json).map_err(|error| {
        let (status, code) = match &error {
            CartError::NotFound(_) => (404, "not-found"),
            CartError::Invalid(_) => (422, "invalid"),
            CartError::Insufficient(_) => (409, "insufficient"),
            CartError::Placed(_) => (409, "placed"),
            CartError::TotalChanged(_) => (409, "total-changed"),
            CartError::Other(_) => (502, "other"),
        };
        let variant = serde_json::to_value(&error).unwrap_or_default();
        Error::new(status, code, error.to_string()).with("error", variant)
    })
}

fn create(Json(opening): Json<Opening>) -> Result<Json<CartView>> {
    answer(cart::create(&opening.channel, &opening.country))
}

fn show(Path(id): Path<String>) -> Result<Json<CartView>> {
    answer(cart::get(&id))
}

fn add_line(Path(id): Path<String>, Json(line): Json<Addition>) -> Result<Json<CartView>> {
    answer(cart::add_line(&id, &line.sku, line.quantity))
}

fn set_line(Path((id, line)): Path<(String, String)>, Json(body): Json<Quantity>) -> Result<Json<CartView>> {
    answer(cart::set_line(&id, &line, body.quantity))
}

fn set_delivery(Path(id): Path<String>, Json(delivery): Json<Delivery>) -> Result<Json<CartView>> {
    answer(cart::set_delivery(&id, &delivery.email, &delivery.shipping_address))
}

fn shipping_options(Path(id): Path<String>) -> Result<Json<Vec<ShippingOption>>> {
    answer(cart::shipping_options(&id))
}

fn set_shipping(Path(id): Path<String>, Json(choice): Json<Choice>) -> Result<Json<CartView>> {
    answer(cart::set_shipping(&id, &choice.shipping_option))
}

fn place(Path(id): Path<String>, Json(payment): Json<Payment>) -> Result<Json<String>> {
    answer(cart::place(&id, &payment))
}

/// Places and commits whatever comes of it: what a failed call did must be gone even so.
fn try_to_place(Path(id): Path<String>, Json(payment): Json<Payment>) -> Json<String> {
    Json(cart::place(&id, &payment).unwrap_or_else(|error| error.to_string()))
}

kontor_sdk::export!(Checkout);
