//! What a seller changes through the API: shipments of orders, and listings.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Action, Market, set_status};
use crate::amazon::faults::{draw, draw_between};
use crate::amazon::model::{FulfillmentStatus, ItemFulfillment, Package, PackageItem, time_text};
use crate::amazon::people::issue;
use crate::amazon::validate::{ApiError, PatchRequest, ShipmentRequest};
use crate::amazon::views::{ConfirmedShipment, OfferChange, OfferChangeKind, Submission, SubmissionState};

impl Market {
    pub(crate) fn confirm_shipment(
        &mut self,
        order_id: &str,
        request: &ShipmentRequest,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let order =
            self.latest(order_id).ok_or_else(|| ApiError::not_found(&format!("There is no order {order_id}.")))?;
        if order.sales_channel.marketplace_id.as_deref() != Some(&request.marketplace_id) {
            return Err(ApiError::invalid("marketplaceId", "is not the marketplace of this order"));
        }
        if order.fulfilled_by() != "MERCHANT" {
            return Err(ApiError::invalid("orderId", "names an order that Amazon fulfils"));
        }
        let shippable = [FulfillmentStatus::Unshipped, FulfillmentStatus::PartiallyShipped, FulfillmentStatus::Shipped];
        if !order.status().is_some_and(|status| shippable.contains(&status)) {
            let status = order.status().map_or("unknown", FulfillmentStatus::as_str);
            return Err(ApiError::invalid(
                "orderId",
                &format!("names an order in status {status}, which cannot be shipped"),
            ));
        }
        let mut packages: Vec<Package> = order.packages.clone();
        let repeated = packages.iter().any(|package| package.package_reference_id == request.package_reference_id);
        packages.retain(|package| package.package_reference_id != request.package_reference_id);
        packages.push(new_package(request, now_ms));
        let mut shipped: BTreeMap<&str, i64> = BTreeMap::new();
        for item in packages.iter().flat_map(|package| &package.package_items) {
            *shipped.entry(&item.order_item_id).or_default() += item.quantity;
        }
        for (item_id, quantity) in &shipped {
            let ordered = order.order_items.iter().find(|item| item.order_item_id == *item_id);
            let Some(ordered) = ordered else {
                return Err(ApiError::invalid("orderItemId", &format!("{item_id} is not part of this order")));
            };
            if *quantity > ordered.quantity_ordered {
                let text = format!("{quantity} of item {item_id} exceed the {} ordered", ordered.quantity_ordered);
                return Err(ApiError::invalid("quantity", &text));
            }
        }
        let counts: BTreeMap<String, i64> = shipped.into_iter().map(|(id, count)| (id.to_owned(), count)).collect();
        self.change(order_id, now_ms, |order| {
            for item in &mut order.order_items {
                let fulfilled = counts.get(&item.order_item_id).copied().unwrap_or(0);
                let unfulfilled = item.quantity_ordered - fulfilled;
                match &mut item.fulfillment {
                    Some(fulfillment) => {
                        fulfillment.quantity_fulfilled = fulfilled;
                        fulfillment.quantity_unfulfilled = unfulfilled;
                    }
                    none => {
                        *none = Some(ItemFulfillment {
                            quantity_fulfilled: fulfilled,
                            quantity_unfulfilled: unfulfilled,
                            other: Map::new(),
                        });
                    }
                }
            }
            let all = order.order_items.iter().all(|item| item.quantity_fulfilled() >= item.quantity_ordered);
            set_status(order, if all { FulfillmentStatus::Shipped } else { FulfillmentStatus::PartiallyShipped });
            order.packages = packages;
            true
        });
        self.shipments.push(ConfirmedShipment {
            order_id: order_id.to_owned(),
            package_reference_id: request.package_reference_id.clone(),
            carrier_code: request.carrier_code.clone(),
            carrier_name: request.carrier_name.clone(),
            tracking_number: request.tracking_number.clone(),
            items: request.items.clone(),
            confirmed_at_ms: now_ms,
            repeated,
        });
        Ok(())
    }

    /// Takes a patch whose shape is right. Returns the submission's id and its issues (none: it will be applied).
    pub(crate) fn patch_listing(&mut self, sku: &str, patch: &PatchRequest, now_ms: u64) -> (String, Vec<Value>) {
        let number = self.number();
        let id = draw(self.settings.seed, &["submission", &number.to_string()]);
        let submission_id = format!("{:08x}-{number:04x}-11ef-8000-{:012x}", id >> 32, id & 0xffff_ffff_ffff);
        let mut issues = patch.issues.clone();
        let listing = self.listings.get(sku);
        if listing.is_none_or(|listing| listing.input.product_type != patch.product_type)
            && patch.product_type != "PRODUCT"
        {
            issues.push(issue(
                "90220",
                &format!("The product type {} does not fit the listing.", patch.product_type),
                "product_type",
                "INVALID_ATTRIBUTE",
            ));
        }
        let state = match (issues.is_empty(), patch.preview) {
            (_, true) => SubmissionState::Preview,
            (true, false) => SubmissionState::Accepted,
            (false, false) => SubmissionState::Invalid,
        };
        self.submissions.push(Submission {
            submission_id: submission_id.clone(),
            sku: sku.to_owned(),
            received_at_ms: now_ms,
            quantity: patch.quantity,
            price_minor: patch.price_minor,
            state,
        });
        if state == SubmissionState::Accepted {
            let (low, high) = self.settings.apply_ms;
            let delay_ms =
                self.settings.scaled(draw_between(self.settings.seed, &["apply", &submission_id], low, high));
            let due_ms = match self.listings.get_mut(sku) {
                Some(listing) => {
                    listing.busy_until_ms = listing.busy_until_ms.max(now_ms + delay_ms);
                    listing.busy_until_ms
                }
                None => now_ms + delay_ms,
            };
            self.plan_action(due_ms, Action::Apply(self.submissions.len() - 1));
        }
        (submission_id, issues)
    }

    pub(super) fn apply(&mut self, index: usize, now_ms: u64) {
        let Some(submission) = self.submissions.get_mut(index) else { return };
        let Some(listing) = self.listings.get_mut(&submission.sku) else { return };
        submission.state = SubmissionState::Applied;
        listing.updated_ms = now_ms;
        if let Some(price) = submission.price_minor {
            listing.input.price_minor = Some(price);
        }
        if let Some(quantity) = submission.quantity {
            listing.input.quantity = Some(quantity);
            self.offer_changes.push(OfferChange {
                at_ms: now_ms,
                sku: submission.sku.clone(),
                kind: OfferChangeKind::Pushed { submission_id: submission.submission_id.clone() },
                quantity_after: quantity,
            });
        }
    }
}

fn new_package(request: &ShipmentRequest, now_ms: u64) -> Package {
    let carrier = request.carrier_name.clone().unwrap_or_else(|| request.carrier_code.clone());
    Package {
        package_reference_id: request.package_reference_id.clone(),
        carrier: Some(carrier),
        tracking_number: Some(request.tracking_number.clone()),
        ship_time: Some(request.ship_date.clone()),
        package_items: request
            .items
            .iter()
            .map(|(order_item_id, quantity)| PackageItem {
                order_item_id: order_item_id.clone(),
                quantity: *quantity,
                other: Map::new(),
            })
            .collect(),
        other: Map::from_iter([
            ("createdTime".to_owned(), json!(time_text(now_ms))),
            ("packageStatus".to_owned(), json!({ "status": "SHIPPED" })),
        ]),
    }
}
