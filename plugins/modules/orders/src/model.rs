//! What the rules of orders speak of: orders, their lines and units, what is asked and what is reported. Plain data with the
//! contract's names; stored as it is, so fields may be added (with a default) and never change their meaning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Lines of one order: real wholesale invoices have more than a thousand.
pub const LINES_MAX: usize = 2_000;
/// Orders of one import.
pub const IMPORT_MAX: usize = 250;
/// Largest quantity of a line.
pub const QUANTITY_MAX: i64 = 1_000_000_000;
/// Largest amount: sums over an order stay far from overflow.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No such order or line.
    NotFound(String),
    /// The input breaks a rule; says which field and what is allowed.
    Invalid(String),
    /// Not enough to sell.
    Insufficient(Vec<Shortage>),
    /// The order's state does not allow this.
    Conflict(String),
    /// The store or a provider failed.
    Other(String),
}

/// What every rule returns.
pub type Result<T> = std::result::Result<T, Error>;

/// SKU, requested, available.
pub type Shortage = (String, i64, i64);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::NotFound(text) | Error::Invalid(text) | Error::Conflict(text) | Error::Other(text) => {
                f.write_str(text)
            }
            Error::Insufficient(shortages) => {
                f.write_str("not enough stock:")?;
                for (sku, requested, available) in shortages {
                    write!(f, " {sku} (asked {requested}, available {available})")?;
                }
                Ok(())
            }
        }
    }
}

/// The order itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Reported as pending: not yet ours to ship.
    Draft,
    /// To be paid and shipped.
    Placed,
    /// Somebody must look at it.
    OnHold,
    /// Given up before anything left.
    Cancelled,
    /// Paid and gone.
    Completed,
}

/// Derived from what was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum PaymentStatus {
    Pending,
    Authorised,
    Paid,
    PartiallyRefunded,
    Refunded,
}

/// Derived from where the units are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FulfilmentStatus {
    Unfulfilled,
    PartiallyFulfilled,
    Fulfilled,
    NotApplicable,
}

/// Derived from where the units are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ReturnStatus {
    None,
    Requested,
    PartiallyReturned,
    Returned,
}

/// Where a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum UnitState {
    Open,
    Reserved,
    Backordered,
    Preordered,
    Picking,
    Packed,
    Shipped,
    Ready,
    Collected,
    Cancelled,
    ReturnRequested,
    ReturnedOk,
    ReturnedDamaged,
    Lost,
}

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Address {
    pub name: String,
    #[serde(default)]
    pub company: Option<String>,
    pub line1: String,
    #[serde(default)]
    pub line2: Option<String>,
    pub postal_code: String,
    pub city: String,
    #[serde(default)]
    pub region: Option<String>,
    pub country: String,
    #[serde(default)]
    pub phone: Option<String>,
}

/// A name with a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Attribute {
    pub name: String,
    pub value: String,
}

/// A line to be ordered. Amounts are frozen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in the contract")]
pub struct LineInput {
    pub line_id: String,
    pub sku: String,
    #[serde(default)]
    pub title: String,
    pub quantity: i64,
    pub unit_price_minor: i64,
    #[serde(default)]
    pub discount_minor: i64,
    pub net_minor: i64,
    pub tax_minor: i64,
    pub gross_minor: i64,
    #[serde(default)]
    pub rate_basis_points: u32,
    #[serde(default = "yes")]
    pub stocked: bool,
}

fn yes() -> bool {
    true
}

/// What holds the order's stock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockSource {
    /// Reserve now.
    Reserve,
    /// This reservation.
    Reservation(String),
    /// Handed over the counter at this location.
    HandedOver(String),
    /// No stock is touched.
    #[default]
    None,
}

/// An order to place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in the contract")]
pub struct OrderInput {
    pub channel: String,
    #[serde(default = "default_account")]
    pub account: String,
    pub external_id: String,
    #[serde(default)]
    pub placed_at_ms: u64,
    pub currency: String,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub customer_ref: Option<String>,
    #[serde(default)]
    pub shipping_address: Option<Address>,
    #[serde(default)]
    pub shipping_method: Option<String>,
    pub lines: Vec<LineInput>,
    #[serde(default)]
    pub shipping_net_minor: i64,
    #[serde(default)]
    pub shipping_tax_minor: i64,
    #[serde(default)]
    pub shipping_gross_minor: i64,
    pub total_minor: i64,
    #[serde(default)]
    pub payment_method: String,
    #[serde(default)]
    pub paid_minor: i64,
    #[serde(default)]
    pub stock: StockSource,
    #[serde(default)]
    pub attributes: Vec<Attribute>,
}

fn default_account() -> String {
    "default".to_owned()
}

/// What makes an order one order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    /// The channel.
    pub channel: String,
    /// The merchant's account on it.
    pub account: String,
    /// The id that the channel gave.
    pub external_id: String,
}

impl OrderInput {
    /// Its key.
    pub fn key(&self) -> OrderKey {
        OrderKey { channel: self.channel.clone(), account: self.account.clone(), external_id: self.external_id.clone() }
    }
}

/// A line as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in the contract")]
pub struct Line {
    pub line_id: String,
    pub sku: String,
    pub title: String,
    pub quantity: i64,
    pub unit_price_minor: i64,
    pub discount_minor: i64,
    pub net_minor: i64,
    pub tax_minor: i64,
    pub gross_minor: i64,
    pub rate_basis_points: u32,
    pub stocked: bool,
    /// How many units are in which state; they add up to `quantity`. States without units are left out.
    pub units: BTreeMap<UnitState, i64>,
}

/// A parcel that left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in the contract")]
pub struct Shipment {
    pub id: String,
    pub carrier: String,
    pub tracking_number: String,
    pub shipped_at_ms: u64,
    /// Line id and quantity.
    pub lines: Vec<(String, i64)>,
}

/// Money received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Payment {
    pub reference: String,
    pub amount_minor: i64,
    pub received_at_ms: u64,
}

/// An order as it stands. The statuses of payment, fulfilment and returns are derived (`units.rs`), never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in the contract, where not said")]
pub struct Order {
    pub id: String,
    pub number: String,
    pub channel: String,
    pub account: String,
    pub external_id: String,
    pub placed_at_ms: u64,
    /// Where it stands in lists: when it was placed, but not in the future. Never changes.
    pub listed_at_ms: u64,
    pub updated_at_ms: u64,
    pub version: u64,
    pub status: OrderStatus,
    pub hold_reason: Option<String>,
    pub currency: String,
    pub email: Option<String>,
    pub customer_ref: Option<String>,
    pub shipping_address: Option<Address>,
    pub shipping_method: Option<String>,
    /// Kept in chunks of their own.
    #[serde(skip)]
    pub lines: Vec<Line>,
    pub shipping_net_minor: i64,
    pub shipping_tax_minor: i64,
    pub shipping_gross_minor: i64,
    pub total_minor: i64,
    /// Paid as the channel says; replaced by each of its reports.
    pub reported_paid_minor: i64,
    /// Payments recorded here; they add to it.
    pub payments: Vec<Payment>,
    pub refunded_minor: i64,
    pub payment_method: String,
    /// What it was placed with.
    pub stock: StockSource,
    /// Reservations that hold its units, oldest first; the first is the one that the contract shows.
    pub reservations: Vec<String>,
    pub shipments: Vec<Shipment>,
    pub attributes: Vec<Attribute>,
    /// The channel's time of the newest report applied; 0: never reported.
    pub reported_at_ms: u64,
    /// Cancelled here: a later report of the channel does not revive it.
    pub cancelled_here: bool,
    /// Whether `order-placed` was published.
    pub announced: bool,
}

impl Order {
    /// All money received.
    pub fn paid_minor(&self) -> i64 {
        self.reported_paid_minor + self.payments.iter().map(|payment| payment.amount_minor).sum::<i64>()
    }
}

/// One line of a list of orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in the contract")]
pub struct Summary {
    pub id: String,
    pub number: String,
    pub channel: String,
    pub external_id: String,
    pub placed_at_ms: u64,
    pub status: OrderStatus,
    pub payment: PaymentStatus,
    pub fulfilment: FulfilmentStatus,
    pub currency: String,
    pub total_minor: i64,
    pub units: i64,
}

/// A page of orders, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in the contract")]
pub struct Page {
    pub orders: Vec<Summary>,
    pub next_cursor: Option<String>,
}

/// What placing did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in the contract")]
pub struct Placing {
    pub order_id: String,
    pub number: String,
    pub created: bool,
}

/// What a channel says of an order now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as in the contract")]
pub enum ReportState {
    Pending,
    Confirmed,
    Cancelled,
}

/// An order as a channel reports it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in the contract")]
pub struct Report {
    pub input: OrderInput,
    pub state: ReportState,
    pub changed_at_ms: u64,
}

/// What a report did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as in the contract")]
pub enum ReportOutcome {
    Created,
    Updated,
    Unchanged,
    Stale,
    OnHold,
}

/// What happened to an order, as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Change {
    Placed,
    Cancelled,
    Shipped,
    Updated,
}

/// A reservation as inventory shows it: what is not fulfilled of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The reservation.
    pub id: String,
    /// Quantity by SKU that has not left.
    pub open: BTreeMap<String, i64>,
}

/// Why inventory refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not enough.
    Insufficient(Vec<Shortage>),
    /// No such reservation, location or channel rule.
    NotFound(String),
    /// The reservation lapsed or ended.
    Conflict(String),
    /// Anything else.
    Other(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Insufficient(shortages) => Error::Insufficient(shortages),
            Refusal::NotFound(text) => Error::Invalid(format!("inventory: {text}")),
            Refusal::Conflict(text) => Error::Conflict(format!("inventory: {text}")),
            Refusal::Other(text) => Error::Other(format!("inventory: {text}")),
        }
    }
}
