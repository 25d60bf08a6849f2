//! Orders from the purchase to their end, as the marketplace and its buyers make them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Action, Market, OrderRecord, set_status};
use crate::amazon::decimal;
use crate::amazon::faults::{draw, draw_between, happens};
use crate::amazon::model::{
    Fulfillment, FulfillmentStatus, ItemFulfillment, Money, Order, OrderItem, Product, SalesChannel, time_ms, time_text,
};
use crate::amazon::people::person;
use crate::amazon::views::{Cancellation, OfferChange, OfferChangeKind, PlacedOrder, Purchase, PurchaseRefused};

impl Market {
    pub(crate) fn place_order(&mut self, purchase: &Purchase, now_ms: u64) -> Result<PlacedOrder, PurchaseRefused> {
        let result = self.try_place_order(purchase, now_ms);
        self.refused += u64::from(result.is_err());
        result
    }

    fn try_place_order(&mut self, purchase: &Purchase, now_ms: u64) -> Result<PlacedOrder, PurchaseRefused> {
        let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
        for (sku, quantity) in &purchase.lines {
            if *quantity < 1 {
                return Err(PurchaseRefused::Empty);
            }
            *wanted.entry(sku).or_default() += quantity;
        }
        if wanted.is_empty() {
            return Err(PurchaseRefused::Empty);
        }
        for (sku, requested) in &wanted {
            let listing = self.listings.get(*sku).filter(|listing| listing.input.price_minor.is_some());
            let advertised = listing.and_then(|listing| listing.input.quantity);
            let Some(advertised) = advertised else {
                return Err(PurchaseRefused::NotForSale((*sku).to_owned()));
            };
            if !purchase.fulfilled_by_amazon && advertised < *requested {
                return Err(PurchaseRefused::SoldOut { sku: (*sku).to_owned(), requested: *requested, advertised });
            }
        }
        let order = self.new_order(purchase, now_ms);
        let mut lines = Vec::new();
        for (sku, quantity) in &purchase.lines {
            let advertised = self.sell(sku, *quantity, &order.order_id, purchase.fulfilled_by_amazon, now_ms);
            lines.push((sku.clone(), *quantity, advertised));
        }
        let placed = PlacedOrder { order_id: order.order_id.clone(), placed_at_ms: now_ms, lines };
        self.placed.push(placed.clone());
        let seed = self.settings.seed;
        let (low, high) = self.settings.pending_ms;
        let pending_ms = self.settings.scaled(draw_between(seed, &["pending", &order.order_id], low, high));
        let action = if happens(seed, &["cancel", &order.order_id], self.settings.plan.cancel) {
            Action::Cancel(order.order_id.clone(), Cancellation::Amazon)
        } else {
            Action::Confirm(order.order_id.clone())
        };
        self.plan_action(now_ms + pending_ms, action);
        self.orders.insert(order.order_id.clone(), OrderRecord { versions: vec![(now_ms, order)] });
        Ok(placed)
    }

    /// Takes units off the advertised quantity; returns what was advertised before.
    fn sell(&mut self, sku: &str, quantity: i64, order_id: &str, by_amazon: bool, now_ms: u64) -> i64 {
        let Some(listing) = self.listings.get_mut(sku) else { return 0 };
        let advertised = listing.input.quantity.unwrap_or(0);
        if by_amazon {
            return advertised;
        }
        listing.input.quantity = Some(advertised - quantity);
        self.offer_changes.push(OfferChange {
            at_ms: now_ms,
            sku: sku.to_owned(),
            kind: OfferChangeKind::Sold { order_id: order_id.to_owned(), quantity },
            quantity_after: advertised - quantity,
        });
        advertised
    }

    /// An order as it is at first: pending, without prices and address.
    fn new_order(&mut self, purchase: &Purchase, now_ms: u64) -> Order {
        let number = self.number();
        let digits = draw(self.settings.seed, &["order", &number.to_string()]);
        let order_id = format!("{:03}-{:07}-{number:07}", 300 + digits % 99, (digits / 100) % 10_000_000);
        let items = purchase
            .lines
            .iter()
            .enumerate()
            .map(|(index, (sku, quantity))| OrderItem {
                order_item_id: format!("{:011}{:03}", number * 7_919 + 10_000_000_000, index + 1),
                quantity_ordered: *quantity,
                product: Product {
                    asin: self.listings.get(sku).map(|listing| listing.asin.clone()),
                    title: self.listings.get(sku).map(|listing| listing.input.title.clone()),
                    seller_sku: Some(sku.clone()),
                    price: None,
                    other: Map::new(),
                },
                proceeds: None,
                expense: None,
                promotion: None,
                cancellation: None,
                fulfillment: Some(ItemFulfillment {
                    quantity_fulfilled: 0,
                    quantity_unfulfilled: *quantity,
                    other: Map::new(),
                }),
                tax: None,
                other: Map::new(),
            })
            .collect();
        let marketplace = self.marketplace();
        let mut other = Map::new();
        // What the buyer agreed to pay is frozen with the purchase; it is shown once the order is confirmed.
        other.insert("simulatedPrices".into(), self.agreed_prices(purchase));
        Order {
            order_id,
            created_time: time_text(now_ms),
            last_updated_time: time_text(now_ms),
            sales_channel: SalesChannel {
                channel_name: "AMAZON".into(),
                marketplace_id: marketplace.map(|marketplace| marketplace.id.clone()),
                marketplace_name: marketplace.map(|marketplace| marketplace.name.clone()),
            },
            buyer: None,
            recipient: None,
            proceeds: None,
            payment: None,
            tax: None,
            fulfillment: Some(Fulfillment {
                fulfillment_status: FulfillmentStatus::Pending,
                fulfilled_by: Some(if purchase.fulfilled_by_amazon { "AMAZON" } else { "MERCHANT" }.into()),
                other: Map::from_iter([("fulfillmentServiceLevel".to_owned(), json!("STANDARD"))]),
            }),
            order_items: items,
            packages: Vec::new(),
            other,
        }
    }

    fn agreed_prices(&self, purchase: &Purchase) -> Value {
        let prices: Vec<i64> = purchase
            .lines
            .iter()
            .map(|(sku, _)| self.listings.get(sku).and_then(|listing| listing.input.price_minor).unwrap_or(0))
            .collect();
        json!({ "unitPrices": prices, "shipping": purchase.shipping_minor })
    }

    /// The payment is authorised: prices, buyer and address become known.
    pub(super) fn confirm(&mut self, order_id: &str, now_ms: u64) {
        let currency = self.currency();
        let marketplace = self.marketplace().cloned();
        let seed = self.settings.seed;
        self.change(order_id, now_ms, |order| {
            if order.status() != Some(FulfillmentStatus::Pending) {
                return false;
            }
            let agreed = order.other.get("simulatedPrices").cloned().unwrap_or_default();
            let shipping = agreed.get("shipping").and_then(Value::as_i64).unwrap_or(0);
            let money = |minor: i64| {
                json!(Money { amount: decimal::format(minor, &currency), currency_code: currency.clone() })
            };
            let mut total = 0;
            for (index, item) in order.order_items.iter_mut().enumerate() {
                let unit = agreed.pointer(&format!("/unitPrices/{index}")).and_then(Value::as_i64).unwrap_or(0);
                let goods = unit * item.quantity_ordered;
                let postage = if index == 0 { shipping } else { 0 };
                let mut breakdowns = vec![json!({ "type": "ITEM", "subtotal": money(goods) })];
                if postage > 0 {
                    breakdowns.push(json!({ "type": "SHIPPING", "subtotal": money(postage) }));
                }
                item.product.price = Some(json!({ "unitPrice": money(unit) }));
                item.proceeds = Some(json!({ "proceedsTotal": money(goods + postage), "breakdowns": breakdowns }));
                total += goods + postage;
            }
            order.proceeds = Some(json!({ "grandTotal": money(total) }));
            let (buyer, recipient) = person(seed, &order.order_id, marketplace.as_ref());
            order.buyer = Some(buyer);
            order.recipient = Some(recipient);
            set_status(order, FulfillmentStatus::Unshipped);
            if let Some(fulfillment) = &mut order.fulfillment {
                let window = json!({
                    "earliestDateTime": time_text(now_ms),
                    "latestDateTime": time_text(now_ms + 2 * 86_400_000),
                });
                fulfillment.other.insert("shipByWindow".into(), window);
            }
            true
        });
    }

    /// Ends an order that has not left the house. False: it has, or there is none, or it is over already.
    pub(crate) fn cancel(&mut self, order_id: &str, by: Cancellation, now_ms: u64) -> bool {
        let (who, why) = match by {
            Cancellation::Buyer => ("BUYER", "The buyer changed their mind."),
            Cancellation::Merchant => ("MERCHANT", "The seller cannot deliver."),
            Cancellation::Amazon => ("AMAZON", "The payment was declined."),
        };
        self.change(order_id, now_ms, |order| {
            let open =
                [FulfillmentStatus::Pending, FulfillmentStatus::PendingAvailability, FulfillmentStatus::Unshipped];
            if !order.status().is_some_and(|status| open.contains(&status)) {
                return false;
            }
            for item in &mut order.order_items {
                item.cancellation = Some(json!({
                    "cancellationExecution": { "cancelledBy": who, "cancelReason": why }
                }));
                if let Some(fulfillment) = &mut item.fulfillment {
                    fulfillment.quantity_unfulfilled = 0;
                }
            }
            set_status(order, FulfillmentStatus::Cancelled);
            true
        })
    }

    /// The buyer asks to cancel an order that waits for shipment; the seller decides.
    pub(crate) fn request_cancellation(&mut self, order_id: &str, now_ms: u64) -> bool {
        self.change(order_id, now_ms, |order| {
            if order.status() != Some(FulfillmentStatus::Unshipped) {
                return false;
            }
            for item in &mut order.order_items {
                item.cancellation = Some(json!({
                    "cancellationRequest": { "requester": "BUYER", "cancelReason": "Ordered by mistake." }
                }));
            }
            true
        })
    }

    /// Adds a version of an order if `edit` says that it changed something.
    pub(super) fn change(&mut self, order_id: &str, now_ms: u64, edit: impl FnOnce(&mut Order) -> bool) -> bool {
        let Some(record) = self.orders.get_mut(order_id) else { return false };
        let Some((_, latest)) = record.versions.last() else { return false };
        let mut next = latest.clone();
        if !edit(&mut next) {
            return false;
        }
        next.last_updated_time = time_text(now_ms);
        record.versions.push((now_ms, next));
        true
    }

    /// Takes a version of an order as it is. It may be older than those known.
    pub(crate) fn load_order(&mut self, value: Value) -> Result<(), String> {
        let order: Order = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let updated_ms = time_ms(&order.last_updated_time)
            .ok_or_else(|| format!("lastUpdatedTime `{}` is no RFC 3339 time", order.last_updated_time))?;
        if time_ms(&order.created_time).is_none() {
            return Err(format!("createdTime `{}` is no RFC 3339 time", order.created_time));
        }
        let record = self.orders.entry(order.order_id.clone()).or_insert_with(|| OrderRecord { versions: Vec::new() });
        record.versions.push((updated_ms, order));
        record.versions.sort_by_key(|(updated_ms, _)| *updated_ms);
        Ok(())
    }
}
