//! What simulated customers do in each channel, over and over until the time is up. Each is a real client of a real interface: the
//! shop's JSON API, the till's, Amazon's marketplace.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::catalogue::{DemoVariant, PRODUCTS};
use super::host::{DemoError, HostClient};
use super::set_up::{MERCHANT, STORE, TILL};
use crate::amazon::{AmazonSimulator, Purchase};

/// Pause between two purchases of one customer on the marketplace: it is another company's, and is not to be hammered.
const MARKETPLACE_PAUSE: Duration = Duration::from_millis(400);

/// What happened in a channel.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Orders that the shop acknowledged.
    pub(super) orders: AtomicU64,
    /// Units in them.
    pub(super) units: AtomicU64,
    /// Purchases that the stock did not allow.
    pub(super) refused: AtomicU64,
    /// Purchases that failed otherwise.
    pub(super) failed: AtomicU64,
    /// Time that purchases took together, microseconds.
    pub(super) micros: AtomicU64,
}

impl Tally {
    fn note(&self, result: Result<u64, DemoError>, began: Instant) {
        self.micros.fetch_add(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        match result {
            Ok(units) => {
                self.orders.fetch_add(1, Ordering::Relaxed);
                self.units.fetch_add(units, Ordering::Relaxed);
            }
            Err(error) if error.code().starts_with("insufficient") => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(%error, "a purchase failed");
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A customer's choices follow from a seed.
#[derive(Debug)]
pub(super) struct Taste(ChaCha8Rng);

impl Taste {
    pub(super) fn new(seed: u64, customer: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ customer))
    }

    /// One of the range; every third customer wants the scarce one.
    fn choose(&mut self) -> (&'static DemoVariant, i64) {
        let all: Vec<&'static DemoVariant> = PRODUCTS.iter().flat_map(|product| product.variants).collect();
        let scarce = all.iter().min_by_key(|variant| variant.warehouse + variant.store).copied();
        let any = all.choose(&mut self.0).copied();
        let wanted = if self.0.random_ratio(1, 3) { scarce } else { any };
        let variant = wanted.or(scarce).unwrap_or(&FALLBACK);
        (variant, self.0.random_range(1..=2))
    }

    fn id(&mut self) -> String {
        format!("{:032x}", self.0.random::<u128>())
    }
}

const FALLBACK: DemoVariant = DemoVariant { sku: "", value: "", gtin: "", price_minor: 0, warehouse: 0, store: 0 };

/// Buys in the web shop until `end`.
pub(super) async fn shop_online(public: HostClient, mut taste: Taste, end: Instant, tally: &Tally) {
    while Instant::now() < end {
        let (variant, quantity) = taste.choose();
        let began = Instant::now();
        let result = checkout(&public, variant, quantity).await;
        tally.note(result, began);
    }
}

async fn checkout(public: &HostClient, variant: &DemoVariant, quantity: i64) -> Result<u64, DemoError> {
    let api = format!("/m/{MERCHANT}/storefront/api/v1/carts");
    let cart = public.post(&api, &json!({})).await?;
    let id = cart.get("id").and_then(Value::as_str).ok_or_else(|| DemoError::Other("the cart has no id".into()))?;
    let cart = format!("{api}/{id}");
    public.post(&format!("{cart}/lines"), &json!({ "sku": variant.sku, "quantity": quantity })).await?;
    let address = json!({
        "name": "Ada Example", "line1": "Speicherstadt 1", "postal_code": "20457", "city": "Hamburg", "country": "DE",
    });
    public.put(&format!("{cart}/delivery"), &json!({ "email": "ada@example.com", "address": address })).await?;
    let priced = public.put(&format!("{cart}/shipping"), &json!({ "shipping_option": "standard" })).await?;
    let total = priced.pointer("/totals/total_minor").and_then(Value::as_i64);
    let payment = json!({ "method": "invoice", "expected_total_minor": total });
    public.post(&format!("{cart}/place"), &json!({ "payment": payment })).await?;
    Ok(quantity.unsigned_abs())
}

/// Sells at the till until `end`.
pub(super) async fn shop_in_store(till: HostClient, mut taste: Taste, end: Instant, tally: &Tally) {
    while Instant::now() < end {
        let (variant, quantity) = taste.choose();
        let began = Instant::now();
        let sale = json!({
            "till_id": TILL, "sale_id": taste.id(), "location": STORE, "goods": "from_stock",
            "lines": [{ "sku": variant.sku, "quantity": quantity }],
            "tenders": [{ "method": "card", "amount_minor": variant.price_minor * quantity }],
        });
        let result = till.post(&format!("/m/{MERCHANT}/pos/api/v1/sales"), &sale).await;
        tally.note(result.map(|_| quantity.unsigned_abs()), began);
    }
}

/// Buys on the marketplace until `end`. What becomes of the order the merchant learns later.
pub(super) async fn shop_on_marketplace(amazon: &AmazonSimulator, mut taste: Taste, end: Instant, tally: &Tally) {
    while Instant::now() < end {
        let (variant, quantity) = taste.choose();
        let began = Instant::now();
        match amazon.place_order(&Purchase::of(variant.sku, quantity)) {
            Ok(_) => tally.note(Ok(quantity.unsigned_abs()), began),
            Err(_) => {
                tally.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(MARKETPLACE_PAUSE).await;
    }
}
