//! What the rules of orders need of the world: their tables, the clock, a way to publish, and inventory. The component implements
//! it over the host's store and the imported service (`tables.rs`), the tests over maps in memory. No rule is here.

use std::collections::BTreeMap;

use crate::model::{Change, Held, Order, OrderKey, Refusal, Result, Summary};

/// See the module. Everything that one call does commits together or not at all; what a refused call of inventory did is
/// undone.
pub trait World {
    /// Now, the same for the whole call.
    fn now_ms(&self) -> u64;
    /// A new unique id that sorts by time.
    fn new_id(&mut self) -> String;
    /// A random number.
    fn random(&mut self) -> u32;
    /// What numbers of a channel begin with, if the merchant chose it.
    fn number_prefix(&mut self, channel: &str) -> Result<Option<String>>;
    /// Publishes what happened to an order.
    fn publish(&mut self, change: Change, order: &Order) -> Result<()>;

    /// An order.
    fn order(&mut self, id: &str) -> Result<Option<Order>>;
    /// Writes an order.
    fn put_order(&mut self, order: &Order) -> Result<()>;
    /// The order of a key.
    fn id_of(&mut self, key: &OrderKey) -> Result<Option<String>>;
    /// Gives a key its order.
    fn put_id_of(&mut self, key: &OrderKey, id: &str) -> Result<()>;
    /// Whether a number is taken.
    fn has_number(&mut self, number: &str) -> Result<bool>;
    /// Takes a number.
    fn put_number(&mut self, number: &str, id: &str) -> Result<()>;
    /// Writes an order's line in the lists.
    fn put_summary(&mut self, listed_at_ms: u64, summary: &Summary) -> Result<()>;
    /// Lines of the list, newest first, of one channel or all, that were listed at or before `until_ms` and come behind `after` (time
    /// listed and id), at most `limit`.
    fn summaries(
        &mut self,
        channel: Option<&str>,
        until_ms: u64,
        after: Option<(u64, &str)>,
        limit: u32,
    ) -> Result<Vec<(u64, Summary)>>;
    /// Notes that an order waits for stock, or no longer.
    fn set_waiting(&mut self, order: &Order, waiting: bool) -> Result<()>;
    /// Orders that wait for stock, longest waiting first.
    fn waiting(&mut self, limit: u32) -> Result<Vec<String>>;

    /// Reserves from the channel's stock, all or (with `partial`) what there is.
    fn reserve(
        &mut self,
        channel: &str,
        owner: &str,
        wanted: &BTreeMap<String, i64>,
        partial: bool,
    ) -> std::result::Result<Held, Refusal>;
    /// A reservation.
    fn held(&mut self, reservation: &str) -> std::result::Result<Held, Refusal>;
    /// Makes a reservation an order's.
    fn commit(&mut self, reservation: &str, order_id: &str) -> std::result::Result<Held, Refusal>;
    /// Gives back what has not left.
    fn release(&mut self, reservation: &str) -> std::result::Result<(), Refusal>;
    /// Gives back a part.
    fn release_part(
        &mut self,
        reservation: &str,
        ref_id: &str,
        part: &BTreeMap<String, i64>,
    ) -> std::result::Result<(), Refusal>;
    /// Books what leaves the house.
    fn fulfil(
        &mut self,
        reservation: &str,
        ref_id: &str,
        part: &BTreeMap<String, i64>,
    ) -> std::result::Result<(), Refusal>;
    /// Books what was handed over the counter.
    fn sell(
        &mut self,
        location: &str,
        ref_id: &str,
        occurred_at_ms: u64,
        sold: &BTreeMap<String, i64>,
    ) -> std::result::Result<(), Refusal>;
}
