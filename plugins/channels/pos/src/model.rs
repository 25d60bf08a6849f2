//! What a till sells, takes and prints: plain data of the pages, the API and the tables. No host, no WIT types.

use serde::{Deserialize, Serialize};

/// Where the goods are when they are sold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goods {
    /// In the customer's hands: the sale is never refused for lack of stock.
    #[default]
    InHand,
    /// To be fetched from the location's stock: refused when there is not enough.
    FromStock,
}

impl Goods {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InHand => "in_hand",
            Self::FromStock => "from_stock",
        }
    }
}

/// How money comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    Cash,
    Card,
}

/// Money that the customer gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tender {
    pub(crate) method: Method,
    /// What was given; for cash it may be more than what is due.
    pub(crate) amount_minor: i64,
}

/// A line of a sale, as the till sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaleLine {
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    /// A price that the till fixed: printed while offline, or marked down. Absent: the price now.
    #[serde(default)]
    pub(crate) unit_price_minor: Option<i64>,
}

/// A sale, as the till sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaleRequest {
    pub(crate) till_id: String,
    /// Chosen by the till (a UUID): the same id is the same sale.
    pub(crate) sale_id: String,
    /// Where it was sold; absent: the till's location.
    #[serde(default)]
    pub(crate) location: Option<String>,
    pub(crate) lines: Vec<SaleLine>,
    pub(crate) tenders: Vec<Tender>,
    /// When it was sold; absent: now.
    #[serde(default)]
    pub(crate) occurred_at_ms: Option<u64>,
    #[serde(default)]
    pub(crate) goods: Goods,
    /// The till's own receipt sequence, where it prints before it reaches us; absent: the next one.
    #[serde(default)]
    pub(crate) receipt_sequence: Option<u64>,
    /// Refuse if the total is another.
    #[serde(default)]
    pub(crate) expected_total_minor: Option<i64>,
}

/// A priced line: gross = net + tax = unit price x quantity - discount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PricedLine {
    pub(crate) sku: String,
    pub(crate) title: String,
    pub(crate) quantity: i64,
    /// Gross.
    pub(crate) unit_price_minor: i64,
    pub(crate) discount_minor: i64,
    pub(crate) net_minor: i64,
    pub(crate) tax_minor: i64,
    pub(crate) gross_minor: i64,
    pub(crate) rate_basis_points: u32,
}

/// Tax of one rate over the receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaxLine {
    pub(crate) rate_basis_points: u32,
    pub(crate) net_minor: i64,
    pub(crate) tax_minor: i64,
    pub(crate) gross_minor: i64,
}

/// A priced basket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Priced {
    pub(crate) currency: String,
    pub(crate) lines: Vec<PricedLine>,
    pub(crate) taxes: Vec<TaxLine>,
    pub(crate) total_minor: i64,
}

/// A sale as it was booked and printed. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) sale_id: String,
    /// The till's id and its sequence.
    pub(crate) receipt_number: String,
    pub(crate) till_id: String,
    pub(crate) till_name: String,
    pub(crate) location: String,
    pub(crate) goods: Goods,
    /// Who sold it, such as `staff:anna`.
    pub(crate) sold_by: String,
    /// When the goods changed hands.
    pub(crate) occurred_at_ms: u64,
    /// When it was booked; later than the sale when the till was offline.
    pub(crate) recorded_at_ms: u64,
    pub(crate) currency: String,
    pub(crate) lines: Vec<PricedLine>,
    pub(crate) taxes: Vec<TaxLine>,
    pub(crate) total_minor: i64,
    pub(crate) tenders: Vec<Tender>,
    /// What rounding cash added to what was paid; no part of the total.
    pub(crate) cash_rounding_minor: i64,
    pub(crate) change_minor: i64,
    pub(crate) order_id: String,
    pub(crate) order_number: String,
}

impl Receipt {
    /// Units sold.
    pub(crate) fn units(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

/// An amount with its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Price {
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
}

/// Stock of an article at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StockPlace {
    pub(crate) location: String,
    pub(crate) name: String,
    /// `store`, `warehouse` or `third_party`.
    pub(crate) kind: &'static str,
    /// Whether it is the till's own location.
    pub(crate) here: bool,
    pub(crate) on_hand: i64,
    pub(crate) available: i64,
}

/// An article as the till shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Item {
    pub(crate) sku: String,
    pub(crate) product_id: String,
    pub(crate) title: String,
    pub(crate) image_url: Option<String>,
    /// None: not for sale in this channel.
    pub(crate) price: Option<Price>,
    /// Available at the till's location; none if no till was named.
    pub(crate) available_here: Option<i64>,
    /// Available at all other locations together.
    pub(crate) available_elsewhere: i64,
    /// Every location: here first, then stores, then the others.
    pub(crate) stock: Vec<StockPlace>,
}

/// Sorts the places of an article and sums them up.
pub(crate) fn places(mut stock: Vec<StockPlace>) -> (Vec<StockPlace>, Option<i64>, i64) {
    stock.sort_by(|a, b| {
        (!a.here, a.kind != "store", &a.name, &a.location).cmp(&(!b.here, b.kind != "store", &b.name, &b.location))
    });
    let here = stock.iter().find(|place| place.here).map(|place| place.available);
    let elsewhere = stock.iter().filter(|place| !place.here).map(|place| place.available.max(0)).sum();
    (stock, here, elsewhere)
}

/// The name of a variant of a product.
pub(crate) fn title(product: &str, variant: &str) -> String {
    match variant.is_empty() {
        true => product.to_owned(),
        false => format!("{product}, {variant}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_begin_here_and_end_with_what_is_no_store() {
        let place = |location: &str, kind, here, available| StockPlace {
            location: location.to_owned(),
            name: location.to_owned(),
            kind,
            here,
            on_hand: available,
            available,
        };
        let (sorted, here, elsewhere) = places(vec![
            place("central", "warehouse", false, 40),
            place("ulm", "store", false, -2),
            place("bonn", "store", true, 1),
            place("aachen", "store", false, 3),
        ]);
        let order: Vec<&str> = sorted.iter().map(|place| place.location.as_str()).collect();
        assert_eq!(order, ["bonn", "aachen", "ulm", "central"]);
        assert_eq!((here, elsewhere), (Some(1), 43), "what is missing in one store is not taken from another");
        assert_eq!(places(vec![]), (vec![], None, 0));
    }

    #[test]
    fn a_sale_is_read_strictly() {
        let read = |text: &str| serde_json::from_str::<SaleRequest>(text).map_err(|error| error.to_string());
        let sale = read(
            r#"{"till_id":"t1","sale_id":"0190-aa","lines":[{"sku":"A","quantity":1}],"tenders":[{"method":"cash","amount_minor":500}],"goods":"from_stock"}"#,
        )
        .unwrap();
        assert_eq!((sale.goods, sale.location, sale.receipt_sequence), (Goods::FromStock, None, None));
        for (text, says) in [
            (r#"{"till_id":"t1","sale_id":"x","lines":[],"tenders":[],"total":5}"#, "unknown field `total`"),
            (r#"{"till_id":"t1","sale_id":"x","lines":[{"sku":"A","quantity":1.5}],"tenders":[]}"#, "1.5"),
            (r#"{"till_id":"t1","sale_id":"x","lines":[],"tenders":[{"method":"cheque","amount_minor":1}]}"#, "cheque"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
