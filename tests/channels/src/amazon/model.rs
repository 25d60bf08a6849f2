//! What Orders 2026-01-01 answers, as far as the simulator fills it in. Fields that only a loaded order has pass through
//! `other` untouched.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FulfillmentStatus {
    /// A pre-order whose payment is not authorised.
    PendingAvailability,
    /// Placed, not ready for shipment: without prices and address.
    Pending,
    /// Ready for shipment.
    Unshipped,
    /// Some units have left.
    PartiallyShipped,
    /// All units have left.
    Shipped,
    /// Will not be fulfilled.
    Cancelled,
    /// Cannot be fulfilled (fulfilment by Amazon only).
    Unfulfillable,
}

impl FulfillmentStatus {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingAvailability => "PENDING_AVAILABILITY",
            Self::Pending => "PENDING",
            Self::Unshipped => "UNSHIPPED",
            Self::PartiallyShipped => "PARTIALLY_SHIPPED",
            Self::Shipped => "SHIPPED",
            Self::Cancelled => "CANCELLED",
            Self::Unfulfillable => "UNFULFILLABLE",
        }
    }
}

/// An amount as a decimal string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Money {
    pub(crate) amount: String,
    pub(crate) currency_code: String,
}

/// An order. The account's own view; `includedData` decides what of it an answer shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Amazon's number, 3-7-7 digits.
    pub order_id: String,
    /// When it was placed, RFC 3339.
    pub created_time: String,
    /// When it last changed, RFC 3339, to the second.
    pub last_updated_time: String,
    /// Where it was placed.
    pub sales_channel: SalesChannel,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) buyer: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recipient: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proceeds: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payment: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tax: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fulfillment: Option<Fulfillment>,
    /// What was ordered.
    pub order_items: Vec<OrderItem>,
    /// The parcels, of merchant-fulfilled orders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// Where an order was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SalesChannel {
    /// `AMAZON` or `NON_AMAZON`.
    pub channel_name: String,
    /// The marketplace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marketplace_id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marketplace_name: Option<String>,
}

/// How an order is fulfilled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fulfillment {
    pub(crate) fulfillment_status: FulfillmentStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fulfilled_by: Option<String>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// Amazon's number of the line.
    pub order_item_id: String,
    /// Units ordered.
    pub quantity_ordered: i64,
    pub(crate) product: Product,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proceeds: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expense: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) promotion: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cancellation: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fulfillment: Option<ItemFulfillment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tax: Option<Value>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

impl OrderItem {
    /// The seller's SKU.
    #[must_use]
    pub fn sku(&self) -> &str {
        self.product.seller_sku.as_deref().unwrap_or_default()
    }

    /// Units that have left.
    #[must_use]
    pub fn quantity_fulfilled(&self) -> i64 {
        self.fulfillment.as_ref().map_or(0, |fulfillment| fulfillment.quantity_fulfilled)
    }
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Product {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seller_sku: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) price: Option<Value>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// How far a line is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ItemFulfillment {
    #[serde(default)]
    pub(crate) quantity_fulfilled: i64,
    #[serde(default)]
    pub(crate) quantity_unfulfilled: i64,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// The seller's number of the parcel.
    pub package_reference_id: String,
    /// Who carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_number: Option<String>,
    /// When it left, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_time: Option<String>,
    #[serde(default)]
    pub(crate) package_items: Vec<PackageItem>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// A line in a parcel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PackageItem {
    pub(crate) order_item_id: String,
    pub(crate) quantity: i64,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

impl Order {
    /// Where the order stands, if its source says so.
    #[must_use]
    pub fn status(&self) -> Option<FulfillmentStatus> {
        self.fulfillment.as_ref().map(|fulfillment| fulfillment.fulfillment_status)
    }

    /// Whether Amazon fulfils it.
    pub(crate) fn fulfilled_by(&self) -> &str {
        self.fulfillment.as_ref().and_then(|fulfillment| fulfillment.fulfilled_by.as_deref()).unwrap_or("MERCHANT")
    }

    /// The order with the data sets that were asked for.
    pub(crate) fn with_data(&self, included: &[String]) -> Self {
        let has = |name: &str| included.iter().any(|data| data == name);
        let mut shown = self.clone();
        let keep = |value: &mut Option<Value>, wanted: bool| {
            if !wanted {
                *value = None;
            }
        };
        keep(&mut shown.buyer, has("BUYER"));
        keep(&mut shown.recipient, has("RECIPIENT"));
        keep(&mut shown.proceeds, has("PROCEEDS"));
        keep(&mut shown.payment, has("PAYMENT"));
        keep(&mut shown.tax, has("TAX"));
        if !has("FULFILLMENT") {
            shown.fulfillment = None;
        }
        if !has("PACKAGES") {
            shown.packages.clear();
        }
        if !has("FULFILLMENT_ORDERS") {
            shown.other.remove("fulfillmentOrders");
        }
        for item in &mut shown.order_items {
            keep(&mut item.proceeds, has("PROCEEDS"));
            keep(&mut item.expense, has("EXPENSE"));
            keep(&mut item.promotion, has("PROMOTION"));
            keep(&mut item.cancellation, has("CANCELLATION"));
            keep(&mut item.tax, has("TAX"));
            if !has("FULFILLMENT") {
                item.fulfillment = None;
            }
        }
        shown
    }
}

/// RFC 3339 to the second, as Amazon writes it.
pub(crate) fn time_text(now_ms: u64) -> String {
    let seconds = i64::try_from(now_ms / 1_000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

/// Milliseconds since 1970 of an RFC 3339 time.
pub(crate) fn time_ms(text: &str) -> Option<u64> {
    text.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_millisecond()).ok())
}
