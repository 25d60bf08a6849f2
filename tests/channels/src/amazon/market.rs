//! The marketplace: a pure state machine, time and seed come from outside. Here is what it knows and what is due; buyers and the life
//! of orders are in [`orders`], what the orders API finds in [`search`], what a seller may change in [`seller`].

mod orders;
mod search;
mod seller;

use std::collections::{BTreeMap, VecDeque};

use serde_json::Map;

use super::faults::{FaultPlan, draw};
use super::model::{Fulfillment, FulfillmentStatus, Order};
use super::views::{
    Cancellation, ConfirmedShipment, ListingInput, ListingView, Marketplace, OfferChange, PlacedOrder, Submission,
};

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
}

fn set_status(order: &mut Order, status: FulfillmentStatus) {
    match &mut order.fulfillment {
        Some(fulfillment) => fulfillment.fulfillment_status = status,
        none => {
            *none = Some(Fulfillment { fulfillment_status: status, fulfilled_by: None, other: Map::new() });
        }
    }
}
