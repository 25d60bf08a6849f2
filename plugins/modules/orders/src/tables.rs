//! The tables of orders over the host's store, and inventory as imported. Every key is unique to its order, so that orders do
//! not conflict with one another; lists are keyed by time and id.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;

use kontor_sdk::{EventType, Table, clock, config, id, random};
use serde::{Deserialize, Serialize};

use crate::bindings::kontor::commerce::inventory;
use crate::model::{
    Change, Error, FulfilmentStatus, Held, Line, Order, OrderKey, OrderStatus, PaymentStatus, Refusal, Result, Summary,
};
use crate::units;
use crate::world::World;

/// Orders without their lines.
const ORDERS: Table<String, Order> = Table::new("orders");
/// Lines of an order in chunks: an order of 2,000 lines would not fit one value.
const LINES: Table<(String, u32), Vec<Line>> = Table::new("order-lines");
const LINES_PER_CHUNK: usize = 200;
/// By channel, account and external id.
const BY_KEY: Table<(String, String, String), String> = Table::new("orders-by-key");
const BY_NUMBER: Table<String, String> = Table::new("orders-by-number");
/// By time listed, newest first, and id.
const NEWEST: Table<(Reverse<u64>, String), Summary> = Table::new("orders-newest");
/// By channel, time listed, newest first, and id.
const NEWEST_OF_CHANNEL: Table<(String, Reverse<u64>, String), Summary> = Table::new("orders-newest-of-channel");
/// Orders that wait for stock, by when they were listed and id.
const WAITING: Table<(u64, String), bool> = Table::new("orders-waiting");

const PLACED: EventType<OrderChanged<'_>> = EventType::new("kontor.orders.order-placed.v1");
const CANCELLED: EventType<OrderChanged<'_>> = EventType::new("kontor.orders.order-cancelled.v1");
const SHIPPED: EventType<OrderChanged<'_>> = EventType::new("kontor.orders.order-shipped.v1");
const UPDATED: EventType<OrderChanged<'_>> = EventType::new("kontor.orders.order-updated.v1");

/// The payload of every event of an order: ids, statuses and totals, no person.
#[derive(Debug, Serialize)]
struct OrderChanged<'a> {
    order_id: &'a str,
    number: &'a str,
    channel: &'a str,
    account: &'a str,
    external_id: &'a str,
    version: u64,
    placed_at_ms: u64,
    status: OrderStatus,
    payment: PaymentStatus,
    fulfilment: FulfilmentStatus,
    hold_reason: Option<&'a str>,
    currency: &'a str,
    total_minor: i64,
    paid_minor: i64,
    units: i64,
    /// With `order-shipped`: the parcel that left.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipment: Option<ShipmentSent<'a>>,
}

#[derive(Debug, Serialize)]
struct ShipmentSent<'a> {
    id: &'a str,
    carrier: &'a str,
    tracking_number: &'a str,
    shipped_at_ms: u64,
    lines: Vec<LineSent<'a>>,
}

#[derive(Debug, Serialize)]
struct LineSent<'a> {
    line_id: &'a str,
    quantity: i64,
}

/// What the merchant configured.
#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    number_prefixes: BTreeMap<String, String>,
}

/// The tables of this merchant, and inventory.
#[derive(Clone, Copy, Debug)]
pub struct Tables;

impl From<kontor_sdk::Error> for Error {
    fn from(error: kontor_sdk::Error) -> Self {
        Error::Other(error.to_string())
    }
}

impl From<inventory::InventoryError> for Refusal {
    fn from(error: inventory::InventoryError) -> Self {
        match error {
            inventory::InventoryError::NotFound(text) => Refusal::NotFound(text),
            inventory::InventoryError::Conflict(text) => Refusal::Conflict(text),
            inventory::InventoryError::Insufficient(shortages) => Refusal::Insufficient(
                shortages.into_iter().map(|short| (short.sku, short.requested, short.available)).collect(),
            ),
            inventory::InventoryError::Invalid(text) | inventory::InventoryError::Other(text) => Refusal::Other(text),
        }
    }
}

fn demands(wanted: &BTreeMap<String, i64>) -> Vec<inventory::Demand> {
    let demand =
        |(sku, quantity): (&String, &i64)| inventory::Demand { sku: sku.clone(), quantity: *quantity, location: None };
    wanted.iter().map(demand).collect()
}

fn held(reservation: inventory::Reservation) -> Held {
    use inventory::ReservationState as State;
    let mut open = BTreeMap::new();
    if matches!(reservation.state, State::Active | State::Committed) {
        for part in reservation.allocations {
            *open.entry(part.sku).or_default() += part.quantity - part.fulfilled;
        }
    }
    Held { id: reservation.id, open }
}

fn payload(order: &Order, change: Change) -> OrderChanged<'_> {
    let parcel = order.shipments.last().filter(|_| change == Change::Shipped);
    let summary = units::summary(order);
    OrderChanged {
        order_id: &order.id,
        number: &order.number,
        channel: &order.channel,
        account: &order.account,
        external_id: &order.external_id,
        version: order.version,
        placed_at_ms: order.placed_at_ms,
        status: order.status,
        payment: summary.payment,
        fulfilment: summary.fulfilment,
        hold_reason: order.hold_reason.as_deref(),
        currency: &order.currency,
        total_minor: order.total_minor,
        paid_minor: order.paid_minor(),
        units: summary.units,
        shipment: parcel.map(|parcel| ShipmentSent {
            id: &parcel.id,
            carrier: &parcel.carrier,
            tracking_number: &parcel.tracking_number,
            shipped_at_ms: parcel.shipped_at_ms,
            lines: parcel.lines.iter().map(|(line_id, quantity)| LineSent { line_id, quantity: *quantity }).collect(),
        }),
    }
}

impl World for Tables {
    fn now_ms(&self) -> u64 {
        clock::now().as_ms()
    }

    fn new_id(&mut self) -> String {
        id::new()
    }

    fn random(&mut self) -> u32 {
        u32::from_be_bytes(random::array())
    }

    fn number_prefix(&mut self, channel: &str) -> Result<Option<String>> {
        let mut config: Config = config::get()?;
        Ok(config.number_prefixes.remove(channel))
    }

    fn publish(&mut self, change: Change, order: &Order) -> Result<()> {
        let event = match change {
            Change::Placed => PLACED,
            Change::Cancelled => CANCELLED,
            Change::Shipped => SHIPPED,
            Change::Updated => UPDATED,
        };
        event.emit(&order.id, &payload(order, change))?;
        Ok(())
    }

    fn order(&mut self, id: &str) -> Result<Option<Order>> {
        let Some(mut order) = ORDERS.get(id)? else { return Ok(None) };
        order.lines = LINES.scan().prefix((id,)).values()?.into_iter().flatten().collect();
        Ok(Some(order))
    }

    fn put_order(&mut self, order: &Order) -> Result<()> {
        ORDERS.put(&order.id, order)?;
        let mut chunks = 0;
        for chunk in order.lines.chunks(LINES_PER_CHUNK) {
            LINES.put((order.id.as_str(), chunks), &chunk.to_vec())?;
            chunks += 1;
        }
        // A first version has no chunks of an earlier one.
        if order.version > 1 {
            let beyond = LINES.scan().prefix((order.id.as_str(),)).range((order.id.as_str(), chunks)..);
            for (id, chunk) in beyond.keys()? {
                LINES.delete((id, chunk))?;
            }
        }
        Ok(())
    }

    fn id_of(&mut self, key: &OrderKey) -> Result<Option<String>> {
        Ok(BY_KEY.get((&key.channel, &key.account, &key.external_id))?)
    }

    fn put_id_of(&mut self, key: &OrderKey, id: &str) -> Result<()> {
        Ok(BY_KEY.put((&key.channel, &key.account, &key.external_id), &id.to_owned())?)
    }

    fn has_number(&mut self, number: &str) -> Result<bool> {
        Ok(BY_NUMBER.contains(number)?)
    }

    fn put_number(&mut self, number: &str, id: &str) -> Result<()> {
        Ok(BY_NUMBER.put(number, &id.to_owned())?)
    }

    fn put_summary(&mut self, listed_at_ms: u64, summary: &Summary) -> Result<()> {
        NEWEST.put((Reverse(listed_at_ms), summary.id.as_str()), summary)?;
        let key = (summary.channel.as_str(), Reverse(listed_at_ms), summary.id.as_str());
        Ok(NEWEST_OF_CHANNEL.put(key, summary)?)
    }

    fn summaries(
        &mut self,
        channel: Option<&str>,
        until_ms: u64,
        after: Option<(u64, &str)>,
        limit: u32,
    ) -> Result<Vec<(u64, Summary)>> {
        // The id of an order that was listed at a time comes before those listed earlier; a cursor's place is behind its own.
        let (from_ms, from_id) = after.unwrap_or((until_ms, ""));
        match channel {
            None => {
                let start = (Reverse(from_ms), from_id);
                let start = if after.is_some() { Bound::Excluded(start) } else { Bound::Included(start) };
                let found = NEWEST.scan().range((start, Bound::Unbounded)).limit(limit).entries()?;
                Ok(found.into_iter().map(|((Reverse(at_ms), _), summary)| (at_ms, summary)).collect())
            }
            Some(channel) => {
                let start = (channel, Reverse(from_ms), from_id);
                let start = if after.is_some() { Bound::Excluded(start) } else { Bound::Included(start) };
                let scan = NEWEST_OF_CHANNEL.scan().prefix((channel,)).range((start, Bound::Unbounded));
                let found = scan.limit(limit).entries()?;
                Ok(found.into_iter().map(|((_, Reverse(at_ms), _), summary)| (at_ms, summary)).collect())
            }
        }
    }

    fn set_waiting(&mut self, order: &Order, waiting: bool) -> Result<()> {
        let key = (order.listed_at_ms, order.id.as_str());
        match waiting {
            true => WAITING.put(key, &true)?,
            false => WAITING.delete(key)?,
        }
        Ok(())
    }

    fn waiting(&mut self, limit: u32) -> Result<Vec<String>> {
        let keys = WAITING.scan().limit(limit).keys()?;
        Ok(keys.into_iter().map(|(_, id)| id).collect())
    }

    fn reserve(
        &mut self,
        channel: &str,
        owner: &str,
        wanted: &BTreeMap<String, i64>,
        partial: bool,
    ) -> std::result::Result<Held, Refusal> {
        let reservation = inventory::reserve(&inventory::ReservationRequest {
            channel: channel.to_owned(),
            kind: inventory::ReservationKind::Order,
            owner: owner.to_owned(),
            demands: demands(wanted),
            expires_at_ms: None,
            allow_partial: partial,
        })?;
        Ok(held(reservation))
    }

    fn held(&mut self, reservation: &str) -> std::result::Result<Held, Refusal> {
        Ok(held(inventory::get_reservation(reservation)?))
    }

    fn commit(&mut self, reservation: &str, order_id: &str) -> std::result::Result<Held, Refusal> {
        Ok(held(inventory::commit_reservation(reservation, order_id)?))
    }

    fn release(&mut self, reservation: &str) -> std::result::Result<(), Refusal> {
        inventory::release(reservation)?;
        Ok(())
    }

    fn release_part(
        &mut self,
        reservation: &str,
        ref_id: &str,
        part: &BTreeMap<String, i64>,
    ) -> std::result::Result<(), Refusal> {
        inventory::release_part(reservation, ref_id, &demands(part))?;
        Ok(())
    }

    fn fulfil(
        &mut self,
        reservation: &str,
        ref_id: &str,
        part: &BTreeMap<String, i64>,
    ) -> std::result::Result<(), Refusal> {
        inventory::fulfil(reservation, ref_id, &demands(part))?;
        Ok(())
    }

    fn sell(
        &mut self,
        location: &str,
        ref_id: &str,
        occurred_at_ms: u64,
        sold: &BTreeMap<String, i64>,
    ) -> std::result::Result<(), Refusal> {
        inventory::sell(location, ref_id, occurred_at_ms, &demands(sold))?;
        Ok(())
    }
}
