//! The SP-API's answers, as far as this connector reads them. Fields that it does not read are ignored, and all that
//! Amazon may leave out is optional: an order without prices or address is an order.

use std::fmt;

use serde::Deserialize;

/// `searchOrders`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchAnswer {
    /// The page.
    pub orders: Vec<serde_json::Value>,
    /// Where to go on.
    #[serde(default)]
    pub pagination: Option<Pagination>,
    /// Up to when updates are in this search.
    #[serde(default)]
    pub last_updated_before: Option<String>,
}

/// Where to go on.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pagination {
    /// The token of the next page.
    #[serde(default)]
    pub next_token: Option<String>,
}

/// `getOrder`.
#[derive(Clone, Debug, Deserialize)]
pub struct OrderAnswer {
    /// The order.
    pub order: Order,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Amazon's number.
    pub order_id: String,
    /// When it was placed, RFC 3339.
    pub created_time: String,
    /// When it last changed, RFC 3339.
    pub last_updated_time: String,
    /// Other numbers of it.
    #[serde(default)]
    pub order_aliases: Vec<Alias>,
    /// Such as `PRIME`.
    #[serde(default)]
    pub programs: Vec<String>,
    /// Where it was placed.
    pub sales_channel: SalesChannel,
    /// Who bought.
    #[serde(default)]
    pub buyer: Option<Buyer>,
    /// Who receives it.
    #[serde(default)]
    pub recipient: Option<Recipient>,
    /// What it brings.
    #[serde(default)]
    pub proceeds: Option<OrderProceeds>,
    /// Where it stands.
    #[serde(default)]
    pub fulfillment: Option<Fulfillment>,
    /// What was ordered.
    pub order_items: Vec<OrderItem>,
    /// The parcels.
    #[serde(default)]
    pub packages: Vec<Package>,
}

/// Another number of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alias {
    /// The number.
    pub alias_id: String,
    /// Its kind.
    pub alias_type: String,
}

/// Where an order was placed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SalesChannel {
    /// `AMAZON` or `NON_AMAZON`.
    pub channel_name: String,
    /// The marketplace.
    #[serde(default)]
    pub marketplace_id: Option<String>,
}

/// Who bought.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Buyer {
    /// The name.
    #[serde(default)]
    pub buyer_name: Option<String>,
    /// A relay address of the marketplace, not the person's own.
    #[serde(default)]
    pub buyer_email: Option<String>,
    /// The number under which a business ordered.
    #[serde(default)]
    pub buyer_purchase_order_number: Option<String>,
}

/// Who receives an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recipient {
    /// Where.
    #[serde(default)]
    pub delivery_address: Option<Address>,
}

/// A postal address, as much of it as the account's roles show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are those of Amazon's contract")]
pub struct Address {
    pub name: Option<String>,
    pub company_name: Option<String>,
    pub address_line1: Option<String>,
    pub address_line2: Option<String>,
    pub address_line3: Option<String>,
    pub city: Option<String>,
    pub district_or_county: Option<String>,
    pub municipality: Option<String>,
    pub state_or_region: Option<String>,
    pub postal_code: Option<String>,
    pub country_code: Option<String>,
    pub phone: Option<String>,
}

/// An amount.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Money {
    /// A decimal string.
    pub amount: String,
    /// ISO 4217.
    pub currency_code: String,
}

/// What an order brings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderProceeds {
    /// All of it.
    #[serde(default)]
    pub grand_total: Option<Money>,
    /// By category.
    #[serde(default)]
    pub breakdowns: Vec<Breakdown>,
}

/// What a line brings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemProceeds {
    /// All of it.
    #[serde(default)]
    pub proceeds_total: Option<Money>,
    /// By category.
    #[serde(default)]
    pub breakdowns: Vec<Breakdown>,
}

/// A category of proceeds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breakdown {
    /// Such as `ITEM`, `SHIPPING`, `TAX`, `DISCOUNT`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The amount.
    pub subtotal: Money,
    /// What `TAX` and `DISCOUNT` are on.
    #[serde(default)]
    pub detailed_breakdowns: Vec<Detail>,
}

/// What a part of a tax or a discount is on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// Such as `ITEM`, `SHIPPING`.
    #[serde(default)]
    pub subtype: Option<String>,
    /// The amount.
    #[serde(default)]
    pub value: Option<Money>,
}

/// Where an order stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fulfillment {
    /// The status.
    pub fulfillment_status: Status,
    /// `MERCHANT` or `AMAZON`.
    #[serde(default)]
    pub fulfilled_by: Option<String>,
    /// Such as `STANDARD`.
    #[serde(default)]
    pub fulfillment_service_level: Option<String>,
    /// When it must leave.
    #[serde(default)]
    pub ship_by_window: Option<Window>,
}

/// A span of time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Its end.
    #[serde(default)]
    pub latest_date_time: Option<String>,
}

/// The status of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// A pre-order that is not ours yet.
    PendingAvailability,
    /// Not ours yet.
    Pending,
    /// Ready for shipment.
    Unshipped,
    /// Some units have left.
    PartiallyShipped,
    /// All units have left.
    Shipped,
    /// Cannot be fulfilled.
    Unfulfillable,
    /// Over.
    Cancelled,
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PendingAvailability => "PENDING_AVAILABILITY",
            Self::Pending => "PENDING",
            Self::Unshipped => "UNSHIPPED",
            Self::PartiallyShipped => "PARTIALLY_SHIPPED",
            Self::Shipped => "SHIPPED",
            Self::Unfulfillable => "UNFULFILLABLE",
            Self::Cancelled => "CANCELLED",
        })
    }
}

/// A line.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// Amazon's number of the line.
    pub order_item_id: String,
    /// Units.
    pub quantity_ordered: i64,
    /// What it is.
    pub product: Product,
    /// What it brings.
    #[serde(default)]
    pub proceeds: Option<ItemProceeds>,
    /// How far it is.
    #[serde(default)]
    pub fulfillment: Option<ItemFulfillment>,
    /// Whether someone wants it, or has it, cancelled.
    #[serde(default)]
    pub cancellation: Option<Cancellation>,
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// Amazon's number of the product.
    #[serde(default)]
    pub asin: Option<String>,
    /// What the buyer read.
    #[serde(default)]
    pub title: Option<String>,
    /// The seller's SKU.
    #[serde(default)]
    pub seller_sku: Option<String>,
    /// The price of a unit.
    #[serde(default)]
    pub price: Option<Price>,
}

/// The price of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// The amount.
    #[serde(default)]
    pub unit_price: Option<Money>,
}

/// How far a line is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFulfillment {
    /// Units that have left.
    #[serde(default)]
    pub quantity_fulfilled: i64,
}

/// A cancellation, wanted or done.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    /// Someone asks for it.
    #[serde(default)]
    pub cancellation_request: Option<serde_json::Value>,
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// The seller's number of it.
    pub package_reference_id: String,
    /// Who carries it.
    #[serde(default)]
    pub carrier: Option<String>,
    /// The carrier's number.
    #[serde(default)]
    pub tracking_number: Option<String>,
}

/// `patchListingsItem`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionAnswer {
    /// `ACCEPTED` or `INVALID`.
    pub status: String,
    /// The submission.
    #[serde(default)]
    pub submission_id: String,
    /// What is wrong.
    #[serde(default)]
    pub issues: Vec<Issue>,
}

/// What is wrong with a listing.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    /// Amazon's number of it.
    #[serde(default)]
    pub code: String,
    /// For people.
    pub message: String,
    /// `ERROR`, `WARNING` or `INFO`.
    #[serde(default)]
    pub severity: String,
}

/// What an operation says when it refuses.
#[derive(Clone, Debug, Deserialize)]
pub struct ErrorAnswer {
    /// Why.
    #[serde(default)]
    pub errors: Vec<ApiError>,
}

/// Why an operation refuses.
#[derive(Clone, Debug, Deserialize)]
pub struct ApiError {
    /// Stable.
    #[serde(default)]
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
}

/// Login with Amazon.
#[derive(Clone, Deserialize)]
pub struct TokenAnswer {
    /// The token.
    pub access_token: String,
    /// Seconds.
    pub expires_in: u64,
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokenAnswer").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Why Login with Amazon refuses.
#[derive(Clone, Debug, Deserialize)]
pub struct TokenRefusal {
    /// Stable.
    pub error: String,
    /// For people.
    #[serde(default)]
    pub error_description: String,
}

/// An `ORDER_CHANGE` notification, as far as it is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Notification {
    /// Such as `ORDER_CHANGE`.
    pub notification_type: String,
    /// What changed.
    #[serde(default)]
    pub payload: Option<NotificationPayload>,
}

/// What changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NotificationPayload {
    /// An order.
    #[serde(default)]
    pub order_change_notification: Option<OrderChange>,
}

/// An order that changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OrderChange {
    /// Amazon's number.
    pub amazon_order_id: String,
}
