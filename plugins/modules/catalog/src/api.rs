//! The HTTP API of the catalogue, for importers, staff tools and partners. Everything is JSON in UTF-8; fields are named as in
//! `wit/commerce/0.1.0/catalog.wit`, in snake case, and so are enum values (`supplier_sku`). A field that is not
//! known is refused, so that a misspelt one is noticed. Refusals are problem documents (RFC 9457) with `code` one of
//! `not-found` (404), `invalid` (422), `conflict` (409).
//!
//! | route | token scope | |
//! |---|---|---|
//! | `POST /v1/products:batch` | `catalog:write` | up to 250 products, each taken or refused by itself |
//! | `PUT /v1/products/{id}` | `catalog:write` | one product; `id` in the body may be left out |
//! | `GET /v1/products?text=&category=&status=&cursor=&limit=` | `catalog:read` | a page, 50 unless `limit` says otherwise |
//! | `GET /v1/products/{id}` | `catalog:read` | one product |
//! | `GET /v1/variants/{code}` | `catalog:read` | the variant with this SKU, GTIN or other number |
//! | `POST /v1/listings:batch` | `catalog:write` | up to 250 listings, each taken or refused by itself |
//! | `GET /v1/listings?channel=&account=&cursor=&limit=` | `catalog:read` | a page of an account's listings |
//!
//! A product:
//!
//! ```json
//! {
//!   "id": "desk-lamp", "title": "Desk lamp", "description": "", "brand": "Lumen", "category": "Home/Lighting",
//!   "status": "active", "tax_class": "standard", "image_url": null, "options": ["Colour"],
//!   "variants": [{
//!     "sku": "DL-RED", "title": "Red", "option_values": ["Red"], "weight_grams": 900,
//!     "identifiers": [{"kind": "gtin", "value": "4006381333931", "issuer": null}], "attributes": []
//!   }],
//!   "attributes": [{"name": "Socket", "value": "E27"}]
//! }
//! ```
//!
//! Required are `id`, `title` and, unless it is a draft, `variants` with their `sku`; `status` is `active` and `tax_class` is `standard`
//! unless they say otherwise; `updated_at_ms` is accepted and ignored. A batch is `{"products": [..]}` and is answered, in order,
//! by `{"results": [{"id": "desk-lamp", "outcome": "created"}, {"id": "x", "error": {"code": "conflict", "detail": "SKU ..."}}]}`
//! with outcomes `created`, `updated` and `unchanged`. Sending a batch again is harmless: what is there already is `unchanged`.
//!
//! A listing is `{"channel": "amazon", "account": "default", "sku": "DL-RED", "external_id": "B000123456", "active": true,
//! "attributes": [], "last_error": null}`; a batch is `{"listings": [..]}`, its results carry `sku` instead of `id`.

use crate::catalog::{self, Outcome};
use crate::error::Error;
use crate::identifier::{Identifier, IdentifierKind};
use crate::listing::{self, Listing};
use crate::product::{Attribute, Product, Status, Variant};
use crate::search::{self, Query as ProductQuery};
use crate::tables::Store;
use crate::{save_listing, save_product};
use kontor_sdk::http::{Json, Path, Query, Router};
use serde::{Deserialize, Serialize};

/// Products or listings of a page that does not say.
const PAGE_DEFAULT: u32 = 50;

pub(crate) fn routes() -> Router {
    Router::new()
        .post("/v1/products:batch", put_products)
        .put("/v1/products/{id}", put_product)
        .get("/v1/products", list_products)
        .get("/v1/products/{id}", show_product)
        .get("/v1/variants/{code}", show_variant)
        .post("/v1/listings:batch", put_listings)
        .get("/v1/listings", list_listings)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttributeInput {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentifierInput {
    kind: IdentifierKind,
    value: String,
    #[serde(default)]
    issuer: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantInput {
    sku: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    option_values: Vec<String>,
    #[serde(default)]
    identifiers: Vec<IdentifierInput>,
    #[serde(default)]
    weight_grams: Option<u32>,
    #[serde(default)]
    attributes: Vec<AttributeInput>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductInput {
    #[serde(default)]
    id: Option<String>,
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    brand: Option<String>,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    tax_class: Option<String>,
    #[serde(default)]
    image_url: Option<String>,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default)]
    variants: Vec<VariantInput>,
    #[serde(default)]
    attributes: Vec<AttributeInput>,
    /// What was read can be written back; the catalogue sets it itself.
    #[serde(default, rename = "updated_at_ms")]
    _updated_at_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListingInput {
    channel: String,
    #[serde(default)]
    account: Option<String>,
    sku: String,
    external_id: String,
    active: bool,
    #[serde(default)]
    attributes: Vec<AttributeInput>,
    #[serde(default)]
    last_error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductBatch {
    products: Vec<ProductInput>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListingBatch {
    listings: Vec<ListingInput>,
}

#[derive(Serialize)]
struct Refusal {
    code: &'static str,
    detail: String,
}

/// What became of one item of a batch.
#[derive(Serialize)]
struct ItemResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refusal>,
}

#[derive(Serialize)]
struct BatchResult {
    results: Vec<ItemResult>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductFilter {
    text: Option<String>,
    category: Option<String>,
    status: Option<Status>,
    cursor: Option<String>,
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListingFilter {
    channel: String,
    account: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

type Answer<T> = Result<Json<T>, kontor_sdk::Error>;

impl From<Error> for kontor_sdk::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(text) => Self::not_found(text),
            Error::Invalid(text) => Self::invalid(text),
            Error::Conflict(text) => Self::conflict(text),
            Error::Other(text) => Self::internal(text),
        }
    }
}

fn attributes(inputs: Vec<AttributeInput>) -> Vec<Attribute> {
    inputs.into_iter().map(|input| Attribute { name: input.name, value: input.value }).collect()
}

impl From<VariantInput> for Variant {
    fn from(input: VariantInput) -> Self {
        let identifiers = input
            .identifiers
            .into_iter()
            .map(|i| Identifier { kind: i.kind, value: i.value, issuer: i.issuer })
            .collect();
        Self {
            sku: input.sku,
            title: input.title,
            option_values: input.option_values,
            identifiers,
            weight_grams: input.weight_grams,
            attributes: attributes(input.attributes),
        }
    }
}

impl ProductInput {
    fn into_product(self, id: String) -> Product {
        Product {
            id,
            title: self.title,
            description: self.description,
            brand: self.brand,
            category: self.category,
            status: self.status.unwrap_or(Status::Active),
            tax_class: self.tax_class.unwrap_or_else(|| "standard".into()),
            image_url: self.image_url,
            options: self.options,
            variants: self.variants.into_iter().map(Into::into).collect(),
            attributes: attributes(self.attributes),
            updated_at_ms: 0,
        }
    }
}

/// The result of one item. What the store refuses is no fault of the item: it ends the whole batch.
fn item(
    id: Option<String>,
    sku: Option<String>,
    result: Result<Outcome, Error>,
) -> Result<ItemResult, kontor_sdk::Error> {
    let (outcome, error) = match result {
        Ok(outcome) => (Some(outcome), None),
        Err(error @ Error::Other(_)) => return Err(error.into()),
        Err(error) => (None, Some(Refusal { code: error.code(), detail: error.to_string() })),
    };
    Ok(ItemResult { id, sku, outcome, error })
}

fn put_products(Json(batch): Json<ProductBatch>) -> Answer<BatchResult> {
    catalog::check_batch("products", batch.products.len())?;
    let results = batch.products.into_iter().map(|mut input| {
        let id = input.id.take().unwrap_or_default();
        item(Some(id.clone()), None, save_product(input.into_product(id)))
    });
    Ok(Json(BatchResult { results: results.collect::<Result<_, _>>()? }))
}

fn put_product(Path(id): Path<String>, Json(mut input): Json<ProductInput>) -> Answer<ItemResult> {
    if input.id.take().is_some_and(|other| other != id) {
        return Err(Error::Invalid(format!("id: the body names another product than the path, `{id}`")).into());
    }
    let outcome = save_product(input.into_product(id.clone()))?;
    Ok(Json(item(Some(id), None, Ok(outcome))?))
}

fn list_products(Query(filter): Query<ProductFilter>) -> Answer<search::Page> {
    let query = ProductQuery {
        text: filter.text.unwrap_or_default(),
        category: filter.category,
        status: filter.status,
        cursor: filter.cursor,
        limit: filter.limit.unwrap_or(PAGE_DEFAULT),
    };
    Ok(Json(search::search(&Store, &query)?))
}

fn show_product(Path(id): Path<String>) -> Answer<Product> {
    Ok(Json(catalog::product(&Store, &id)?))
}

fn show_variant(Path(code): Path<String>) -> Answer<catalog::VariantView> {
    Ok(Json(catalog::find_variant(&Store, &code)?))
}

fn put_listings(Json(batch): Json<ListingBatch>) -> Answer<BatchResult> {
    catalog::check_batch("listings", batch.listings.len())?;
    let results = batch.listings.into_iter().map(|input| {
        let listing = Listing {
            channel: input.channel,
            account: input.account.unwrap_or_else(|| "default".into()),
            sku: input.sku,
            external_id: input.external_id,
            active: input.active,
            attributes: attributes(input.attributes),
            last_error: input.last_error,
        };
        item(None, Some(listing.sku.clone()), save_listing(&listing))
    });
    Ok(Json(BatchResult { results: results.collect::<Result<_, _>>()? }))
}

fn list_listings(Query(filter): Query<ListingFilter>) -> Answer<listing::ListingPage> {
    let account = filter.account.as_deref().unwrap_or("default");
    Ok(Json(listing::page(
        &Store,
        &filter.channel,
        account,
        filter.cursor.as_deref(),
        filter.limit.unwrap_or(PAGE_DEFAULT),
    )?))
}
