//! What goes into the marketplace and what can be seen of it: listings, purchases, submissions, shipments.

/// A country's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marketplace {
    /// Amazon's id, such as `A1PA6795UKMFR9`.
    pub id: String,
    /// Its name, such as `Amazon.de`.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// ISO 4217.
    pub currency: String,
}

impl Marketplace {
    /// The German store.
    #[must_use]
    pub fn germany() -> Self {
        Self { id: "A1PA6795UKMFR9".into(), name: "Amazon.de".into(), country: "DE".into(), currency: "EUR".into() }
    }

    /// The British store.
    #[must_use]
    pub fn united_kingdom() -> Self {
        Self { id: "A1F83G8C2ARO7P".into(), name: "Amazon.co.uk".into(), country: "GB".into(), currency: "GBP".into() }
    }
}

/// A listing to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingInput {
    /// The seller's SKU.
    pub sku: String,
    /// What buyers read.
    pub title: String,
    /// Amazon's product type, such as `HOME`.
    pub product_type: String,
    /// Price in the minor unit of the marketplace's currency; none: not for sale until one is pushed.
    pub price_minor: Option<i64>,
    /// Units advertised; none: not for sale until a quantity is pushed.
    pub quantity: Option<i64>,
}

/// A listing as buyers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingView {
    /// The seller's SKU.
    pub sku: String,
    /// Amazon's number of the product.
    pub asin: String,
    /// What buyers read.
    pub title: String,
    /// Price in the minor unit.
    pub price_minor: Option<i64>,
    /// Units advertised.
    pub quantity: i64,
}

/// What a buyer wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// SKU and quantity.
    pub lines: Vec<(String, i64)>,
    /// What the buyer pays for postage, in the minor unit.
    pub shipping_minor: i64,
    /// Whether Amazon ships it from its own warehouse; then the seller's stock is not touched.
    pub fulfilled_by_amazon: bool,
}

impl Purchase {
    /// Some units of one SKU, postage free, shipped by the seller.
    #[must_use]
    pub fn of(sku: &str, quantity: i64) -> Self {
        Self { lines: vec![(sku.to_owned(), quantity)], shipping_minor: 0, fulfilled_by_amazon: false }
    }
}

/// An order that a buyer placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedOrder {
    /// Amazon's number.
    pub order_id: String,
    /// When it was placed.
    pub placed_at_ms: u64,
    /// SKU, quantity and what was advertised before.
    pub lines: Vec<(String, i64, i64)>,
}

/// Why a buyer went away empty-handed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurchaseRefused {
    /// There is no such listing, or it has no price or quantity yet.
    #[error("SKU {0} is not for sale: it has no listing, or no price or quantity was pushed yet")]
    NotForSale(String),
    /// The listing advertises less.
    #[error("SKU {sku} advertises {advertised}, the buyer wants {requested}")]
    SoldOut {
        /// The SKU.
        sku: String,
        /// What the buyer wants.
        requested: i64,
        /// What the listing advertises.
        advertised: i64,
    },
    /// A quantity below 1, or no line.
    #[error("a purchase needs lines of at least one unit")]
    Empty,
}

/// Who ends an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// The buyer.
    Buyer,
    /// The seller, by hand in the seller's console.
    Merchant,
    /// Amazon, for example because the payment failed.
    Amazon,
}

/// A change of what a listing advertises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferChange {
    /// When.
    pub at_ms: u64,
    /// The SKU.
    pub sku: String,
    /// What happened.
    pub kind: OfferChangeKind,
    /// Units advertised afterwards.
    pub quantity_after: i64,
}

/// Why a listing advertises something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferChangeKind {
    /// A submission was applied.
    Pushed {
        /// Its id.
        submission_id: String,
    },
    /// A buyer bought.
    Sold {
        /// The order.
        order_id: String,
        /// The units.
        quantity: i64,
    },
}

/// Where a submission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmissionState {
    /// Taken, not applied yet.
    Accepted,
    /// Applied.
    Applied,
    /// Refused because of issues.
    Invalid,
    /// A preview; nothing will be applied.
    Preview,
}

/// A patch that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Its id.
    pub submission_id: String,
    /// The SKU.
    pub sku: String,
    /// When it was received.
    pub received_at_ms: u64,
    /// The quantity in it.
    pub quantity: Option<i64>,
    /// The price in it, in the minor unit.
    pub price_minor: Option<i64>,
    /// Where it stands.
    pub state: SubmissionState,
}

/// A shipment that the seller confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmedShipment {
    /// The order.
    pub order_id: String,
    /// The seller's number of the parcel.
    pub package_reference_id: String,
    /// The carrier.
    pub carrier_code: String,
    /// Its name, where the code is `Other`.
    pub carrier_name: Option<String>,
    /// The carrier's number.
    pub tracking_number: String,
    /// Order item and quantity.
    pub items: Vec<(String, i64)>,
    /// When it was confirmed.
    pub confirmed_at_ms: u64,
    /// Whether this parcel had been confirmed before (an edit or a repeat).
    pub repeated: bool,
}
