//! Two hundred buyers in three channels want ten units.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use kontor_channels::amazon::Purchase;
use kontor_channels::demo::DemoError;
use kontor_e2e::{Article, Host, Shop};
use serde_json::Value;

const LAMP: Article = Article { sku: "LAMP-1", price_minor: 4_900, on_hand: 10 };
const WEB_BUYERS: usize = 80;
const TILL_BUYERS: usize = 80;
const AMAZON_BUYERS: usize = 40;
const EARLY_ON_AMAZON: usize = 3;

/// One unit for one buyer, or none: anything else is a fault.
fn bought(result: &Result<Value, DemoError>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) if error.code().starts_with("insufficient") => false,
        Err(error) => panic!("a purchase failed: {error}"),
    }
}

/// Every fourth presses the button twice: both answers must be about one order.
async fn place(shop: &Shop, buyer: usize, cart: (String, i64)) -> Result<Value, DemoError> {
    if !buyer.is_multiple_of(4) {
        return shop.place(&cart).await;
    }
    let (first, second) = tokio::join!(shop.place(&cart), shop.place(&cart));
    assert_eq!(bought(&first), bought(&second), "{first:?} {second:?}");
    if let (Ok(first), Ok(second)) = (&first, &second) {
        assert_eq!(first["order_id"], second["order_id"], "{first} {second}");
    }
    first
}

/// Every fourth till sends its sale twice, because the network was slow.
async fn buy_at_a_till(shop: &Shop, buyer: usize) -> Result<Value, DemoError> {
    let sale = format!("buyer-{buyer}");
    if !buyer.is_multiple_of(4) {
        return shop.sell(&sale, &LAMP, 1).await;
    }
    let (first, second) = tokio::join!(shop.sell(&sale, &LAMP, 1), shop.sell(&sale, &LAMP, 1));
    assert_eq!(bought(&first), bought(&second), "{first:?} {second:?}");
    first
}

fn buy_on_amazon(shop: &Shop) -> bool {
    shop.amazon.place_order(&Purchase::of(LAMP.sku, 1)).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_units_are_sold_ten_times() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(&directory.path().join("data"));
    let shop = Arc::new(Shop::open(host, 7, &[LAMP]).await);

    // Who is quickest is chance, and Amazon's orders take a while to be known: some are early, so that every channel has its share.
    let mut early: Vec<bool> = (0..EARLY_ON_AMAZON).map(|_| buy_on_amazon(&shop)).collect();
    shop.fetch_amazon_orders().await;
    let cart = shop.filled_cart(LAMP.sku, 1).await.unwrap();
    early.push(bought(&place(&shop, 0, cart).await));
    early.push(bought(&buy_at_a_till(&shop, 0).await));
    // The shop's customers fill their carts, which reserves nothing; then everybody wants to pay.
    let carts = join_all((1..WEB_BUYERS).map(|_| shop.filled_cart(LAMP.sku, 1))).await;
    let mut buyers = tokio::task::JoinSet::new();
    for (buyer, cart) in (1..).zip(carts) {
        let shop = Arc::clone(&shop);
        buyers.spawn(async move { bought(&place(&shop, buyer, cart.unwrap()).await) });
    }
    for buyer in 1..TILL_BUYERS {
        let shop = Arc::clone(&shop);
        buyers.spawn(async move { bought(&buy_at_a_till(&shop, buyer).await) });
    }
    for _ in EARLY_ON_AMAZON..AMAZON_BUYERS {
        let shop = Arc::clone(&shop);
        buyers.spawn(async move { buy_on_amazon(&shop) });
    }
    let answers = [buyers.join_all().await, early].concat();
    assert_eq!(answers.len(), WEB_BUYERS + TILL_BUYERS + AMAZON_BUYERS);
    shop.fetch_amazon_orders().await;

    let sold = shop.sold().await;
    assert_eq!(sold.total(), 10, "{sold:?}");
    assert_eq!(sold.amazon, EARLY_ON_AMAZON as u64, "{sold:?}");
    assert!(sold.storefront > 0 && sold.pos > 0, "{sold:?}");
    assert_eq!(shop.unsold(LAMP.sku).await, 0);
    shop.assert_ledger_is_projection().await;
    let told_yes = answers.iter().filter(|yes| **yes).count() as u64;
    assert_eq!(told_yes, sold.total() + sold.on_hold, "who was told yes has an order, and nobody else: {sold:?}");
    one_order_each(&shop).await;

    let shop = Arc::into_inner(shop).unwrap().after_a_crash();
    assert_eq!(shop.sold().await, sold, "what was acknowledged outlives the process");
    shop.assert_ledger_is_projection().await;
    assert_eq!(shop.amazon.violations(), []);
    shop.host.stop();
}

/// At most one order for a cart, a sale or an order of Amazon's.
async fn one_order_each(shop: &Shop) {
    for orders in join_all(["storefront", "pos", "amazon"].map(|channel| shop.orders(channel))).await {
        let ids: BTreeSet<&str> = orders.iter().map(|order| order["external_id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), orders.len());
    }
}
