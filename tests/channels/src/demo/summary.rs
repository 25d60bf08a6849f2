//! What the demo ends with: what was sold where, and whether the books are right.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::books::{Orders, Stock};
use super::customers::Tally;

/// Executions that lost against another and were done again.
pub(super) const CONFLICTS: &str = "kontor_conflicts_total";
/// Executions beyond the first of an invocation.
pub(super) const RETRIES: &str = "kontor_reexecutions_total";

/// One of something per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByChannel<T> {
    /// The web shop.
    pub storefront: T,
    /// The till.
    pub pos: T,
    /// Amazon.
    pub amazon: T,
}

impl<T> ByChannel<T> {
    fn map<U>(&self, of: impl Fn(&T) -> U) -> ByChannel<U> {
        ByChannel { storefront: of(&self.storefront), pos: of(&self.pos), amazon: of(&self.amazon) }
    }
}

impl ByChannel<u64> {
    /// All channels together.
    pub fn total(&self) -> u64 {
        self.storefront + self.pos + self.amazon
    }
}

/// What [`Summary::new`] adds up.
#[derive(Debug)]
pub(super) struct Books<'a> {
    pub(super) before: Stock,
    pub(super) after: Stock,
    pub(super) orders: ByChannel<Orders>,
    pub(super) tallies: &'a ByChannel<Tally>,
    pub(super) discrepancies: u64,
    pub(super) marketplace_violations: u64,
    pub(super) conflicts: u64,
    pub(super) retries: u64,
    pub(super) seconds: f64,
    pub(super) seed: u64,
}

/// The summary. Numbers of units unless they say otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Units sold, as the orders module has them.
    pub sold: ByChannel<u64>,
    /// Orders placed.
    pub orders: ByChannel<u64>,
    /// Purchases that the stock (on Amazon: the advertised quantity) did not allow.
    pub refused: ByChannel<u64>,
    /// Purchases that failed for another reason.
    pub failed: ByChannel<u64>,
    /// Units promised to more than one customer.
    pub oversold: u64,
    /// Marketplace orders that wait because the goods were sold elsewhere in the meantime; nothing was promised twice.
    pub on_hold: u64,
    /// Units that could be sold before.
    pub stock_before: i64,
    /// Units that can still be sold.
    pub stock_after: i64,
    /// Units reserved for marketplace orders that wait for the rest of theirs, or to be confirmed.
    pub held: i64,
    /// `stock_before - stock_after - sold - held`: 0 when every unit is accounted for.
    pub unaccounted: i64,
    /// Places where the stock projection differs from the ledger.
    pub ledger_discrepancies: u64,
    /// Requests to the marketplace that its contract does not allow.
    pub marketplace_violations: u64,
    /// Executions that lost against another one.
    pub conflicts: u64,
    /// Executions beyond the first.
    pub retries: u64,
    /// How long customers bought.
    pub seconds: f64,
    /// Orders of web shop and till per second.
    pub orders_per_second: f64,
    /// Mean time of a whole purchase, milliseconds: seven requests in the web shop, one at the till.
    pub mean_purchase_ms: ByChannel<f64>,
    /// Of all chance.
    pub seed: u64,
}

/// The orders that came in between.
pub(super) fn difference(before: &ByChannel<Orders>, after: &ByChannel<Orders>) -> ByChannel<Orders> {
    let subtract = |before: &Orders, after: &Orders| Orders {
        orders: after.orders.saturating_sub(before.orders),
        units: after.units.saturating_sub(before.units),
        on_hold: after.on_hold.saturating_sub(before.on_hold),
        held: after.held - before.held,
    };
    ByChannel {
        storefront: subtract(&before.storefront, &after.storefront),
        pos: subtract(&before.pos, &after.pos),
        amazon: subtract(&before.amazon, &after.amazon),
    }
}

impl Summary {
    pub(super) fn new(books: Books<'_>) -> Self {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let sold = books.orders.map(|orders| orders.units);
        let orders = books.orders.map(|orders| orders.orders);
        let stock_before = books.before.unsold();
        let stock_after = books.after.unsold();
        let held = books.orders.storefront.held + books.orders.pos.held + books.orders.amazon.held;
        let unaccounted = stock_before - stock_after - i64::try_from(sold.total()).unwrap_or(i64::MAX) - held;
        // More sold than there was, or stock below zero: either way somebody was promised what somebody else has.
        let oversold = books.after.below_zero.unsigned_abs().max(unaccounted.min(0).unsigned_abs());
        Self {
            refused: books.tallies.map(|tally| load(&tally.refused)),
            failed: books.tallies.map(|tally| load(&tally.failed)),
            on_hold: books.orders.amazon.on_hold,
            oversold,
            stock_before,
            stock_after,
            held,
            unaccounted,
            ledger_discrepancies: books.discrepancies,
            marketplace_violations: books.marketplace_violations,
            conflicts: books.conflicts,
            retries: books.retries,
            seconds: (books.seconds * 10.0).round() / 10.0,
            orders_per_second: ((orders.storefront + orders.pos) as f64 / books.seconds.max(0.001) * 10.0).round()
                / 10.0,
            mean_purchase_ms: books.tallies.map(|tally| {
                let purchases = load(&tally.orders) + load(&tally.refused) + load(&tally.failed);
                (load(&tally.micros) as f64 / 1000.0 / (purchases.max(1) as f64) * 10.0).round() / 10.0
            }),
            seed: books.seed,
            sold,
            orders,
        }
    }

    /// What is wrong with the books, if anything is.
    pub fn fault(&self) -> Option<String> {
        if self.oversold > 0 {
            return Some(format!("{} units were sold twice", self.oversold));
        }
        if self.ledger_discrepancies > 0 {
            return Some(format!("stock differs from its ledger in {} places", self.ledger_discrepancies));
        }
        None
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let row = |name: &str, values: ByChannel<String>| {
            format!("{name:<22}{:>12}{:>12}{:>12}\n", values.storefront, values.pos, values.amazon)
        };
        let mut text =
            row("", ByChannel { storefront: "web shop".into(), pos: "till".into(), amazon: "Amazon".into() });
        text.push_str(&row("units sold", self.sold.map(u64::to_string)));
        text.push_str(&row("orders", self.orders.map(u64::to_string)));
        text.push_str(&row("refused: sold out", self.refused.map(u64::to_string)));
        text.push_str(&row("failed", self.failed.map(u64::to_string)));
        text.push_str(&row("ms per purchase", self.mean_purchase_ms.map(|ms| format!("{ms:.1}"))));
        text.push_str(&format!(
            "\nstock {} -> {} ({} sold, {} held for orders that wait, {} unaccounted); sold twice: {}; ledger discrepancies: {}\n",
            self.stock_before,
            self.stock_after,
            self.sold.total(),
            self.held,
            self.unaccounted,
            self.oversold,
            self.ledger_discrepancies
        ));
        text.push_str(&format!(
            "{:.1} orders per second in shop and till over {:.1} s; {} conflicts, {} executions repeated\n",
            self.orders_per_second, self.seconds, self.conflicts, self.retries
        ));
        if self.on_hold > 0 {
            text.push_str(&format!("{} Amazon orders wait for stock that was sold elsewhere first\n", self.on_hold));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(before: i64, after: i64, units: u64, below_zero: i64, tallies: &ByChannel<Tally>) -> Books<'_> {
        let stock = |unsold: i64, below_zero: i64| Stock { on_hand: unsold + 5, reserved: 5, below_zero };
        Books {
            before: stock(before, 0),
            after: stock(after, below_zero),
            orders: ByChannel { storefront: Orders { orders: 1, units, ..Orders::default() }, ..ByChannel::default() },
            tallies,
            discrepancies: 0,
            marketplace_violations: 0,
            conflicts: 0,
            retries: 0,
            seconds: 1.0,
            seed: 1,
        }
    }

    #[test]
    fn what_an_order_on_hold_keeps_is_accounted_for() {
        let tallies = ByChannel { storefront: Tally::default(), pos: Tally::default(), amazon: Tally::default() };
        for (after, held, unaccounted, oversold) in [(4, 0, 0, 0), (3, 1, 0, 0), (3, 0, 1, 0), (4, 1, -1, 1)] {
            let mut books = books(10, after, 6, 0, &tallies);
            books.orders.amazon = Orders { on_hold: 1, held, ..Orders::default() };
            let summary = Summary::new(books);
            assert_eq!((summary.held, summary.unaccounted, summary.oversold), (held, unaccounted, oversold));
        }
    }

    #[test]
    fn selling_twice_is_told() {
        let tallies = ByChannel { storefront: Tally::default(), pos: Tally::default(), amazon: Tally::default() };
        for (before, after, units, below_zero, oversold) in
            [(10, 4, 6, 0, 0), (10, 4, 7, 0, 1), (10, -2, 12, 2, 2), (10, 3, 6, 0, 0)]
        {
            let summary = Summary::new(books(before, after, units, below_zero, &tallies));
            assert_eq!(summary.oversold, oversold);
            assert_eq!(summary.fault().is_some(), oversold > 0);
        }
    }
}
