//! The marketplace: listings, buyers, orders and their life. A pure state machine: time and seed come from outside.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::decimal;
use super::faults::{FaultPlan, draw, draw_between, happens};
use super::model::{
    Fulfillment, FulfillmentStatus, ItemFulfillment, Money, Order, OrderItem, Package, PackageItem, Product,
    SalesChannel, time_ms, time_text,
};
use super::people::{issue, person};
use super::validate::{ApiError, PatchRequest, SearchRequest, SearchWindow, ShipmentRequest};
use super::views::{
    Cancellation, ConfirmedShipment, ListingInput, ListingView, Marketplace, OfferChange, OfferChangeKind, PlacedOrder,
    Purchase, PurchaseRefused, Submission, SubmissionState,
};

/// How long a pagination token is good for.
const PAGE_TOKEN_TTL_MS: u64 = 24 * 3_600_000;

/// What the market needs to know.
#[derive(Clone, Debug)]
pub(crate) struct MarketSettings {
    pub(crate) seed: u64,
    pub(crate) marketplaces: Vec<Marketplace>,
    pub(crate) plan: FaultPlan,
    pub(crate) speed: u32,
    pub(crate) pending_ms: (u64, u64),
    pub(crate) apply_ms: (u64, u64),
    pub(crate) settling_ms: u64,
}

impl MarketSettings {
    fn scaled(&self, duration_ms: u64) -> u64 {
        duration_ms / u64::from(self.speed.max(1))
    }
}

/// A listing.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) input: ListingInput,
    pub(crate) asin: String,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
    /// When the last submission will be applied: submissions of a SKU keep their order.
    busy_until_ms: u64,
}

/// All that ever was told of an order.
#[derive(Debug)]
struct OrderRecord {
    versions: Vec<(u64, Order)>,
}

#[derive(Debug)]
enum Action {
    Confirm(String),
    Cancel(String, Cancellation),
    Apply(usize),
}

/// A search that is being paged through.
#[derive(Debug)]
struct PagedSearch {
    fingerprint: String,
    order_ids: VecDeque<String>,
    upper_bound: String,
    expires_ms: u64,
    number: u64,
}

/// A page of a search.
#[derive(Debug)]
pub(crate) struct SearchPage {
    pub(crate) orders: Vec<Order>,
    pub(crate) next_token: Option<String>,
    pub(crate) upper_bound: String,
}

/// The marketplace.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) settings: MarketSettings,
    listings: BTreeMap<String, Listing>,
    orders: BTreeMap<String, OrderRecord>,
    schedule: BTreeMap<(u64, u64), Action>,
    sequence: u64,
    searches: u64,
    paged: BTreeMap<String, PagedSearch>,
    pub(crate) placed: Vec<PlacedOrder>,
    pub(crate) refused: u64,
    pub(crate) submissions: Vec<Submission>,
    pub(crate) shipments: Vec<ConfirmedShipment>,
    pub(crate) offer_changes: Vec<OfferChange>,
}

impl Market {
    pub(crate) fn new(settings: MarketSettings) -> Self {
        Self {
            settings,
            listings: BTreeMap::new(),
            orders: BTreeMap::new(),
            schedule: BTreeMap::new(),
            sequence: 0,
            searches: 0,
            paged: BTreeMap::new(),
            placed: Vec::new(),
            refused: 0,
            submissions: Vec::new(),
            shipments: Vec::new(),
            offer_changes: Vec::new(),
        }
    }

    fn number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn plan_action(&mut self, due_ms: u64, action: Action) {
        let number = self.number();
        self.schedule.insert((due_ms, number), action);
    }

    /// Does everything that is due.
    pub(crate) fn advance_to(&mut self, now_ms: u64) {
        while let Some(entry) = self.schedule.first_entry() {
            let (due_ms, _) = *entry.key();
            if due_ms > now_ms {
                break;
            }
            match entry.remove() {
                Action::Confirm(order_id) => self.confirm(&order_id, due_ms),
                // Someone may have shipped it meanwhile; then it stays shipped.
                Action::Cancel(order_id, by) => drop(self.cancel(&order_id, by, due_ms)),
                Action::Apply(index) => self.apply(index, due_ms),
            }
        }
    }

    fn marketplace(&self) -> Option<&Marketplace> {
        self.settings.marketplaces.first()
    }

    fn currency(&self) -> String {
        self.marketplace().map_or_else(|| "EUR".to_owned(), |marketplace| marketplace.currency.clone())
    }

    pub(crate) fn create_listing(&mut self, input: ListingInput, now_ms: u64) {
        let asin = format!("B0{:08X}", draw(self.settings.seed, &["asin", &input.sku]) & 0xffff_ffff);
        let listing = Listing { input, asin, created_ms: now_ms, updated_ms: now_ms, busy_until_ms: now_ms };
        self.listings.insert(listing.input.sku.clone(), listing);
    }

    pub(crate) fn listing(&self, sku: &str) -> Option<&Listing> {
        self.listings.get(sku)
    }

    pub(crate) fn listing_views(&self) -> Vec<ListingView> {
        self.listings
            .values()
            .map(|listing| ListingView {
                sku: listing.input.sku.clone(),
                asin: listing.asin.clone(),
                title: listing.input.title.clone(),
                price_minor: listing.input.price_minor,
                quantity: listing.input.quantity.unwrap_or(0),
            })
            .collect()
    }

    /// The newest version of every order.
    pub(crate) fn latest_orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values().filter_map(|record| record.versions.last().map(|(_, order)| order))
    }

    pub(crate) fn latest(&self, order_id: &str) -> Option<&Order> {
        self.orders.get(order_id).and_then(|record| record.versions.last()).map(|(_, order)| order)
    }

    // ---- buyers ----

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
    fn confirm(&mut self, order_id: &str, now_ms: u64) {
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
    fn change(&mut self, order_id: &str, now_ms: u64, edit: impl FnOnce(&mut Order) -> bool) -> bool {
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

    // ---- what the API serves ----

    /// The version of an order that the replica knows which answers this request.
    fn visible(&self, order_id: &str, request: &str, now_ms: u64) -> Option<&(u64, Order)> {
        let lag_ms_max = self.settings.scaled(self.settings.plan.lag_ms_max);
        let lag_ms = draw_between(self.settings.seed, &["lag", order_id, request], 0, lag_ms_max);
        let record = self.orders.get(order_id)?;
        let as_of_ms = now_ms.saturating_sub(lag_ms);
        record.versions.iter().rev().find(|(updated_ms, _)| *updated_ms <= as_of_ms)
    }

    pub(crate) fn get_order(&mut self, order_id: &str, included: &[String], now_ms: u64) -> Result<Order, ApiError> {
        self.searches += 1;
        let request = format!("get-{}", self.searches);
        let visible = self.visible(order_id, &request, now_ms);
        let (_, order) = visible.ok_or_else(|| ApiError::not_found(&format!("There is no order {order_id}.")))?;
        Ok(shown(order, included))
    }

    pub(crate) fn search(&mut self, request: &SearchRequest, now_ms: u64) -> Result<SearchPage, ApiError> {
        self.paged.retain(|_, search| search.expires_ms > now_ms);
        let fingerprint = request.fingerprint();
        let mut search = match &request.pagination_token {
            Some(token) => {
                let search = self.paged.get(token).ok_or_else(|| {
                    ApiError::invalid("paginationToken", "is unknown or has expired (tokens are valid for 24 hours)")
                })?;
                if search.fingerprint != fingerprint {
                    return Err(ApiError::invalid(
                        "paginationToken",
                        "was issued for other parameters; only maxResultsPerPage and includedData may change",
                    ));
                }
                // The token stays valid: a caller whose answer got lost asks for the same page again.
                PagedSearch {
                    fingerprint,
                    order_ids: search.order_ids.clone(),
                    upper_bound: search.upper_bound.clone(),
                    expires_ms: search.expires_ms,
                    number: search.number,
                }
            }
            None => self.start_search(request, fingerprint, now_ms)?,
        };
        let seed = self.settings.seed;
        let mut orders = Vec::new();
        let page_key = format!("search-{}-{}", search.number, search.order_ids.len());
        let mut repeated = Vec::new();
        while orders.len() < request.max_results_per_page {
            let Some(order_id) = search.order_ids.pop_front() else { break };
            let Some((_, order)) = self.visible(&order_id, &page_key, now_ms) else { continue };
            orders.push(shown(order, &request.included_data));
            if happens(seed, &["duplicate", &page_key, &order_id], self.settings.plan.duplicate_order) {
                repeated.push(order_id);
            }
        }
        // Half of the repeated ones come twice in this page, the others again in the next, as when a page's bound moves.
        for order_id in repeated {
            if draw(seed, &["repeat", &order_id, &page_key]).is_multiple_of(2) && !search.order_ids.is_empty() {
                search.order_ids.push_front(order_id);
            } else if let Some((_, order)) = self.visible(&order_id, "repeat", now_ms)
                && orders.len() < request.max_results_per_page
            {
                orders.push(shown(order, &request.included_data));
            }
        }
        let upper_bound = search.upper_bound.clone();
        let next_token = (!search.order_ids.is_empty()).then(|| {
            let number = self.number();
            let token = format!("{:016x}{number:x}", draw(seed, &["page", &number.to_string()]));
            self.paged.insert(token.clone(), search);
            token
        });
        Ok(SearchPage { orders, next_token, upper_bound })
    }

    fn start_search(
        &mut self,
        request: &SearchRequest,
        fingerprint: String,
        now_ms: u64,
    ) -> Result<PagedSearch, ApiError> {
        self.searches += 1;
        let number = self.searches;
        let settled_ms = now_ms.saturating_sub(self.settings.scaled(self.settings.settling_ms));
        let request_key = format!("search-{number}");
        let (after_ms, before_ms, by_update) = match request.window {
            SearchWindow::Created { after_ms, before_ms } => (after_ms, before_ms, false),
            SearchWindow::Updated { after_ms, before_ms } => (after_ms, before_ms, true),
        };
        if let Some(before_ms) = before_ms
            && before_ms > settled_ms
        {
            let name = if by_update { "lastUpdatedBefore" } else { "createdBefore" };
            return Err(ApiError::invalid(name, "must be at least two minutes before the time of the request"));
        }
        let upper_ms = before_ms.unwrap_or(settled_ms);
        let mut found: Vec<(u64, String)> = Vec::new();
        for order_id in self.orders.keys() {
            let Some((updated_ms, order)) = self.visible(order_id, &request_key, now_ms) else { continue };
            // Filters compare what the answer says: times to the second.
            let time_ms = if by_update { Some(updated_ms / 1_000 * 1_000) } else { time_ms(&order.created_time) };
            let in_window = time_ms.is_some_and(|time_ms| time_ms >= after_ms && time_ms <= upper_ms);
            if in_window && request.matches(order) {
                found.push((time_ms.unwrap_or_default(), order_id.clone()));
            }
        }
        found.sort();
        if self.settings.plan.shuffle {
            found.sort_by_key(|(_, order_id)| draw(self.settings.seed, &["shuffle", order_id, &request_key]));
        }
        Ok(PagedSearch {
            fingerprint,
            order_ids: found.into_iter().map(|(_, order_id)| order_id).collect(),
            upper_bound: time_text(upper_ms),
            expires_ms: now_ms + PAGE_TOKEN_TTL_MS,
            number,
        })
    }

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

    fn apply(&mut self, index: usize, now_ms: u64) {
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

/// The order as an answer shows it, without the simulator's own notes.
fn shown(order: &Order, included: &[String]) -> Order {
    let mut shown = order.with_data(included);
    shown.other.remove("simulatedPrices");
    shown
}

fn set_status(order: &mut Order, status: FulfillmentStatus) {
    match &mut order.fulfillment {
        Some(fulfillment) => fulfillment.fulfillment_status = status,
        none => {
            *none = Some(Fulfillment { fulfillment_status: status, fulfilled_by: None, other: Map::new() });
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
