//! The tables of stock as maps in memory, for the tests of the rules. A call that fails leaves no trace, as on the host.

use std::collections::BTreeMap;

use crate::model::{
    BookingKey, ChannelRule, Counter, Event, Hold, Item, LedgerPosition, Location, LocationKind, Movement, Place,
    Reservation, Result,
};
use crate::stock::{Direction, Stock};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) now_ms: u64,
    next_id: u64,
    pub(crate) events: Vec<Event>,
    /// How often an exact value was read: what would conflict under contention.
    pub(crate) exact_reads: u32,
    locations: BTreeMap<String, Location>,
    rules: BTreeMap<String, ChannelRule>,
    items: BTreeMap<Place, Item>,
    pub(crate) counters: BTreeMap<(Place, Counter), i64>,
    bookings: BTreeMap<BookingKey, ()>,
    pub(crate) movements: BTreeMap<(Place, LedgerPosition), Movement>,
    pub(crate) reservations: BTreeMap<String, Reservation>,
    owners: BTreeMap<String, String>,
    pub(crate) holds: BTreeMap<(Place, u64, String), Hold>,
    lapses: BTreeMap<(u64, String), ()>,
}

impl Memory {
    /// A store with locations `a`, `b` and `c` and a channel `web` that sells from them in this order.
    pub(crate) fn with_channel(locations: &[&str], buffer: i64) -> Self {
        let mut memory = Memory { now_ms: 1_000_000, ..Memory::default() };
        for id in ["a", "b", "c"] {
            let location = Location {
                id: id.to_owned(),
                name: id.to_uppercase(),
                kind: LocationKind::Warehouse,
                time_zone: "Europe/Berlin".to_owned(),
                active: true,
            };
            memory.locations.insert(id.to_owned(), location);
        }
        let rule = ChannelRule {
            channel: "web".to_owned(),
            locations: locations.iter().map(|id| (*id).to_owned()).collect(),
            buffer,
            maximum: None,
        };
        memory.rules.insert(rule.channel.clone(), rule);
        memory
    }

    /// Runs a call as the host does: all of it or nothing.
    pub(crate) fn call<T>(&mut self, run: impl FnOnce(&mut Memory) -> Result<T>) -> Result<T> {
        let before = self.clone();
        let result = run(self);
        if result.is_err() {
            *self = before;
        }
        result
    }

    pub(crate) fn counter(&self, counter: Counter, sku: &str, location: &str) -> i64 {
        self.counters.get(&(Place::new(sku, location), counter)).copied().unwrap_or(0)
    }
}

impl Stock for Memory {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }
    fn actor(&self) -> String {
        "test".to_owned()
    }
    fn new_id(&mut self) -> Result<String> {
        self.next_id += 1;
        Ok(format!("{:08}", self.next_id))
    }
    fn publish(&mut self, event: Event) -> Result<()> {
        self.events.push(event);
        Ok(())
    }
    fn location(&mut self, id: &str) -> Result<Option<Location>> {
        Ok(self.locations.get(id).cloned())
    }
    fn locations(&mut self) -> Result<Vec<Location>> {
        Ok(self.locations.values().cloned().collect())
    }
    fn put_location(&mut self, location: &Location) -> Result<()> {
        self.locations.insert(location.id.clone(), location.clone());
        Ok(())
    }
    fn channel_rule(&mut self, channel: &str) -> Result<Option<ChannelRule>> {
        Ok(self.rules.get(channel).cloned())
    }
    fn put_channel_rule(&mut self, rule: &ChannelRule) -> Result<()> {
        self.rules.insert(rule.channel.clone(), rule.clone());
        Ok(())
    }
    fn item(&mut self, place: &Place) -> Result<Option<Item>> {
        Ok(self.items.get(place).copied())
    }
    fn put_item(&mut self, place: &Place, item: &Item) -> Result<()> {
        self.items.insert(place.clone(), *item);
        Ok(())
    }
    fn items_of(&mut self, sku: &str) -> Result<Vec<(Place, Item)>> {
        let of_sku = self.items.iter().filter(|(place, _)| place.sku == sku);
        Ok(of_sku.map(|(place, item)| (place.clone(), *item)).collect())
    }
    fn items_after(&mut self, after: Option<&Place>, limit: u32) -> Result<Vec<(Place, Item)>> {
        let beyond = self.items.iter().filter(|(place, _)| after.is_none_or(|after| *place > after));
        Ok(beyond.take(limit as usize).map(|(place, item)| (place.clone(), *item)).collect())
    }
    fn add(&mut self, counter: Counter, place: &Place, delta: i64, min: Option<i64>) -> Result<bool> {
        let value = self.counters.entry((place.clone(), counter)).or_default();
        if min.is_some_and(|min| *value + delta < min) {
            return Ok(false);
        }
        *value += delta;
        Ok(true)
    }
    fn exact(&mut self, counter: Counter, place: &Place) -> Result<i64> {
        self.exact_reads += 1;
        Ok(self.counter(counter, &place.sku, &place.location))
    }
    fn at_least(&mut self, counter: Counter, place: &Place, threshold: i64) -> Result<bool> {
        Ok(self.counter(counter, &place.sku, &place.location) >= threshold)
    }
    fn is_booked(&mut self, key: &BookingKey) -> Result<bool> {
        Ok(self.bookings.contains_key(key))
    }
    fn put_booking(&mut self, key: &BookingKey) -> Result<()> {
        self.bookings.insert(key.clone(), ());
        Ok(())
    }
    fn put_movement(&mut self, movement: &Movement) -> Result<()> {
        let position = LedgerPosition { recorded_at_ms: movement.recorded_at_ms, id: movement.id.clone() };
        let place = Place::new(&movement.sku, &movement.location);
        self.movements.insert((place, position), movement.clone());
        Ok(())
    }
    fn movements(
        &mut self,
        place: &Place,
        after: Option<&LedgerPosition>,
        direction: Direction,
        limit: u32,
    ) -> Result<Vec<Movement>> {
        let mut found: Vec<_> = self.movements.iter().filter(|((at, _), _)| at == place).collect();
        if direction == Direction::Descending {
            found.reverse();
        }
        Ok(found
            .into_iter()
            .filter(|((_, position), _)| match (after, direction) {
                (None, _) => true,
                (Some(after), Direction::Ascending) => position > after,
                (Some(after), Direction::Descending) => position < after,
            })
            .take(limit as usize)
            .map(|(_, movement)| movement.clone())
            .collect())
    }
    fn reservation(&mut self, id: &str) -> Result<Option<Reservation>> {
        Ok(self.reservations.get(id).cloned())
    }
    fn put_reservation(&mut self, reservation: &Reservation) -> Result<()> {
        self.reservations.insert(reservation.id.clone(), reservation.clone());
        Ok(())
    }
    fn reservation_of(&mut self, owner: &str) -> Result<Option<String>> {
        Ok(self.owners.get(owner).cloned())
    }
    fn put_reservation_of(&mut self, owner: &str, id: &str) -> Result<()> {
        self.owners.insert(owner.to_owned(), id.to_owned());
        Ok(())
    }
    fn put_hold(&mut self, place: &Place, hold: &Hold) -> Result<()> {
        let key = (place.clone(), hold.expires_at_ms, hold.reservation.clone());
        self.holds.insert(key, hold.clone());
        Ok(())
    }
    fn delete_hold(&mut self, place: &Place, expires_at_ms: u64, reservation: &str) -> Result<()> {
        let key = (place.clone(), expires_at_ms, reservation.to_owned());
        assert!(self.holds.remove(&key).is_some(), "no hold {key:?}");
        Ok(())
    }
    fn holds(&mut self, place: &Place, after: Option<(u64, &str)>, until_ms: u64, limit: u32) -> Result<Vec<Hold>> {
        Ok(self
            .holds
            .values()
            .zip(self.holds.keys())
            .filter(|(hold, (at, _, _))| at == place && hold.expires_at_ms <= until_ms)
            .filter(|(_, (_, expiry, id))| after.is_none_or(|after| (*expiry, id.as_str()) > after))
            .take(limit as usize)
            .map(|(hold, _)| hold.clone())
            .collect())
    }
    fn put_lapse(&mut self, at_ms: u64, reservation: &str) -> Result<()> {
        self.lapses.insert((at_ms, reservation.to_owned()), ());
        Ok(())
    }
    fn delete_lapse(&mut self, at_ms: u64, reservation: &str) -> Result<()> {
        assert!(self.lapses.remove(&(at_ms, reservation.to_owned())).is_some());
        Ok(())
    }
    fn lapses(&mut self, until_ms: u64, limit: u32) -> Result<Vec<String>> {
        let due = self.lapses.keys().take_while(|(at_ms, _)| *at_ms <= until_ms);
        Ok(due.take(limit as usize).map(|(_, id)| id.clone()).collect())
    }
}
