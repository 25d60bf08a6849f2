//! The unit ledger: every ordered unit is in exactly one state, and units only move between states. The statuses of fulfilment,
//! payment and returns are read off it; nothing stores them.
//!
//! A line with a negative quantity (a credit among imported history) counts its units as returned, below 0: so they add up too.

use std::collections::BTreeMap;

use crate::model::{
    Error, FulfilmentStatus, Line, Order, OrderStatus, PaymentStatus, Result, ReturnStatus, StockSource, Summary,
    UnitState,
};

/// States of units that have left the house.
pub const GONE: [UnitState; 7] = [
    UnitState::Shipped,
    UnitState::Ready,
    UnitState::Collected,
    UnitState::ReturnRequested,
    UnitState::ReturnedOk,
    UnitState::ReturnedDamaged,
    UnitState::Lost,
];
/// States of units that are still to leave.
pub const TO_LEAVE: [UnitState; 6] = [
    UnitState::Open,
    UnitState::Reserved,
    UnitState::Backordered,
    UnitState::Preordered,
    UnitState::Picking,
    UnitState::Packed,
];

impl Line {
    /// Units in any of these states.
    pub fn count(&self, states: &[UnitState]) -> i64 {
        states.iter().map(|state| self.units.get(state).copied().unwrap_or(0)).sum()
    }

    /// Moves up to `quantity` units from `from` to `to`; returns how many.
    pub fn shift(&mut self, from: &[UnitState], to: UnitState, quantity: i64) -> i64 {
        let mut remaining = quantity.max(0);
        for state in from.iter().filter(|state| **state != to) {
            let there = self.units.get(state).copied().unwrap_or(0).max(0);
            let moved = there.min(remaining);
            if moved > 0 {
                self.set(*state, there - moved);
                self.set(to, self.count(&[to]) + moved);
                remaining -= moved;
            }
        }
        quantity.max(0) - remaining
    }

    /// Sets how many units are in a state.
    pub fn set(&mut self, state: UnitState, quantity: i64) {
        if quantity == 0 {
            self.units.remove(&state);
        } else {
            self.units.insert(state, quantity);
        }
    }

    /// Puts all units into one state.
    pub fn set_all(&mut self, state: UnitState) {
        self.units.clear();
        let quantity = self.quantity;
        self.set(state, quantity);
    }
}

/// Refuses an order whose units do not add up: a fault of this module, which must not be stored.
pub fn check(order: &Order) -> Result<()> {
    for line in &order.lines {
        let sum: i64 = line.units.values().sum();
        if sum != line.quantity {
            return Err(Error::Other(format!(
                "order {}: {sum} units of line {} are accounted for, {} were ordered",
                order.number, line.line_id, line.quantity
            )));
        }
    }
    Ok(())
}

/// Whether this order's goods leave by our hand.
pub fn is_ours(order: &Order) -> bool {
    order.stock != StockSource::None
}

/// Units of goods that have left the house, if it is ours that they leave.
pub fn gone(order: &Order) -> i64 {
    match is_ours(order) {
        true => order.lines.iter().filter(|line| line.stocked).map(|line| line.count(&GONE)).sum(),
        false => 0,
    }
}

/// Goods still to leave, by SKU.
pub fn to_leave(order: &Order) -> BTreeMap<String, i64> {
    by_sku(order, &TO_LEAVE)
}

/// Goods in these states, by SKU.
pub fn by_sku(order: &Order, states: &[UnitState]) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for line in order.lines.iter().filter(|line| line.stocked) {
        let quantity = line.count(states);
        if quantity > 0 {
            *sums.entry(line.sku.clone()).or_default() += quantity;
        }
    }
    sums
}

/// Says which of the units to leave are reserved, given what is held by SKU; the rest is `otherwise`.
pub fn assign(order: &mut Order, mut held: BTreeMap<String, i64>, otherwise: UnitState) {
    for line in order.lines.iter_mut().filter(|line| line.stocked && line.quantity > 0) {
        let to_leave = line.count(&TO_LEAVE);
        let available = held.entry(line.sku.clone()).or_default();
        let reserved = to_leave.min(*available).max(0);
        *available -= reserved;
        for state in TO_LEAVE {
            line.set(state, 0);
        }
        line.set(otherwise, to_leave - reserved);
        line.set(UnitState::Reserved, line.count(&[UnitState::Reserved]) + reserved);
    }
}

/// Where the goods are.
pub fn fulfilment(order: &Order) -> FulfilmentStatus {
    let goods = || order.lines.iter().filter(|line| line.stocked);
    if !is_ours(order) || goods().next().is_none() {
        return FulfilmentStatus::NotApplicable;
    }
    let gone: i64 = goods().map(|line| line.count(&GONE)).sum();
    let to_leave: i64 = goods().map(|line| line.count(&TO_LEAVE)).sum();
    match (gone, to_leave) {
        (0, _) => FulfilmentStatus::Unfulfilled,
        (_, 0) => FulfilmentStatus::Fulfilled,
        _ => FulfilmentStatus::PartiallyFulfilled,
    }
}

/// What was paid. An order of nothing is paid once it is placed.
pub fn payment(order: &Order) -> PaymentStatus {
    let paid = order.paid_minor();
    if order.refunded_minor > 0 {
        return match order.refunded_minor >= paid {
            true => PaymentStatus::Refunded,
            false => PaymentStatus::PartiallyRefunded,
        };
    }
    let unpriced = order.status == OrderStatus::Draft && order.total_minor == 0;
    match paid >= order.total_minor && !unpriced {
        true => PaymentStatus::Paid,
        false => PaymentStatus::Pending,
    }
}

/// What came back.
pub fn returns(order: &Order) -> ReturnStatus {
    let count = |states: &[UnitState]| -> i64 { order.lines.iter().map(|line| line.count(states).abs()).sum() };
    let returned = count(&[UnitState::ReturnedOk, UnitState::ReturnedDamaged]);
    let requested = count(&[UnitState::ReturnRequested]);
    let others = count(&GONE) - returned - requested;
    match (returned, requested, others) {
        (0, 0, _) => ReturnStatus::None,
        (0, _, _) => ReturnStatus::Requested,
        (_, 0, 0) => ReturnStatus::Returned,
        _ => ReturnStatus::PartiallyReturned,
    }
}

/// Completes a placed order when it is paid and nothing is left to leave, and reopens it when that ceased to be so.
pub fn settle(order: &mut Order) {
    if !matches!(order.status, OrderStatus::Placed | OrderStatus::Completed) {
        return;
    }
    let is_gone = match fulfilment(order) {
        FulfilmentStatus::Fulfilled | FulfilmentStatus::NotApplicable => true,
        FulfilmentStatus::Unfulfilled | FulfilmentStatus::PartiallyFulfilled => false,
    };
    let is_paid = payment(order) != PaymentStatus::Pending;
    order.status = match is_gone && is_paid {
        true => OrderStatus::Completed,
        false => OrderStatus::Placed,
    };
}

/// The order's line in lists. Its units are those of goods.
pub fn summary(order: &Order) -> Summary {
    Summary {
        id: order.id.clone(),
        number: order.number.clone(),
        channel: order.channel.clone(),
        external_id: order.external_id.clone(),
        placed_at_ms: order.placed_at_ms,
        status: order.status,
        payment: payment(order),
        fulfilment: fulfilment(order),
        currency: order.currency.clone(),
        total_minor: order.total_minor,
        units: order.lines.iter().filter(|line| line.stocked).map(|line| line.quantity).sum(),
    }
}
