//! The catalogue: products, their variants (SKUs), identifiers and channel listings.
//!
//! It knows what is sold and under which numbers; how many there are (inventory) and what they cost (pricing) is not here.
//! This file joins the parts: the rules ([`catalog`], [`product`], [`identifier`], [`listing`], [`search`]), the tables, the service
//! and the HTTP API, and it emits what others learn of a change:
//!
//! - `kontor.catalog.product-changed.v1`, key: product id, `{"product_id", "status", "outcome", "skus", "removed_skus"}`;
//! - `kontor.catalog.listing-changed.v1`, key: SKU, the listing as in the HTTP API.

mod api;
mod catalog;
mod error;
mod identifier;
mod listing;
mod product;
mod search;
mod service;
mod tables;

use catalog::{Outcome, ProductChanged};
use error::Error;
use kontor_sdk::http::Router;
use kontor_sdk::{EventType, Plugin, clock};
use listing::Listing;
use product::Product;
use tables::Store;

kontor_sdk::services! {
    mod bindings;
    path: "../../../wit/commerce/0.1.0",
    world: "
        package kontor:catalog-plugin;
        world catalog {
            export kontor:commerce/catalog@0.1.0;
        }
    ",
}

const PRODUCT_CHANGED: EventType<ProductChanged> = EventType::new("kontor.catalog.product-changed.v1");
const LISTING_CHANGED: EventType<Listing> = EventType::new("kontor.catalog.listing-changed.v1");

/// The plugin.
#[derive(Debug)]
pub struct Catalog;

impl Plugin for Catalog {
    fn routes() -> Router {
        api::routes()
    }
}

/// Creates or replaces a product and tells others of it.
fn save_product(product: Product) -> Result<Outcome, Error> {
    let (outcome, changed) = catalog::upsert_product(&Store, product, clock::now().as_ms())?;
    if let Some(changed) = changed {
        PRODUCT_CHANGED.emit(&changed.product_id, &changed)?;
    }
    Ok(outcome)
}

/// Creates or replaces a listing and tells others of it, unless only the channel's complaint is new.
fn save_listing(listing: &Listing) -> Result<Outcome, Error> {
    let (outcome, news) = catalog::upsert_listing(&Store, listing)?;
    if news {
        LISTING_CHANGED.emit(&listing.sku, listing)?;
    }
    Ok(outcome)
}

kontor_sdk::export!(Catalog, services: bindings);
