//! A plugin that misbehaves in every way, beside a shop that goes on selling.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kontor_channels::demo::DemoError;
use kontor_e2e::{Article, Host, Shop};
use serde_json::json;

const LAMP: Article = Article { sku: "LAMP-1", price_minor: 4_900, on_hand: 1_000 };
/// What the plugin does, and the reason that the host gives for stopping it.
const WAYS: [(&str, &str); 8] = [
    ("loop", "fuel-exhausted"),
    ("allocate", "memory-limit"),
    ("overflow", "stack-overflow"),
    ("flood", "event-limit"),
    ("scribble", "limit"),
    ("nonsense", "malformed-data"),
    ("trap", "trap"),
    ("trap-in-a-nested-call", "trap"),
];
const PURCHASES: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_goes_on_beside_a_hostile_plugin() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(&directory.path().join("data"));
    let shop = Arc::new(Shop::open(host, 8, &[LAMP]).await);
    shop.install(&["tests/conformance/plugins/hello", "tests/conformance/plugins/hostile"]).await;

    let done = Arc::new(AtomicBool::new(false));
    let mut attackers = tokio::task::JoinSet::new();
    for (what, reason) in WAYS {
        let (shop, done) = (Arc::clone(&shop), Arc::clone(&done));
        attackers.spawn(async move {
            loop {
                let path = shop.at("hostile", &format!("/do/{what}"));
                let refused = shop.visitor().post(&path, &json!({})).await.unwrap_err();
                assert_eq!((refused.status(), refused.code()), (Some(500), "plugin-stopped"), "{what}: {refused}");
                assert!(refused.to_string().contains(reason), "{what}: {refused}");
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
    }
    let mut buyers = tokio::task::JoinSet::new();
    for buyer in 0..4 {
        let shop = Arc::clone(&shop);
        buyers.spawn(async move {
            for purchase in 0..PURCHASES / 4 {
                shop.buy(LAMP.sku, 1).await?;
                shop.sell(&format!("{buyer}-{purchase}"), &LAMP, 1).await?;
            }
            Ok::<(), DemoError>(())
        });
    }
    for result in buyers.join_all().await {
        result.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    attackers.join_all().await;

    let visitor = shop.visitor();
    assert_eq!(visitor.get(&shop.at("hostile", "/traces")).await.unwrap(), json!([]), "what was stopped left a trace");
    assert_eq!(visitor.get(&shop.at("hello", "/notes")).await.unwrap()["notes"], json!([]));
    let sold = shop.sold().await;
    assert_eq!((sold.storefront, sold.pos), (PURCHASES as u64, PURCHASES as u64));
    assert_eq!(shop.unsold(LAMP.sku).await, LAMP.on_hand - 2 * PURCHASES as i64);
    shop.assert_ledger_is_projection().await;
}
