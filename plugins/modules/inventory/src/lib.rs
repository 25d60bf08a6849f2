//! Stock by SKU and location: an append-only ledger of movements with counters as its projection, reservations, and what each
//! channel may offer. Provides `kontor:commerce/inventory` and `kontor:commerce/availability`; the HTTP API is described in [`http`].
//!
//! Many buyers of one SKU do not conflict: what they share are counters, added to under bounds that the host validates at
//! commit; everything else that a sale writes has a key of its own. [`allocation`] says how stock is found that way, and how a
//! channel's buffer is kept. Not here: which orders exist, what things cost, and pushing offers to channels (they subscribe to
//! `kontor.inventory.stock-changed.v1`).
//!
//! Read on: [`booking`] (what moves stock), [`reservation`] (what holds it), [`offers`] (what there is), [`verify`]. The rules
//! know no generated types and no host; [`stock::Stock`] is all they ask for.

pub mod allocation;
pub mod booking;
mod convert;
pub mod http;
pub mod input;
pub mod model;
pub mod offers;
pub mod reservation;
pub mod stock;
pub mod tables;
pub mod verify;

#[cfg(test)]
mod history_test;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod rules_test;

use bindings::exports::kontor::{commerce0_1_0::inventory as wit, commerce0_2_0::availability};
use kontor_sdk::http::Router;
use kontor_sdk::{HandlerError, Job, jobs};
use model::Demand;
use stock::Stock as _;
use tables::Tables;

kontor_sdk::services! {
    mod bindings;
    path: ["../../../wit/commerce/0.1.0", "../../../wit/commerce/0.2.0"],
    world: "
        package kontor:inventory-plugin;
        world inventory {
            export kontor:commerce/inventory@0.1.0;
            export kontor:commerce/availability@0.2.0;
        }
    ",
}

/// The job that gives back lapsed reservations.
const SWEEP: &str = "sweep-reservations";
/// Reservations given back in one run of it: a bounded transaction.
const SWEEP_RESERVATIONS_MAX: u32 = 200;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Inventory;

impl kontor_sdk::Plugin for Inventory {
    fn routes() -> Router {
        http::routes()
    }

    fn job(job: Job) -> Result<(), HandlerError> {
        if job.name != SWEEP {
            return Err(HandlerError::permanent(format!("there is no job `{}`", job.name)));
        }
        let swept = reservation::sweep(&mut Tables, SWEEP_RESERVATIONS_MAX).map_err(http::problem)?;
        if swept == SWEEP_RESERVATIONS_MAX {
            jobs::enqueue(SWEEP, &serde_json::json!({})).key(SWEEP).send()?;
        }
        Ok(())
    }
}

type Answer<T> = Result<T, wit::InventoryError>;

fn demands(demands: Vec<wit::Demand>) -> Vec<Demand> {
    demands.into_iter().map(Into::into).collect()
}

fn answer<T, U: From<T>>(result: model::Result<T>) -> Answer<U> {
    result.map(Into::into).map_err(Into::into)
}

fn answer_list<T, U: From<T>>(result: model::Result<Vec<T>>) -> Answer<Vec<U>> {
    match result {
        Ok(list) => Ok(list.into_iter().map(Into::into).collect()),
        Err(error) => Err(error.into()),
    }
}

impl wit::Guest for Inventory {
    fn upsert_location(location: wit::Location) -> Answer<()> {
        answer(offers::upsert_location(&mut Tables, &location.into()))
    }

    fn list_locations() -> Answer<Vec<wit::Location>> {
        answer_list(Tables.locations())
    }

    fn set_channel_rule(rule: wit::ChannelRule) -> Answer<()> {
        answer(offers::set_channel_rule(&mut Tables, &rule.into()))
    }

    fn get_channel_rule(channel: String) -> Answer<wit::ChannelRule> {
        answer(offers::channel_rule(&mut Tables, &channel))
    }

    fn set_safety(sku: String, location: String, quantity: i64) -> Answer<()> {
        answer(booking::set_safety(&mut Tables, &sku, &location, quantity))
    }

    fn book(movements: Vec<wit::MovementInput>) -> Answer<u32> {
        let movements: Vec<_> = movements.into_iter().map(Into::into).collect();
        answer(booking::book(&mut Tables, &movements))
    }

    fn count(counts: Vec<wit::StockCount>) -> Answer<u32> {
        let counts: Vec<_> = counts.into_iter().map(Into::into).collect();
        answer(booking::count(&mut Tables, &counts))
    }

    fn levels(skus: Vec<String>) -> Answer<Vec<wit::StockLevel>> {
        answer_list(offers::levels(&mut Tables, &skus))
    }

    fn offers(channel: String, skus: Vec<String>) -> Answer<Vec<wit::ChannelOffer>> {
        answer_list(offers::offers(&mut Tables, &channel, &skus))
    }

    fn movements(
        sku: String,
        location: Option<String>,
        cursor: Option<String>,
        limit: u32,
    ) -> Answer<wit::MovementPage> {
        answer(offers::movements(&mut Tables, &sku, location.as_deref(), cursor.as_deref(), limit))
    }

    fn reserve(request: wit::ReservationRequest) -> Answer<wit::Reservation> {
        answer(reservation::reserve(&mut Tables, &request.into()))
    }

    fn get_reservation(id: String) -> Answer<wit::Reservation> {
        answer(reservation::get(&mut Tables, &id))
    }

    fn extend(id: String, expires_at_ms: u64) -> Answer<wit::Reservation> {
        answer(reservation::extend(&mut Tables, &id, expires_at_ms))
    }

    fn commit_reservation(id: String, order_id: String) -> Answer<wit::Reservation> {
        answer(reservation::commit(&mut Tables, &id, &order_id))
    }

    fn release(id: String) -> Answer<wit::Reservation> {
        answer(reservation::release(&mut Tables, &id))
    }

    fn fulfil(id: String, ref_id: String, wanted: Vec<wit::Demand>) -> Answer<wit::Reservation> {
        answer(reservation::fulfil(&mut Tables, &id, &ref_id, &demands(wanted)))
    }

    fn release_part(id: String, ref_id: String, wanted: Vec<wit::Demand>) -> Answer<wit::Reservation> {
        answer(reservation::release_part(&mut Tables, &id, &ref_id, &demands(wanted)))
    }

    fn sell(location: String, ref_id: String, occurred_at_ms: u64, wanted: Vec<wit::Demand>) -> Answer<()> {
        answer(booking::sell(&mut Tables, &location, &ref_id, occurred_at_ms, &demands(wanted)))
    }

    fn verify(cursor: Option<String>) -> Answer<wit::Verification> {
        answer(verify::verify(&mut Tables, cursor.as_deref()))
    }
}

impl availability::Guest for Inventory {
    fn shortages(
        channel: String,
        wishes: Vec<availability::Wish>,
    ) -> Result<Vec<availability::Shortage>, availability::AvailabilityError> {
        let wishes: Vec<_> = wishes.into_iter().map(Into::into).collect();
        let shortages = offers::shortages(&mut Tables, &channel, &wishes)?;
        Ok(shortages.into_iter().map(Into::into).collect())
    }
}

kontor_sdk::export!(Inventory, services: bindings);
