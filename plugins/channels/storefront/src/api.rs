//! The JSON API of the shop, for apps and scripts. The same carts as the pages'.

use kontor_sdk::http::{Error, Json, Path, Query, StatusCode};
use serde::Deserialize;

use crate::model::{Address, CartView, PlacedOrder, ProductDetail, ProductList, ShippingOption};
use crate::settings::Settings;
use crate::shop::{self, PRODUCTS_PER_PAGE, Wanted};

type Answer<T> = Result<Json<T>, Error>;

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    q: Option<String>,
    category: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

pub(crate) fn list_products(Query(query): Query<ListQuery>) -> Answer<ProductList> {
    let settings = Settings::load()?;
    let wanted = Wanted {
        text: query.q.as_deref().unwrap_or_default(),
        category: query.category.as_deref(),
        cursor: query.cursor,
        limit: query.limit.unwrap_or(PRODUCTS_PER_PAGE),
    };
    shop::products(&settings.channel, wanted).map(Json)
}

pub(crate) fn show_product(Path(id): Path<String>) -> Answer<ProductDetail> {
    shop::product(&Settings::load()?.channel, &id).map(Json)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewCart {
    /// ISO 3166-1; the shop's if absent.
    country: Option<String>,
    /// What is in it from the beginning. If one of them is refused, there is no cart.
    lines: Vec<NewLine>,
}

pub(crate) fn create_cart(body: Option<Json<NewCart>>) -> Result<(StatusCode, Json<CartView>), Error> {
    let settings = Settings::load()?;
    let NewCart { country, lines } = body.map(|Json(body)| body).unwrap_or_default();
    let mut cart = shop::create_cart(&settings.channel, &country.unwrap_or(settings.country))?;
    for line in lines {
        cart = shop::add_line(&cart.id, &line.sku, line.quantity)?;
    }
    Ok((StatusCode::CREATED, Json(cart)))
}

pub(crate) fn show_cart(Path(cart): Path<String>) -> Answer<CartView> {
    shop::cart(&cart).map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLine {
    sku: String,
    #[serde(default = "one")]
    quantity: i64,
}

fn one() -> i64 {
    1
}

pub(crate) fn add_line(Path(cart): Path<String>, Json(line): Json<NewLine>) -> Answer<CartView> {
    shop::add_line(&cart, &line.sku, line.quantity).map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineChange {
    quantity: i64,
}

pub(crate) fn set_line(Path((cart, line)): Path<(String, String)>, Json(change): Json<LineChange>) -> Answer<CartView> {
    shop::set_line(&cart, &line, change.quantity).map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delivery {
    email: String,
    address: Address,
}

pub(crate) fn set_delivery(Path(cart): Path<String>, Json(delivery): Json<Delivery>) -> Answer<CartView> {
    shop::set_delivery(&cart, &delivery.email, &delivery.address).map(Json)
}

pub(crate) fn shipping_options(Path(cart): Path<String>) -> Answer<Vec<ShippingOption>> {
    shop::shipping_options(&cart).map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShippingChoice {
    shipping_option: String,
}

pub(crate) fn set_shipping(Path(cart): Path<String>, Json(choice): Json<ShippingChoice>) -> Answer<CartView> {
    shop::set_shipping(&cart, &choice.shipping_option).map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Placing {
    payment: PaymentChoice,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentChoice {
    method: String,
    reference: Option<String>,
    expected_total_minor: Option<i64>,
}

pub(crate) fn place(
    Path(cart): Path<String>,
    Json(placing): Json<Placing>,
) -> Result<(StatusCode, Json<PlacedOrder>), Error> {
    let payment = placing.payment;
    let order = shop::place(&cart, &payment.method, payment.reference, payment.expected_total_minor)?;
    Ok((StatusCode::CREATED, Json(order)))
}
