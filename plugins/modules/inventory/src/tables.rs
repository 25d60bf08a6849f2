//! The tables of stock over the host's store. What buyers of one SKU all touch are counters; every other key is unique to its
//! reservation, movement or booking, so that sales do not conflict with one another.

use std::ops::Bound;

use kontor_sdk::{Counter as HostCounter, EventType, Table, clock, id, identity};
use serde::Serialize;

use crate::model::{
    BookingKey, ChannelRule, Counter, Error, Event, Hold, Item, LedgerPosition, Location, Movement, Place, Reservation,
    Result,
};
use crate::stock::{Direction, Stock};

const LOCATIONS: Table<String, Location> = Table::new("locations");
const CHANNEL_RULES: Table<String, ChannelRule> = Table::new("channel-rules");
const ITEMS: Table<(String, String), Item> = Table::new("items");
const ON_HAND: HostCounter<(String, String)> = HostCounter::new("on-hand");
const UNSELLABLE: HostCounter<(String, String)> = HostCounter::new("unsellable");
const RESERVED: HostCounter<(String, String)> = HostCounter::new("reserved");
const AVAILABLE_TO_SELL: HostCounter<(String, String)> = HostCounter::new("available-to-sell");
/// By reference type, reference, line, SKU and location; the value is when it was booked.
const BOOKINGS: Table<(String, String, u32, String, String), u64> = Table::new("bookings");
/// By SKU, location, time recorded and id.
const MOVEMENTS: Table<(String, String, u64, String), Movement> = Table::new("movements");
const RESERVATIONS: Table<String, Reservation> = Table::new("reservations");
/// The newest reservation of an owner.
const OWNERS: Table<String, String> = Table::new("reservations-by-owner");
/// By SKU, location, expiry and reservation.
const HOLDS: Table<(String, String, u64, String), Hold> = Table::new("holds");
/// By expiry and reservation.
const LAPSES: Table<(u64, String), bool> = Table::new("lapses");

const STOCK_CHANGED: EventType<StockChanged<'_>> = EventType::new("kontor.inventory.stock-changed.v1");
const OVERSOLD: EventType<Oversold<'_>> = EventType::new("kontor.inventory.oversold.v1");

/// What is available to sell of a SKU changed.
#[derive(Debug, Serialize)]
struct StockChanged<'a> {
    sku: &'a str,
}

/// More was taken at a place than there was to sell.
#[derive(Debug, Serialize)]
struct Oversold<'a> {
    sku: &'a str,
    location: &'a str,
    quantity: i64,
    ref_type: &'a str,
    ref_id: &'a str,
    weakest_reservation: Option<&'a str>,
}

/// The tables of this merchant.
#[derive(Clone, Copy, Debug)]
pub struct Tables;

impl From<kontor_sdk::Error> for Error {
    fn from(error: kontor_sdk::Error) -> Self {
        Error::Other(error.to_string())
    }
}

fn key(place: &Place) -> (&str, &str) {
    (&place.sku, &place.location)
}

fn place((sku, location): (String, String)) -> Place {
    Place { sku, location }
}

fn counter(counter: Counter) -> HostCounter<(String, String)> {
    match counter {
        Counter::OnHand => ON_HAND,
        Counter::Unsellable => UNSELLABLE,
        Counter::Reserved => RESERVED,
        Counter::AvailableToSell => AVAILABLE_TO_SELL,
    }
}

fn booking(key: &BookingKey) -> (&str, &str, u32, &str, &str) {
    (&key.ref_type, &key.ref_id, key.line, &key.sku, &key.location)
}

impl Stock for Tables {
    fn now_ms(&self) -> u64 {
        clock::now().as_ms()
    }

    fn actor(&self) -> String {
        identity::actor_name()
    }

    fn new_id(&mut self) -> Result<String> {
        Ok(id::new())
    }

    fn publish(&mut self, event: Event) -> Result<()> {
        match event {
            Event::StockChanged { sku } => STOCK_CHANGED.emit(&sku, &StockChanged { sku: &sku })?,
            Event::Oversold { place, quantity, ref_type, ref_id, weakest_reservation } => OVERSOLD.emit(
                &place.sku,
                &Oversold {
                    sku: &place.sku,
                    location: &place.location,
                    quantity,
                    ref_type: &ref_type,
                    ref_id: &ref_id,
                    weakest_reservation: weakest_reservation.as_deref(),
                },
            )?,
        };
        Ok(())
    }

    fn location(&mut self, id: &str) -> Result<Option<Location>> {
        Ok(LOCATIONS.get(id)?)
    }

    fn locations(&mut self) -> Result<Vec<Location>> {
        Ok(LOCATIONS.scan().values()?)
    }

    fn put_location(&mut self, location: &Location) -> Result<()> {
        Ok(LOCATIONS.put(&location.id, location)?)
    }

    fn channel_rule(&mut self, channel: &str) -> Result<Option<ChannelRule>> {
        Ok(CHANNEL_RULES.get(channel)?)
    }

    fn put_channel_rule(&mut self, rule: &ChannelRule) -> Result<()> {
        Ok(CHANNEL_RULES.put(&rule.channel, rule)?)
    }

    fn item(&mut self, place: &Place) -> Result<Option<Item>> {
        Ok(ITEMS.get(key(place))?)
    }

    fn put_item(&mut self, place: &Place, item: &Item) -> Result<()> {
        Ok(ITEMS.put(key(place), item)?)
    }

    fn items_of(&mut self, sku: &str) -> Result<Vec<(Place, Item)>> {
        let entries = ITEMS.scan().prefix((sku,)).entries()?;
        Ok(entries.into_iter().map(|(key, item)| (place(key), item)).collect())
    }

    fn items_after(&mut self, after: Option<&Place>, limit: u32) -> Result<Vec<(Place, Item)>> {
        let mut scan = ITEMS.scan().limit(limit);
        if let Some(after) = after {
            scan = scan.range((Bound::Excluded(key(after)), Bound::Unbounded));
        }
        let entries = scan.entries()?;
        Ok(entries.into_iter().map(|(key, item)| (place(key), item)).collect())
    }

    fn add(&mut self, which: Counter, place: &Place, delta: i64, min: Option<i64>) -> Result<bool> {
        let counter = counter(which);
        match min {
            None => counter.add(key(place), delta).map(|()| true),
            Some(min) => counter.add_bounded(key(place), delta, min..).map(|added| added.is_done()),
        }
        .map_err(Error::from)
    }

    fn exact(&mut self, which: Counter, place: &Place) -> Result<i64> {
        Ok(counter(which).get(key(place))?)
    }

    fn at_least(&mut self, which: Counter, place: &Place, threshold: i64) -> Result<bool> {
        Ok(counter(which).at_least(key(place), threshold)?)
    }

    fn is_booked(&mut self, key: &BookingKey) -> Result<bool> {
        Ok(BOOKINGS.contains(booking(key))?)
    }

    fn put_booking(&mut self, key: &BookingKey) -> Result<()> {
        Ok(BOOKINGS.put(booking(key), &clock::now().as_ms())?)
    }

    fn put_movement(&mut self, movement: &Movement) -> Result<()> {
        let key = (movement.sku.as_str(), movement.location.as_str(), movement.recorded_at_ms, movement.id.as_str());
        Ok(MOVEMENTS.put(key, movement)?)
    }

    fn movements(
        &mut self,
        place: &Place,
        after: Option<&LedgerPosition>,
        direction: Direction,
        limit: u32,
    ) -> Result<Vec<Movement>> {
        let mut scan = MOVEMENTS.scan().prefix(key(place)).limit(limit);
        if let Some(after) = after {
            let beyond =
                Bound::Excluded((place.sku.as_str(), place.location.as_str(), after.recorded_at_ms, after.id.as_str()));
            scan = match direction {
                Direction::Ascending => scan.range((beyond, Bound::Unbounded)),
                Direction::Descending => scan.range((Bound::Unbounded, beyond)),
            };
        }
        if direction == Direction::Descending {
            scan = scan.reverse();
        }
        Ok(scan.values()?)
    }

    fn reservation(&mut self, id: &str) -> Result<Option<Reservation>> {
        Ok(RESERVATIONS.get(id)?)
    }

    fn put_reservation(&mut self, reservation: &Reservation) -> Result<()> {
        Ok(RESERVATIONS.put(&reservation.id, reservation)?)
    }

    fn reservation_of(&mut self, owner: &str) -> Result<Option<String>> {
        Ok(OWNERS.get(owner)?)
    }

    fn put_reservation_of(&mut self, owner: &str, id: &str) -> Result<()> {
        Ok(OWNERS.put(owner, &id.to_owned())?)
    }

    fn put_hold(&mut self, place: &Place, hold: &Hold) -> Result<()> {
        let key = (place.sku.as_str(), place.location.as_str(), hold.expires_at_ms, hold.reservation.as_str());
        Ok(HOLDS.put(key, hold)?)
    }

    fn delete_hold(&mut self, place: &Place, expires_at_ms: u64, reservation: &str) -> Result<()> {
        Ok(HOLDS.delete((place.sku.as_str(), place.location.as_str(), expires_at_ms, reservation))?)
    }

    fn holds(&mut self, place: &Place, after: Option<(u64, &str)>, until_ms: u64, limit: u32) -> Result<Vec<Hold>> {
        let (sku, location) = key(place);
        let start = after.map_or(Bound::Unbounded, |(expiry, id)| Bound::Excluded((sku, location, expiry, id)));
        let end = until_ms.checked_add(1).map_or(Bound::Unbounded, |end| Bound::Excluded((sku, location, end, "")));
        let scan = HOLDS.scan().prefix((sku, location)).range((start, end));
        Ok(scan.limit(limit).values()?)
    }

    fn put_lapse(&mut self, at_ms: u64, reservation: &str) -> Result<()> {
        Ok(LAPSES.put((at_ms, reservation), &true)?)
    }

    fn delete_lapse(&mut self, at_ms: u64, reservation: &str) -> Result<()> {
        Ok(LAPSES.delete((at_ms, reservation))?)
    }

    fn lapses(&mut self, until_ms: u64, limit: u32) -> Result<Vec<String>> {
        let end = (until_ms.saturating_add(1), "");
        let due = LAPSES.scan().range(..end).limit(limit).keys()?;
        Ok(due.into_iter().map(|(_, id)| id).collect())
    }
}
