//! What the rules need of the world: the tables of stock, the clock, and a way to publish. The component implements it over the
//! host's store (`tables.rs`), the tests over maps in memory. No rule is here.

use crate::model::{
    BookingKey, ChannelRule, Counter, Event, Hold, Item, LedgerPosition, Location, Movement, Place, Reservation, Result,
};

/// Which way a listing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// The tables of stock. Everything that one call does commits together or not at all, and what it read is validated then.
pub trait Stock {
    /// Now, the same for the whole call.
    fn now_ms(&self) -> u64;
    /// Who acts, for the ledger.
    fn actor(&self) -> String;
    /// A new unique id that sorts by time.
    fn new_id(&mut self) -> Result<String>;
    /// Publishes a fact.
    fn publish(&mut self, event: Event) -> Result<()>;

    /// A location.
    fn location(&mut self, id: &str) -> Result<Option<Location>>;
    /// All locations, by id.
    fn locations(&mut self) -> Result<Vec<Location>>;
    /// Writes a location.
    fn put_location(&mut self, location: &Location) -> Result<()>;
    /// The rule of a channel.
    fn channel_rule(&mut self, channel: &str) -> Result<Option<ChannelRule>>;
    /// Writes the rule of a channel.
    fn put_channel_rule(&mut self, rule: &ChannelRule) -> Result<()>;

    /// What is known of a place; none if nothing was ever booked there.
    fn item(&mut self, place: &Place) -> Result<Option<Item>>;
    /// Writes what is known of a place.
    fn put_item(&mut self, place: &Place, item: &Item) -> Result<()>;
    /// The places of a SKU, by location.
    fn items_of(&mut self, sku: &str) -> Result<Vec<(Place, Item)>>;
    /// Places after `after` by SKU and location, at most `limit`.
    fn items_after(&mut self, after: Option<&Place>, limit: u32) -> Result<Vec<(Place, Item)>>;

    /// Adds to a counter unless it would fall below `min`; then false, and nothing changed. Concurrent additions do not conflict.
    fn add(&mut self, counter: Counter, place: &Place, delta: i64, min: Option<i64>) -> Result<bool>;
    /// The counter's exact value; conflicts with every concurrent addition.
    fn exact(&mut self, counter: Counter, place: &Place) -> Result<i64>;
    /// Whether the counter is at least `threshold`; conflicts only with what changes the answer.
    fn at_least(&mut self, counter: Counter, place: &Place, threshold: i64) -> Result<bool>;

    /// Whether this was booked already.
    fn is_booked(&mut self, key: &BookingKey) -> Result<bool>;
    /// Notes that it was booked.
    fn put_booking(&mut self, key: &BookingKey) -> Result<()>;
    /// Appends to the ledger.
    fn put_movement(&mut self, movement: &Movement) -> Result<()>;
    /// The ledger of a place beyond `after` in the direction asked, at most `limit`.
    fn movements(
        &mut self,
        place: &Place,
        after: Option<&LedgerPosition>,
        direction: Direction,
        limit: u32,
    ) -> Result<Vec<Movement>>;

    /// A reservation as written.
    fn reservation(&mut self, id: &str) -> Result<Option<Reservation>>;
    /// Writes a reservation.
    fn put_reservation(&mut self, reservation: &Reservation) -> Result<()>;
    /// The newest reservation of an owner.
    fn reservation_of(&mut self, owner: &str) -> Result<Option<String>>;
    /// Sets the newest reservation of an owner.
    fn put_reservation_of(&mut self, owner: &str, id: &str) -> Result<()>;
    /// Writes a hold at a place.
    fn put_hold(&mut self, place: &Place, hold: &Hold) -> Result<()>;
    /// Removes a hold.
    fn delete_hold(&mut self, place: &Place, expires_at_ms: u64, reservation: &str) -> Result<()>;
    /// Holds at a place beyond `after` (expiry and reservation), earliest expiry first, that lapse at or before `until_ms`, at most `limit`.
    fn holds(&mut self, place: &Place, after: Option<(u64, &str)>, until_ms: u64, limit: u32) -> Result<Vec<Hold>>;
    /// Notes that a reservation lapses at a time.
    fn put_lapse(&mut self, at_ms: u64, reservation: &str) -> Result<()>;
    /// Forgets it.
    fn delete_lapse(&mut self, at_ms: u64, reservation: &str) -> Result<()>;
    /// Reservations that lapse at or before `until_ms`, earliest first, at most `limit`.
    fn lapses(&mut self, until_ms: u64, limit: u32) -> Result<Vec<String>>;
}
