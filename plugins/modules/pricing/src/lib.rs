//! Prices, tax, and the total of a basket: the same in every channel.
//!
//! It knows price lists, tax rates and how a basket adds up. What is sold (catalogue), promotions and coupons, and what was
//! agreed in an order once it is placed are not here. This file joins the parts: the rules ([`money`], [`tax`], [`price_list`],
//! [`quote`], [`pricing`]), the tables, the service and the HTTP API, and it tells others what changed:
//!
//! - `kontor.pricing.price-changed.v1`, key: SKU, `{"sku", "price_list", "channels", "currency", "basis", "amount_minor"}`, when a price is
//!   set that counts now, and when a validity begins or ends.

mod api;
mod error;
mod money;
mod price_list;
mod pricing;
mod quote;
mod service;
mod tables;
mod tax;

use error::Error;
use kontor_sdk::http::Router;
use kontor_sdk::{EventType, HandlerError, Job, JobType, Plugin, Timestamp, clock};
use price_list::Price;
use pricing::PriceChanged;
use serde::{Deserialize, Serialize};
use tables::Store;

kontor_sdk::services! {
    mod bindings;
    path: "../../../wit/commerce/0.1.0",
    world: "
        package kontor:pricing-plugin;
        world pricing {
            export kontor:commerce/pricing@0.1.0;
        }
    ",
}

const PRICE_CHANGED: EventType<PriceChanged> = EventType::new("kontor.pricing.price-changed.v1");
const PRICE_DUE: JobType<PriceDue> = JobType::new("price-due");

/// A SKU's price in a list changes at the job's due time.
#[derive(Debug, Serialize, Deserialize)]
struct PriceDue {
    price_list: String,
    sku: String,
}

/// The plugin.
#[derive(Debug)]
pub struct Pricing;

impl Plugin for Pricing {
    fn routes() -> Router {
        api::routes()
    }

    fn job(job: Job) -> Result<(), HandlerError> {
        let Some(due) = PRICE_DUE.read(&job)? else {
            return Err(HandlerError::permanent(format!("there is no job `{}`", job.name)));
        };
        let (changed, next) =
            pricing::price_due(&Store, &due.price_list, &due.sku, now_ms()).map_err(kontor_sdk::Error::from)?;
        PRICE_CHANGED.emit(&changed.sku, &changed)?;
        if let Some(instant_ms) = next {
            await_price(due, instant_ms)?;
        }
        Ok(())
    }
}

fn now_ms() -> u64 {
    clock::now().as_ms()
}

/// Sets prices and tells others of them. How many changed.
fn save_prices(prices: &[Price]) -> Result<u32, Error> {
    let set = pricing::set_prices(&Store, prices, now_ms())?;
    for changed in &set.news {
        PRICE_CHANGED.emit(&changed.sku, changed)?;
    }
    for (price_list, sku, instant_ms) in set.due {
        await_price(PriceDue { price_list, sku }, instant_ms)?;
    }
    Ok(set.changed)
}

/// Queues the job for a price's next change. An earlier one that waits already stays: it finds the later change by itself.
fn await_price(due: PriceDue, instant_ms: u64) -> kontor_sdk::Result<()> {
    let key = format!("{}/{}", due.price_list, due.sku);
    PRICE_DUE.enqueue(&due).key(&key).due(Timestamp::from_ms(instant_ms)).send()?;
    Ok(())
}

kontor_sdk::export!(Pricing, services: bindings);
