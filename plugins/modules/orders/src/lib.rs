//! Orders of all channels: placed once, cancelled, shipped, paid; every unit accounted for. Provides `kontor:commerce/orders` and
//! calls `kontor:commerce/inventory`; the HTTP API is described in [`http`].
//!
//! Four statuses are kept apart: the order itself (stored), payment, fulfilment and returns (derived from money and units). Orders do
//! not conflict with one another: no sequence, no shared key. Not here: prices and tax (frozen by who places), carts, and money (only
//! that it was received).
//!
//! Read on: [`placing`], [`report`] (what marketplaces report), [`changing`] (cancel, ship, pay), [`units`] (the unit ledger and the
//! derived statuses), [`amounts`], [`number`], [`listing`]. The rules know no generated types and no host; [`world::World`] is all
//! they ask for.

pub mod amounts;
pub mod changing;
mod convert;
pub mod http;
pub mod listing;
pub mod model;
pub mod number;
pub mod placing;
pub mod report;
pub mod tables;
pub mod units;
pub mod world;

#[cfg(test)]
mod memory;
#[cfg(test)]
mod rules_test;

use bindings::exports::kontor::commerce::orders as wit;
use kontor_sdk::http::Router;
use kontor_sdk::{HandlerError, Job, jobs};
use tables::Tables;

kontor_sdk::services! {
    mod bindings;
    path: "../../../wit/commerce/0.1.0",
    world: "
        package kontor:orders-plugin;
        world orders {
            import kontor:commerce/inventory@0.1.0;
            export kontor:commerce/orders@0.1.0;
        }
    ",
}

/// The job that tries to fill orders that wait for stock.
const FILL_WAITING: &str = "fill-waiting";
/// Orders that one run of it looks at: a bounded transaction.
const FILL_ORDERS_MAX: u32 = 50;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Orders;

impl kontor_sdk::Plugin for Orders {
    fn routes() -> Router {
        http::routes()
    }

    fn job(job: Job) -> Result<(), HandlerError> {
        if job.name != FILL_WAITING {
            return Err(HandlerError::permanent(format!("there is no job `{}`", job.name)));
        }
        let filled = report::fill_waiting(&mut Tables, FILL_ORDERS_MAX).map_err(http::problem)?;
        if filled == FILL_ORDERS_MAX {
            jobs::enqueue(FILL_WAITING, &serde_json::json!({})).key(FILL_WAITING).send()?;
        }
        Ok(())
    }
}

type Answer<T> = Result<T, wit::OrdersError>;

fn answer<T, U: From<T>>(result: model::Result<T>) -> Answer<U> {
    result.map(Into::into).map_err(Into::into)
}

impl wit::Guest for Orders {
    fn place(input: wit::OrderInput) -> Answer<wit::Placing> {
        answer(placing::place(&mut Tables, &input.into()))
    }

    fn upsert_channel_order(report: wit::ChannelOrder) -> Answer<wit::ChannelOrderOutcome> {
        answer(report::upsert(&mut Tables, &report.into()))
    }

    fn import_orders(inputs: Vec<wit::OrderInput>) -> Answer<Vec<wit::Placing>> {
        let inputs: Vec<_> = inputs.into_iter().map(Into::into).collect();
        let placings = placing::import(&mut Tables, &inputs)?;
        Ok(placings.into_iter().map(Into::into).collect())
    }

    fn get(id: String) -> Answer<wit::Order> {
        answer(placing::load(&mut Tables, &id))
    }

    fn find(channel: String, account: String, external_id: String) -> Answer<wit::Order> {
        answer(listing::find(&mut Tables, &channel, &account, &external_id))
    }

    fn list_orders(channel: Option<String>, cursor: Option<String>, limit: u32) -> Answer<wit::OrderPage> {
        answer(listing::list(&mut Tables, channel.as_deref(), cursor.as_deref(), limit))
    }

    fn cancel(id: String, reason: String) -> Answer<wit::Order> {
        answer(changing::cancel(&mut Tables, &id, &reason))
    }

    fn ship(
        id: String,
        shipment_id: String,
        carrier: String,
        tracking_number: String,
        lines: Vec<(String, i64)>,
    ) -> Answer<wit::Order> {
        answer(changing::ship(&mut Tables, &id, &shipment_id, &carrier, &tracking_number, &lines))
    }

    fn record_payment(id: String, reference: String, amount_minor: i64) -> Answer<wit::Order> {
        answer(changing::record_payment(&mut Tables, &id, &reference, amount_minor))
    }
}

kontor_sdk::export!(Orders, services: bindings);
