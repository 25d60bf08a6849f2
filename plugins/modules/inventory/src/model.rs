//! What the rules of stock speak of: places, movements, reservations, channel rules, and what can go wrong. Plain data with the
//! names of the contract; no storage and no rule is here; what input must look like is in
//! `input.rs`.

use serde::{Deserialize, Serialize};

/// Longest SKU, in characters: four bytes each at most, a booking's key still fits 512 bytes.
pub const SKU_CHARS_MAX: usize = 64;
/// Longest location or channel id, in bytes.
pub const ID_BYTES_MAX: usize = 32;
/// Longest `ref_id`, owner or reference, in bytes: together with SKU and location it still fits a key.
pub const REFERENCE_BYTES_MAX: usize = 160;
/// Longest `ref_type`, in bytes.
pub const REF_TYPE_BYTES_MAX: usize = 32;
/// Largest quantity of one movement or demand: sums of a batch stay far from overflow.
pub const QUANTITY_MAX: i64 = 1_000_000_000;
/// Movements in one call.
pub const MOVEMENTS_MAX: usize = 1_000;
/// Counts, demands or SKUs in one call.
pub const BATCH_MAX: usize = 250;
/// Locations of one channel: each is tried in turn.
pub const CHANNEL_LOCATIONS_MAX: usize = 50;
/// Longest life that extensions can give a reservation: 4 hours.
pub const EXTENDED_LIFE_MS_MAX: u64 = 4 * 60 * 60 * 1000;
/// Extensions of one reservation.
pub const EXTENSIONS_MAX: u32 = 3;

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No such location, reservation or rule.
    NotFound(String),
    /// The input breaks a rule; says which field and what is allowed.
    Invalid(String),
    /// Not enough to sell.
    Insufficient(Vec<Shortage>),
    /// A compare-and-set found another value, or the state does not allow this.
    Conflict(String),
    /// The store failed.
    Other(String),
}

/// What every rule returns.
pub type Result<T> = std::result::Result<T, Error>;

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::NotFound(text) | Error::Invalid(text) | Error::Conflict(text) | Error::Other(text) => {
                f.write_str(text)
            }
            Error::Insufficient(shortages) => {
                f.write_str("not enough stock:")?;
                for shortage in shortages {
                    write!(f, " {} (asked {}, available {})", shortage.sku, shortage.requested, shortage.available)?;
                }
                Ok(())
            }
        }
    }
}

/// A demand that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// Of what.
    pub sku: String,
    /// How much was asked.
    pub requested: i64,
    /// How much could be reserved at most now.
    pub available: i64,
}

/// A SKU at a location: what stock is kept by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The SKU.
    pub sku: String,
    /// The location's id.
    pub location: String,
}

impl Place {
    /// A place.
    pub fn new(sku: &str, location: &str) -> Self {
        Place { sku: sku.to_owned(), location: location.to_owned() }
    }
}

/// What a location is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocationKind {
    /// Ships to customers.
    Warehouse,
    /// Sells over the counter.
    Store,
    /// Another's house.
    ThirdParty,
}

/// A place with stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// 1 to 32 characters `[a-z0-9-]`.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it is.
    pub kind: LocationKind,
    /// IANA name.
    pub time_zone: String,
    /// Whether channels may sell from it.
    pub active: bool,
}

/// What is known of a SKU at a location besides its counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Safety stock; the counter of what is available to sell is lower by it.
    pub safety: i64,
}

/// The quantities of a place that are kept as counters: added to blindly, so that concurrent sales do not conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// On hand: the sum of all movements.
    OnHand,
    /// Part of on hand that cannot be sold.
    Unsellable,
    /// Held by reservations, lapsed ones included until they are given back.
    Reserved,
    /// On hand - unsellable - reserved - safety.
    AvailableToSell,
}

/// Stock of a SKU at a location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StockLevel {
    /// The SKU.
    pub sku: String,
    /// The location.
    pub location: String,
    /// Physically there.
    pub on_hand: i64,
    /// Part of it that cannot be sold.
    pub unsellable: i64,
    /// Held by reservations that have not lapsed.
    pub reserved: i64,
    /// Kept back.
    pub safety: i64,
    /// On hand - unsellable - reserved - safety.
    pub available_to_sell: i64,
}

/// Why stock moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's reason codes, which say it all")]
pub enum MovementReason {
    ReceivePo,
    SalePos,
    Ship,
    CancelRelease,
    ReturnRestock,
    ReturnDamaged,
    TransferOut,
    TransferIn,
    CountAdjust,
    ShrinkTheft,
    Damage,
    Expiry,
    Sample,
    Found,
    SupplierReturn,
    Correction,
}

impl MovementReason {
    /// Whether the goods are part of what cannot be sold: a damaged return comes in unsellable, and booked with a negative
    /// quantity it leaves the house again.
    pub fn is_unsellable(self) -> bool {
        self == MovementReason::ReturnDamaged
    }
}

/// A movement to book.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovementInput {
    /// The SKU.
    pub sku: String,
    /// Where.
    pub location: String,
    /// Change of on hand; not 0.
    pub quantity: i64,
    /// Why.
    pub reason: MovementReason,
    /// What it belongs to, with `ref_id` and `line`: booked once.
    pub ref_type: String,
    /// See `ref_type`.
    pub ref_id: String,
    /// See `ref_type`.
    #[serde(default)]
    pub line: u32,
    /// When it happened; 0: now.
    #[serde(default)]
    pub occurred_at_ms: u64,
}

/// A movement as booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in MovementInput")]
pub struct Movement {
    pub id: String,
    pub sku: String,
    pub location: String,
    pub quantity: i64,
    pub reason: MovementReason,
    pub ref_type: String,
    pub ref_id: String,
    pub line: u32,
    pub occurred_at_ms: u64,
    pub recorded_at_ms: u64,
    pub actor: String,
}

/// What makes a booking happen once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BookingKey {
    /// Kind of the reference.
    pub ref_type: String,
    /// The reference.
    pub ref_id: String,
    /// Its line.
    pub line: u32,
    /// The SKU; empty for an operation as a whole.
    pub sku: String,
    /// The location; empty for an operation as a whole.
    pub location: String,
}

impl BookingKey {
    /// The key of a movement.
    pub fn of_movement(input: &MovementInput) -> Self {
        BookingKey {
            ref_type: input.ref_type.clone(),
            ref_id: input.ref_id.clone(),
            line: input.line,
            sku: input.sku.clone(),
            location: input.location.clone(),
        }
    }

    /// The key of an operation as a whole. Movements always name a SKU, so the two never meet.
    pub fn of_operation(operation: &str, ref_id: &str, line: u32) -> Self {
        BookingKey {
            ref_type: operation.to_owned(),
            ref_id: ref_id.to_owned(),
            line,
            sku: String::new(),
            location: String::new(),
        }
    }
}

/// A position in the ledger of a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LedgerPosition {
    /// When the movement was recorded.
    pub recorded_at_ms: u64,
    /// Its id.
    pub id: String,
}

/// A page of movements, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MovementPage {
    /// The movements.
    pub movements: Vec<Movement>,
    /// Pass it to go on.
    pub next_cursor: Option<String>,
}

/// What a reservation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ReservationKind {
    Cart,
    Pickup,
    Order,
    Preorder,
    Transfer,
}

impl ReservationKind {
    /// Which reservation gives way first when more was sold than there is: the lowest.
    pub fn strength(self) -> u8 {
        match self {
            ReservationKind::Cart => 0,
            ReservationKind::Transfer => 1,
            ReservationKind::Preorder => 2,
            ReservationKind::Order => 3,
            ReservationKind::Pickup => 4,
        }
    }
}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ReservationState {
    Active,
    Committed,
    Fulfilled,
    Released,
    Expired,
}

/// A quantity of a SKU wanted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// Of what.
    pub sku: String,
    /// At least 1.
    pub quantity: i64,
    /// Absent: any location of the channel, in the channel's order.
    #[serde(default)]
    pub location: Option<String>,
}

/// A reservation wanted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReservationRequest {
    /// Whose stock it may take.
    pub channel: String,
    /// What for.
    pub kind: ReservationKind,
    /// What it is for: one live reservation an owner.
    pub owner: String,
    /// What is wanted.
    pub demands: Vec<Demand>,
    /// When it lapses; absent: never.
    #[serde(default)]
    pub expires_at_ms: Option<u64>,
    /// Whether to take what there is.
    #[serde(default)]
    pub allow_partial: bool,
}

/// A part of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Of what.
    pub sku: String,
    /// Where.
    pub location: String,
    /// How much.
    pub quantity: i64,
    /// How much of it has left the house.
    pub fulfilled: i64,
}

impl Allocation {
    /// The place.
    pub fn place(&self) -> Place {
        Place::new(&self.sku, &self.location)
    }

    /// What has not left the house.
    pub fn open(&self) -> i64 {
        self.quantity - self.fulfilled
    }
}

/// Stock held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its id.
    pub id: String,
    /// Whose stock.
    pub channel: String,
    /// What for.
    pub kind: ReservationKind,
    /// For what.
    pub owner: String,
    /// The state as written; [`Reservation::seen_at`] tells the state now.
    pub state: ReservationState,
    /// By SKU and location, each once.
    pub allocations: Vec<Allocation>,
    /// When it lapses.
    pub expires_at_ms: Option<u64>,
    /// When it was made.
    pub created_at_ms: u64,
    /// How often it was extended.
    pub extensions: u32,
    /// The order that it was committed for.
    pub order_id: Option<String>,
}

impl Reservation {
    /// Whether its time is over although nothing has given it back yet.
    pub fn has_lapsed(&self, now_ms: u64) -> bool {
        self.state == ReservationState::Active && self.expires_at_ms.is_some_and(|expires| expires <= now_ms)
    }

    /// As it stands at `now_ms`: expiry is a matter of the clock, not of a sweeper.
    #[must_use]
    pub fn seen_at(mut self, now_ms: u64) -> Self {
        if self.has_lapsed(now_ms) {
            self.state = ReservationState::Expired;
        }
        self
    }

    /// Whether it holds stock in the counters.
    pub fn is_live(&self) -> bool {
        matches!(self.state, ReservationState::Active | ReservationState::Committed)
    }

    /// Where it stands in the index of holds: what never lapses comes last.
    pub fn hold_expiry_ms(&self) -> u64 {
        match self.state {
            ReservationState::Active => self.expires_at_ms.unwrap_or(u64::MAX),
            _ => u64::MAX,
        }
    }
}

/// The part of a live reservation at one place, as the index of holds keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// When it lapses; the greatest number: never.
    pub expires_at_ms: u64,
    /// The reservation.
    pub reservation: String,
    /// What has not left the house.
    pub quantity: i64,
    /// What for.
    pub kind: ReservationKind,
}

/// What a channel may offer of the stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRule {
    /// The channel.
    pub channel: String,
    /// Location ids in the order in which they are used up.
    pub locations: Vec<String>,
    /// Units kept back from the channel.
    pub buffer: i64,
    /// Highest quantity offered.
    pub maximum: Option<i64>,
}

/// What a channel may offer of a SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelOffer {
    /// The SKU.
    pub sku: String,
    /// How much.
    pub quantity: i64,
}

/// A stock level wanted by a count or an import.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockCount {
    /// The SKU.
    pub sku: String,
    /// Where.
    pub location: String,
    /// What on hand must be now; absent: whatever it is.
    #[serde(default)]
    pub expected: Option<i64>,
    /// What on hand shall be.
    pub counted: i64,
    /// The count or import that it belongs to.
    pub reference: String,
}

/// A place where projection and ledger differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Discrepancy {
    /// The SKU.
    pub sku: String,
    /// The location.
    pub location: String,
    /// `on-hand`, `reserved`, `unsellable` or `available-to-sell`.
    pub field: String,
    /// What the counter says.
    pub projected: i64,
    /// What the ledger says.
    pub ledger: i64,
}

/// What a step of verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Places compared in this step.
    pub checked: u64,
    /// Where they differ.
    pub discrepancies: Vec<Discrepancy>,
    /// Pass it to go on.
    pub next_cursor: Option<String>,
}

/// A fact to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What is available to sell of a SKU changed.
    StockChanged {
        /// The SKU.
        sku: String,
    },
    /// More was taken than there was to sell.
    Oversold {
        /// Where.
        place: Place,
        /// What this booking took.
        quantity: i64,
        /// What took it.
        ref_type: String,
        /// What took it.
        ref_id: String,
        /// The reservation that gives way first, if the place has any.
        weakest_reservation: Option<String>,
    },
}
