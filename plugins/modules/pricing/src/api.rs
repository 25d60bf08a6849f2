//! The HTTP API of prices, for importers, staff tools and partners. Everything is JSON in UTF-8; fields are named as in
//! `wit/commerce/0.1.0/pricing.wit`, in snake case, and so are enum values (`half_up`). Amounts are integers in minor
//! units (1999 = 19.99 EUR), rates are basis points (1900 = 19 %), times milliseconds since 1970. A field that is not known is
//! refused. Refusals are problem documents (RFC 9457) with `code` `not-found` (404) or `invalid` (422); a refused batch
//! changes nothing.
//!
//! | route | token scope | body and answer |
//! |---|---|---|
//! | `PUT /v1/prices:batch` | `pricing:write` | up to 250: `{"prices": [{"price_list": "default", "sku": "DL-RED", "amount_minor": 1999, "valid_from_ms": 0, "valid_to_ms": null}]}` -> `{"changed": 1}` |
//! | `GET /v1/shelf-prices?channel=&sku=&sku=` | `pricing:read` | -> `{"prices": [{"sku", "amount_minor", "currency", "basis"}]}`; SKUs without a price are left out |
//! | `GET /v1/price-lists` | `pricing:read` | -> `{"price_lists": [..]}` |
//! | `PUT /v1/price-lists/{id}` | `pricing:write` | `{"name": "Standard", "currency": "EUR", "basis": "gross", "tax_rounding": "line", "rounding": "half_up", "channels": ["storefront"]}` -> the list |
//! | `GET /v1/tax-rates` | `pricing:read` | -> `{"tax_rates": [..]}` |
//! | `PUT /v1/tax-rates:batch` | `pricing:write` | up to 250: `{"tax_rates": [{"country": "DE", "tax_class": "standard", "rate_basis_points": 1900, "name": "MwSt. 19 %"}]}` -> all rates |
//! | `POST /v1/quotes` | `pricing:read` | `{"channel": "storefront", "country": "DE", "lines": [{"line_id": "1", "sku": "DL-RED", "quantity": 2, "tax_class": "standard"}], "discount_minor": 0, "shipping_minor": 490}` -> the quote |
//!
//! `price_list` is `default` and `valid_from_ms` is 0 unless they say otherwise. A price with the same list, SKU and `valid_from_ms`
//! replaces the one before; with another it stands beside it, and the one that began last counts.

use crate::error::Error;
use crate::price_list::{DEFAULT_LIST, Price, PriceList, TaxRate};
use crate::pricing::{self, Basket, LineInput, ShelfPrice};
use crate::quote::Quote;
use crate::tables::Store;
use crate::tax::{PriceBasis, RoundingLevel, RoundingMode};
use crate::{now_ms, save_prices};
use kontor_sdk::http::{Json, Path, Query, Router};
use serde::{Deserialize, Serialize};

pub(crate) fn routes() -> Router {
    Router::new()
        .put("/v1/prices:batch", put_prices)
        .get("/v1/shelf-prices", show_shelf_prices)
        .get("/v1/price-lists", list_price_lists)
        .put("/v1/price-lists/{id}", put_price_list)
        .get("/v1/tax-rates", list_tax_rates)
        .put("/v1/tax-rates:batch", put_tax_rates)
        .post("/v1/quotes", post_quote)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceInput {
    #[serde(default)]
    price_list: Option<String>,
    sku: String,
    amount_minor: i64,
    #[serde(default)]
    valid_from_ms: u64,
    #[serde(default)]
    valid_to_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceBatch {
    prices: Vec<PriceInput>,
}

#[derive(Serialize)]
struct Changed {
    changed: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShelfQuery {
    channel: String,
    #[serde(default)]
    sku: Vec<String>,
}

#[derive(Serialize)]
struct ShelfPrices {
    prices: Vec<ShelfPrice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceListInput {
    #[serde(default)]
    id: Option<String>,
    name: String,
    currency: String,
    basis: PriceBasis,
    tax_rounding: RoundingLevel,
    rounding: RoundingMode,
    #[serde(default)]
    channels: Vec<String>,
}

#[derive(Serialize)]
struct PriceLists {
    price_lists: Vec<PriceList>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaxRateInput {
    country: String,
    tax_class: String,
    rate_basis_points: u32,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaxRateBatch {
    tax_rates: Vec<TaxRateInput>,
}

#[derive(Serialize)]
struct TaxRates {
    tax_rates: Vec<TaxRate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuoteLineBody {
    line_id: String,
    sku: String,
    quantity: i64,
    tax_class: String,
    #[serde(default)]
    unit_price_minor: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuoteBody {
    channel: String,
    #[serde(default)]
    price_list: Option<String>,
    country: String,
    lines: Vec<QuoteLineBody>,
    #[serde(default)]
    discount_minor: i64,
    #[serde(default)]
    shipping_minor: i64,
}

type Answer<T> = Result<Json<T>, kontor_sdk::Error>;

impl From<Error> for kontor_sdk::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(text) => Self::not_found(text),
            Error::Invalid(text) => Self::invalid(text),
            Error::Other(text) => Self::internal(text),
        }
    }
}

fn put_prices(Json(batch): Json<PriceBatch>) -> Answer<Changed> {
    let prices = batch.prices.into_iter().map(|input| Price {
        price_list: input.price_list.unwrap_or_else(|| DEFAULT_LIST.into()),
        sku: input.sku,
        amount_minor: input.amount_minor,
        valid_from_ms: input.valid_from_ms,
        valid_to_ms: input.valid_to_ms,
    });
    Ok(Json(Changed { changed: save_prices(&prices.collect::<Vec<_>>())? }))
}

fn show_shelf_prices(Query(query): Query<ShelfQuery>) -> Answer<ShelfPrices> {
    Ok(Json(ShelfPrices { prices: pricing::shelf_prices(&Store, &query.channel, &query.sku, now_ms)? }))
}

fn list_price_lists() -> Answer<PriceLists> {
    Ok(Json(PriceLists { price_lists: pricing::lists(&Store)? }))
}

fn put_price_list(Path(id): Path<String>, Json(input): Json<PriceListInput>) -> Answer<PriceList> {
    if input.id.is_some_and(|other| other != id) {
        return Err(Error::Invalid(format!("id: the body names another list than the path, `{id}`")).into());
    }
    let list = PriceList {
        id,
        name: input.name,
        currency: input.currency,
        basis: input.basis,
        tax_rounding: input.tax_rounding,
        rounding: input.rounding,
        channels: input.channels,
    };
    pricing::upsert_list(&Store, &list)?;
    Ok(Json(list))
}

fn list_tax_rates() -> Answer<TaxRates> {
    Ok(Json(TaxRates { tax_rates: pricing::rates(&Store)? }))
}

fn put_tax_rates(Json(batch): Json<TaxRateBatch>) -> Answer<TaxRates> {
    let rates = batch.tax_rates.into_iter().map(|input| TaxRate {
        country: input.country,
        tax_class: input.tax_class,
        rate_basis_points: input.rate_basis_points,
        name: input.name,
    });
    pricing::set_rates(&Store, &rates.collect::<Vec<_>>())?;
    list_tax_rates()
}

fn post_quote(Json(body): Json<QuoteBody>) -> Answer<Quote> {
    let lines = body.lines.into_iter().map(|line| LineInput {
        line_id: line.line_id,
        sku: line.sku,
        quantity: line.quantity,
        tax_class: line.tax_class,
        unit_price_minor: line.unit_price_minor,
    });
    let basket = Basket {
        channel: body.channel,
        price_list: body.price_list,
        country: body.country,
        lines: lines.collect(),
        discount_minor: body.discount_minor,
        shipping_minor: body.shipping_minor,
    };
    Ok(Json(pricing::quote_basket(&Store, &basket, now_ms)?))
}
