//! Rows of a file, the classes that account for every one of them, and the totals. Not here: what makes a row fall into a class.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;

/// A row of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// Line in the file, the header being 1.
    pub number: u64,
    /// As they stand there.
    pub cells: Vec<String>,
}

/// What became of a row. Every row falls into exactly one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    /// A product's or variant's row, taken as it is.
    Product,
    /// Says again what another row of the SKU says.
    RepeatedProduct,
    /// The SKU under another title; the most frequent was taken.
    OtherTitle,
    /// The SKU without a title; taken from another row.
    MissingTitle,
    /// A further picture of a product, or another row without a variant.
    SupplementaryRow,
    /// A code that is no goods; not a product.
    NotGoods,
    /// A stock level.
    StockLevel,
    /// The SKU and location again; the last row was taken.
    SupersededLevel,
    /// Goods sold.
    SaleLine,
    /// Goods sold, the same as an earlier row of the order; kept as a line of its own.
    RepeatedSaleLine,
    /// Goods handed over without charge in an order.
    FreeLine,
    /// Postage, a fee, a manual posting in an order.
    ChargeLine,
    /// Goods credited (cancelled or returned).
    CreditLine,
    /// Postage, a fee, a discount or a manual posting credited.
    ChargeCreditLine,
    /// An amount without goods moving, such as a bad debt.
    AccountingLine,
    /// A quantity without price and customer: a correction of stock, no sale.
    StockAdjustment,
    /// Refused; the report says why.
    Refused,
}

impl Class {
    /// As in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::RepeatedProduct => "repeated-product",
            Self::OtherTitle => "other-title",
            Self::MissingTitle => "missing-title",
            Self::SupplementaryRow => "supplementary-row",
            Self::NotGoods => "not-goods",
            Self::StockLevel => "stock-level",
            Self::SupersededLevel => "superseded-level",
            Self::SaleLine => "sale-line",
            Self::RepeatedSaleLine => "repeated-sale-line",
            Self::FreeLine => "free-line",
            Self::ChargeLine => "charge-line",
            Self::CreditLine => "credit-line",
            Self::ChargeCreditLine => "charge-credit-line",
            Self::AccountingLine => "accounting-line",
            Self::StockAdjustment => "stock-adjustment",
            Self::Refused => "refused",
        }
    }
}

/// Something about a row that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Issue {
    /// Line in the file.
    pub row: u64,
    /// Whether the row was refused (otherwise it was taken, with this remark).
    pub refused: bool,
    /// What and what to do.
    pub message: String,
}

/// Rows and amount of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassTotal {
    /// Rows.
    pub rows: u64,
    /// Units.
    pub quantity: i64,
    /// Σ quantity × price, exact.
    pub amount: Decimal,
}

/// The account of a chunk, or of a whole import: a sum of chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// By class.
    pub classes: BTreeMap<Class, ClassTotal>,
    /// Named counts: `products_created`, `orders_created`, ...
    pub counts: BTreeMap<String, u64>,
    /// Σ of the amounts as booked, minor units.
    pub booked_minor: i64,
}

impl Account {
    /// Counts a row.
    pub(crate) fn add(&mut self, class: Class, quantity: i64, amount: Decimal) {
        let total = self.classes.entry(class).or_default();
        total.rows += 1;
        total.quantity = total.quantity.saturating_add(quantity);
        total.amount = total.amount + amount;
    }

    /// Counts something that was done.
    pub(crate) fn count(&mut self, name: &str, by: u64) {
        if by > 0 {
            *self.counts.entry(name.to_owned()).or_default() += by;
        }
    }

    /// Adds another account.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (class, more) in &other.classes {
            let total = self.classes.entry(*class).or_default();
            total.rows += more.rows;
            total.quantity = total.quantity.saturating_add(more.quantity);
            total.amount = total.amount + more.amount;
        }
        for (name, more) in &other.counts {
            self.count(name, *more);
        }
        self.booked_minor = self.booked_minor.saturating_add(other.booked_minor);
    }

    /// All rows.
    pub(crate) fn rows(&self) -> u64 {
        self.classes.values().map(|total| total.rows).sum()
    }

    /// Σ quantity × price of all rows, exact.
    pub(crate) fn amount(&self) -> Decimal {
        self.classes.values().fold(Decimal::ZERO, |sum, total| sum + total.amount)
    }
}
