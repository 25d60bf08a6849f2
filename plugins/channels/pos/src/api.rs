//! The JSON API of tills, scope `pos:sell`. Names and enum values are in snake case; amounts are integers in minor units (1999 = 19.99 EUR),
//! times milliseconds since 1970. Unknown fields are refused. Refusals are problem documents (RFC 9457).
//!
//! | route | query or body | answer |
//! |---|---|---|
//! | `GET /api/v1/tills` | | `[{id, name, location}]` |
//! | `GET /api/v1/items` | `?code=4006381333931&till_id=t1` | the article with this barcode, SKU or other number: `{sku, product_id, title, image_url, price: {amount_minor, currency}, available_here, available_elsewhere, stock: [{location, name, kind, here, on_hand, available}]}` |
//! | `GET /api/v1/search` | `?q=desk lamp&till_id=t1&limit=20` | `{items: [article]}`; limit up to 50 |
//! | `GET /api/v1/stock` | `?sku=LAMP&till_id=t1` | the article |
//! | `POST /api/v1/sales` | a sale | 201 and the receipt; 200 and the same receipt when it is sent again |
//! | `GET /api/v1/sales/{id}` | | the receipt |
//! | `GET /api/v1/tills/{till}/sales` | `?limit=20` | `{sales: [receipt]}`, newest first; limit up to 100 |
//!
//! A sale:
//!
//! ```json
//! {
//!   "till_id": "t1", "sale_id": "01928f2e-7c1a-7000-8000-000000000001", "goods": "in_hand",
//!   "lines": [{"sku": "LAMP", "quantity": 1}], "tenders": [{"method": "cash", "amount_minor": 2000}]
//! }
//! ```
//!
//! `sale_id` is the till's own and makes it one sale, however often it is sent; with other goods or tenders it is refused with 409
//! `sale-id-used`. `goods` is `in_hand` (the default: never refused for lack of stock, which may fall below zero) or `from_stock` (409
//! `insufficient-stock` with `shortages` when there is not enough at the location). Optional: `location` (the till's),
//! `occurred_at_ms` (now), `receipt_sequence` (the till's own number, printed while it was offline; 409 `receipt-number-used`),
//! `expected_total_minor` (409 `total-changed`), and a line's `unit_price_minor` (a price that the till fixed; on the price list's basis).
//! Other refusals: 404 `unknown-till`, `unknown-code`, `unknown-sale`; 422 `unknown-sku`, `no-price`, `underpaid`, `card-exceeds-total`
//! and `invalid`.

use kontor_sdk::Error;
use kontor_sdk::http::{Json, OptionalQuery, Path, Query, StatusCode};
use serde::Deserialize;

use crate::model::{Item, Receipt, SaleRequest};
use crate::settings::{Settings, Till};
use crate::{shop, till};

type Answer<T> = Result<Json<T>, Error>;

/// The location of the till that asks, if it says which it is.
fn here<'a>(settings: &'a Settings, till_id: Option<&str>) -> Result<Option<&'a str>, Error> {
    till_id.map(|id| settings.till(id).map(|till| till.location.as_str())).transpose()
}

pub(crate) fn tills() -> Answer<Vec<Till>> {
    Ok(Json(Settings::load()?.tills))
}

#[derive(Deserialize)]
pub(crate) struct ItemQuery {
    code: String,
    till_id: Option<String>,
}

pub(crate) fn item(Query(query): Query<ItemQuery>) -> Answer<Item> {
    let settings = Settings::load()?;
    let here = here(&settings, query.till_id.as_deref())?;
    shop::find(&settings, query.code.trim(), here).map(Json).map_err(|error| match error.status() {
        404 => error.with_code("unknown-code"),
        _ => error,
    })
}

#[derive(Deserialize)]
pub(crate) struct SearchQuery {
    q: String,
    till_id: Option<String>,
    limit: Option<u32>,
}

#[derive(serde::Serialize)]
pub(crate) struct Items {
    items: Vec<Item>,
}

pub(crate) fn search(Query(query): Query<SearchQuery>) -> Answer<Items> {
    let settings = Settings::load()?;
    let here = here(&settings, query.till_id.as_deref())?;
    Ok(Json(Items { items: shop::search(&settings, query.q.trim(), here, query.limit.unwrap_or(20))? }))
}

#[derive(Deserialize)]
pub(crate) struct StockQuery {
    sku: String,
    till_id: Option<String>,
}

pub(crate) fn stock(Query(query): Query<StockQuery>) -> Answer<Item> {
    let settings = Settings::load()?;
    let here = here(&settings, query.till_id.as_deref())?;
    shop::stock(&settings, &query.sku, here).map(Json)
}

/// 201 with the receipt; 200 if the sale was booked before.
pub(crate) fn sell(Json(request): Json<SaleRequest>) -> Result<(StatusCode, Json<Receipt>), Error> {
    let (receipt, is_new) = till::sell(&Settings::load()?, &request)?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(receipt)))
}

pub(crate) fn receipt(Path(id): Path<String>) -> Answer<Receipt> {
    till::receipt(&id).map(Json)
}

#[derive(Default, Deserialize)]
pub(crate) struct LastQuery {
    limit: Option<u32>,
}

#[derive(serde::Serialize)]
pub(crate) struct Sales {
    sales: Vec<Receipt>,
}

pub(crate) fn last_sales(Path(id): Path<String>, OptionalQuery(query): OptionalQuery<LastQuery>) -> Answer<Sales> {
    let settings = Settings::load()?;
    let till = settings.till(&id)?;
    Ok(Json(Sales { sales: till::last_sales(&till.id, query.limit.unwrap_or(20))? }))
}
