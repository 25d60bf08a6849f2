//! The JSON API of tills.

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
