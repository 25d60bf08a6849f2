//! Reads the merchant's books through the modules' APIs: stock, orders, the ledger, the host's counters.

use serde_json::Value;

use super::catalogue::PRODUCTS;
use super::host::{DemoError, HostClient};
use super::set_up::MERCHANT;

/// Stock of the whole range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stock {
    /// Σ on hand.
    pub(super) on_hand: i64,
    /// Σ reserved.
    pub(super) reserved: i64,
    /// Σ of what is below zero.
    pub(super) below_zero: i64,
}

impl Stock {
    /// What could still be sold.
    pub(super) fn unsold(self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// The stock now.
pub(super) async fn stock(merchant: &HostClient) -> Result<Stock, DemoError> {
    let skus: Vec<String> =
        PRODUCTS.iter().flat_map(|product| product.variants).map(|variant| format!("sku={}", variant.sku)).collect();
    let answer = merchant.get(&format!("/m/{MERCHANT}/inventory/v1/levels?{}", skus.join("&"))).await?;
    let mut stock = Stock::default();
    for level in list(&answer, "levels") {
        let number = |name: &str| level.get(name).and_then(Value::as_i64).unwrap_or_default();
        stock.on_hand += number("on_hand");
        stock.reserved += number("reserved");
        stock.below_zero += number("available_to_sell").min(0).abs();
    }
    Ok(stock)
}

/// Orders of a channel: how many, units in those that hold stock, how many wait for stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// Orders that are neither cancelled nor on hold.
    pub(super) orders: u64,
    /// Units in them.
    pub(super) units: u64,
    /// Orders on hold: sold at the channel when there was not enough left.
    pub(super) on_hold: u64,
    /// Units reserved for orders on hold, which take what there is and wait for the rest, and for those that are not confirmed yet.
    pub(super) held: i64,
}

/// The orders of a channel.
pub(super) async fn orders(merchant: &HostClient, channel: &str) -> Result<Orders, DemoError> {
    let mut found = Orders::default();
    let mut cursor = String::new();
    loop {
        let page = merchant.get(&format!("/m/{MERCHANT}/orders/v1/orders?channel={channel}&limit=250{cursor}")).await?;
        for order in list(&page, "orders") {
            let units = order.get("units").and_then(Value::as_u64).unwrap_or_default();
            let status = order.get("status").and_then(Value::as_str);
            if let Some("on_hold" | "draft") = status {
                found.held += reserved(merchant, order.get("id").and_then(Value::as_str).unwrap_or_default()).await?;
            }
            match status {
                Some("on_hold") => found.on_hold += 1,
                Some("placed" | "completed") => {
                    found.orders += 1;
                    found.units += units;
                }
                _ => {}
            }
        }
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(found),
        }
    }
}

/// Units that are reserved for an order.
async fn reserved(merchant: &HostClient, order: &str) -> Result<i64, DemoError> {
    let order = merchant.get(&format!("/m/{MERCHANT}/orders/v1/orders/{order}")).await?;
    let units = list(&order, "lines").iter().flat_map(|line| list(line, "units"));
    let reserved = units.filter(|unit| unit.get("state").and_then(Value::as_str) == Some("reserved"));
    Ok(reserved.filter_map(|unit| unit.get("quantity").and_then(Value::as_i64)).sum())
}

/// Places where the stock projection differs from the ledger.
pub(super) async fn discrepancies(merchant: &HostClient) -> Result<u64, DemoError> {
    let mut count = 0;
    let mut cursor = String::new();
    loop {
        let page = merchant.get(&format!("/m/{MERCHANT}/inventory/v1/verify{cursor}")).await?;
        count += list(&page, "discrepancies").len() as u64;
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("?cursor={next}"),
            None => return Ok(count),
        }
    }
}

/// Sum of a Prometheus counter over all its labels.
pub(super) async fn counter(admin: &HostClient, name: &str) -> Result<u64, DemoError> {
    let page = admin.text("/metrics").await?;
    let values = page
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')));
    Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map(|value| value as u64).sum())
}

fn list<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
