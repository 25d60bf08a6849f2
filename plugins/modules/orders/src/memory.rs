//! The world of orders as maps in memory, with a small inventory of its own, for the tests of the rules. A call that fails leaves no
//! trace, and neither does a call of inventory that is refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Change, Held, Order, OrderKey, Refusal, Result, Summary};
use crate::world::World;

/// A reservation of the small inventory.
#[derive(Clone, Debug)]
pub(crate) struct Reservation {
    pub(crate) open: BTreeMap<String, i64>,
    pub(crate) order_id: Option<String>,
    pub(crate) live: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) now_ms: u64,
    next: u64,
    pub(crate) published: Vec<(Change, String)>,
    pub(crate) orders: BTreeMap<String, Order>,
    keys: BTreeMap<OrderKey, String>,
    numbers: BTreeMap<String, String>,
    summaries: BTreeMap<(u64, String), Summary>,
    pub(crate) waiting: BTreeSet<(u64, String)>,
    /// What is available to sell, by SKU.
    pub(crate) available: BTreeMap<String, i64>,
    /// What is in the house, by SKU.
    pub(crate) on_hand: BTreeMap<String, i64>,
    pub(crate) reservations: BTreeMap<String, Reservation>,
    booked: BTreeSet<String>,
    /// Whether the channel has a rule.
    pub(crate) without_rule: bool,
}

impl Memory {
    pub(crate) fn with_stock(stock: &[(&str, i64)]) -> Self {
        let stock: BTreeMap<_, _> = stock.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect();
        Memory { now_ms: 1_795_305_600_000, available: stock.clone(), on_hand: stock, ..Memory::default() }
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

    /// A reservation that a cart made before.
    pub(crate) fn reserve_for_cart(&mut self, sku: &str, quantity: i64) -> String {
        let wanted = BTreeMap::from([(sku.to_owned(), quantity)]);
        self.reserve("web", "cart", &wanted, false).unwrap().id
    }

    /// Units held by live reservations, by SKU.
    pub(crate) fn held_in_all(&self) -> BTreeMap<String, i64> {
        let mut sums = BTreeMap::new();
        for reservation in self.reservations.values().filter(|reservation| reservation.live) {
            for (sku, open) in reservation.open.iter().filter(|(_, open)| **open > 0) {
                *sums.entry(sku.clone()).or_default() += open;
            }
        }
        sums
    }

    fn live(&mut self, id: &str) -> std::result::Result<&mut Reservation, Refusal> {
        match self.reservations.get_mut(id) {
            Some(reservation) if reservation.live => Ok(reservation),
            Some(_) => Err(Refusal::Conflict(format!("{id} holds no stock"))),
            None => Err(Refusal::NotFound(format!("no reservation {id}"))),
        }
    }
}

impl World for Memory {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }
    fn new_id(&mut self) -> String {
        self.next += 1;
        format!("{:06}", self.next)
    }
    fn random(&mut self) -> u32 {
        self.next += 1;
        // Collides on purpose: a number that is taken must be drawn again.
        u32::try_from(self.next / 3).unwrap()
    }
    fn number_prefix(&mut self, channel: &str) -> Result<Option<String>> {
        Ok((channel == "amazon").then(|| "AMZ".to_owned()))
    }
    fn publish(&mut self, change: Change, order: &Order) -> Result<()> {
        self.published.push((change, order.id.clone()));
        Ok(())
    }
    fn order(&mut self, id: &str) -> Result<Option<Order>> {
        Ok(self.orders.get(id).cloned())
    }
    fn put_order(&mut self, order: &Order) -> Result<()> {
        self.orders.insert(order.id.clone(), order.clone());
        Ok(())
    }
    fn id_of(&mut self, key: &OrderKey) -> Result<Option<String>> {
        Ok(self.keys.get(key).cloned())
    }
    fn put_id_of(&mut self, key: &OrderKey, id: &str) -> Result<()> {
        assert!(self.keys.insert(key.clone(), id.to_owned()).is_none());
        Ok(())
    }
    fn has_number(&mut self, number: &str) -> Result<bool> {
        Ok(self.numbers.contains_key(number))
    }
    fn put_number(&mut self, number: &str, id: &str) -> Result<()> {
        assert!(self.numbers.insert(number.to_owned(), id.to_owned()).is_none());
        Ok(())
    }
    fn put_summary(&mut self, listed_at_ms: u64, summary: &Summary) -> Result<()> {
        self.summaries.insert((listed_at_ms, summary.id.clone()), summary.clone());
        Ok(())
    }
    fn summaries(
        &mut self,
        channel: Option<&str>,
        until_ms: u64,
        after: Option<(u64, &str)>,
        limit: u32,
    ) -> Result<Vec<(u64, Summary)>> {
        let mut all: Vec<_> = self.summaries.iter().collect();
        all.sort_by(|((left_ms, left), _), ((right_ms, right), _)| right_ms.cmp(left_ms).then(left.cmp(right)));
        Ok(all
            .into_iter()
            .filter(|((at_ms, _), summary)| {
                *at_ms <= until_ms && channel.is_none_or(|channel| summary.channel == channel)
            })
            .filter(|((at_ms, id), _)| match after {
                None => true,
                Some((after_ms, after_id)) => *at_ms < after_ms || (*at_ms == after_ms && id.as_str() > after_id),
            })
            .take(limit as usize)
            .map(|((at_ms, _), summary)| (*at_ms, summary.clone()))
            .collect())
    }
    fn set_waiting(&mut self, order: &Order, waiting: bool) -> Result<()> {
        let key = (order.listed_at_ms, order.id.clone());
        if waiting {
            self.waiting.insert(key);
        } else {
            self.waiting.remove(&key);
        }
        Ok(())
    }
    fn waiting(&mut self, limit: u32) -> Result<Vec<String>> {
        Ok(self.waiting.iter().take(limit as usize).map(|(_, id)| id.clone()).collect())
    }
    fn reserve(
        &mut self,
        _channel: &str,
        _owner: &str,
        wanted: &BTreeMap<String, i64>,
        partial: bool,
    ) -> std::result::Result<Held, Refusal> {
        if self.without_rule {
            return Err(Refusal::NotFound("no rule".to_owned()));
        }
        assert!(!wanted.is_empty() && wanted.values().all(|quantity| *quantity > 0));
        let available = |sku: &String| self.available.get(sku).copied().unwrap_or(0).max(0);
        let short: Vec<_> = wanted
            .iter()
            .filter(|(sku, quantity)| available(sku) < **quantity)
            .map(|(sku, quantity)| (sku.clone(), *quantity, available(sku)))
            .collect();
        let open: BTreeMap<_, _> = wanted
            .iter()
            .map(|(sku, quantity)| (sku.clone(), available(sku).min(*quantity)))
            .filter(|(_, quantity)| *quantity > 0)
            .collect();
        if open.is_empty() || (!partial && !short.is_empty()) {
            return Err(Refusal::Insufficient(short));
        }
        for (sku, quantity) in &open {
            *self.available.get_mut(sku).unwrap() -= quantity;
        }
        self.next += 1;
        let id = format!("r{}", self.next);
        self.reservations.insert(id.clone(), Reservation { open: open.clone(), order_id: None, live: true });
        Ok(Held { id, open })
    }
    fn held(&mut self, reservation: &str) -> std::result::Result<Held, Refusal> {
        let Some(found) = self.reservations.get(reservation) else {
            return Err(Refusal::NotFound(reservation.to_owned()));
        };
        let open = if found.live { found.open.clone() } else { BTreeMap::new() };
        Ok(Held { id: reservation.to_owned(), open })
    }
    fn commit(&mut self, reservation: &str, order_id: &str) -> std::result::Result<Held, Refusal> {
        let found = self.reservations.get_mut(reservation).ok_or_else(|| Refusal::NotFound(reservation.to_owned()))?;
        match &found.order_id {
            Some(known) if known == order_id => {}
            Some(known) => return Err(Refusal::Conflict(format!("belongs to {known}"))),
            None if !found.live => return Err(Refusal::Conflict("lapsed".to_owned())),
            None => found.order_id = Some(order_id.to_owned()),
        }
        self.held(reservation)
    }
    fn release(&mut self, reservation: &str) -> std::result::Result<(), Refusal> {
        if let Ok(found) = self.live(reservation) {
            found.live = false;
            for (sku, open) in found.open.clone() {
                *self.available.entry(sku).or_default() += open;
            }
        }
        Ok(())
    }
    fn release_part(
        &mut self,
        reservation: &str,
        ref_id: &str,
        part: &BTreeMap<String, i64>,
    ) -> std::result::Result<(), Refusal> {
        assert!(self.booked.insert(ref_id.to_owned()), "{ref_id} is booked twice");
        for (sku, quantity) in part {
            *self.live(reservation)?.open.get_mut(sku).unwrap() -= quantity;
            *self.available.entry(sku.clone()).or_default() += quantity;
        }
        Ok(())
    }
    fn fulfil(
        &mut self,
        reservation: &str,
        ref_id: &str,
        part: &BTreeMap<String, i64>,
    ) -> std::result::Result<(), Refusal> {
        assert!(self.booked.insert(ref_id.to_owned()), "{ref_id} is booked twice");
        for (sku, quantity) in part {
            let found = self.live(reservation)?;
            let open = found.open.get_mut(sku).unwrap();
            assert!(*open >= *quantity);
            *open -= quantity;
            if found.open.values().all(|open| *open == 0) {
                found.live = false;
            }
            *self.on_hand.entry(sku.clone()).or_default() -= quantity;
        }
        Ok(())
    }
    fn sell(
        &mut self,
        _location: &str,
        ref_id: &str,
        _occurred_at_ms: u64,
        sold: &BTreeMap<String, i64>,
    ) -> std::result::Result<(), Refusal> {
        assert!(self.booked.insert(ref_id.to_owned()), "{ref_id} is booked twice");
        for (sku, quantity) in sold {
            *self.available.entry(sku.clone()).or_default() -= quantity;
            *self.on_hand.entry(sku.clone()).or_default() -= quantity;
        }
        Ok(())
    }
}
